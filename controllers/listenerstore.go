// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const (
	// detailsInterval is how often the listeners of a load balancer are listed.
	detailsInterval = 5 * time.Minute
	// detailsLapse is how long the last list counts while the next ones fail.
	detailsLapse = 15 * time.Minute
	// detailsBackoff is the backoff after a failed list; it doubles up to detailsInterval.
	detailsBackoff = 30 * time.Second
)

// listenerStore keeps the last list of each load balancer, and decides which load
// balancers the next call lists. A process may lose all of it. Its zero value is empty.
type listenerStore struct {
	mu     sync.Mutex
	groups map[listenerGroup]map[string]*listenerEntry // by load balancer id
}

// listenerGroup is the load balancers that one call can list.
type listenerGroup struct {
	account alicloud.Account
	region  string
}

func groupOf(target alicloud.Target) listenerGroup {
	return listenerGroup{target.Account, target.RegionID}
}

// listenerEntry is the schedule of one load balancer.
type listenerEntry struct {
	details *alicloud.ListenerDetails
	// dueAt is when to list it next.
	dueAt time.Time
	// busy is true while a call lists it.
	busy bool
	// alone is true after a batch with it was refused: it is listed by itself.
	alone bool
	// refusedUntil is until when it is not listed again with refusedCredentials;
	// zero: it was not refused.
	refusedUntil       time.Time
	refusedCredentials string
	// failures counts the failed lists in a row, since failingSince, the last of
	// them at failedAt.
	failures               int
	failingSince, failedAt time.Time
}

func (s *listenerStore) add(target alicloud.Target, now time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := groupOf(target)
	if s.groups == nil {
		s.groups = map[listenerGroup]map[string]*listenerEntry{}
	}
	if s.groups[group] == nil {
		s.groups[group] = map[string]*listenerEntry{}
	}
	if s.groups[group][target.LoadBalancerID] != nil {
		return
	}
	e := &listenerEntry{dueAt: now}
	if known { // spread: a restart makes no burst
		e.dueAt = now.Add(time.Duration(xxhash.Sum64String(target.String()) % uint64(detailsInterval)))
	}
	s.groups[group][target.LoadBalancerID] = e
}

func (s *listenerStore) forget(target alicloud.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := groupOf(target)
	delete(s.groups[group], target.LoadBalancerID)
	if len(s.groups[group]) == 0 {
		delete(s.groups, group)
	}
}

func (s *listenerStore) entry(target alicloud.Target) *listenerEntry {
	return s.groups[groupOf(target)][target.LoadBalancerID]
}

func (s *listenerStore) of(target alicloud.Target, now time.Time) (*alicloud.ListenerDetails, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(target)
	if e == nil {
		return nil, false
	}
	if !e.failingSince.IsZero() && now.Sub(e.failingSince) >= detailsLapse {
		return nil, true
	}
	return e.details, false
}

// wanted reports whether to list a target: it is due, or its last list is older
// than since, and so is the last failed one. No list is older than a zero since.
func (s *listenerStore) wanted(target alicloud.Target, since time.Time, credentials string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(target)
	switch {
	case e == nil:
		return false
	case !e.refusedUntil.IsZero():
		// New tokens of the operator's own identity have the same permissions.
		renewed := !target.Account.IsDefault() && credentials != e.refusedCredentials
		return renewed || !now.Before(e.refusedUntil)
	case e.failures > 0 && !e.failedAt.Before(since) || e.details != nil && !e.details.At.Before(since):
		return !now.Before(e.dueAt)
	default:
		return !now.Before(e.dueAt) || !since.IsZero()
	}
}

func (s *listenerStore) isBusy(target alicloud.Target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(target)
	return e != nil && e.busy
}

func (s *listenerStore) dueAt(target alicloud.Target) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entry(target); e != nil {
		return e.dueAt
	}
	return time.Time{}
}

// start returns the load balancers of the next call: the target, and those of
// its account and region with the oldest lists, which are listed together from
// then on. They are busy until the call has ended.
func (s *listenerStore) start(target alicloud.Target, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := append(make([]string, 0, alicloud.MaxLoadBalancersPerCall), target.LoadBalancerID)
	self := s.entry(target)
	if self == nil {
		return batch
	}
	self.busy = true
	if self.alone || !self.refusedUntil.IsZero() {
		return batch
	}
	for _, id := range s.othersOf(target, now) {
		s.groups[groupOf(target)][id].busy = true
		batch = append(batch, id)
	}
	return batch
}

// othersOf returns the load balancers with the oldest lists that one call can list
// with the target. Every call visits the whole group, so it does not sort it.
func (s *listenerStore) othersOf(target alicloud.Target, now time.Time) []string {
	const most = alicloud.MaxLoadBalancersPerCall - 1
	group := s.groups[groupOf(target)]
	oldest := make([]string, 0, most+1)
	for id, e := range group {
		if id == target.LoadBalancerID || e.busy || e.alone || !e.refusedUntil.IsZero() || e.failures > 0 && now.Before(e.dueAt) {
			continue
		}
		i := len(oldest)
		for i > 0 && cmp.Or(e.dueAt.Compare(group[oldest[i-1]].dueAt), cmp.Compare(id, oldest[i-1])) < 0 {
			i--
		}
		if i < most {
			oldest = slices.Insert(oldest, i, id)
			oldest = oldest[:min(len(oldest), most)]
		}
	}
	return oldest
}

// each visits the remaining entries of a batch, which are no longer busy.
func (s *listenerStore) each(target alicloud.Target, batch []string, visit func(id string, e *listenerEntry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range batch {
		if e := s.groups[groupOf(target)][id]; e != nil {
			e.busy = false
			visit(id, e)
		}
	}
}

func (s *listenerStore) listed(target alicloud.Target, batch []string, list *alicloud.ListenerList) {
	s.each(target, batch, func(id string, e *listenerEntry) {
		*e = listenerEntry{
			details: &alicloud.ListenerDetails{At: list.At, Listeners: list.Listeners[id]},
			dueAt:   list.At.Add(detailsInterval),
		}
	})
}

// release frees a batch whose call panicked.
func (s *listenerStore) release(target alicloud.Target, batch []string) {
	s.each(target, batch, func(string, *listenerEntry) {})
}

func (s *listenerStore) split(target alicloud.Target, batch []string) {
	s.each(target, batch, func(_ string, e *listenerEntry) { e.alone = true })
}

// refused adds a refusal; first is true for the first one of the group.
func (s *listenerStore) refused(target alicloud.Target, credentials string, now, until time.Time) (first bool) {
	s.each(target, []string{target.LoadBalancerID}, func(_ string, e *listenerEntry) {
		first = true
		for _, other := range s.groups[groupOf(target)] {
			first = first && other.refusedUntil.IsZero()
		}
		e.refusedUntil, e.refusedCredentials = until, credentials
		e.failing(now)
	})
	return first
}

func (s *listenerStore) failed(target alicloud.Target, batch []string, now time.Time) {
	s.each(target, batch, func(_ string, e *listenerEntry) {
		e.refusedUntil = time.Time{} // the last failure was another one
		e.dueAt = now.Add(min(detailsBackoff<<min(e.failures, 10), detailsInterval))
		e.failing(now)
	})
}

func (e *listenerEntry) failing(now time.Time) {
	e.failures++
	e.failedAt = now
	if e.failingSince.IsZero() {
		e.failingSince = now
	}
}
