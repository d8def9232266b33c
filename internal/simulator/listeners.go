// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Listener is one listener of a load balancer, with backends or without.
type Listener struct {
	// listenerPort is the front-end port, 1-65535.
	ListenerPort int `json:"listenerPort"`
	// listenerProtocol is tcp, udp, http or https.
	ListenerProtocol string `json:"listenerProtocol"`
	// status is running (the default), stopped, starting, configuring or stopping.
	Status string `json:"status,omitempty"`
	// healthCheck is on (the default) or off. YAML reads both as booleans unless they are quoted.
	HealthCheck string `json:"healthCheck,omitempty"`
	// forwardPort makes an HTTP listener redirect every request to the HTTPS listener of that port.
	ForwardPort int `json:"forwardPort,omitempty"`
}

// The words that the API has for a listener.
const (
	ListenerRunning = "running"
	ListenerStopped = "stopped"
	HealthCheckOn   = "on"
	HealthCheckOff  = "off"
)

var (
	listenerStatuses = []string{ListenerRunning, ListenerStopped, "starting", "configuring", "stopping"}
	healthChecks     = []string{HealthCheckOn, HealthCheckOff}
)

func (l Listener) validate(at string) error {
	switch {
	case l.ListenerPort < 1 || l.ListenerPort > 65535:
		return fmt.Errorf("%slistenerPort: %d is no port: write 1 to 65535", at, l.ListenerPort)
	case l.ForwardPort < 0 || l.ForwardPort > 65535:
		return fmt.Errorf("%sforwardPort: %d is no port: write 1 to 65535, or omit it", at, l.ForwardPort)
	case !slices.Contains(protocols, l.ListenerProtocol):
		return fmt.Errorf("%slistenerProtocol: %q is not known: write one of %s", at, l.ListenerProtocol, strings.Join(protocols, ", "))
	case l.ForwardPort != 0 && l.ListenerProtocol != "http":
		return fmt.Errorf("%sforwardPort: only an http listener redirects: omit it", at)
	case l.Status != "" && !slices.Contains(listenerStatuses, l.Status):
		return fmt.Errorf("%sstatus: %q is not known: write one of %s", at, l.Status, strings.Join(listenerStatuses, ", "))
	case l.HealthCheck != "" && !slices.Contains(healthChecks, l.HealthCheck):
		return fmt.Errorf("%shealthCheck: %q is not known: write one of %s", at, l.HealthCheck, strings.Join(healthChecks, ", "))
	}
	return nil
}

func (l Listener) complete() Listener {
	l.Status, l.HealthCheck = cmp.Or(l.Status, ListenerRunning), cmp.Or(l.HealthCheck, HealthCheckOn)
	return l
}

// completeListeners sets the defaults of the listeners, and adds those that only the backends have: no row is without
// a listener. A row without a protocol is of any listener on its port, else of a tcp one.
func completeListeners(listeners []Listener, backends []Backend) []Listener {
	all := make([]Listener, 0, len(listeners))
	for _, l := range listeners {
		all = append(all, l.complete())
	}
	for _, withProtocol := range []bool{true, false} {
		for _, b := range backends {
			known := ListenerSelector{b.ListenerPort, b.ListenerProtocol}
			if b.ListenerPort == 0 || (b.ListenerProtocol != "") != withProtocol || slices.ContainsFunc(all, known.matches) {
				continue
			}
			all = append(all, Listener{ListenerPort: b.ListenerPort, ListenerProtocol: cmp.Or(b.ListenerProtocol, "tcp")}.complete())
		}
	}
	slices.SortFunc(all, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(a.ListenerPort, b.ListenerPort), cmp.Compare(a.ListenerProtocol, b.ListenerProtocol))
	})
	return all
}

// ListenerSelector selects listeners of one load balancer, as Selector does backends.
type ListenerSelector struct {
	ListenerPort     int    `json:"listenerPort,omitempty"`
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
}

func (s ListenerSelector) matches(l Listener) bool {
	return (s.ListenerPort == 0 || s.ListenerPort == l.ListenerPort) &&
		(s.ListenerProtocol == "" || s.ListenerProtocol == l.ListenerProtocol)
}

// ListenerPatch is an edit of a listener; an absent field stays.
type ListenerPatch struct {
	Status      string `json:"status,omitempty"`
	HealthCheck string `json:"healthCheck,omitempty"`
	ForwardPort int    `json:"forwardPort,omitempty"`
}

func (p ListenerPatch) apply(l Listener) Listener {
	l.Status, l.HealthCheck = cmp.Or(p.Status, l.Status), cmp.Or(p.HealthCheck, l.HealthCheck)
	l.ForwardPort = cmp.Or(p.ForwardPort, l.ForwardPort)
	return l
}

// SetListeners edits the listeners that sel selects and returns how many these are. An error is ErrNoLoadBalancer,
// ErrNoListener (sel is not empty and none matches), or has the bad value.
func (s *Server) SetListeners(loadBalancerID string, sel ListenerSelector, patch ListenerPatch) (int, error) {
	return s.fleet.editListeners(loadBalancerID, sel, func(lb *LoadBalancer) error {
		for i, l := range lb.Listeners {
			if !sel.matches(l) {
				continue
			}
			lb.Listeners[i] = patch.apply(l)
			if err := lb.Listeners[i].validate(""); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddListener adds one listener, without backends. An error is ErrNoLoadBalancer, ErrListenerExists, or has the bad
// field.
func (s *Server) AddListener(loadBalancerID string, listener Listener) error {
	if err := listener.validate(""); err != nil {
		return err
	}
	return s.fleet.edit(loadBalancerID, func(lb *LoadBalancer) error {
		same := ListenerSelector{listener.ListenerPort, listener.ListenerProtocol}
		if slices.ContainsFunc(lb.Listeners, same.matches) {
			return fmt.Errorf("listenerPort: %w: %d %s", ErrListenerExists, listener.ListenerPort, listener.ListenerProtocol)
		}
		lb.Listeners = append(lb.Listeners, listener)
		return nil
	})
}

// RemoveListeners removes the listeners that sel selects with the rows behind them, and returns how many listeners
// these were, with the errors of SetListeners. A row without a protocol is removed with the last listener of its
// port.
func (s *Server) RemoveListeners(loadBalancerID string, sel ListenerSelector) (int, error) {
	return s.fleet.editListeners(loadBalancerID, sel, func(lb *LoadBalancer) error {
		lb.Listeners = slices.DeleteFunc(lb.Listeners, sel.matches)
		lb.Backends = slices.DeleteFunc(lb.Backends, func(b Backend) bool {
			selector := ListenerSelector{b.ListenerPort, b.ListenerProtocol}
			return b.ListenerPort != 0 && !slices.ContainsFunc(lb.Listeners, selector.matches)
		})
		return nil
	})
}

// AllowListeners allows DescribeLoadBalancerListeners, or forbids it for every account.
func (s *Server) AllowListeners(allowed bool) {
	s.listenersForbidden.Store(!allowed)
}
