// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"slices"
	"time"
)

// statusStopped and statusRunning are words of a listener's status.
const (
	statusRunning = "running"
	statusStopped = "stopped"
)

// step is one call; the zero value is none: the observation is complete.
type step struct {
	action string
	// id is that of the server group or listener of the call.
	id string
	// ids are the server groups of ActionGroups.
	ids []string
}

// Policy is how the products differ.
type Policy struct {
	// Weights is set where health does not distinguish a server with weight 0 from a normal
	// one, so that the members must be read for every observation.
	Weights bool
}

// next is the next call of the pass. Members precede health: a server that is
// added between the two calls is then in the health alone, and not normal. In the
// other order it would be a member that the health does not name, which is normal.
func (s *State) next(now time.Time, policy Policy) step {
	p := s.pass
	switch {
	case p.listing != nil || s.mustList(now):
		return step{action: ActionListeners}
	case p.counting != nil:
		return step{action: ActionGroups, ids: p.countIDs}
	case p.reading != nil:
		return step{action: ActionMembers, id: p.readingID}
	case len(s.listeners) == 0 && !p.exists: // an unknown load balancer may have an empty list
		return step{action: ActionLoadBalancer}
	}
	if call := s.nextOfGroups(now, policy); call.action != "" {
		return call
	}
	if call := s.nextOfHealth(); call.action != "" {
		return call
	}
	if p.lists == 0 && s.omitsGroup() {
		return step{action: ActionListeners}
	}
	return step{}
}

// nextOfHealth is the next call about the health of the listeners, and about what
// that omits.
func (s *State) nextOfHealth() step {
	p := s.pass
	for _, l := range s.observed() {
		if h := p.health[l.ID]; l.Status != statusStopped && (h == nil || !h.done || s.outdated(h)) {
			return step{action: ActionHealth, id: l.ID}
		}
	}
	if ids := s.withUnknownCheck(); len(ids) > 0 {
		return step{action: ActionGroups, ids: ids[:min(len(ids), MaxGroupsPerCall)]}
	}
	return step{}
}

// mustList decides whether to list the listeners: when the last list is old, has
// none of the scope, or has one that may start or stop at any time.
func (s *State) mustList(now time.Time) bool {
	p := s.pass
	switch {
	case p.relist:
		return true
	case p.lists > 0:
		return false
	case s.listedAt.IsZero() || s.listedAt.Before(p.since) || !now.Before(s.listedAt.Add(listEvery)):
		return true
	}
	listeners := s.observed()
	return len(listeners) == 0 || slices.ContainsFunc(listeners, func(l *Listener) bool { return l.Status != statusRunning })
}

// nextOfGroups is the next call about server groups: the members of those whose
// members are not known, after the counts of those whose members are kept.
func (s *State) nextOfGroups(now time.Time, policy Policy) step {
	var uncounted []string
	read := ""
	for _, id := range s.groupsInUse() {
		switch {
		case s.mustRead(id, now, policy):
			if read == "" {
				read = id
			}
		case s.mustCount(id):
			uncounted = append(uncounted, id)
		}
	}
	switch {
	case len(uncounted) == 1 && len(s.groups[uncounted[0]].members) <= MaxResults:
		return step{action: ActionMembers, id: uncounted[0]} // one call, too, and says more
	case len(uncounted) > 0:
		return step{action: ActionGroups, ids: uncounted[:min(len(uncounted), MaxGroupsPerCall)]}
	case read != "":
		return step{action: ActionMembers, id: read}
	default:
		return step{}
	}
}

// mustRead decides whether the members of a group must be read, because they are
// not known, or may have changed.
//
// An observation that lists the listeners counts the members of a product with
// Weights, too, so that it has no more calls than the others: a weight that became
// 0 is then seen by the next observation, which reads them.
func (s *State) mustRead(id string, now time.Time, policy Policy) bool {
	p, g := s.pass, s.groups[id]
	switch {
	case g == nil:
		return true
	case g.order > p.order: // read by this pass
		return false
	case slices.Contains(p.awaited, id):
		return true
	case g.suspect || g.readAt.Before(p.since) || !now.Before(g.refreshAt):
		return true
	case g.regained && !policy.Weights: // such a product does not name them
		return true
	case policy.Weights && (p.lists == 0 || g.order <= s.lastOrder): // counted last time
		return true
	}
	listed, counted := p.counted[id]
	return counted && (listed.Servers == nil || *listed.Servers != g.servers)
}

// mustCount decides whether to compare the number of a group's members with those
// that are kept.
func (s *State) mustCount(id string) bool {
	_, counted := s.pass.counted[id]
	return !counted && s.groups[id].order <= s.pass.order
}

// outdated reports whether a health must be read again, because its pages may not
// belong together, or because it names a group whose members were read after it.
func (s *State) outdated(h *list[GroupHealth]) bool {
	return h.moved || h.unconfirmed || slices.ContainsFunc(h.items, func(item GroupHealth) bool {
		g := s.groups[item.GroupID]
		return g != nil && g.order > h.order
	})
}

// withUnknownCheck are the groups whose health does not say whether they have a
// health check, and which were not listed: without one, no server is normal.
func (s *State) withUnknownCheck() []string {
	var ids []string
	for _, h := range s.pass.health {
		for i := range h.items {
			item := &h.items[i]
			_, listed := s.pass.counted[item.GroupID]
			if !listed && item.HealthCheck == "" && item.impliedCheck() == "" && !slices.Contains(ids, item.GroupID) {
				ids = append(ids, item.GroupID)
			}
		}
	}
	slices.Sort(ids) // listeners are in no order
	return ids
}

// omitsGroup reports whether the health of a listener lacks a group that the kept
// list has: the listener may have another one now.
func (s *State) omitsGroup() bool {
	return slices.ContainsFunc(s.observed(), func(l *Listener) bool {
		return l.Status != statusStopped && slices.ContainsFunc(l.GroupIDs, func(id string) bool {
			return !slices.Contains(s.named[l.ID], id)
		})
	})
}
