// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// A gate is opened by the next observation after the health check. slack is for that
// observation, for patches, and for a loaded machine.
const (
	fastInterval = 5 * time.Second
	// healthCheck is longer than an observation, so that a pod is observed while it waits.
	healthCheck = 6 * time.Second
	slack       = 5 * time.Second
)

// Without a gate of health, a rollout replaces every backend that serves by one that
// has passed no health check yet, and kubectl reports success.
func testIgnoresHealth(t *testing.T, s *suite, gates ...string) {
	a := s.newApp(t, appOptions{gates: gates, check: s.checkOf("v2", standin.Unavailable)}, nil)
	a.update(t, "v2")
	t.Logf("kubectl reports success after %.1f s", a.rolloutSucceeds(t).Seconds())
	a.awaitServing(t, 0)
	for _, pod := range a.pods(t, "v2") {
		if !isTrue(&pod, string(corev1.PodReady)) {
			t.Errorf("%s is not Ready", pod.Name)
		}
		for _, gate := range gates {
			if c := conditionOf(&pod, gate); c.Status != corev1.ConditionTrue || c.Reason != "ServerRegistered" {
				t.Errorf("%s has the gate %+v", pod.Name, c)
			}
		}
	}
	a.setCheck(t, standin.Always(standin.Normal))
	a.awaitServing(t, replicas)
	if fewest := a.recorder.Fewest(); fewest != 0 {
		t.Errorf("the fewest serving backends were %d", fewest)
	}
}

// The cloud controller registers a pod that is not Ready only if the pod carries its
// gate. So with the operator's gate alone, the pod waits for the backend, and the
// backend for the pod.
func testDeadlock(t *testing.T, s *suite) {
	a := s.prepareApp(t, appOptions{replicas: 1, gates: []string{healthGate}})
	a.create(t, a.deployment("v1"))
	var pod corev1.Pod
	a.await(t, "a pod whose containers are ready", func() (bool, error) {
		pods := a.cachedPods(t, "")
		if len(pods) == 1 {
			pod = pods[0]
		}
		return isTrue(&pod, string(corev1.ContainersReady)), nil
	})
	// A change of the Service makes the cloud controller reconcile it again.
	syncs := a.lb.Syncs()
	service := &corev1.Service{ObjectMeta: a.meta()}
	touch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"touched":"true"}}}`))
	if err := a.Client.Patch(a.Ctx, service, touch); err != nil {
		t.Fatal(err)
	}
	a.await(t, "another reconcile of the Service", func() (bool, error) { return a.lb.Syncs() > syncs, nil })
	if registered := a.lb.Addresses(); len(registered) > 0 {
		t.Fatalf("%s was registered", registered)
	}
	opened := corev1.PodCondition{Type: healthGate, Status: corev1.ConditionTrue}
	if err := standin.PatchCondition(a.Ctx, a.Client, &pod, opened); err != nil {
		t.Fatal(err)
	}
	a.awaitServing(t, 1)
}

// With both gates, a rollout waits until the new backend is normal.
func testBothGates(t *testing.T, s *suite) {
	requireGates(t)
	a := s.newApp(t, appOptions{
		gates: []string{cloudGate, healthGate}, delays: []time.Duration{healthCheck},
	}, func(a *app) { a.startOperator(t) })
	rollOut(t, a)
}

// The policy injects both gates into pods whose template has none.
func testInjectedGates(t *testing.T, s *suite) {
	requireGates(t)
	a := s.newApp(t, appOptions{inject: true, delays: []time.Duration{healthCheck}}, func(a *app) {
		a.injectGates(t, 1)
		a.startOperator(t)
	})
	rollOut(t, a)
}

// Two listeners whose health checks differ, and batches of 40.
func testLargeRollout(t *testing.T, s *suite) {
	requireGates(t)
	a := s.newApp(t, appOptions{
		replicas: 160, surge: "25%", gates: []string{cloudGate, healthGate},
		delays: []time.Duration{checkDelay, 2 * checkDelay},
	}, func(a *app) { a.startOperator(t) })
	before := a.calls(t)
	rollOut(t, a)
	t.Logf("%d calls of DescribeHealthStatus", a.calls(t)-before)
}

// rollOut replaces every pod, and fails if a backend was missing at any time.
func rollOut(t *testing.T, a *app) {
	t.Helper()
	a.update(t, "v2")
	verifyRollout(t, a, "v2")
	longest := time.Duration(0)
	for _, pod := range a.pods(t, "v2") {
		registered, normal := conditionOf(&pod, cloudGate).LastTransitionTime, conditionOf(&pod, healthGate).LastTransitionTime
		longest = max(longest, normal.Sub(registered.Time))
		a.fewChanges(t, &pod)
	}
	t.Logf("a gate is open %s after the registration at the latest", longest)
	if most := slices.Max(a.options.delays) + fastInterval + slack; longest > most {
		t.Errorf("which is more than %s", most)
	}
}

// gateRewrite is the shortest time between two changes of a gate that stays closed.
const gateRewrite = 30 * time.Second

// fewChanges fails if the gate of a pod was written more often than once when it was
// closed, once when it was opened, and once for each gateRewrite between.
func (a *app) fewChanges(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	changes := a.cluster.GateChanges(pod, healthGate)
	waited := conditionOf(pod, healthGate).LastTransitionTime.Sub(conditionOf(pod, string(corev1.ContainersReady)).LastTransitionTime.Time)
	if most := 2 + int(waited/gateRewrite); len(changes) == 0 || len(changes) > most {
		t.Errorf("the gate of %s changed %d times in %s, not at most %d times: %+v", pod.Name, len(changes), waited, most, changes)
	}
}

// verifyRollout waits until kubectl reports success.
func verifyRollout(t *testing.T, a *app, version string) {
	t.Helper()
	t.Logf("kubectl reports success after %.1f s", a.rolloutSucceeds(t).Seconds())
	pods := a.pods(t, version)
	if len(pods) != replicasOf(a) {
		t.Errorf("%d pods of the new version", len(pods))
	}
	for _, pod := range pods {
		if !isTrue(&pod, cloudGate) || !isTrue(&pod, healthGate) {
			t.Errorf("%s has closed gates: %+v", pod.Name, pod.Status.Conditions)
		}
		if reason := conditionOf(&pod, healthGate).Reason; reason != "BackendNormal" {
			t.Errorf("the gate of %s was opened by %s", pod.Name, reason)
		}
	}
	a.fewestServing(t, replicasOf(a))
}
