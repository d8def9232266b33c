// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var gateSpecs = []spec{
	{"closed readiness gates are listed, and opened without an operator that opens them", gatesByHand},
}

const webGate = "health.slb.lbhealth.dev/web"

// createGated creates a pod with a gate and a foreign one, whose containers are ready.
func (s *fixture) createGated(t *testing.T, name string, conditions ...corev1.PodCondition) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: corev1.PodSpec{
			Containers:     []corev1.Container{{Name: "web", Image: "web"}},
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: webGate}, {ConditionType: "example.com/other"}},
		},
	}
	if err := s.Client.Create(s.Ctx, pod); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = conditions
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	if err := s.Client.Status().Update(s.Ctx, pod); err != nil {
		t.Fatal(err)
	}
}

func gatesByHand(t *testing.T, s *fixture) {
	if got := s.lbh(t, "gates"); got.stdout != "" || !strings.Contains(got.stderr, "No closed readiness gate found in namespace "+s.namespace) {
		t.Errorf("%+v", got)
	}
	s.createGated(t, "web-1", corev1.PodCondition{Type: webGate, Status: corev1.ConditionFalse, Reason: "NotRegistered", Message: "lb-1 does not list the pod"})
	s.createGated(t, "web-2", corev1.PodCondition{Type: webGate, Status: corev1.ConditionTrue, Reason: "BackendNormal"})
	listed := s.lbh(t, "gates", "web").succeeds(t)
	if lines := strings.Split(strings.TrimSpace(listed), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "NotRegistered") || !strings.Contains(lines[1], "lb-1 does not list the pod") {
		t.Errorf("%s", listed)
	}
	if all := s.command("gates", "-A"); !strings.Contains(finish(t, all).succeeds(t), s.namespace) {
		t.Error("-A lacks the namespace")
	}
	s.lbh(t, "gates", "open", "web", "--as", "eve").fails(t, "cannot list", "the ClusterRole view")
	s.lbh(t, "gates", "open").fails(t, "write the name of one Service")

	if got := s.lbh(t, "gates", "open", "web").succeeds(t); got != "pod/web-1: "+webGate+" opened\n" {
		t.Errorf("%q", got)
	}
	pod := &corev1.Pod{}
	if err := s.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.namespace, Name: "web-1"}, pod); err != nil {
		t.Fatal(err)
	}
	statuses := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range pod.Status.Conditions {
		statuses[c.Type] = c.Status
	}
	if len(statuses) != 2 || statuses[webGate] != corev1.ConditionTrue || statuses[corev1.ContainersReady] != corev1.ConditionTrue {
		t.Errorf("conditions %v", statuses)
	}
	s.lbh(t, "gates", "open", "web").fails(t, "no pod in namespace "+s.namespace+" has a closed readiness gate for Service web")
}
