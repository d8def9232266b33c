// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// unsavedRetry is the longest that a status which could not be written waits
// for a new observation.
const unsavedRetry = 30 * time.Second

// plan is what the objects of a target together ask for.
type plan struct {
	// active are the objects that are not suspended.
	active []*v1alpha1.LoadBalancerHealth
	// scope is the least that serves them all.
	scope slb.Scope
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
func planFor(target slb.Target, objects []v1alpha1.LoadBalancerHealth, memory *memory, sample *slb.Sample, started time.Time) plan {
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
			p.scope = slb.Scope{}
		}
		p.interval = min(p.interval, interval)
		p.stalled = p.stalled && isStalled(object.Status.Conditions)
		p.active = append(p.active, object)
		p.asked = p.asked || asks(object, memory, sample)
	}
	if memory.askWhole {
		p.scope = slb.Scope{}
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
// was not observed yet, or somebody asked by annotation. An answer of the last
// few seconds serves the first, not the second.
func asks(object *v1alpha1.LoadBalancerHealth, memory *memory, sample *slb.Sample) bool {
	if request, pending := pendingRequest(object); pending && memory.served[object.UID].request != request {
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

// due is when the target is to be looked at next. Which objects are Stalled
// may have changed since the plan was made.
func (p *plan) due(target slb.Target, memory *memory, started time.Time) time.Time {
	if memory.attemptedAt.IsZero() {
		// Known to an earlier process: the first slot from the start on, and
		// soon where no process has looked for longer than an interval.
		interval := p.interval
		if started.Sub(p.answeredAt) > interval {
			interval = min(interval, health.DefaultInterval)
		}
		return health.NextSlot(target.String(), interval, started.Add(-interval/2))
	}
	at := health.NextSlot(target.String(), p.interval, memory.attemptedAt)
	if p.stalled {
		at = memory.attemptedAt.Add(max(p.interval, health.StalledInterval))
	}
	if memory.failure != nil {
		if asked := memory.attemptedAt.Add(memory.failure.RetryAfter); asked.After(at) {
			at = asked
		}
	}
	if memory.unsaved && memory.failure == nil { // a failure is remembered until it is saved
		at = earliest(at, memory.attemptedAt.Add(min(p.interval, unsavedRetry)))
	}
	return at
}

func isStalled(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
}
