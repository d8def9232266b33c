// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// These are the operator's own.
const (
	defaultHeartbeat = 5 * time.Minute
	defaultInterval  = 30 * time.Second
	minStale         = 90 * time.Second
	callTimeout      = 10 * time.Second
)

// reasonNotUpdated is shown in place of a reason that may be old.
const reasonNotUpdated = "NotUpdated"

// current tells whether a status is about the generation that is there.
func current(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.ObservedGeneration == object.Generation
}

// pendingRequest returns the request annotation while no answer has served it.
func pendingRequest(object *v1alpha1.LoadBalancerHealth) (string, bool) {
	request := object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
	return request, request != "" && request != object.Status.LastHandledObserveRequest
}

// attempted tells whether the conditions are not from before a request.
func attempted(object *v1alpha1.LoadBalancerHealth) bool {
	request, pending := pendingRequest(object)
	return !pending || request == object.Status.LastAttemptedObserveRequest
}

// isStalled tells whether an object requires manual action, as it is now.
func isStalled(object *v1alpha1.LoadBalancerHealth) bool {
	return current(object) && attempted(object) && statusOf(object, v1alpha1.ConditionStalled) == metav1.ConditionTrue
}

// nextUpdate is by when a running operator writes a status again, and what that
// is counted from. Both are zero where it may be silent: while observation is
// suspended, and while the status says that there is no verdict. While
// observations fail the same way, nothing is written until the verdict is
// withdrawn.
func nextUpdate(object *v1alpha1.LoadBalancerHealth, heartbeat time.Duration) (last, due time.Time) {
	if object.Spec.Suspend {
		return last, due
	}
	interval := object.Spec.Interval.Duration
	if interval <= 0 {
		interval = defaultInterval
	}
	// After an observation out of turn, the next slot is up to one and a half intervals away.
	patience := heartbeat + interval + interval/2 + callTimeout
	if awaitsAttempt(object) {
		last = lastChange(object)
		due = last.Add(patience)
	}
	if at := object.Status.LastObservedTime; current(object) && hasVerdict(object) && at != nil {
		if statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
			patience += max(3*interval, minStale)
		}
		if by := at.Add(patience); due.IsZero() || by.Before(due) {
			last, due = at.Time, by
		}
	}
	return last, due
}

// awaitsAttempt tells whether the operator has not tried yet what an object asks for.
func awaitsAttempt(object *v1alpha1.LoadBalancerHealth) bool {
	return !current(object) || !attempted(object) || reasonOf(object, v1alpha1.ConditionReconciling) == v1alpha1.ReasonProgressing
}

// hasVerdict tells whether Healthy is decided by an answer that counts.
func hasVerdict(object *v1alpha1.LoadBalancerHealth) bool {
	switch reasonOf(object, v1alpha1.ConditionHealthy) {
	case "", v1alpha1.ReasonPending, v1alpha1.ReasonSuspended, v1alpha1.ReasonObservationStale:
		return false
	default:
		return true
	}
}

// lastChange is the newest time that an object knows, whoever wrote it.
func lastChange(object *v1alpha1.LoadBalancerHealth) time.Time {
	newest := object.CreationTimestamp.Time
	take := func(at *metav1.Time) {
		if at != nil && at.After(newest) {
			newest = at.Time
		}
	}
	for i := range object.ManagedFields {
		take(object.ManagedFields[i].Time)
	}
	for i := range object.Status.Conditions {
		take(&object.Status.Conditions[i].LastTransitionTime)
	}
	take(object.Status.LastObservedTime)
	return newest
}

// silence says for how long the operator has not updated an object; "" while it
// is not longer than a running one may take.
func (o *options) silence(object *v1alpha1.LoadBalancerHealth) string {
	last, due := nextUpdate(object, o.heartbeat)
	if due.IsZero() || o.serverNow().Before(due) {
		return ""
	}
	return o.notUpdatedSince(last)
}

func (o *options) notUpdatedSince(last time.Time) string {
	age := o.serverNow().Sub(last)
	if age >= 2*time.Minute {
		age = age.Truncate(time.Minute)
	}
	return fmt.Sprintf("not updated for %s: is the operator running?", duration.HumanDuration(age))
}

// serverNow is now by the API server's clock, which is closer to the operator's.
func (o *options) serverNow() time.Time { return o.now().Add(o.link.ahead()) }
