// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Errors of the methods that edit load balancers; test with errors.Is.
var (
	ErrNoLoadBalancer = errors.New("no such load balancer")
	ErrNoBackend      = errors.New("no backend matches")
	ErrBackendExists  = errors.New("the load balancer already has this backend")
	ErrNoListener     = errors.New("no listener matches")
	ErrListenerExists = errors.New("the load balancer already has this listener")
)

// Selector selects backends of one load balancer: a backend matches if it has every value that is not empty or 0.
// The zero Selector matches all.
type Selector struct {
	ServerID         string `json:"serverId,omitempty"`
	ServerIP         string `json:"serverIp,omitempty"`
	ListenerPort     int    `json:"listenerPort,omitempty"`
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
	Port             int    `json:"port,omitempty"`
}

func (s Selector) matches(b Backend) bool {
	return (s.ServerID == "" || s.ServerID == b.ServerID) &&
		(s.ServerIP == "" || s.ServerIP == b.ServerIP) &&
		(s.ListenerPort == 0 || s.ListenerPort == b.ListenerPort) &&
		(s.ListenerProtocol == "" || s.ListenerProtocol == b.ListenerProtocol) &&
		(s.Port == 0 || s.Port == b.Port)
}

// String is the selector as the admin API reads it.
func (s Selector) String() string { return asJSON(s) }

func asJSON(selector any) string {
	text, _ := json.Marshal(selector)
	return string(text)
}

// backendKey identifies a backend of a load balancer: one interface can carry several addresses, so the
// server's id alone does not.
type backendKey struct {
	listenerPort              int
	protocol, server, address string
	port                      int
}

func (b Backend) key() backendKey {
	return backendKey{b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port}
}

// fleet has the load balancers of CLB.
type fleet struct {
	mu   sync.RWMutex
	byID store[LoadBalancer]
}

func (f *fleet) load(lbs []LoadBalancer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	complete := make([]LoadBalancer, len(lbs))
	for i, lb := range lbs {
		complete[i] = lb.complete()
	}
	f.byID = f.byID.load(complete, func(lb LoadBalancer) string { return lb.LoadBalancerID })
}

// complete returns a copy that shares nothing with lb, and has a status and a listener for each backend.
func (lb LoadBalancer) complete() LoadBalancer {
	lb.Backends = append([]Backend{}, lb.Backends...)
	for i := range lb.Backends {
		lb.Backends[i].ServerHealthStatus = cmp.Or(lb.Backends[i].ServerHealthStatus, StatusNormal)
	}
	lb.Listeners = completeListeners(lb.Listeners, lb.Backends)
	return lb
}

func (f *fleet) get(id string) (LoadBalancer, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byID.get(id)
}

func (f *fleet) list() []LoadBalancer {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byID.list()
}

func (f *fleet) put(lb LoadBalancer) (created bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID.put(lb.LoadBalancerID, lb.complete())
}

func (f *fleet) remove(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.byID[id]
	delete(f.byID, id)
	return known
}

// edit replaces one load balancer by a copy that apply has edited. A listener stays when its backends are removed.
func (f *fleet) edit(id string, apply func(*LoadBalancer) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.byID.get(id)
	if !ok {
		return fmt.Errorf("loadBalancerId: %w: %q", ErrNoLoadBalancer, id)
	}
	edited := known.complete()
	if err := apply(&edited); err != nil {
		return err
	}
	f.byID.replace(id, edited.complete())
	return nil
}

// editMatching is edit for the backends that sel selects. No match is an error unless sel is empty: a selector
// with a typing error must not read as success.
func (f *fleet) editMatching(id string, sel Selector, apply func([]Backend) []Backend) (int, error) {
	matched := 0
	err := f.edit(id, func(lb *LoadBalancer) error {
		if matched = countMatching(lb.Backends, sel.matches); matched == 0 && sel != (Selector{}) {
			return fmt.Errorf("selector: %w: %s", ErrNoBackend, sel)
		}
		lb.Backends = apply(lb.Backends)
		return nil
	})
	return matched, err
}

// editListeners is edit for the listeners that sel selects, with the errors of editMatching.
func (f *fleet) editListeners(id string, sel ListenerSelector, apply func(*LoadBalancer) error) (int, error) {
	matched := 0
	err := f.edit(id, func(lb *LoadBalancer) error {
		if matched = countMatching(lb.Listeners, sel.matches); matched == 0 && sel != (ListenerSelector{}) {
			return fmt.Errorf("selector: %w: %s", ErrNoListener, asJSON(sel))
		}
		return apply(lb)
	})
	return matched, err
}

func countMatching[T any](all []T, matches func(T) bool) (n int) {
	for _, one := range all {
		if matches(one) {
			n++
		}
	}
	return n
}
