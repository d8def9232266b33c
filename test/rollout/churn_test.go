// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// churnVariable is for how long the tests of churn replace pods and nodes, such as 30m.
const churnVariable = "ROLLOUT_CHURN"

// defaultChurn is longer than the grace period, after which a backend is missing.
const defaultChurn = missingAfter + observed

// churn replaces pods and restarts nodes and the operator, in turn, while the cloud
// controller works as it should: no backend may ever be reported as missing, which the
// suite verifies at its end.
func churn(t *testing.T, s *suite, options appOptions) {
	requireGates(t)
	lasts := defaultChurn
	if text := os.Getenv(churnVariable); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	var operator *harness.Process
	options.nodes = []string{"a", "b", "c"}
	a := s.newApp(t, options, func(a *app) { operator = a.startOperator(t) })
	a.awaitRegistered(t, metav1.ConditionTrue)
	end, steps := time.Now().Add(lasts), 0
	for ; time.Now().Before(end); steps++ {
		node := options.nodes[steps%len(options.nodes)]
		switch steps % 4 {
		case 0:
			a.update(t, fmt.Sprintf("v%d", steps+2))
		case 1:
			a.drain(t, node)
		case 2:
			if err := a.cluster.RestartNode(a.Ctx, a.node(node), a.namespace, 2*startDelay); err != nil {
				t.Fatal(err)
			}
		case 3:
			operator.Stop()
			operator = a.startOperator(t)
		}
		a.rolloutSucceeds(t)
		a.observeNow(t)
	}
	for _, report := range s.cluster.MissingReports() {
		if report.Namespace == a.namespace {
			t.Errorf("no backend is missing, but the status said so: %s", report)
		}
	}
	a.awaitRegistered(t, metav1.ConditionTrue)
	t.Logf("%d steps", steps)
}

// drain makes a node unschedulable, deletes its pods, and makes it schedulable again.
func (a *app) drain(t *testing.T, node string) {
	t.Helper()
	a.patchNode(t, node, `{"spec":{"unschedulable":true}}`)
	for _, pod := range a.pods(t, "") {
		if pod.Spec.NodeName != a.node(node) {
			continue
		}
		if err := client.IgnoreNotFound(a.evict(&pod)); err != nil {
			t.Fatal(err)
		}
		a.rolloutSucceeds(t)
	}
	a.patchNode(t, node, `{"spec":{"unschedulable":false}}`)
}

func testPodChurn(t *testing.T, s *suite) {
	churn(t, s, appOptions{gates: []string{cloudGate, healthGate}})
}

func testNodeChurn(t *testing.T, s *suite) {
	churn(t, s, appOptions{policy: corev1.ServiceExternalTrafficPolicyCluster})
}

func testLocalChurn(t *testing.T, s *suite) {
	churn(t, s, appOptions{policy: corev1.ServiceExternalTrafficPolicyLocal})
}
