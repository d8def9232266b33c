// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var twoRows = []row{
	{ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", ServerHealthStatus: "normal"},
	{ServerID: "i-2", ListenerPort: 80, ListenerProtocol: "http", ServerHealthStatus: "normal"},
}

func correctObject() *v1alpha1.LoadBalancerHealth {
	condition := func(conditionType string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: conditionType, Status: status, Reason: reason}
	}
	return &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Generation: 3},
		Status: v1alpha1.LoadBalancerHealthStatus{
			ObservedGeneration: 3,
			Conditions: []metav1.Condition{
				condition("Observed", "True", "ObservationSucceeded"), condition("Ready", "True", "AllBackendsNormal"),
			},
			Summary: &v1alpha1.Summary{Counts: v1alpha1.Counts{Backends: 2}},
			Backends: []v1alpha1.BackendStatus{
				{ServerID: "i-2", ListenerPort: 80, ListenerProtocol: "http", ServerHealthStatus: "normal"},
				{ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", ServerHealthStatus: "normal"},
			},
		},
	}
}

func TestIncorrectStatusIsFound(t *testing.T) {
	if problem := mismatch(correctObject(), twoRows); problem != "" {
		t.Fatalf("a correct status: %s", problem)
	}
	for what, test := range map[string]struct {
		edit    func(*v1alpha1.LoadBalancerHealth)
		problem string
	}{
		"an older generation": {func(o *v1alpha1.LoadBalancerHealth) { o.Generation++ }, "generation 4"},
		"not observed":        {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Conditions[0].Reason = "Throttled" }, "Observed is"},
		"another state":       {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Backends[0].ServerHealthStatus = "abnormal" }, "its rows"},
		"a row too few":       {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Backends = o.Status.Backends[1:] }, "its rows"},
		"a wrong count":       {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Summary.Backends = 3 }, "its summary"},
		"an incorrect Ready":  {func(o *v1alpha1.LoadBalancerHealth) { o.Status.Conditions[1].Status = "False" }, "Ready is"},
		"not suspended":       {func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true }, "suspended"},
		"stalled": {func(o *v1alpha1.LoadBalancerHealth) {
			o.Status.Conditions = append(o.Status.Conditions, metav1.Condition{Type: "Stalled", Status: "True", Reason: "Forbidden"})
		}, "stalled"},
		"a single listener": {func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerPort = new(int32(80)) }, "its rows"},
	} {
		t.Run(what, func(t *testing.T) {
			o := correctObject()
			test.edit(o)
			if problem := mismatch(o, twoRows); !strings.Contains(problem, test.problem) || problem == "" {
				t.Errorf("%q does not contain %q", problem, test.problem)
			}
		})
	}
}

func TestExpectedReady(t *testing.T) {
	rows := func(states ...string) (all []row) {
		for _, state := range states {
			all = append(all, row{ListenerPort: 443, ServerHealthStatus: state})
		}
		return all
	}
	for name, test := range map[string]struct {
		policy *v1alpha1.HealthPolicy
		rows   []row
		want   metav1.ConditionStatus
	}{
		"none":            {nil, nil, "False"},
		"one is enough":   {nil, rows("normal", "abnormal"), "True"},
		"unknown":         {nil, rows("unavailable", "abnormal"), "Unknown"},
		"too few":         {&v1alpha1.HealthPolicy{MinHealthy: new(intstr.FromInt32(2))}, rows("normal", "abnormal"), "False"},
		"half, rounded":   {&v1alpha1.HealthPolicy{MinHealthy: new(intstr.FromString("50%"))}, rows("normal", "abnormal", "abnormal"), "False"},
		"unknown is well": {&v1alpha1.HealthPolicy{Unavailable: v1alpha1.Healthy}, rows("unavailable"), "True"},
		"unknown is bad":  {&v1alpha1.HealthPolicy{Unavailable: v1alpha1.Unhealthy}, rows("unavailable"), "False"},
		"worst listener":  {nil, append(rows("normal"), row{ListenerPort: 80, ServerHealthStatus: "abnormal"}), "False"},
	} {
		if got := expectedReady(test.policy, test.rows); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
