// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// targetState is what this process keeps of a target beside the objects'
// statuses. A process may lose all of it: a new one starts without. Only the
// worker of the target's key reads or writes it, except for observedAt.
type targetState struct {
	// firstSeenAt is when this process first reconciled the target.
	firstSeenAt time.Time
	// interval is the target's; zero: no object wants it observed.
	interval time.Duration
	// attemptedAt is when the last observation started; zero: none in this process.
	attemptedAt time.Time
	// observedAt is when the last response arrived; nil: none in this process. It
	// keeps its monotonic reading: its age is right even after the clock was set.
	observedAt atomic.Pointer[time.Time]
	// permitAt is when to reserve a permit again; zero: the target is not queued.
	permitAt time.Time
	// everyPort is true when the API refused to choose a listener by port.
	everyPort bool

	// indexed is the target in the index of backends; nil: not yet.
	indexed *indexedTarget

	fast        fastState
	failures    failureHistory
	requests    requestHistory
	credentials credentialState
	listeners   listenerState
	groups      *groupsState // nil for CLB
	expected    expectedState
	writes      writeHistory
}

// credentialState is the version of the credentials that the last attempt
// used, and the time of the last lookup.
type credentialState struct {
	version   string
	checkedAt time.Time
}

// lastObservedAt is when the last response arrived in this process; zero: never.
func (s *targetState) lastObservedAt() time.Time {
	if at := s.observedAt.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// attempted records an observation that started at a time and has ended.
func (s *targetState) attempted(startedAt time.Time, active []*v1alpha1.LoadBalancerHealth) {
	s.attemptedAt = startedAt
	if edited := s.requests.attempted(active); edited {
		s.failures.sameKindInARow = 0 // this attempt is about something else
	}
}

// succeeded records a successful observation.
func (s *targetState) succeeded(observation *alicloud.Observation) {
	at := observation.At // a pointer into the observation would keep its rows
	s.observedAt.Store(&at)
	s.fast.succeeded(observation)
	s.failures = failureHistory{}
}

// firstWait is how long a first observation may be queued before the statuses
// report Pending: a response within that time costs one write, not two.
const firstWait = 2 * time.Second

// awaitFirst is when to continue with a target whose first observation is
// queued and whose statuses are still empty; zero: now.
func (s *targetState) awaitFirst(now time.Time) time.Time {
	if until := s.firstSeenAt.Add(firstWait); !s.permitAt.IsZero() && now.Before(until) {
		return earliest(s.permitAt, until)
	}
	return time.Time{}
}

// failureHistory is the run of failures that lasts until the next success.
type failureHistory struct {
	// last is why the last attempt failed; nil: it did not.
	last *alicloud.Error
	// since is when the first failure of the run happened.
	since time.Time
	// sameKindInARow counts the latest failures of last's kind, and
	// sameKindSince is when the first of them happened.
	sameKindInARow int
	sameKindSince  time.Time
}

func (h *failureHistory) add(failure *alicloud.Error, now time.Time) {
	if h.last == nil {
		h.since = now
	}
	if h.last == nil || h.last.Kind != failure.Kind || h.sameKindInARow == 0 {
		h.sameKindInARow, h.sameKindSince = 0, now
	}
	h.last = failure
	h.sameKindInARow++
}

// requestHistory is the requests that the last attempt was made for, by object.
type requestHistory map[types.UID]attemptedRequest

// attemptedRequest is what an object requested an observation with.
type attemptedRequest struct {
	generation int64
	request    string
	// retries counts the further attempts in a row for this request.
	retries int
}

// attempted replaces the history with what the active objects request now.
// edited is true when one has a generation that no attempt was made for.
func (h *requestHistory) attempted(active []*v1alpha1.LoadBalancerHealth) (edited bool) {
	previous := *h
	*h = nil
	for _, object := range active {
		request, pending := pendingRequest(object)
		if !pending && !health.Edited(object) {
			continue
		}
		if *h == nil {
			*h = requestHistory{}
		}
		last, found := previous[object.UID]
		next := attemptedRequest{generation: object.Generation, request: request}
		if found && last.request == request {
			next.retries = last.retries + 1
		}
		edited = edited || health.Edited(object) && last.generation != object.Generation
		(*h)[object.UID] = next
	}
	return edited
}

// stateStore is the targetState of every target with objects.
type stateStore struct {
	byTarget sync.Map // alicloud.Target to *targetState
}

func (s *stateStore) get(target alicloud.Target) *targetState {
	if found, ok := s.byTarget.Load(target); ok {
		return found.(*targetState)
	}
	found, _ := s.byTarget.LoadOrStore(target, &targetState{})
	return found.(*targetState)
}

func (s *stateStore) delete(target alicloud.Target) { s.byTarget.Delete(target) }

// lastObservedAt is when this process last observed a target; zero: never.
func (s *stateStore) lastObservedAt(target alicloud.Target) time.Time {
	if found, ok := s.byTarget.Load(target); ok {
		return found.(*targetState).lastObservedAt()
	}
	return time.Time{}
}
