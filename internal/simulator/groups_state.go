// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Further errors of the methods that edit load balancers and server groups; test with errors.Is.
var (
	ErrNoServerGroup  = errors.New("no such server group")
	ErrNoServer       = errors.New("no server matches")
	ErrServerExists   = errors.New("the server group already has this server")
	ErrServerGroupUse = errors.New("the server group is in use")
	ErrIDExists       = errors.New("another load balancer already has this id")
)

// ProductState has the load balancers and server groups of NLB or of ALB. All its methods may be called at any time, by
// several goroutines at once.
type ProductState struct {
	product string

	mu        sync.RWMutex
	balancers store[GroupLoadBalancer]
	groups    store[ServerGroup]
	// owners has the load balancer of each listener and rule, related those of each server group.
	owners  map[string]string
	related map[string]map[string]struct{}
}

func newProductState(product string) *ProductState {
	p := &ProductState{product: product, balancers: store[GroupLoadBalancer]{}, groups: store[ServerGroup]{}}
	p.index()
	return p
}

// load replaces what an earlier file had. Load balancers and server groups of the admin API stay.
func (p *ProductState) load(cfg ProductConfig) {
	p.mu.Lock()
	defer p.mu.Unlock()
	groups, balancers := slices.Clone(cfg.ServerGroups), slices.Clone(cfg.LoadBalancers)
	for i := range groups {
		groups[i] = groups[i].complete()
	}
	for i := range balancers {
		balancers[i] = balancers[i].complete(p.product)
	}
	p.groups = p.groups.load(groups, func(g ServerGroup) string { return g.ServerGroupID })
	p.balancers = p.balancers.load(balancers, func(lb GroupLoadBalancer) string { return lb.LoadBalancerID })
	p.index()
}

// index builds owners and related anew.
func (p *ProductState) index() {
	p.owners, p.related = map[string]string{}, map[string]map[string]struct{}{}
	for _, known := range p.balancers {
		p.add(known.value)
	}
}

// add enters a load balancer in the indexes, discard removes it.
func (p *ProductState) add(lb GroupLoadBalancer) {
	for _, id := range lb.ownedIDs() {
		p.owners[id] = lb.LoadBalancerID
	}
	for _, id := range lb.groups() {
		if p.related[id] == nil {
			p.related[id] = map[string]struct{}{}
		}
		p.related[id][lb.LoadBalancerID] = struct{}{}
	}
}

func (p *ProductState) discard(lb GroupLoadBalancer) {
	for _, id := range lb.ownedIDs() {
		delete(p.owners, id)
	}
	for _, id := range lb.groups() {
		delete(p.related[id], lb.LoadBalancerID)
		if len(p.related[id]) == 0 {
			delete(p.related, id)
		}
	}
}

// ownedIDs are the ids of the listeners and rules.
func (lb GroupLoadBalancer) ownedIDs() []string {
	var ids []string
	for _, l := range lb.Listeners {
		ids = append(ids, l.ListenerID)
		for _, rule := range l.Rules {
			ids = append(ids, rule.RuleID)
		}
	}
	return ids
}

// groups are the server groups of the listeners.
func (lb GroupLoadBalancer) groups() []string {
	var ids []string
	for _, l := range lb.Listeners {
		ids = append(ids, l.groups()...)
	}
	return ids
}

// LoadBalancers returns all, sorted by id. They are the server's own: read only.
func (p *ProductState) LoadBalancers() []GroupLoadBalancer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.balancers.list()
}

// ServerGroups returns all, sorted by id. They are the server's own: read only.
func (p *ProductState) ServerGroups() []ServerGroup {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.groups.list()
}

// LoadBalancer returns one, and whether it exists.
func (p *ProductState) LoadBalancer(id string) (GroupLoadBalancer, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.balancers.get(id)
}

// ServerGroup returns one, and whether it exists.
func (p *ProductState) ServerGroup(id string) (ServerGroup, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.groups.get(id)
}

// PutLoadBalancer adds a load balancer or replaces the one of the same id, and reports which. Its server groups must
// exist. An error is ErrNoServerGroup, ErrIDExists (of a listener or rule), or has the bad field.
func (p *ProductState) PutLoadBalancer(lb GroupLoadBalancer) (created bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(lb); err != nil {
		return false, err
	}
	known, _ := p.balancers.get(lb.LoadBalancerID)
	p.discard(known)
	lb = lb.complete(p.product)
	p.add(lb)
	return p.balancers.put(lb.LoadBalancerID, lb), nil
}

// check validates a load balancer, also beside the others.
func (p *ProductState) check(lb GroupLoadBalancer) error {
	if err := lb.validate("", p.product); err != nil {
		return err
	}
	if err := lb.claimIDs("", p.product, map[string]bool{}); err != nil {
		return err
	}
	for _, id := range lb.complete(p.product).ownedIDs() {
		if owner := p.owners[id]; owner != "" && owner != lb.LoadBalancerID {
			return fmt.Errorf("listeners: %w: %q of %s", ErrIDExists, id, owner)
		}
	}
	return lb.validateGroups("", p.groups.get)
}

// DeleteLoadBalancer reports whether there was one. Its server groups stay.
func (p *ProductState) DeleteLoadBalancer(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.balancers.get(id)
	p.discard(known)
	delete(p.balancers, id)
	return ok
}

// PutServerGroup adds a server group or replaces the one of the same id, and reports which. An error has the bad field.
func (p *ProductState) PutServerGroup(group ServerGroup) (created bool, err error) {
	if err := group.validate("", p.product); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups.put(group.ServerGroupID, group.complete()), nil
}

// DeleteServerGroup refuses, as the API does, a group that a listener or rule names: ErrServerGroupUse. The other
// error is ErrNoServerGroup.
func (p *ProductState) DeleteServerGroup(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.groups.get(id); !known {
		return fmt.Errorf("serverGroupId: %w: %q", ErrNoServerGroup, id)
	}
	if users := p.loadBalancersOf(id); len(users) > 0 {
		return fmt.Errorf("serverGroupId: %w by %s", ErrServerGroupUse, strings.Join(users, ", "))
	}
	delete(p.groups, id)
	return nil
}

// loadBalancersOf are those that forward to the group, sorted.
func (p *ProductState) loadBalancersOf(groupID string) []string {
	return slices.Sorted(maps.Keys(p.related[groupID]))
}

// serverKey identifies a server of a group: one may have several ports.
type serverKey struct {
	id, address string
	port        int
}

func (s GroupServer) key() serverKey { return serverKey{s.ServerID, s.ServerIP, s.Port} }
