// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestMissingReports(t *testing.T) {
	c := &Cluster{}
	observe := func(status metav1.ConditionStatus, message string) {
		object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
		if status != "" {
			object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRegistered, Status: status, Message: message}}
		}
		c.observe(object, false)
	}
	observe("", "")
	observe(metav1.ConditionTrue, "all")
	observe(metav1.ConditionUnknown, "not determined")
	if reports := c.MissingReports(); len(reports) > 0 {
		t.Errorf("reports: %v", reports)
	}
	observe(metav1.ConditionFalse, "one is missing")
	observe(metav1.ConditionFalse, "one is missing")
	observe(metav1.ConditionTrue, "all")
	want := []MissingReport{{"ns", "web", "one is missing"}}
	if reports := c.MissingReports(); !slices.Equal(reports, want) {
		t.Errorf("reports: %v", reports)
	}
}
