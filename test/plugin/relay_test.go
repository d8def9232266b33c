// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A relay stands before a server, and can be cut off from it.
type relay struct {
	address, server string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	r := &relay{address: "127.0.0.1:0", server: server}
	r.mend(t)
	r.address = r.listener.Addr().String()
	t.Cleanup(func() { r.cut(t) })
	return r
}

// mend listens, on the same address again.
func (r *relay) mend(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = listener
	go r.serve(listener)
}

// cut closes what is open, and refuses what comes.
func (r *relay) cut(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	for _, c := range r.open {
		_ = c.Close()
	}
	r.open = nil
}

func (r *relay) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.server)
		if err != nil {
			_ = near.Close()
			continue
		}
		r.mu.Lock()
		if r.listener == listener {
			r.open = append(r.open, near, far)
		}
		r.mu.Unlock()
		go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
	}
}
