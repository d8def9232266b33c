// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// late returns whether the verdict is too old because no observation followed.
// A process that has not observed the load balancer yet counts from its own
// start: another process may have observed it until then.
func (e *evaluation) late() bool {
	if !e.hasObservation() || !e.hadVerdict() {
		return false
	}
	staleAt := e.verdictStaleAt()
	if since := e.input.Since.Add(staleAfter(e.interval)); e.input.LastObservedAt.IsZero() && since.After(staleAt) {
		staleAt = since
	}
	if e.now.Before(staleAt) {
		e.staleAt = staleAt
		return false
	}
	return true
}

// verdictUntilStale is the verdict on the last observation, or that it is stale.
func (e *evaluation) verdictUntilStale(why string) condition {
	staleAt := e.verdictStaleAt()
	if !e.now.Before(staleAt) {
		return e.staleCondition(why)
	}
	e.staleAt = staleAt
	return e.reevaluate()
}

// staleCondition withdraws the verdict on an observation that is too old.
func (e *evaluation) staleCondition(why string) condition {
	e.withdrawVerdicts()
	return condition{metav1.ConditionUnknown, v1alpha1.ReasonObservationStale, messageStale(e.interval, why)}
}

// withdrawVerdicts makes every listener Unknown. The counts stay as they were
// observed last, but a verdict is about the present.
func (e *evaluation) withdrawVerdicts() {
	unknown := func(*v1alpha1.ListenerStatus) v1alpha1.Health { return v1alpha1.Unknown }
	e.next.Listeners = withHealth(e.next.Listeners, e.next.Listeners, e.stamp, unknown)
	e.setDisruptionsAllowed(0, false)
}

// verdictStaleAt is when the last observation is too old for a verdict.
// lastObservedTime is precise to a heartbeat only: observations that changed
// nothing may have followed without a write. So while there is a verdict, the
// time of this process's own last observation counts. A process that has none
// grants two intervals from its first failure: one lost call after a restart
// must not withdraw a verdict. An object without a verdict, such as a suspended
// one, has nothing to keep.
func (e *evaluation) verdictStaleAt() time.Time {
	earliest := e.next.LastObservedTime.Add(staleAfter(e.interval))
	if !e.hadVerdict() {
		return earliest
	}
	staleAt := e.input.FailingSince.Add(2 * e.interval)
	if observed := e.input.LastObservedAt; !observed.IsZero() {
		staleAt = observed.Add(staleAfter(e.interval))
	}
	latest := earliest.Add(e.options.Heartbeat + time.Second) // lastObservedTime is in seconds
	switch {
	case staleAt.Before(earliest):
		return earliest
	case staleAt.After(latest):
		return latest
	default:
		return staleAt
	}
}

// hadVerdict returns whether the previous Healthy was a verdict on an observation.
func (e *evaluation) hadVerdict() bool {
	switch e.wasHealthy.reason {
	case v1alpha1.ReasonObservationStale, v1alpha1.ReasonSuspended, v1alpha1.ReasonPending, "":
		return false
	default:
		return true
	}
}
