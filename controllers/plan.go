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

const (
	// unsavedRetry is the longest that a status which could not be written waits
	// for a new observation.
	unsavedRetry = 30 * time.Second
	// firstRetry is the backoff of a request after its first attempt without a
	// response; it doubles with each attempt, up to the interval and maxRetry.
	firstRetry = 5 * time.Second
	maxRetry   = time.Minute
	// decideWithin is the longest until an observation is repeated whose failure
	// requires manual action if it repeats itself.
	decideWithin = 30 * time.Second
)

// reconciliation is one reconcile of one target: what it works on, and what it
// knows so far. It has no client, so that decisions about it are pure.
type reconciliation struct {
	target alicloud.Target
	// objects are the target's. They belong to the cache: read only.
	objects []v1alpha1.LoadBalancerHealth
	state   *targetState
	// processStartedAt is when this process began to reconcile.
	processStartedAt time.Time
	// now is when this reconcile began.
	now  time.Time
	plan plan
	// observation is the one to evaluate: of this reconcile, of the last few
	// seconds, or one that waits for listeners; nil: none.
	observation *alicloud.Observation
	// observed is true when this reconcile observed the target, or failed to.
	observed bool
}

// plan is what the objects of a target together request.
type plan struct {
	// active are the objects that are not suspended.
	active []*v1alpha1.LoadBalancerHealth
	// scope is the smallest that serves them all.
	scope alicloud.Scope
	// interval is the shortest of theirs.
	interval time.Duration
	// stalled is true when every one of them is Stalled.
	stalled bool
	// urgent is true when one of them cannot wait until the target is due.
	urgent bool
	// fast is true when this reconcile makes a fast observation.
	fast bool
	// dueAt is when the target is due.
	dueAt time.Time
	// observedAt is the oldest lastObservedTime; zero when one has none.
	observedAt time.Time
	// attemptedAt is the last attempt that is known; zero: none.
	attemptedAt time.Time
}

// class is the class of an observation, as in the metrics.
func (p *plan) class() string {
	switch {
	case p.urgent:
		return "urgent"
	case p.fast:
		return "fast"
	default:
		return "routine"
	}
}

// makePlan fills in the plan from the objects, the state and the observation.
func (rec *reconciliation) makePlan() {
	p := plan{stalled: true}
	for i := range rec.objects {
		object := &rec.objects[i]
		if object.Spec.Suspend {
			continue
		}
		scope, interval := health.ScopeOf(&object.Spec), health.Interval(&object.Spec)
		var observedAt time.Time
		if at := object.Status.LastObservedTime; at != nil {
			observedAt = at.Time
		}
		if len(p.active) == 0 {
			p.scope, p.interval, p.observedAt = scope, interval, observedAt
		}
		if observedAt.Before(p.observedAt) {
			p.observedAt = observedAt
		}
		if scope != p.scope {
			p.scope = alicloud.Scope{}
		}
		p.interval = min(p.interval, interval)
		p.stalled = p.stalled && isStalled(object.Status.Conditions)
		p.active = append(p.active, object)
		p.urgent = p.urgent || isUrgent(object, rec.state, rec.observation)
	}
	if rec.state.everyPort {
		p.scope = alicloud.Scope{}
	}
	if p.attemptedAt = rec.state.attemptedAt; p.attemptedAt.IsZero() {
		p.attemptedAt = p.observedAt
	}
	rec.plan = p
	if len(p.active) > 0 {
		rec.plan.dueAt = rec.dueAt()
	}
}

// isUrgent reports whether an object needs an observation of its own now: its
// spec was not observed yet, or the annotation requests one. An observation of
// the last few seconds serves the spec, but not the request.
func isUrgent(object *v1alpha1.LoadBalancerHealth, state *targetState, observation *alicloud.Observation) bool {
	if _, pending := pendingRequest(object); pending && !state.requests.isAttempted(object) {
		return true
	}
	if !health.Edited(object) || state.failedSince(object) {
		return false
	}
	return observation == nil || !observation.Scope.Covers(health.ScopeOf(&object.Spec))
}

// failedSince reports whether the last observation failed for this generation
// of an object: its status may not be written yet.
func (s *targetState) failedSince(object *v1alpha1.LoadBalancerHealth) bool {
	return s.failures.last != nil && s.requests[object.UID].generation == object.Generation
}

// pendingRequest returns the request annotation if no observation handled it yet.
func pendingRequest(object *v1alpha1.LoadBalancerHealth) (string, bool) {
	request := object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
	return request, request != "" && request != object.Status.LastHandledObserveRequest
}

// isAttempted reports whether the pending request of an object was attempted,
// by this process or, as its status says, by an earlier one.
func (h requestHistory) isAttempted(object *v1alpha1.LoadBalancerHealth) bool {
	request, pending := pendingRequest(object)
	return pending && (h[object.UID].request == request || object.Status.LastAttemptedObserveRequest == request)
}

// hasRetries reports whether an object requested an observation that was
// attempted without success.
func (rec *reconciliation) hasRetries() bool {
	return slices.ContainsFunc(rec.plan.active, func(object *v1alpha1.LoadBalancerHealth) bool {
		attempted := rec.state.requests[object.UID].request
		handled := rec.state.failures.last == nil && attempted == object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
		return rec.state.requests.isAttempted(object) && !handled
	})
}

// dueAt is when the target is due next for a routine observation. Fast ones do not
// change it.
func (rec *reconciliation) dueAt() time.Time {
	state, p := rec.state, &rec.plan
	if state.attemptedAt.IsZero() {
		return rec.firstDueAt()
	}
	at := health.NextSlot(rec.target.String(), p.interval, state.attemptedAt)
	switch {
	case p.stalled:
		at = state.attemptedAt.Add(max(p.interval, health.StalledInterval))
	case rec.hasRetries():
		at = earliest(at, state.attemptedAt.Add(rec.retryBackoff()))
	}
	failure := state.failures.last
	if failure != nil && failure.Stall().Over > 0 && !p.stalled {
		at = earliest(at, state.attemptedAt.Add(min(p.interval, decideWithin)))
	}
	if failure != nil {
		return later(at, state.attemptedAt.Add(failure.RetryAfter))
	}
	if state.writes.unsaved { // the state keeps a failure until it is saved, but no observation
		at = earliest(at, state.attemptedAt.Add(min(p.interval, unsavedRetry)))
	}
	return at
}

// firstDueAt is the first slot of a target that an earlier process observed:
// counted from the start of this process, or from when the target moved to it,
// and soon if no process observed the target for longer than an interval.
func (rec *reconciliation) firstDueAt() time.Time {
	from := later(rec.processStartedAt, rec.state.firstSeenAt)
	interval := rec.plan.interval
	if from.Sub(rec.plan.observedAt) > interval || rec.hasRetries() && !rec.plan.stalled {
		interval = min(interval, health.DefaultInterval)
	}
	return health.NextSlot(rec.target.String(), interval, from.Add(-interval/2))
}

// retryBackoff is how long after an attempt the requests are attempted again:
// the shortest of theirs.
func (rec *reconciliation) retryBackoff() time.Duration {
	backoff := min(rec.plan.interval, maxRetry)
	for _, object := range rec.plan.active {
		if !rec.state.requests.isAttempted(object) {
			continue
		}
		const maxDoublings = 10 // beyond maxRetry
		if retries := rec.state.requests[object.UID].retries; retries < maxDoublings {
			backoff = min(backoff, firstRetry<<retries)
		}
	}
	return backoff
}

func isStalled(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
}
