// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// A proxy carries connections to an address, and can cut them.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	closed  bool // nobody gets through
	carried map[net.Conn]struct{}
}

func startProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the proxy: %w", err)
	}
	p := &proxy{listener: listener, target: target, carried: map[net.Conn]struct{}{}}
	go p.serve(ctx)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve(ctx context.Context) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // stopped
		}
		go p.carry(ctx, conn)
	}
}

func (p *proxy) carry(ctx context.Context, conn net.Conn) {
	defer p.drop(conn)
	if !p.take(conn) {
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.take(server) {
		return
	}
	go func() {
		defer p.drop(conn)
		defer p.drop(server)
		_, _ = io.Copy(server, conn)
	}()
	_, _ = io.Copy(conn, server)
}

func (p *proxy) take(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.carried[conn] = struct{}{}
	}
	return !p.closed
}

func (p *proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.carried, conn)
}

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.carried {
		_ = conn.Close()
	}
}

// shut lets nobody through until it is opened.
func (p *proxy) shut() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
}

// open lets connections through again.
func (p *proxy) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

func (p *proxy) stop() {
	_ = p.listener.Close()
	p.shut()
}
