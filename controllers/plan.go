// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// unsavedRetry is the longest that a status which could not be written waits
// for a new observation.
const unsavedRetry = 30 * time.Second

const (
	// firstRetry is until a request that was not answered is attempted again;
	// it doubles with each attempt, up to the interval and maxRetry.
	firstRetry = 5 * time.Second
	maxRetry   = time.Minute
	// decideWithin is the longest until an observation is repeated whose failure
	// requires manual action if it repeats itself.
	decideWithin = 30 * time.Second
)

// plan is what the objects of a target together ask for.
type plan struct {
	// active are the objects that are not suspended.
	active []*v1alpha1.LoadBalancerHealth
	// scope is the least that serves them all.
	scope alicloud.Scope
	// interval is the shortest of theirs.
	interval time.Duration
	// stalled tells that each of them needs a person.
	stalled bool
	// asked tells that one of them cannot wait until the target is due.
	asked bool
	// dueAt is when the target is due.
	dueAt time.Time
	// answeredAt is the oldest lastObservedTime; zero when one has none.
	answeredAt time.Time
	// askedAt is when the target was last asked about, as far as is known; zero: never.
	askedAt time.Time
}

// planFor reads the plan off the objects, the memory, and the fresh sample, if any.
func planFor(target alicloud.Target, objects []v1alpha1.LoadBalancerHealth, memory *memory, sample *alicloud.Observation, started time.Time) plan {
	p := plan{stalled: true}
	for i := range objects {
		object := &objects[i]
		if object.Spec.Suspend {
			continue
		}
		scope, interval := health.ScopeOf(&object.Spec), health.Interval(&object.Spec)
		var answeredAt time.Time
		if at := object.Status.LastObservedTime; at != nil {
			answeredAt = at.Time
		}
		if len(p.active) == 0 {
			p.scope, p.interval, p.answeredAt = scope, interval, answeredAt
		}
		if answeredAt.Before(p.answeredAt) {
			p.answeredAt = answeredAt
		}
		if scope != p.scope {
			p.scope = alicloud.Scope{}
		}
		p.interval = min(p.interval, interval)
		p.stalled = p.stalled && isStalled(object.Status.Conditions)
		p.active = append(p.active, object)
		p.asked = p.asked || asks(object, memory, sample)
	}
	if memory.askWhole {
		p.scope = alicloud.Scope{}
	}
	if p.askedAt = memory.attemptedAt; p.askedAt.IsZero() {
		p.askedAt = p.answeredAt
	}
	if len(p.active) > 0 {
		p.dueAt = p.due(target, memory, started)
	}
	return p
}

// asks tells whether an object wants an observation of its own, now: its spec
// was not observed yet, or the annotation requests one. An answer of the last
// few seconds serves the first, not the second.
func asks(object *v1alpha1.LoadBalancerHealth, memory *memory, sample *alicloud.Observation) bool {
	if _, pending := pendingRequest(object); pending && !isAttempted(object, memory) {
		return true
	}
	if !health.Edited(object) || memory.failedSince(object) {
		return false
	}
	return sample == nil || !sample.Scope.Covers(health.ScopeOf(&object.Spec))
}

// pendingRequest returns the request annotation if it was not handled yet.
func pendingRequest(object *v1alpha1.LoadBalancerHealth) (string, bool) {
	request := object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
	return request, request != "" && request != object.Status.LastHandledObserveRequest
}

// isAttempted tells whether the pending request of an object was attempted, by
// this process or, as its status says, by an earlier one.
func isAttempted(object *v1alpha1.LoadBalancerHealth, memory *memory) bool {
	request, pending := pendingRequest(object)
	return pending && (memory.served[object.UID].request == request || object.Status.LastAttemptedObserveRequest == request)
}

// retries tells whether one of the objects requested an observation that was
// attempted and not answered since.
func (p *plan) retries(memory *memory) bool {
	return slices.ContainsFunc(p.active, func(object *v1alpha1.LoadBalancerHealth) bool {
		answered := memory.failure == nil && memory.served[object.UID].request == object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
		return isAttempted(object, memory) && !answered
	})
}

// due is when the target is to be looked at next. Which objects are Stalled
// may have changed since the plan was made.
func (p *plan) due(target alicloud.Target, memory *memory, started time.Time) time.Time {
	if memory.attemptedAt.IsZero() {
		// Known to an earlier process: the first slot from the start on, or from
		// when it came to this process, and soon where no process has looked for
		// longer than an interval.
		from := later(started, memory.since)
		interval := p.interval
		if from.Sub(p.answeredAt) > interval {
			interval = min(interval, health.DefaultInterval)
		}
		if p.retries(memory) && !p.stalled {
			interval = min(interval, health.DefaultInterval)
		}
		return health.NextSlot(target.String(), interval, from.Add(-interval/2))
	}
	at := health.NextSlot(target.String(), p.interval, memory.attemptedAt)
	switch {
	case p.stalled:
		at = memory.attemptedAt.Add(max(p.interval, health.StalledInterval))
	case p.retries(memory):
		at = earliest(at, memory.attemptedAt.Add(p.retryAfter(memory)))
	}
	if memory.failure != nil {
		if memory.failure.Stall().Over > 0 && !p.stalled {
			at = earliest(at, memory.attemptedAt.Add(min(p.interval, decideWithin)))
		}
		if asked := memory.attemptedAt.Add(memory.failure.RetryAfter); asked.After(at) {
			at = asked
		}
	}
	if memory.unsaved && memory.failure == nil { // a failure is remembered until it is saved
		at = earliest(at, memory.attemptedAt.Add(min(p.interval, unsavedRetry)))
	}
	return at
}

// retryAfter is how long after an attempt the requests are attempted again: the
// least of theirs.
func (p *plan) retryAfter(memory *memory) time.Duration {
	after := min(p.interval, maxRetry)
	for _, object := range p.active {
		if !isAttempted(object, memory) {
			continue
		}
		if retries := memory.served[object.UID].retries; retries < 10 { // of the longest long since
			after = min(after, firstRetry<<retries)
		}
	}
	return after
}

func isStalled(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
}
