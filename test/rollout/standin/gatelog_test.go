// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestGateLog(t *testing.T) {
	const gate = "example.com/gate"
	for name, test := range map[string]struct {
		statuses         []corev1.ConditionStatus
		changes, changed int
	}{
		"never set":              {[]corev1.ConditionStatus{"", ""}, 0, 0},
		"closed, then open":      {[]corev1.ConditionStatus{"", "False", "False", "True", "True"}, 2, 0},
		"open, then closed":      {[]corev1.ConditionStatus{"True", "False"}, 2, 1},
		"open, closed, open":     {[]corev1.ConditionStatus{"True", "False", "True"}, 3, 1},
		"open, then removed":     {[]corev1.ConditionStatus{"True", ""}, 2, 1},
		"open, and then unknown": {[]corev1.ConditionStatus{"True", "Unknown"}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(name)}}
			pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}}
			for _, status := range test.statuses {
				pod.Status.Conditions = nil
				if status != "" {
					pod.Status.Conditions = []corev1.PodCondition{{Type: gate, Status: status}, {Type: "Ready", Status: status}}
				}
				c.gates.record(pod)
			}
			if got := c.GateChanges(pod, gate); len(got) != test.changes {
				t.Errorf("the changes are %v", got)
			}
			if got := c.ChangedOpenGates("example.com/"); len(got) != test.changed {
				t.Errorf("open gates changed: %q", got)
			}
			if got := c.ChangedOpenGates("example.org/"); len(got) > 0 {
				t.Errorf("open gates of another prefix: %q", got)
			}
		})
	}
}
