// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Nearly every observation finds no difference, so these comparisons must be
// cheap: equality.Semantic walks every row by reflection, with hundreds of
// allocations. As there, an empty list equals none, and two times are equal if
// they are the same moment. Rows and listeners are compared as whole structs, so
// that a new field counts; a test changes each field of a status one by one.

// sameStatus returns whether two statuses are equal.
func sameStatus(a, b *v1alpha1.LoadBalancerHealthStatus) bool {
	return a.ObservedGeneration == b.ObservedGeneration &&
		slices.EqualFunc(a.Conditions, b.Conditions, sameCondition) &&
		sameReferencedLoadBalancer(a, b) &&
		same(a.ObservedTarget, b.ObservedTarget) &&
		sameSummary(a.Summary, b.Summary) &&
		slices.EqualFunc(a.Listeners, b.Listeners, sameListenerStatus) &&
		sameRows(a.Backends, b.Backends) &&
		a.OmittedBackends == b.OmittedBackends &&
		slices.EqualFunc(a.MissingBackends, b.MissingBackends, sameMissing) &&
		slices.EqualFunc(a.History, b.History, sameChange) &&
		a.LastObservedTime.Equal(b.LastObservedTime) &&
		a.LastRequestID == b.LastRequestID &&
		a.LastHandledObserveRequest == b.LastHandledObserveRequest &&
		a.LastAttemptedObserveRequest == b.LastAttemptedObserveRequest
}

// Contains returns whether a status contains one that was written: another
// client may have added to it since, such as a condition of its own. Each write
// has a request id, a condition or a load balancer that no other write has.
func Contains(status, written *v1alpha1.LoadBalancerHealthStatus) bool {
	for i := range written.Conditions {
		c := &written.Conditions[i]
		if !isOurs(c.Type) {
			continue
		}
		if found := meta.FindStatusCondition(status.Conditions, c.Type); found == nil || !sameCondition(*found, *c) {
			return false
		}
	}
	return status.ObservedGeneration == written.ObservedGeneration &&
		status.LastRequestID == written.LastRequestID &&
		status.LastObservedTime.Equal(written.LastObservedTime) &&
		status.LastAttemptedObserveRequest == written.LastAttemptedObserveRequest &&
		sameReferencedLoadBalancer(status, written) &&
		same(status.ObservedTarget, written.ObservedTarget)
}

func sameRows(a, b []v1alpha1.BackendStatus) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !SameRow(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

// SameRow returns whether two rows are equal.
func SameRow(a, b *v1alpha1.BackendStatus) bool {
	if !a.LastTransitionTime.Equal(&b.LastTransitionTime) {
		return false
	}
	x, y := *a, *b
	x.LastTransitionTime, y.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return x == y
}

func sameListenerStatus(a, b v1alpha1.ListenerStatus) bool {
	if !a.LastTransitionTime.Equal(b.LastTransitionTime) || !a.MissingSince.Equal(b.MissingSince) || !same(a.Expected, b.Expected) {
		return false
	}
	a.LastTransitionTime, b.LastTransitionTime, a.MissingSince, b.MissingSince = nil, nil, nil, nil
	a.Expected, b.Expected = nil, nil
	return a == b
}

func sameSummary(a, b *v1alpha1.Summary) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Missing, x.DisruptionsAllowed, y.Missing, y.DisruptionsAllowed = nil, nil, nil, nil
	return x == y && same(a.Missing, b.Missing) && same(a.DisruptionsAllowed, b.DisruptionsAllowed)
}

func sameMissing(a, b v1alpha1.MissingBackend) bool {
	if !a.Since.Equal(&b.Since) {
		return false
	}
	a.Since, b.Since = metav1.Time{}, metav1.Time{}
	return a == b
}

func sameChange(a, b v1alpha1.HealthChange) bool {
	if !a.Time.Equal(&b.Time) {
		return false
	}
	a.Time, b.Time = metav1.Time{}, metav1.Time{}
	return a == b
}

func sameCondition(a, b metav1.Condition) bool {
	if !a.LastTransitionTime.Equal(&b.LastTransitionTime) {
		return false
	}
	a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return a == b
}

func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
