// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// The operator's defaults and timeouts.
const (
	defaultHeartbeat = 5 * time.Minute
	defaultInterval  = 30 * time.Second
	minStale         = 90 * time.Second
	callTimeout      = 10 * time.Second
)

// reasonNotUpdated replaces the reason of a status that is not current.
const reasonNotUpdated = "NotUpdated"

// isCurrent reports whether a status is of the object's current generation.
func isCurrent(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.ObservedGeneration == object.Generation
}

// pendingRequest returns the request annotation until an observation handled it.
func pendingRequest(object *v1alpha1.LoadBalancerHealth) (string, bool) {
	request := object.Annotations[v1alpha1.ObserveRequestedAtAnnotation]
	return request, request != "" && request != object.Status.LastHandledObserveRequest
}

// isAttempted reports whether the operator has attempted the pending request, if any.
func isAttempted(object *v1alpha1.LoadBalancerHealth) bool {
	request, pending := pendingRequest(object)
	return !pending || request == object.Status.LastAttemptedObserveRequest
}

// isStalled reports whether an object requires manual action, by a status that is
// newer than the spec and the request.
func isStalled(object *v1alpha1.LoadBalancerHealth) bool {
	return isCurrent(object) && isAttempted(object) && statusOf(object, v1alpha1.ConditionStalled) == metav1.ConditionTrue
}

// nextUpdate is the time by which a running operator updates a status, and the
// last update before it. Both are zero when the operator may write nothing: while
// observation is suspended, and while there is no verdict. While observations
// fail with one reason, the operator writes nothing until the verdict is stale.
func nextUpdate(object *v1alpha1.LoadBalancerHealth, heartbeat time.Duration) (last, due time.Time) {
	if object.Spec.Suspend {
		return last, due
	}
	interval := intervalOf(object)
	// After a requested observation, the next slot is up to one and a half intervals later.
	longest := heartbeat + interval + interval/2 + callTimeout
	if awaitsAttempt(object) {
		last = lastChange(object)
		due = last.Add(longest)
	}
	if at := object.Status.LastObservedTime; isCurrent(object) && hasVerdict(object) && at != nil {
		if statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
			longest += max(3*interval, minStale)
		}
		if by := at.Add(longest); due.IsZero() || by.Before(due) {
			last, due = at.Time, by
		}
	}
	return last, due
}

// intervalOf is the time between two observations of an object.
func intervalOf(object *v1alpha1.LoadBalancerHealth) time.Duration {
	if interval := object.Spec.Interval.Duration; interval > 0 {
		return interval
	}
	return defaultInterval
}

// awaitsAttempt reports whether the operator has not attempted the current spec
// and request yet.
func awaitsAttempt(object *v1alpha1.LoadBalancerHealth) bool {
	return !isCurrent(object) || !isAttempted(object) || reasonOf(object, v1alpha1.ConditionReconciling) == v1alpha1.ReasonProgressing
}

// hasVerdict reports whether an observation that is not stale decides Healthy.
func hasVerdict(object *v1alpha1.LoadBalancerHealth) bool {
	switch reasonOf(object, v1alpha1.ConditionHealthy) {
	case "", v1alpha1.ReasonPending, v1alpha1.ReasonSuspended, v1alpha1.ReasonObservationStale:
		return false
	default:
		return true
	}
}

// lastChange is the newest time in an object, of any writer.
func lastChange(object *v1alpha1.LoadBalancerHealth) time.Time {
	newest := object.CreationTimestamp.Time
	add := func(at *metav1.Time) {
		if at != nil && at.After(newest) {
			newest = at.Time
		}
	}
	for i := range object.ManagedFields {
		add(object.ManagedFields[i].Time)
	}
	for i := range object.Status.Conditions {
		add(&object.Status.Conditions[i].LastTransitionTime)
	}
	add(object.Status.LastObservedTime)
	return newest
}

// notUpdated is the message about a status that a running operator would have
// updated; "" for a current one.
func (o *options) notUpdated(object *v1alpha1.LoadBalancerHealth) string {
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

// serverNow is the current time of the API server, which is closer to the
// operator's than the local one.
func (o *options) serverNow() time.Time { return o.now().Add(o.connection.clockSkew()) }
