// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestNeedsReconcile(t *testing.T) {
	written := func(o *v1alpha1.LoadBalancerHealth) {
		o.Status.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: o.Spec.LoadBalancerID}
		o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	}
	for name, test := range map[string]struct {
		change func(*v1alpha1.LoadBalancerHealth)
		want   bool
	}{
		"nothing":            {func(*v1alpha1.LoadBalancerHealth) {}, false},
		"a label":            {func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{"a": "b"} }, false},
		"another annotation": {func(o *v1alpha1.LoadBalancerHealth) { o.Annotations = map[string]string{"a": "b"} }, false},
		"the spec":           {edited, true},
		"a request":          {requested("now"), true},
		"accepted listeners": {func(o *v1alpha1.LoadBalancerHealth) {
			metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, "2026-01-02T03:04:05Z")
		}, true},
		"a status of this operator":      {func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastRequestID = "r" }, false},
		"a status reset":                 {func(o *v1alpha1.LoadBalancerHealth) { o.Status = v1alpha1.LoadBalancerHealthStatus{} }, true},
		"a status reset while suspended": {func(o *v1alpha1.LoadBalancerHealth) { suspended(o); o.Status = v1alpha1.LoadBalancerHealthStatus{} }, true},
		"removed conditions":             {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Conditions = nil }, true},
	} {
		before := newObject(written)
		after := *before.DeepCopy()
		test.change(&after)
		equal(t, name, needsReconcile().Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &after}), test.want)
	}
}

func TestBackoffIsAtMostTheInterval(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = 5 * time.Second }))
	test.step()
	queue := newBackoff(&test.targets)
	equal(t, "the first delay", queue.When(test.target), minBackoff)
	for range 20 {
		queue.When(test.target)
	}
	equal(t, "the longest delay", queue.When(test.target), 5*time.Second)
	other := alicloud.Target{LoadBalancerID: "lb-other"}
	for range 20 {
		queue.When(other)
	}
	equal(t, "the longest delay without an interval", queue.When(other), maxBackoff)
}

// Another object on the load balancer is observed. The metric of the suspended
// one must not report that.
func TestLastObservedAtIsZeroForSuspendedObject(t *testing.T) {
	active, idle := newObject(fresh), newObject(suspended)
	test := newReconcileTest(t, active, idle)
	test.step()
	test.expectCalls(1)
	if test.LastObservedAt(&active).IsZero() {
		t.Error("the active object was not observed")
	}
	if at := test.LastObservedAt(&idle); !at.IsZero() {
		t.Errorf("the suspended object was observed at %s", at)
	}
}
