// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ServerSelector selects servers of one group: a server matches if it has every value that is not empty or 0. The
// zero ServerSelector matches all.
type ServerSelector struct {
	ServerID string `json:"serverId,omitempty"`
	ServerIP string `json:"serverIp,omitempty"`
	Port     int    `json:"port,omitempty"`
}

func (s ServerSelector) matches(server GroupServer) bool {
	return (s.ServerID == "" || s.ServerID == server.ServerID) && (s.ServerIP == "" || s.ServerIP == server.ServerIP) &&
		(s.Port == 0 || s.Port == server.Port)
}

// ServerPatch is an edit of a server; an absent field stays. With healthStatus, an absent reason is removed.
type ServerPatch struct {
	Weight           *int   `json:"weight,omitempty"`
	Status           string `json:"status,omitempty"`
	HealthStatus     string `json:"healthStatus,omitempty"`
	ReasonCode       string `json:"reasonCode,omitempty"`
	ActualResponse   string `json:"actualResponse,omitempty"`
	ExpectedResponse string `json:"expectedResponse,omitempty"`
}

func (p ServerPatch) apply(s GroupServer) GroupServer {
	if p.Weight != nil {
		s.Weight = new(*p.Weight)
	}
	s.Status = cmp.Or(p.Status, s.Status)
	if p.HealthStatus != "" {
		s.HealthStatus, s.ReasonCode, s.ActualResponse, s.ExpectedResponse = p.HealthStatus, "", "", ""
	}
	s.ReasonCode = cmp.Or(p.ReasonCode, s.ReasonCode)
	s.ActualResponse, s.ExpectedResponse = cmp.Or(p.ActualResponse, s.ActualResponse), cmp.Or(p.ExpectedResponse, s.ExpectedResponse)
	return s
}

// editGroup replaces one server group by a copy that apply has edited.
func (p *ProductState) editGroup(id string, apply func(*ServerGroup) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.groups.get(id)
	if !ok {
		return fmt.Errorf("serverGroupId: %w: %q", ErrNoServerGroup, id)
	}
	edited := known.complete()
	if err := apply(&edited); err != nil {
		return err
	}
	if err := edited.validate("", p.product); err != nil {
		return err
	}
	p.groups.replace(id, edited.complete())
	return nil
}

// editServers is editGroup for the servers that sel selects. No match is an error unless sel is empty: a selector with
// a typing error must not read as success.
func (p *ProductState) editServers(id string, sel ServerSelector, apply func([]GroupServer) []GroupServer) (int, error) {
	matched := 0
	err := p.editGroup(id, func(group *ServerGroup) error {
		if matched = countMatching(group.Servers, sel.matches); matched == 0 && sel != (ServerSelector{}) {
			return fmt.Errorf("selector: %w: %s", ErrNoServer, asJSON(sel))
		}
		group.Servers = apply(group.Servers)
		return nil
	})
	return matched, err
}

// SetServers edits the servers of a group that sel selects, and returns how many these are. An error is
// ErrNoServerGroup, ErrNoServer (sel is not empty and none matches), or has the bad value.
func (p *ProductState) SetServers(groupID string, sel ServerSelector, patch ServerPatch) (int, error) {
	return p.editServers(groupID, sel, func(servers []GroupServer) []GroupServer {
		for i, server := range servers {
			if sel.matches(server) {
				servers[i] = patch.apply(server)
			}
		}
		return servers
	})
}

// AddServer adds a server to a group. An error is ErrNoServerGroup, ErrServerExists, or has the bad field.
func (p *ProductState) AddServer(groupID string, server GroupServer) error {
	if err := server.validate("", p.product); err != nil {
		return err
	}
	return p.editGroup(groupID, func(group *ServerGroup) error {
		if slices.ContainsFunc(group.Servers, func(known GroupServer) bool { return known.key() == server.key() }) {
			return fmt.Errorf("serverId: %w: %q", ErrServerExists, server.ServerID)
		}
		group.Servers = append(group.Servers, server)
		return nil
	})
}

// RemoveServers removes the servers that sel selects, and returns how many these were, with the errors of SetServers.
func (p *ProductState) RemoveServers(groupID string, sel ServerSelector) (int, error) {
	return p.editServers(groupID, sel, func(servers []GroupServer) []GroupServer {
		return slices.DeleteFunc(servers, sel.matches)
	})
}

// SetHealthCheck switches the health check of a group: on or off. An error is ErrNoServerGroup, or has the bad value.
func (p *ProductState) SetHealthCheck(groupID, healthCheck string) error {
	if healthCheck == "" {
		return errors.New("healthCheck: missing: write on or off")
	}
	return p.editGroup(groupID, func(group *ServerGroup) error {
		group.HealthCheck = healthCheck
		return nil
	})
}

// GroupListenerSelector selects listeners of one load balancer, as ServerSelector does servers.
type GroupListenerSelector struct {
	ListenerID       string `json:"listenerId,omitempty"`
	ListenerPort     int    `json:"listenerPort,omitempty"`
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
}

func (s GroupListenerSelector) matches(l GroupListener) bool {
	return (s.ListenerID == "" || s.ListenerID == l.ListenerID) && (s.ListenerPort == 0 || s.ListenerPort == l.ListenerPort) &&
		(s.ListenerProtocol == "" || s.ListenerProtocol == l.ListenerProtocol)
}

// editListeners replaces one load balancer by a copy whose listeners apply has edited, if sel selects one or is empty.
func (p *ProductState) editListeners(id string, sel GroupListenerSelector, apply func([]GroupListener) []GroupListener) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.balancers.get(id)
	if !ok {
		return 0, fmt.Errorf("loadBalancerId: %w: %q", ErrNoLoadBalancer, id)
	}
	matched := countMatching(known.Listeners, sel.matches)
	if matched == 0 && sel != (GroupListenerSelector{}) {
		return 0, fmt.Errorf("selector: %w: %s", ErrNoListener, asJSON(sel))
	}
	edited := known.complete(p.product)
	edited.Listeners = apply(edited.Listeners)
	if err := p.check(edited); err != nil {
		return 0, err
	}
	edited = edited.complete(p.product)
	p.discard(known)
	p.add(edited)
	p.balancers.replace(id, edited)
	return matched, nil
}

// SetListeners gives the listeners that sel selects a status, and returns how many these are. An error is
// ErrNoLoadBalancer, ErrNoListener (sel is not empty and none matches), or has the bad value.
func (p *ProductState) SetListeners(loadBalancerID string, sel GroupListenerSelector, listenerStatus string) (int, error) {
	if listenerStatus == "" {
		return 0, errors.New("listenerStatus: missing: write one such as Stopped")
	}
	return p.editListeners(loadBalancerID, sel, func(listeners []GroupListener) []GroupListener {
		for i := range listeners {
			if sel.matches(listeners[i]) {
				listeners[i].ListenerStatus = listenerStatus
			}
		}
		return listeners
	})
}

// AddListener adds a listener. An error is ErrNoLoadBalancer, ErrNoServerGroup, ErrListenerExists, or has the bad
// field.
func (p *ProductState) AddListener(loadBalancerID string, listener GroupListener) error {
	exists := false
	_, err := p.editListeners(loadBalancerID, GroupListenerSelector{}, func(listeners []GroupListener) []GroupListener {
		id := cmp.Or(listener.ListenerID, listener.defaultID(p.product, loadBalancerID))
		exists = slices.ContainsFunc(listeners, GroupListenerSelector{ListenerID: id}.matches)
		return append(listeners, listener)
	})
	if exists {
		return fmt.Errorf("listenerId: %w: %d %s", ErrListenerExists, listener.ListenerPort, listener.ListenerProtocol)
	}
	return err
}

// RemoveListeners removes the listeners that sel selects, and returns how many these were, with the errors of
// SetListeners. Their server groups stay.
func (p *ProductState) RemoveListeners(loadBalancerID string, sel GroupListenerSelector) (int, error) {
	return p.editListeners(loadBalancerID, sel, func(listeners []GroupListener) []GroupListener {
		return slices.DeleteFunc(listeners, sel.matches)
	})
}
