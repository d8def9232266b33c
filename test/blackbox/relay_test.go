// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay passes TCP connections on to an address that can be changed. It can be
// shut, and slowed down.
type relay struct {
	address string
	target  atomic.Value // string
	delay   atomic.Int64 // of whatever passes, in each direction

	mu       sync.Mutex
	listener net.Listener
	standing map[net.Conn]struct{}
}

func openRelay(t *testing.T, target string) *relay {
	t.Helper()
	r := &relay{address: freeAddress(t), standing: map[net.Conn]struct{}{}}
	r.target.Store(target)
	r.open(t)
	t.Cleanup(r.shut)
	return r
}

// open lets clients connect.
func (r *relay) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
}

// lead leads new connections elsewhere, and cuts those that stand.
func (r *relay) lead(target string) {
	r.target.Store(target)
	r.cut()
}

// shut refuses connections, and cuts those that stand.
func (r *relay) shut() {
	r.mu.Lock()
	_ = r.listener.Close()
	r.mu.Unlock()
	r.cut()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.standing {
		_ = conn.Close()
	}
	clear(r.standing)
}

func (r *relay) pass(client net.Conn) {
	server, err := net.Dial("tcp", r.target.Load().(string))
	if err != nil {
		_ = client.Close()
		return
	}
	r.mu.Lock()
	r.standing[client], r.standing[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { r.copy(server, client) })
	both.Go(func() { r.copy(client, server) })
	both.Wait()
	r.mu.Lock()
	delete(r.standing, client)
	delete(r.standing, server)
	r.mu.Unlock()
}

// copy hands over what came, after the delay. Reading goes on meanwhile, so
// that the delay adds to latency and takes nothing from the throughput.
func (r *relay) copy(to, from net.Conn) {
	type parcel struct {
		content []byte
		due     time.Time
	}
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{buffer[:n], time.Now().Add(time.Duration(r.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	}()
	var failure error
	for p := range parcels {
		if failure != nil {
			continue // to the end: nobody is left behind
		}
		<-time.After(time.Until(p.due))
		if _, failure = to.Write(p.content); failure != nil && !errors.Is(failure, io.EOF) {
			_ = from.Close()
		}
	}
	_ = to.Close()
}
