// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// A pod that two Services select has the gates of both. It is Ready when it is normal on
// both load balancers: one that finds it abnormal holds the rollout.
func testTwoServices(t *testing.T, s *suite) {
	requireGates(t)
	const second = "api"
	a := s.prepareApp(t, appOptions{inject: true, replicas: 2})
	lb, recorder := a.addService(t, second, s.checkOf("v2", standin.Abnormal))
	a.injectGates(t, 2)
	a.startOperator(t)
	a.create(t, a.deployment("v1"))
	a.rolloutCompletes(t)
	for _, r := range []*standin.Recorder{a.recorder, recorder} {
		a.await(t, "backends that serve", func() (bool, error) { return r.Serving() == replicasOf(a), nil })
		r.Restart()
	}

	a.update(t, "v2")
	pod := a.awaitPod(t, "v2", "that is normal on one load balancer", func(pod *corev1.Pod) bool {
		return isTrue(pod, healthGate) && isClosed(healthPrefix+second, "BackendAbnormal")(pod)
	})
	if isReady(pod) || len(a.ready(t, "v1")) != replicasOf(a) {
		t.Errorf("%s is %+v; Ready pods of the old version: %v", pod.Name, conditionOf(pod, string(corev1.PodReady)), a.ready(t, "v1"))
	}
	if err := lb.SetCheck(standin.Always(standin.Normal)); err != nil {
		t.Fatal(err)
	}
	verifyRollout(t, a, "v2")
	t.Logf("serving on the second load balancer: %s", recorder)
	if fewest := recorder.Fewest(); fewest < replicasOf(a) {
		t.Errorf("the fewest serving backends of the second load balancer were %d", fewest)
	}
	for _, pod := range a.pods(t, "v2") {
		if c := conditionOf(&pod, healthPrefix+second); c.Status != corev1.ConditionTrue || c.Reason != "BackendNormal" {
			t.Errorf("%s has the gate %+v", pod.Name, c)
		}
	}
}

// Another controller's gate stands beside those of the cloud controller and the operator:
// each of the three can hold a rollout, and the operator changes its own alone.
func testOtherGate(t *testing.T, s *suite) {
	requireGates(t)
	const warm = "example.com/warm"
	a := s.prepareApp(t, appOptions{replicas: 1, gates: []string{warm, cloudGate, healthGate}, check: s.checkOf("v2", standin.Abnormal)})
	a.startOperator(t)
	a.create(t, a.deployment("v1"))
	first := a.awaitPod(t, "v1", "whose gate is open", isOpen(healthGate))
	if isReady(first) || conditionOf(first, warm).Status != "" {
		t.Errorf("without the other gate, the pod has the conditions %+v", first.Status.Conditions)
	}
	a.openGate(t, first, warm)
	a.rolloutCompletes(t)
	a.awaitServing(t, 1)
	a.recorder.Restart()

	a.update(t, "v2")
	next := a.awaitPod(t, "v2", "with an abnormal backend", isClosed(healthGate, "BackendAbnormal"))
	opened := a.openGate(t, next, warm)
	a.observeNow(t)
	if pods := a.ready(t, "v1"); !slices.Contains(pods, first.Name) {
		t.Errorf("the Ready pods of the old version are %v", pods)
	}
	a.setCheck(t, standin.Always(standin.Normal))
	verifyRollout(t, a, "v2")
	if changes := a.cluster.GateChanges(next, warm); len(changes) != 1 || changes[0].Reason != opened.Reason {
		t.Errorf("the other gate was changed: %+v", changes)
	}
}

// openGate opens a gate, as another controller does.
func (a *app) openGate(t *testing.T, pod *corev1.Pod, gate string) corev1.PodCondition {
	t.Helper()
	opened := corev1.PodCondition{Type: corev1.PodConditionType(gate), Status: corev1.ConditionTrue, Reason: "OpenedByTest", LastTransitionTime: metav1.Now()}
	if err := standin.PatchCondition(a.Ctx, a.Client, pod, opened); err != nil {
		t.Fatal(err)
	}
	return opened
}
