// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// While the API refuses every call, a gate waits for the timeout, and no longer.
func testAPIRefuses(t *testing.T, s *suite, fault map[string]any) {
	requireGates(t)
	const timeout = 10 * time.Second
	a := s.newApp(t, appOptions{replicas: 2, gates: []string{cloudGate, healthGate}}, func(a *app) {
		a.startOperator(t, "--readiness-gate-unknown-timeout="+timeout.String())
	})
	a.addFault(t, fault)
	a.update(t, "v2")
	a.rolloutSucceeds(t)
	for _, pod := range a.pods(t, "v2") {
		gate, containers := conditionOf(&pod, healthGate), conditionOf(&pod, string(corev1.ContainersReady))
		if gate.Status != corev1.ConditionTrue || gate.Reason != "HealthUnknown" {
			t.Errorf("the gate of %s is %+v", pod.Name, gate)
		}
		// Both times are in whole seconds.
		if waited := gate.LastTransitionTime.Sub(containers.LastTransitionTime.Time); waited < timeout-time.Second {
			t.Errorf("the gate of %s was opened after %s", pod.Name, waited)
		}
	}
}

// addFault makes the API fail for the app's load balancer.
func (a *app) addFault(t *testing.T, fault map[string]any) {
	t.Helper()
	a.faults.Lock()
	defer a.faults.Unlock()
	fault["loadBalancerId"] = a.lb.ID
	a.Admin(t, http.MethodPost, "faults", fault)
}

// removeFaults removes the faults of the app's load balancer.
func (a *app) removeFaults(t *testing.T) {
	t.Helper()
	a.faults.Lock()
	defer a.faults.Unlock()
	var all struct {
		Faults []map[string]any `json:"faults"`
	}
	if err := a.Simulator.Admin(a.Ctx, http.MethodGet, "faults", nil, &all); err != nil {
		t.Fatal(err)
	}
	all.Faults = slices.DeleteFunc(all.Faults, func(fault map[string]any) bool { return fault["loadBalancerId"] == a.lb.ID })
	a.Admin(t, http.MethodPut, "faults", all)
}

func testThrottled(t *testing.T, s *suite) {
	testAPIRefuses(t, s, map[string]any{"kind": "throttle"})
}

func testForbidden(t *testing.T, s *suite) {
	testAPIRefuses(t, s, map[string]any{"kind": "status", "code": "Forbidden.RAM", "httpStatus": http.StatusForbidden})
}

// An operator that may not patch the status of pods holds a rollout, and continues it
// once it may.
func testMayNotPatch(t *testing.T, s *suite) {
	a, admin := s.gatedApp(t, appOptions{replicas: 2})
	admin.Stop()
	user := a.addUser(t, "operator-"+a.namespace)
	for _, role := range []string{"rbac", "service-discovery", "backend-names"} {
		a.grant(t, user, role)
	}
	operator := a.startOperator(t, "--kubeconfig="+user.kubeconfig)
	a.update(t, "v2")
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		log, err := os.ReadFile(operator.Stderr)
		text := string(log)
		return strings.Contains(text, "patching the readiness gate of pod") && strings.Contains(text, "cannot patch resource"), err
	})
	if err != nil {
		t.Fatalf("the log names no refused patch: %v", err)
	}
	a.observeNow(t) // it works otherwise
	for _, pod := range a.pods(t, "v2") {
		if changes := a.cluster.GateChanges(&pod, healthGate); isReady(&pod) || len(changes) > 0 {
			t.Errorf("%s has the conditions %+v, after %+v", pod.Name, pod.Status.Conditions, changes)
		}
	}
	a.fewestServing(t, replicasOf(a))

	a.grant(t, user, "readiness-gates")
	verifyRollout(t, a, "v2")
}

// user is a user of the API server without permissions.
type user struct{ name, kubeconfig string }

func (a *app) addUser(t *testing.T, name string) user {
	t.Helper()
	added, err := a.Plane.AddUser(envtest.User{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	content, err := added.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	u := user{name, filepath.Join(a.Folder, name+".kubeconfig")}
	if err := os.WriteFile(u.kubeconfig, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return u
}

// grant grants the ClusterRole of a folder of config/ to a user, without the rules about
// some resources.
func (a *app) grant(t *testing.T, u user, folder string, without ...string) {
	t.Helper()
	if err := harness.Grant(a.Ctx, a.Client, harness.User(u.name), "", filepath.Join("..", folder, "role.yaml"), without...); err != nil {
		t.Fatal(err)
	}
}
