// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay forwards TCP connections to an address that can change. It can refuse, close
// and delay connections.
type Relay struct {
	Address string

	ctx    context.Context // of what it starts
	target atomic.Value    // string
	delay  atomic.Int64

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
}

// OpenRelay listens at an address of its own until Shut.
func OpenRelay(ctx context.Context, target string) (*Relay, error) {
	address, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	r := &Relay{ctx: context.WithoutCancel(ctx), Address: address, conns: map[net.Conn]struct{}{}}
	r.target.Store(target)
	if err := r.Open(); err != nil {
		return nil, err
	}
	return r, nil
}

// Open accepts connections, also again after Shut.
func (r *Relay) Open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(r.ctx, "tcp", r.Address)
	if err != nil {
		return err
	}
	r.listener = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.pass(listener, conn)
		}
	}()
	return nil
}

// Shut refuses new connections and closes the others.
func (r *Relay) Shut() {
	r.mu.Lock()
	if r.listener != nil {
		_ = r.listener.Close()
	}
	r.listener = nil
	r.mu.Unlock()
	r.Disconnect()
}

// Redirect sends new connections to another target. The others stay: to close one
// during a handshake would be another fault.
func (r *Relay) Redirect(target string) { r.target.Store(target) }

// Disconnect closes every connection.
func (r *Relay) Disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
	clear(r.conns)
}

// SetDelay delays the data in each direction from now on.
func (r *Relay) SetDelay(d time.Duration) { r.delay.Store(int64(d)) }

func (r *Relay) pass(from net.Listener, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(r.ctx, "tcp", r.target.Load().(string))
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	r.mu.Lock()
	if r.listener != from { // shut meanwhile
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { r.copy(server, client) })
	both.Go(func() { r.copy(client, server) })
	both.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, client)
	delete(r.conns, server)
}

// copy continues to read while chunks wait: the delay adds latency and does not
// reduce the throughput.
func (r *Relay) copy(to, from net.Conn) {
	type chunk struct {
		content []byte
		due     time.Time
	}
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				chunks <- chunk{buffer[:n], time.Now().Add(time.Duration(r.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.content); err != nil {
			_ = from.Close() // stops the reader; the remaining chunks are dropped
		}
	}
	_ = to.Close()
}
