// SPDX-License-Identifier: Apache-2.0

// Package rollout tests how many backends serve during a rollout, a drain and an
// outage: with a real API server and controller manager, the built operator and
// simulator, and the stand-ins of test/rollout/standin for nodes and cloud.
package rollout

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	// patience is the timeout of what needs seconds on an idle machine.
	patience = 2 * time.Minute
	// startDelay, checkDelay and requeue are shorter than in most clusters: the
	// cloud controller manager requeues after 10 s.
	startDelay = time.Second
	checkDelay = 2 * time.Second
	requeue    = 2 * time.Second
)

func TestMain(m *testing.M) { harness.RunParallel(m, "32") }

// suite is shared by the tests.
type suite struct {
	*harness.Env
	cluster           *standin.Cluster
	controllerManager *harness.Process
	apps              atomic.Int32
	faults            sync.Mutex // guards the faults of the simulator
	drifting          sync.Map   // the namespaces where backends may be missing
}

func TestRollouts(t *testing.T) {
	s := newSuite(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"160 replicas", testLargeRollout},
		{"both gates by hand", testBothGates},
		{"both gates injected", testInjectedGates},
		{"without gates", func(t *testing.T, s *suite) { testIgnoresHealth(t, s) }},
		{"gate of the cloud controller", func(t *testing.T, s *suite) { testIgnoresHealth(t, s, cloudGate) }},
		{"gate of the operator", testDeadlock},
		{"operator is down", testOperatorDown},
		{"operator is killed", testOperatorKilled},
		{"leader fails", testFailover},
		{"API throttles", testThrottled},
		{"API forbids", testForbidden},
		{"operator may not patch", testMayNotPatch},
		{"address is reused", testAddressReused},
		{"address is reused and not observed", testAddressReusedUnobserved},
		{"two Services", testTwoServices},
		{"another gate", testOtherGate},
		{"policy is deleted", testPolicyDeleted},
		{"all backends become abnormal", testOutage},
		{"new version is unhealthy", testUnhealthyVersion},
		{"drain", testDrain},
		{"listener is emptied", testEmptied},
		{"pods are not registered", testNotRegistered},
		{"cloud controller is down", testCloudControllerDown},
		{"cloud controller is down and pods have gates", testCloudControllerDownGated},
		{"target port changes", testTargetPorts},
		{"NetworkPolicy blocks", testNetworkPolicy},
		{"nodes are not registered", testNodes},
		{"local nodes are not registered", testLocalNodes},
		{"operator restarts in the grace period", testRestartInGrace},
		{"operator may not read EndpointSlices", testMayNotReadSlices},
		{"churn of pods", testPodChurn},
		{"churn of nodes", testNodeChurn},
		{"churn of local nodes", testLocalChurn},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			test.run(t, s)
		})
	}
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{Env: harness.NewEnv(t, "loadBalancers: []\n")}
	scheme, err := harness.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	s.controllerManager, err = s.Plane.StartControllerManager(s.Ctx, s.Folder,
		"deployment-controller", "replicaset-controller", "endpointslice-controller", "disruption-controller")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.controllerManager.Stop)
	s.cluster, err = standin.Start(s.Ctx, s.Plane.Config, standin.Options{
		Scheme: scheme, StartDelay: startDelay, Requeue: requeue,
		Admin: func(ctx context.Context, method, path string, body any) error {
			return s.Simulator.Admin(ctx, method, path, body, nil)
		},
		Watch: []client.Object{&appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &v1alpha1.LoadBalancerHealth{}, &eventsv1.Event{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if changed := s.cluster.ChangedOpenGates(healthPrefix); len(changed) > 0 {
			t.Errorf("open gates changed:\n%s", strings.Join(changed, "\n"))
		}
		s.noFalseAlarm(t)
	})
	return s
}

// noFalseAlarm fails if any object reported missing backends, but where a test made some
// miss. So every rollout, drain and failure of the suite is a test of that, too.
func (s *suite) noFalseAlarm(t *testing.T) {
	t.Helper()
	for _, report := range s.cluster.MissingReports() {
		if _, drifting := s.drifting.Load(report.Namespace); !drifting {
			t.Errorf("no backend is missing, but the status said so: %s", report)
		}
	}
	events := &eventsv1.EventList{}
	if err := s.Client.List(context.WithoutCancel(s.Ctx), events); err != nil {
		t.Fatal(err)
	}
	for i := range events.Items {
		e := &events.Items[i]
		if _, drifting := s.drifting.Load(e.Namespace); !drifting && e.Reason == v1alpha1.EventBackendsMissing {
			t.Errorf("no backend is missing, but an event said so: %s/%s: %s", e.Namespace, e.Regarding.Name, e.Note)
		}
	}
}

// gatesFlag is the flag of the operator that opens readiness gates.
const gatesFlag = "--readiness-gates"

var operatorHelp = sync.OnceValues(func() ([]byte, error) {
	return exec.Command(filepath.Join("..", "..", "bin", "slb-health-operator"), "--help").CombinedOutput()
})

// requireGates skips a test that needs an operator with readiness gates.
func requireGates(t *testing.T) {
	t.Helper()
	help, err := operatorHelp()
	if err != nil && len(help) == 0 {
		t.Fatal(err)
	}
	if !strings.Contains(string(help), strings.TrimLeft(gatesFlag, "-")) {
		t.Skipf("the built operator has no flag %s", gatesFlag)
	}
}

// startOperator serves the namespace of an app.
func (a *app) startOperator(t *testing.T, args ...string) *harness.Process {
	t.Helper()
	return a.startNamed(t, "operator-"+a.namespace, args...)
}

func (a *app) startNamed(t *testing.T, processName string, args ...string) *harness.Process {
	t.Helper()
	return a.StartOperator(t, processName, "rollout-key", "rollout-secret", append([]string{
		"--watch-namespace=" + a.namespace, "--service-discovery", "--backend-names", gatesFlag, "--metrics-bind-address=0",
	}, args...)...)
}
