// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"math"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// State is what is kept of one load balancer, as one account sees it: lists that
// later observations use again, and the pages of an observation that is not
// complete. The zero value knows nothing. It is not safe for concurrent use.
type State struct {
	listeners []Listener
	// listedAt is when the listeners were listed; zero: never.
	listedAt time.Time
	// named are the server groups that the last health of a listener named, by the
	// listener's id: those of rules are in no list.
	named map[string][]string
	// paged is the last health that had several pages, by the listener's id.
	paged  map[string][]GroupHealth
	groups map[string]*group
	// calls counts all calls, so that the order of two of them is known.
	calls uint64
	// lastOrder is the order of the last observation: that of the last call before it.
	lastOrder uint64
	// pass is the observation that is not complete; nil for none.
	pass *pass
}

// group is what is kept of a server group: its members.
type group struct {
	members []Member
	// order is that of the first call of the read, and readAt its time. The members
	// are read again at refreshAt, whatever else is known.
	order             uint64
	readAt, refreshAt time.Time
	// servers is the ServerCount that the members belong to.
	servers int
	// suspect is set where a health response names a server that is no member, or a member
	// is being added or removed: that ends without another number of members.
	suspect bool
	// regained is set where a health response checks a member with weight 0, or does not
	// name it: it has another weight now.
	regained bool
	index    *memberIndex
}

// pass is one observation: what was read for it so far.
type pass struct {
	startedAt time.Time
	// order is that of the last call before the pass.
	order uint64
	scope alicloud.Scope
	// since is the oldest that a kept list may be.
	since time.Time

	// listing, counting and reading are the lists that have pages to read; counting is
	// of the groups countIDs, reading of the group readingID.
	listing   *list[Listener]
	counting  *list[Group]
	countIDs  []string
	reading   *list[Member]
	readingID string

	// awaited are the server groups whose members are read in any case.
	awaited []string

	// lists counts the complete lists of listeners. relist requests another one, and
	// relisted is set once that happened.
	lists            int
	relist, relisted bool
	// exists is set once the API knows the load balancer, which has no listeners.
	exists bool
	// counted are the groups that were listed, reads counts the groups whose members
	// were read, and reread has those that changed while they were read, and
	// allListeners if those did.
	counted map[string]Group
	reads   int
	reread  map[string]bool
	// health is that of the listeners, and redone counts the times it was read again.
	health map[string]*list[GroupHealth]
	redone map[string]int

	requestID   string
	respondedAt time.Time
}

const (
	// passLifetime is how long the pages of an observation are kept, from its start:
	// older ones are not the present health.
	passLifetime = time.Minute
	// listEvery is after how long the listeners are listed again.
	listEvery = 5 * time.Minute
	// membersEvery is after how long members are read again that nothing says have
	// changed: a server that replaced another one leaves the count as it was.
	membersEvery = 5 * time.Minute
)

// begin continues the pass of a request, or starts one: where there is none, it
// is too old, or it is of another scope.
func (s *State) begin(request *Request, now time.Time) {
	if p := s.pass; p != nil && p.scope == request.Scope && !p.startedAt.Before(request.Since) &&
		now.Sub(p.startedAt) < passLifetime && !now.Before(p.startedAt) {
		p.awaited = request.Awaited
		return
	}
	s.pass = &pass{
		startedAt: now, order: s.calls, scope: request.Scope, since: request.Since, awaited: request.Awaited,
		counted: map[string]Group{}, reread: map[string]bool{}, health: map[string]*list[GroupHealth]{}, redone: map[string]int{},
	}
	if s.groups == nil {
		s.groups, s.named, s.paged = map[string]*group{}, map[string][]string{}, map[string][]GroupHealth{}
	}
}

// observed returns the listeners of the pass's scope.
func (s *State) observed() []*Listener {
	var found []*Listener
	for i := range s.listeners {
		l := &s.listeners[i]
		entry := alicloud.GroupListener{Listener: alicloud.Listener{Port: l.Port, Protocol: l.Protocol}, EndPort: l.EndPort}
		if entry.InScope(s.pass.scope) {
			found = append(found, l)
		}
	}
	return found
}

// groupsOf are the server groups of a listener, as far as they are known. A
// stopped listener has none: nothing checks its servers.
func (s *State) groupsOf(l *Listener) []string {
	if l.Status == statusStopped {
		return nil
	}
	ids := slices.Clone(l.GroupIDs)
	for _, id := range s.named[l.ID] {
		if !slices.Contains(l.GroupIDs, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// groupsInUse are those of the observed listeners, each once.
func (s *State) groupsInUse() []string {
	var ids []string
	seen := map[string]struct{}{}
	for _, l := range s.observed() {
		for _, id := range s.groupsOf(l) {
			if _, known := seen[id]; !known {
				seen[id] = struct{}{}
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// keepMembers keeps the members of a group that were read.
func (s *State) keepMembers(id string, read *list[Member], members []Member) {
	p := s.pass
	g := &group{
		members: members, order: read.order, readAt: read.startedAt, servers: len(read.items),
		suspect: slices.ContainsFunc(members, func(m Member) bool { return m.Status != "" && m.Status != "available" }),
	}
	if listed := p.counted[id]; listed.Servers != nil {
		g.servers = *listed.Servers
	}
	// The golden ratio spreads the next reads of groups that were read together.
	_, fraction := math.Modf(float64(p.reads) * math.Phi)
	g.refreshAt = g.readAt.Add(membersEvery - time.Duration(fraction*float64(membersEvery/2)))
	p.reads++
	s.groups[id] = g
}

// forgetGroup forgets a group that no longer exists.
func (s *State) forgetGroup(id string) {
	delete(s.groups, id)
	for listener, ids := range s.named {
		s.named[listener] = slices.DeleteFunc(ids, func(named string) bool { return named == id })
	}
}

// prune forgets the groups and listeners that the pass did not use.
func (s *State) prune() {
	used := map[string]*group{}
	for _, id := range s.groupsInUse() {
		if g := s.groups[id]; g != nil {
			used[id] = g
		}
	}
	s.groups = used
	for id := range s.named {
		if !slices.ContainsFunc(s.listeners, func(l Listener) bool { return l.ID == id }) {
			delete(s.named, id)
			delete(s.paged, id)
		}
	}
}
