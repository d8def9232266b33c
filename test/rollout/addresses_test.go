// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// A pod gets the address of one that was just deleted, and the load balancer still
// lists it as normal. What decides is the cloud controller's gate: until it is True, the
// row may be about the other pod. Then an observation that was requested later decides.
func testAddressReused(t *testing.T, s *suite) {
	a, old := s.reusedAddress(t)
	reused := a.reuse(t, old, cloudGate, healthGate)
	a.awaitChange(t, reused, "a gate that waits for the registration", isClosed(healthGate, "NotRegistered"))
	if c := conditionOf(reused, healthGate); !strings.Contains(c.Message, "its gate "+cloudGate+" is not True") {
		t.Errorf("the gate is closed, because %s", c.Message)
	}
	a.observeNow(t)
	a.observeNow(t)
	a.staysClosed(t, reused)

	// The row is the new pod's from now on.
	a.setCheck(t, s.checkOf("v2", standin.Abnormal))
	a.lb.Pause(false)
	a.awaitChange(t, reused, "a gate that the pod's own health closes", isClosed(healthGate, "BackendAbnormal"))
	a.setCheck(t, standin.Always(standin.Normal))
	a.awaitChange(t, reused, "an open gate", isOpen(healthGate))
}

// The same without the cloud controller's gate, and no observation succeeds since the
// pod's containers are ready. The last one, which has its address as normal, was
// requested too early to open the gate.
func testAddressReusedUnobserved(t *testing.T, s *suite) {
	a, old := s.reusedAddress(t)
	a.setCheck(t, s.checkOf("v3", standin.Abnormal))
	a.lb.Pause(false)
	waiting := a.newPod("waiting") // it keeps the last observation in use
	waiting.Labels[versionLabel] = "v3"
	a.create(t, waiting)
	a.awaitChange(t, waiting, "a gate that an abnormal backend closes", isClosed(healthGate, "BackendAbnormal"))
	a.lb.Pause(true)
	a.addFault(t, map[string]any{"kind": "throttle"})

	reused := a.reuse(t, old, healthGate)
	a.awaitChange(t, reused, "a gate that waits for an observation", isClosed(healthGate, "WaitingForObservation"))
	a.staysClosed(t, reused)

	a.setCheck(t, s.checkOf("v2", standin.Abnormal))
	a.removeFaults(t)
	a.awaitChange(t, reused, "a gate that the pod's own health closes", isClosed(healthGate, "BackendAbnormal"))
	a.setCheck(t, standin.Always(standin.Normal))
	a.awaitChange(t, reused, "an open gate", isOpen(healthGate))
}

// reusedAddress returns a Ready pod that is a backend, and pauses the cloud controller.
func (s *suite) reusedAddress(t *testing.T) (*app, *corev1.Pod) {
	t.Helper()
	requireGates(t)
	a := s.prepareApp(t, appOptions{gates: []string{cloudGate, healthGate}})
	a.startOperator(t)
	old := a.newPod("old")
	a.create(t, old)
	a.awaitChange(t, old, "a Ready pod", isReady)
	a.lb.Pause(true)
	return a, old
}

// reuse deletes a pod, and creates one of version v2 that has its address and these gates.
func (a *app) reuse(t *testing.T, old *corev1.Pod, gates ...string) *corev1.Pod {
	t.Helper()
	if err := a.Client.Delete(a.Ctx, old.DeepCopy(), client.GracePeriodSeconds(0), client.Preconditions{UID: &old.UID}); err != nil {
		t.Fatal(err)
	}
	reused := a.newPod("reused")
	reused.Labels[versionLabel] = "v2"
	reused.Annotations = map[string]string{standin.AddressAnnotation: old.Status.PodIP}
	reused.Spec.ReadinessGates = nil
	for _, gate := range gates {
		reused.Spec.ReadinessGates = append(reused.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(gate)})
	}
	a.create(t, reused)
	a.awaitChange(t, reused, "a pod whose containers are ready", isOpen(string(corev1.ContainersReady)))
	if reused.Status.PodIP != old.Status.PodIP {
		t.Fatalf("it has the address %s, not %s", reused.Status.PodIP, old.Status.PodIP)
	}
	return reused
}

// staysClosed fails if the gate was ever open, or the row of the pod is not normal.
func (a *app) staysClosed(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if !a.lb.IsNormal(pod.Status.PodIP) {
		t.Errorf("%s is not normal on the load balancer", pod.Status.PodIP)
	}
	for _, c := range a.cluster.GateChanges(pod, healthGate) {
		if c.Status == corev1.ConditionTrue {
			t.Errorf("the gate of %s was opened: %+v", pod.Name, c)
		}
	}
}
