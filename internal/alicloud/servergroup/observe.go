// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Request is one request for the health of a load balancer's backends.
type Request struct {
	alicloud.Request
	// Since is the oldest that what the observation uses may be. Zero: the lists of
	// earlier observations count while nothing says that they changed.
	Since time.Time
	// Awaited are server groups whose members are read, and not only counted.
	Awaited []string
}

// Permit returns once a call may be made. release must be called after the call,
// with its error. An error, such as that there is no permit now, ends the
// observation without a result: it continues with the next Observe.
type Permit func(ctx context.Context, action string) (release func(error), err error)

// Observer observes the load balancers of one product. It is safe for concurrent
// use with different States.
type Observer struct {
	api    API
	policy Policy
	now    func() time.Time
}

// NewObserver returns an Observer that makes the calls of api.
func NewObserver(api API, policy Policy) *Observer {
	return &Observer{api: api, policy: policy, now: time.Now}
}

const (
	// maxCalls bounds the calls of an observation, far above what real load balancers
	// need, and maxRedone the times that the health of a listener is read again.
	maxCalls  = 2000
	maxRedone = 3
	// maxListeners bounds the listeners of a load balancer, which has 50. The status
	// and the metrics of an object have each.
	maxListeners = 1000
)

// Observe returns the health of a load balancer's backends: never that of a part.
// Without a permit it returns the error of Permit, and after a failed call an
// *alicloud.Error or the context's error; state keeps the pages that were read
// unless they can be at fault.
func (o *Observer) Observe(ctx context.Context, request *Request, state *State, permit Permit) (*alicloud.Observation, error) {
	state.begin(request, o.now())
	for {
		call := state.next(o.now(), o.policy)
		if call.action == "" {
			observation, err := state.observation()
			state.end(err)
			return observation, err
		}
		release, err := permit(ctx, call.action)
		if err != nil {
			return nil, err
		}
		err = o.call(ctx, &request.Request, state, &call)
		release(err)
		if err != nil && !state.recover(&call, err) {
			return nil, err
		}
	}
}

// call makes one call and adds its page to the state.
func (o *Observer) call(ctx context.Context, request *alicloud.Request, s *State, call *step) error {
	p := s.pass
	if s.calls-p.order >= maxCalls {
		return s.giveUp(request)
	}
	s.calls++
	switch call.action {
	case ActionListeners:
		return read(o, s, &p.listing, func(token string) (Page[Listener], error) { return o.api.Listeners(ctx, request, token) }, s.listed)
	case ActionLoadBalancer:
		_, err := o.api.LoadBalancer(ctx, request)
		p.exists, p.respondedAt = err == nil, o.now()
		return err
	case ActionGroups:
		p.countIDs = call.ids
		return read(o, s, &p.counting, func(token string) (Page[Group], error) { return o.api.Groups(ctx, request, call.ids, token) }, s.counted)
	case ActionMembers:
		p.readingID = call.id
		return read(o, s, &p.reading, func(token string) (Page[Member], error) { return o.api.Members(ctx, request, call.id, token) }, s.membersRead)
	default:
		return o.health(ctx, request, s, call.id)
	}
}

func (o *Observer) health(ctx context.Context, request *alicloud.Request, s *State, id string) error {
	h := s.pass.health[id]
	if h != nil && h.done {
		s.pass.redone[id]++
		if s.pass.redone[id] > maxRedone {
			return s.giveUp(request)
		}
		delete(s.pass.health, id)
		h = nil
	}
	err := read(o, s, &h, func(token string) (Page[GroupHealth], error) { return o.api.Health(ctx, request, id, token) },
		func(h *list[GroupHealth]) error { return s.healthRead(id, h) })
	if err == nil && h != nil {
		s.pass.health[id] = h // has further pages
	}
	return err
}

// giveUp ends the pass on a load balancer that changes faster than it is read.
func (s *State) giveUp(request *alicloud.Request) *alicloud.Error {
	s.pass = nil
	return &alicloud.Error{Kind: alicloud.ServiceError, Message: request.Target.LoadBalancerID + " changed while it was read: the operator retries"}
}

// read reads the next page of a list. It calls complete after the last one, and
// removes the list then.
func read[T any](o *Observer, s *State, unfinished **list[T], page func(token string) (Page[T], error), complete func(*list[T]) error) error {
	l := *unfinished
	token := ""
	if l != nil {
		token = l.next
	}
	startedAt := o.now()
	found, err := page(token)
	if err != nil {
		return err
	}
	if l == nil {
		l = &list[T]{startedAt: startedAt, order: s.calls}
	}
	*unfinished = l
	s.pass.requestID, s.pass.respondedAt = found.RequestID, o.now()
	if err := l.add(&found, o.now()); err != nil {
		return invalid(err)
	}
	if !l.done {
		return nil
	}
	*unfinished = nil
	return complete(l)
}

// invalid is the failure of responses that are wrong only together.
func invalid(err error) *alicloud.Error {
	return &alicloud.Error{Kind: alicloud.InvalidResponse, Message: "the API returned " + err.Error() + "; check the endpoint and proxies"}
}

// listed keeps a complete list of listeners. One that moved to another page
// between two calls is on both, and counts once, in its last state. If they changed
// between two pages, it lists them again, once: another one may be on none.
func (s *State) listed(l *list[Listener]) error {
	if len(l.items) > maxListeners {
		return invalid(&alicloud.ResponseError{What: fmt.Sprintf("more than %d listeners", maxListeners)})
	}
	listeners := make([]Listener, 0, len(l.items))
	for _, listener := range l.items {
		if i := slices.IndexFunc(listeners, func(known Listener) bool { return known.ID == listener.ID }); i >= 0 {
			listeners[i] = listener
		} else {
			listeners = append(listeners, listener)
		}
	}
	if s.pass.relist = l.changed(len(listeners)) && !s.pass.reread[allListeners]; s.pass.relist {
		s.pass.reread[allListeners] = true
		return nil
	}
	s.listeners, s.listedAt = listeners, l.startedAt
	s.pass.lists++
	return nil
}

// allListeners is the key of the listeners in reread, where no group has it.
const allListeners = ""

// counted keeps the counts of groups for the pass. A group that is not in the
// response has an unknown count.
func (s *State) counted(l *list[Group]) error {
	for _, id := range s.pass.countIDs {
		s.pass.counted[id] = Group{ID: id}
	}
	for _, g := range l.items {
		if _, requested := s.pass.counted[g.ID]; requested {
			s.pass.counted[g.ID] = g
		}
	}
	return nil
}

// membersRead keeps the members of a group. If they changed between two pages, it
// reads them again, once.
func (s *State) membersRead(l *list[Member]) error {
	id := s.pass.readingID
	members := make([]Member, 0, len(l.items))
	seen := make(map[memberKey]struct{}, len(l.items))
	for i := range l.items {
		m := &l.items[i]
		key := memberKey{m.ServerID, m.ServerIP, m.Port}
		if _, known := seen[key]; !known { // one that moved to another page is on both
			seen[key] = struct{}{}
			members = append(members, *m)
		}
	}
	if l.changed(len(members)) && !s.pass.reread[id] {
		s.pass.reread[id] = true
		s.forgetMembers(id)
		return nil
	}
	s.keepMembers(id, l, members)
	return nil
}

// forgetMembers makes the next call read a group.
func (s *State) forgetMembers(id string) { delete(s.groups, id) }

type memberKey struct {
	serverID, serverIP string
	port               int32
}

// healthRead keeps the health of a listener for the pass. A server that is no
// member makes members suspect that an earlier observation read.
func (s *State) healthRead(id string, h *list[GroupHealth]) error {
	s.pass.health[id] = h
	h.unconfirmed = s.isUnconfirmed(id, h)
	var named []string
	for i := range h.items {
		if id := h.items[i].GroupID; !slices.Contains(named, id) {
			named = append(named, id)
		}
	}
	if len(named) > maxListeners {
		return invalid(&alicloud.ResponseError{What: fmt.Sprintf("more than %d server groups of a listener", maxListeners)})
	}
	s.named[id] = named
	for _, groupID := range named {
		if g := s.groups[groupID]; g != nil && g.order <= s.pass.order {
			found := foldHealth(h, groupID) // one page, or one rule, need not name each server
			worst, others := g.match(found.Servers)
			g.suspect = g.suspect || len(others) > 0
			g.regained = g.regained || g.hasRegained(worst)
		}
	}
	return nil
}

// isUnconfirmed reports whether a health must be read again because it may lack a
// server that moved to a page that was read before, and would be normal then. The
// API does not say how many there are, so that the pages must be those of the last
// read: of this pass or of the last observation.
func (s *State) isUnconfirmed(id string, h *list[GroupHealth]) bool {
	if h.pages == 1 {
		delete(s.paged, id)
		return false
	}
	last := s.paged[id]
	s.paged[id] = h.items
	return s.pass.redone[id] < maxRedone && !slices.EqualFunc(last, h.items, namesTheSame)
}

// namesTheSame reports whether two items name the same servers, whatever their health.
func namesTheSame(a, b GroupHealth) bool {
	return a.GroupID == b.GroupID && slices.EqualFunc(a.Servers, b.Servers, func(a, b ServerHealth) bool {
		return a.ServerID == b.ServerID && a.ServerIP == b.ServerIP && a.Port == b.Port
	})
}

// recover reports whether the pass continues after a failed call: after one for a
// listener or group that no longer exists, once, with a new list. It drops the
// pages of the pass where a repetition of the call may fail because of them.
func (s *State) recover(call *step, err error) bool {
	failure, ok := errors.AsType[*alicloud.Error](err)
	switch {
	case !ok || s.pass == nil:
		return false // the caller gave up, or the pass ended
	case failure.Outdated() && s.withoutOutdated(call):
		return true
	case !failure.Transient() || failure.Outdated():
		s.pass = nil
	}
	return false
}

// withoutOutdated forgets the listener or group of a call, which does not exist. It
// reports false where the pass has read again already that it does.
func (s *State) withoutOutdated(call *step) bool {
	p := s.pass
	p.reading = nil
	delete(p.health, call.id)
	if call.action == ActionMembers {
		s.forgetGroup(call.id)
		if !s.forgetHealthOf(call.id) {
			return false
		}
		isListed := func(l Listener) bool { return slices.Contains(l.GroupIDs, call.id) }
		if !slices.ContainsFunc(s.listeners, isListed) {
			return true // it was the group of a rule
		}
	}
	p.relist = !p.relisted
	p.relisted = true
	return p.relist
}

// forgetHealthOf forgets the health that names a group, which was removed since. It
// reports false where the health named it each time that it was read again.
func (s *State) forgetHealthOf(groupID string) bool {
	for id, h := range s.pass.health {
		if firstOf(h.items, groupID) < 0 {
			continue
		}
		s.pass.redone[id]++
		if s.pass.redone[id] > maxRedone {
			return false
		}
		delete(s.pass.health, id)
	}
	return true
}

// firstOf is the index of the first item about a group; -1 for none.
func firstOf(items []GroupHealth, id string) int {
	return slices.IndexFunc(items, func(item GroupHealth) bool { return item.GroupID == id })
}

// end ends the pass with its observation.
func (s *State) end(err error) {
	if err == nil {
		s.prune()
		s.lastOrder = s.pass.order
	}
	s.pass = nil
}
