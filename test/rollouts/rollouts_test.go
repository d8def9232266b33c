// SPDX-License-Identifier: Apache-2.0

package rollouts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rolloutsv1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// The files of docs/gitops/rollouts.
const (
	canary    = "canary.yaml"
	blueGreen = "bluegreen.yaml"
	byQuery   = "analysis-prometheus.yaml"
	byJob     = "analysis-job.yaml"
)

// appOptions name the files of an app.
type appOptions struct {
	example, analysis string
	withoutGates      bool // removes the label of the Service
}

// TestRollouts rolls a second version out in every combination of strategy and analysis.
// Canaries have no gates, but for two, so that the analysis decides.
func TestRollouts(t *testing.T) {
	s := newSuite(t)
	s.injectGates(t)
	run := func(name string, test func(*testing.T)) {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	run("files", func(t *testing.T) { testFiles(t, s) })
	run("flagger", func(t *testing.T) { testFlagger(t, s) })
	run("canary with gates is promoted", func(t *testing.T) { testGates(t, s) })
	run("canary with gates and a bad version", func(t *testing.T) { testGatesBadVersion(t, s) })
	for _, example := range []string{canary, blueGreen} {
		for _, analysis := range []string{byQuery, byJob} {
			o := appOptions{example, analysis, true}
			run(example+" "+analysis+" promoted after health", func(t *testing.T) { testPromotion(t, s, o) })
			run(example+" "+analysis+" bad version", func(t *testing.T) {
				testRollback(t, s, o, func(t *testing.T, a *app) { a.setHealth(t, standin.Abnormal) })
			})
		}
		for cause, test := range withoutAnswer {
			run(example+" "+cause, func(t *testing.T) {
				testRollback(t, s, appOptions{example, test.analysis, true}, test.begin)
			})
		}
	}
}

// withoutAnswer are the causes for which an analysis learns nothing of the second
// version, which is healthy.
var withoutAnswer = map[string]struct {
	analysis string
	begin    func(*testing.T, *app)
}{
	"Prometheus hangs":              {byQuery, func(_ *testing.T, a *app) { a.queries.SetDelay(time.Hour) }},
	"Prometheus is down":            {byQuery, func(_ *testing.T, a *app) { a.queries.Shut() }},
	"Prometheus has no series":      {byQuery, deleteHealth},
	"SLB API hangs, Prometheus":     {byQuery, hangSLB},
	"SLB API hangs, Job":            {byJob, hangSLB},
	"API server is down, Job":       {byJob, func(_ *testing.T, a *app) { a.apiServer.Shut() }},
	"LoadBalancerHealth is deleted": {byJob, deleteHealth},
}

func deleteHealth(t *testing.T, a *app) {
	t.Helper()
	if err := a.client.Delete(a.Ctx, &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name}}); err != nil {
		t.Fatal(err)
	}
}

// hangSLB lets every call about the load balancer hang. Ready stays True until the last
// observation is stale, which is after the test: so the analysis must not rely on it alone.
func hangSLB(t *testing.T, a *app) {
	t.Helper()
	a.hangSLB(t)
	t.Cleanup(func() {
		if health, err := a.health(); err != nil || !isTrue(health.Status.Conditions, v1alpha1.ConditionReady) {
			t.Errorf("Ready is not True: %+v, %v", health.Status.Conditions, err)
		}
	})
}

// testPromotion lets the health checks of the second version wait: the analysis does,
// too, and then promotes it. After the switch of blue/green, the load balancer still has
// its old backends, which are healthy, until the cloud controller replaces them.
func testPromotion(t *testing.T, s *suite, o appOptions) {
	a := s.newApp(t, o)
	a.setHealth(t, standin.Unavailable)
	if a.blueGreen {
		a.registerLate(t)
	} else {
		a.update(t)
	}
	a.await(t, "an analysis that waits", func() (bool, error) { return a.analysisWaits(o.analysis) })
	r, err := a.rollout()
	if err != nil {
		t.Fatal(err)
	}
	if r.Status.StableRS != a.firstHash || r.Status.Abort {
		t.Errorf("before the health check: stable %s, abort %v", r.Status.StableRS, r.Status.Abort)
	}
	if a.blueGreen && (r.Status.BlueGreen.ActiveSelector == a.firstHash || !a.registered(v2)) {
		t.Error("the analysis waits before the switch, not after it")
	}
	a.setHealth(t, standin.Normal)
	a.awaitPromotion(t)
	t.Logf("serving: %s", a.recorder)
}

// registerLate updates, and lets the cloud controller work some time after the switch.
func (a *app) registerLate(t *testing.T) {
	t.Helper()
	backends := "loadbalancers/" + a.lb.ID + "/backends"
	a.held.Store(backends, true)
	a.update(t)
	a.await(t, "the switch", func() (bool, error) {
		r, err := a.rollout()
		return r.Status.BlueGreen.ActiveSelector != a.firstHash, err
	})
	if err := harness.Wait(a.Ctx, registration); err != nil {
		t.Fatal(err)
	}
	if !a.registered(v1) {
		t.Error("the backends changed")
	}
	a.held.Delete(backends)
	// A change of the Service makes the cloud controller reconcile it at once.
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name}}
	touch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"touched":"true"}}}`))
	if err := a.client.Patch(a.Ctx, service, touch); err != nil {
		t.Fatal(err)
	}
}

// analysisWaits reports whether an analysis did not succeed though it got answers: the
// Prometheus one three times, and the Job got its observation and waits for health.
func (a *app) analysisWaits(analysis string) (bool, error) {
	results, err := a.measured()
	if err != nil || len(results) == 0 {
		return false, err
	}
	if slices.ContainsFunc(results, func(r rolloutsv1.MetricResult) bool { return r.Phase.Completed() }) {
		return false, fmt.Errorf("the analysis ended before the health check: %+v", results)
	}
	if analysis == byQuery {
		return results[0].Failed >= 3, nil
	}
	health, err := a.health()
	return health.Status.LastHandledObserveRequest != "" && results[0].Phase == rolloutsv1.AnalysisPhaseRunning, err
}

func (a *app) awaitPromotion(t *testing.T) {
	t.Helper()
	a.await(t, "the promotion", func() (bool, error) {
		r, err := a.rollout()
		if err == nil && r.Status.Abort {
			err = fmt.Errorf("aborted: %s", r.Status.Message)
		}
		return r.Status.Phase == rolloutsv1.RolloutPhaseHealthy && r.Status.StableRS != a.firstHash &&
			a.recorder.Serving() == a.replicas && a.registered(v2), err
	})
}

// testRollback begins something before the update, for which the Rollout is aborted, and
// the first version serves as before.
func testRollback(t *testing.T, s *suite, o appOptions, begin func(*testing.T, *app)) {
	a := s.newApp(t, o)
	begin(t, a)
	a.update(t)
	a.awaitAbort(t)
	results, err := a.measured()
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || !slices.Contains([]rolloutsv1.AnalysisPhase{rolloutsv1.AnalysisPhaseFailed, rolloutsv1.AnalysisPhaseError}, results[0].Phase) {
		t.Fatalf("the analyses ended with %+v", results)
	}
	t.Logf("%s: %s, %d failed, %d without an answer; serving: %s", results[0].Phase, results[0].Message, results[0].Failed, results[0].Error, a.recorder)
}

func (a *app) awaitAbort(t *testing.T) {
	t.Helper()
	a.await(t, "the way back", func() (bool, error) {
		r, err := a.rollout()
		if err == nil && r.Status.StableRS != a.firstHash {
			err = fmt.Errorf("promoted to %s", r.Status.StableRS)
		}
		back := r.Status.BlueGreen.ActiveSelector == a.firstHash || !a.blueGreen
		return r.Status.Abort && back && a.recorder.Serving() == a.replicas && a.registered(v1), err
	})
}

// testGates promotes a canary whose pods wait for their readiness gates: no fewer
// backends than replicas serve.
func testGates(t *testing.T, s *suite) {
	a := s.newApp(t, appOptions{example: canary, analysis: byQuery})
	a.setHealth(t, standin.Unavailable)
	a.update(t)
	a.awaitGate(t)
	a.setHealth(t, standin.Normal)
	a.awaitPromotion(t)
	a.fewestServing(t)
}

// testGatesBadVersion verifies that a canary whose pods never become Ready is aborted,
// and that no fewer backends than replicas serve.
func testGatesBadVersion(t *testing.T, s *suite) {
	a := s.newApp(t, appOptions{example: canary, analysis: byQuery})
	a.setHealth(t, standin.Abnormal)
	a.update(t)
	a.awaitGate(t)
	a.awaitAbort(t)
	a.fewestServing(t)
	if results, err := a.measured(); err != nil || len(results) > 0 {
		t.Errorf("an analysis ran: %+v, %v", results, err)
	}
}

// awaitGate waits until a pod of the second version waits for its gate alone.
func (a *app) awaitGate(t *testing.T) {
	t.Helper()
	a.await(t, "a closed gate", func() (bool, error) {
		pods, err := a.pods(v2)
		for i := range pods {
			if gates := pods[i].Spec.ReadinessGates; len(gates) != 2 {
				return false, fmt.Errorf("%s has the gates %v", pods[i].Name, gates)
			}
			if status := statusOf(&pods[i], cloudGate); status == corev1.ConditionTrue && statusOf(&pods[i], healthGate) == corev1.ConditionFalse {
				return true, nil
			}
		}
		return false, err
	})
}

func statusOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func (a *app) fewestServing(t *testing.T) {
	t.Helper()
	t.Logf("serving: %s", a.recorder)
	if fewest := a.recorder.Fewest(); fewest < a.replicas {
		t.Errorf("the fewest serving backends were %d", fewest)
	}
}
