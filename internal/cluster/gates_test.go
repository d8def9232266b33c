// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// gatedPod is a pod with two gates of ours, one of the cloud controller manager
// and a foreign one.
func gatedPod(conditions ...corev1.PodCondition) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{"app": "web", v1alpha1.ReadinessGateLabel: "disabled"}},
		Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{
			{ConditionType: "health.slb.lbhealth.dev/web"}, {ConditionType: "service.readiness.alibabacloud.com/web"},
			{ConditionType: "example.com/other"}, {ConditionType: "health.slb.lbhealth.dev/api"}, {ConditionType: "health.slb.lbhealth.dev/web"},
		}},
		Status: corev1.PodStatus{Conditions: conditions},
	}
}

func is(conditionType string, status corev1.ConditionStatus) corev1.PodCondition {
	return corev1.PodCondition{
		Type: corev1.PodConditionType(conditionType), Status: status, Reason: "R", Message: "M",
		LastTransitionTime: metav1.NewTime(start), LastProbeTime: metav1.NewTime(start),
	}
}

func TestSlimPodKeepsItsGates(t *testing.T) {
	slim := slimPod(gatedPod(
		is("Ready", corev1.ConditionFalse), is("ContainersReady", corev1.ConditionTrue), is("PodScheduled", corev1.ConditionTrue),
		is("health.slb.lbhealth.dev/web", corev1.ConditionFalse), is("service.readiness.alibabacloud.com/web", corev1.ConditionTrue),
		is("example.com/other", corev1.ConditionTrue)))
	at := metav1.NewTime(start)
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{"app": "web", v1alpha1.ReadinessGateLabel: "disabled"}},
		Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{
			{ConditionType: "health.slb.lbhealth.dev/web"}, {ConditionType: "service.readiness.alibabacloud.com/web"},
			{ConditionType: "example.com/other"}, {ConditionType: "health.slb.lbhealth.dev/api"}, {ConditionType: "health.slb.lbhealth.dev/web"},
		}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: "Ready", Status: corev1.ConditionFalse, LastTransitionTime: at},
			{Type: "ContainersReady", Status: corev1.ConditionTrue, LastTransitionTime: at},
			{Type: "health.slb.lbhealth.dev/web", Status: corev1.ConditionFalse, Reason: "R", Message: "M", LastTransitionTime: at},
			{Type: "service.readiness.alibabacloud.com/web", Status: corev1.ConditionTrue, Reason: "R", Message: "M", LastTransitionTime: at},
		}},
	}
	if !apiequality.Semantic.DeepEqual(slim, want) {
		t.Errorf("kept %+v", slim)
	}
	other := gatedPod(is("service.readiness.alibabacloud.com/web", corev1.ConditionTrue))
	other.Spec.ReadinessGates = other.Spec.ReadinessGates[1:3]
	if slim = slimPod(other); len(slim.Spec.ReadinessGates) != 2 || slim.Status.Conditions != nil {
		t.Errorf("of a pod without a gate of ours, kept %+v", slim)
	}
}

// TestPodWithThousandsOfGates checks that one pod of a user costs little.
func TestPodWithThousandsOfGates(t *testing.T) {
	pod := &corev1.Pod{}
	for i := range 10_000 {
		for _, prefix := range []string{v1alpha1.ReadinessGatePrefix, v1alpha1.RegistrationGatePrefix} {
			gate := prefix + strconv.Itoa(i)
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(gate)})
			pod.Status.Conditions = append(pod.Status.Conditions, is(gate, corev1.ConditionFalse))
		}
	}
	equal(t, "gates", len(GateServices(pod)), 50)
	slim := slimPod(pod)
	equal(t, "conditions", len(slim.Status.Conditions), 100)
	equal(t, "closed gates", len(ClosedGates(slim)), 50)
}

func TestGatesOfAPod(t *testing.T) {
	web := is("health.slb.lbhealth.dev/web", corev1.ConditionTrue)
	pod := gatedPod(web)
	equal(t, "gates", strings.Join(GateServices(pod), " "), "web api")
	equal(t, "closed gates", strings.Join(ClosedGates(pod), " "), "api")
	equal(t, "closed gates of a new pod", strings.Join(ClosedGates(gatedPod()), " "), "web api")
	equal(t, "closed gates after False", strings.Join(ClosedGates(gatedPod(is("health.slb.lbhealth.dev/web", corev1.ConditionFalse))), " "), "web api")
	pod.DeletionTimestamp = &web.LastTransitionTime
	equal(t, "closed gates while terminating", len(ClosedGates(pod)), 0)
	equal(t, "gates of a pod without any", len(GateServices(&corev1.Pod{})), 0)

	equal(t, "not registered", IsRegistered(gatedPod(), "web"), false)
	equal(t, "without the gate", IsRegistered(gatedPod(), "api"), true)
	equal(t, "registered", IsRegistered(gatedPod(is("service.readiness.alibabacloud.com/web", corev1.ConditionTrue)), "web"), true)
	for _, gate := range []string{"target-health.alb.k8s.alicloud", "target-health.alb.k8s.alibabacloud", "target-health.alb.k8s.alibabacloud/shop"} {
		behind := gatedPod()
		behind.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: corev1.PodConditionType(gate)}, {ConditionType: "health.slb.lbhealth.dev/web"}}
		equal(t, "the gate that is not open", UnregisteredGate(behind, "web"), gate)
		behind.Status.Conditions = []corev1.PodCondition{is(gate, corev1.ConditionTrue)}
		equal(t, "registered by the ALB Ingress controller, from the cache", IsRegistered(slimPod(behind), "web"), true)
	}
	since, ready := ContainersReady(gatedPod(is("ContainersReady", corev1.ConditionTrue)))
	equal(t, "containers ready since", since, start)
	equal(t, "containers ready", ready, true)
	_, ready = ContainersReady(gatedPod(is("ContainersReady", corev1.ConditionFalse)))
	equal(t, "containers not ready", ready, false)
}
