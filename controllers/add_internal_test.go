// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
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
