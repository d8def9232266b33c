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
	// detailsInterval is how old details get before they are read again.
	detailsInterval = 5 * time.Minute
	// detailsLapse is how long failed reads leave what is known in force.
	detailsLapse = 15 * time.Minute
	// detailsBackoff is until a failed read is repeated; it doubles up to detailsInterval.
	detailsBackoff = 30 * time.Second
)

// detailsStore remembers what DescribeLoadBalancerListeners said of the load
// balancers, and decides which of them the next call asks about. All of it may
// be lost. Its zero value is empty.
type detailsStore struct {
	mu     sync.Mutex
	groups map[detailsGroup]map[string]*detailsEntry // by load balancer id
}

// detailsGroup is who may be asked about in one call.
type detailsGroup struct {
	account alicloud.Account
	region  string
}

func groupOf(target alicloud.Target) detailsGroup {
	return detailsGroup{target.Account, target.RegionID}
}

// detailsEntry is what is known of one load balancer.
type detailsEntry struct {
	details *alicloud.ListenerDetails
	// dueAt is when it is read next.
	dueAt time.Time
	// busy tells that a call asks about it.
	busy bool
	// alone tells that a batch with it was refused: it is asked about by itself.
	alone bool
	// refusedUntil is how long it is not asked about again with
	// refusedCredentials; zero: it was not refused.
	refusedUntil       time.Time
	refusedCredentials string
	// failures counts the reads in a row that failed, since failingSince.
	failures     int
	failingSince time.Time
}

func (s *detailsStore) add(target alicloud.Target, now time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := groupOf(target)
	if s.groups == nil {
		s.groups = map[detailsGroup]map[string]*detailsEntry{}
	}
	if s.groups[group] == nil {
		s.groups[group] = map[string]*detailsEntry{}
	}
	if s.groups[group][target.LoadBalancerID] != nil {
		return
	}
	e := &detailsEntry{dueAt: now}
	if known { // spread, so that a restart makes no burst
		e.dueAt = now.Add(time.Duration(xxhash.Sum64String(target.String()) % uint64(detailsInterval)))
	}
	s.groups[group][target.LoadBalancerID] = e
}

func (s *detailsStore) forget(target alicloud.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	group := groupOf(target)
	delete(s.groups[group], target.LoadBalancerID)
	if len(s.groups[group]) == 0 {
		delete(s.groups, group)
	}
}

func (s *detailsStore) entry(target alicloud.Target) *detailsEntry {
	return s.groups[groupOf(target)][target.LoadBalancerID]
}

func (s *detailsStore) of(target alicloud.Target, now time.Time) (*alicloud.ListenerDetails, bool) {
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

// wanted tells whether a target is to be read: it is due, or it was read before
// since and no failure holds it back.
func (s *detailsStore) wanted(target alicloud.Target, since time.Time, credentials string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(target)
	switch {
	case e == nil:
		return false
	case !e.refusedUntil.IsZero():
		// The operator's own identity is renewed all the time: that changes nothing.
		renewed := !target.Account.IsDefault() && credentials != e.refusedCredentials
		return renewed || !now.Before(e.refusedUntil)
	case e.failures > 0 || e.details != nil && !e.details.At.Before(since):
		return !now.Before(e.dueAt)
	default:
		return !now.Before(e.dueAt) || !since.IsZero()
	}
}

func (s *detailsStore) isBusy(target alicloud.Target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(target)
	return e != nil && e.busy
}

func (s *detailsStore) dueAt(target alicloud.Target) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entry(target); e != nil {
		return e.dueAt
	}
	return time.Time{}
}

// start returns the load balancers of the next call: the target, and those of
// its account and region that were read longest ago, so that they are read
// together from then on. They are busy until the call has ended.
func (s *detailsStore) start(target alicloud.Target, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := []string{target.LoadBalancerID}
	self := s.entry(target)
	if self == nil {
		return batch
	}
	self.busy = true
	if self.alone || !self.refusedUntil.IsZero() {
		return batch
	}
	group := s.groups[groupOf(target)]
	var others []string
	for id, e := range group {
		if e != self && !e.busy && !e.alone && e.refusedUntil.IsZero() && (e.failures == 0 || !now.Before(e.dueAt)) {
			others = append(others, id)
		}
	}
	slices.SortFunc(others, func(a, b string) int {
		return cmp.Or(group[a].dueAt.Compare(group[b].dueAt), cmp.Compare(a, b))
	})
	for _, id := range others[:min(len(others), alicloud.MaxLoadBalancersPerCall-1)] {
		group[id].busy = true
		batch = append(batch, id)
	}
	return batch
}

// each visits the entries of a batch that are still there, and ends their call.
func (s *detailsStore) each(target alicloud.Target, batch []string, visit func(id string, e *detailsEntry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range batch {
		if e := s.groups[groupOf(target)][id]; e != nil {
			e.busy = false
			visit(id, e)
		}
	}
}

func (s *detailsStore) answered(target alicloud.Target, batch []string, answer *alicloud.ListenerList) {
	s.each(target, batch, func(id string, e *detailsEntry) {
		*e = detailsEntry{
			details: &alicloud.ListenerDetails{At: answer.At, Listeners: answer.Listeners[id]},
			dueAt:   answer.At.Add(detailsInterval),
		}
	})
}

// release ends the call of a batch that nothing else has ended.
func (s *detailsStore) release(target alicloud.Target, batch []string) {
	s.each(target, batch, func(string, *detailsEntry) {})
}

func (s *detailsStore) split(target alicloud.Target, batch []string) {
	s.each(target, batch, func(_ string, e *detailsEntry) { e.alone = true })
}

// refused remembers a refusal; it tells whether it is the first of the group.
func (s *detailsStore) refused(target alicloud.Target, credentials string, now, until time.Time) (first bool) {
	s.each(target, []string{target.LoadBalancerID}, func(_ string, e *detailsEntry) {
		first = true
		for _, other := range s.groups[groupOf(target)] {
			first = first && other.refusedUntil.IsZero()
		}
		e.refusedUntil, e.refusedCredentials = until, credentials
		e.failing(now)
	})
	return first
}

func (s *detailsStore) failed(target alicloud.Target, batch []string, now time.Time) {
	s.each(target, batch, func(_ string, e *detailsEntry) {
		e.refusedUntil = time.Time{} // it failed otherwise since
		e.dueAt = now.Add(min(detailsBackoff<<min(e.failures, 10), detailsInterval))
		e.failing(now)
	})
}

func (e *detailsEntry) failing(now time.Time) {
	e.failures++
	if e.failingSince.IsZero() {
		e.failingSince = now
	}
}
