// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodReady(t *testing.T) {
	const first, second = "example.com/first", "example.com/second"
	gates := func(names ...corev1.PodConditionType) (all []corev1.PodReadinessGate) {
		for _, name := range names {
			all = append(all, corev1.PodReadinessGate{ConditionType: name})
		}
		return all
	}
	for name, test := range map[string]struct {
		gates           []corev1.PodReadinessGate
		conditions      []corev1.PodCondition
		containersReady bool
		ready           bool
		reason          string
	}{
		"without gates":                  {containersReady: true, ready: true},
		"containers are not ready":       {conditions: []corev1.PodCondition{condition(first, true, "")}, gates: gates(first), reason: "ContainersNotReady"},
		"a gate without a condition":     {gates: gates(first), containersReady: true, reason: "ReadinessGatesNotReady"},
		"a gate that is False":           {gates: gates(first), conditions: []corev1.PodCondition{condition(first, false, "x")}, containersReady: true, reason: "ReadinessGatesNotReady"},
		"one of two gates":               {gates: gates(first, second), conditions: []corev1.PodCondition{condition(first, true, "")}, containersReady: true, reason: "ReadinessGatesNotReady"},
		"every gate":                     {gates: gates(first, second), conditions: []corev1.PodCondition{condition(second, true, ""), condition(first, true, "")}, containersReady: true, ready: true},
		"a False condition without gate": {conditions: []corev1.PodCondition{condition(first, false, "x")}, containersReady: true, ready: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{ReadinessGates: test.gates}, Status: corev1.PodStatus{Conditions: test.conditions}}
			got := podReady(pod, condition(corev1.ContainersReady, test.containersReady, "ContainersNotReady"))
			if (got.Status == corev1.ConditionTrue) != test.ready || got.Reason != test.reason {
				t.Errorf("Ready is %s, %q", got.Status, got.Reason)
			}
		})
	}
}
