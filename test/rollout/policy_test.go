// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// injectGates applies the policy that injects gates to the app's namespace alone, and
// returns when it injects both gates of so many Services.
func (a *app) injectGates(t *testing.T, services int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "readiness-gates", "injection.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range harness.ParseManifests(t, content) {
		policy, binding := object.GetName()+"-"+a.namespace, map[string]any{}
		object.SetName(policy)
		if strings.HasSuffix(object.GetKind(), "Binding") {
			binding["policyName"] = policy
			binding["matchResources"] = map[string]any{"namespaceSelector": map[string]any{
				"matchLabels": map[string]any{corev1.LabelMetadataName: a.namespace},
			}}
		}
		for field, value := range binding {
			if err := unstructured.SetNestedField(object.Object, value, "spec", field); err != nil {
				t.Fatal(err)
			}
		}
		a.create(t, &object)
		a.policies = append(a.policies, object)
	}
	a.awaitInjection(t, 2*services)
}

// awaitInjection creates pods in a dry run until one gets so many gates: an API server
// does not report when it has read its policies.
func (a *app) awaitInjection(t *testing.T, gates int) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		pod := a.newPod("dry-run")
		err := a.Client.Create(ctx, pod, client.DryRunAll)
		return len(pod.Spec.ReadinessGates) == gates, err
	})
	if err != nil {
		t.Fatalf("the policy does not inject %d gates: %v", gates, err)
	}
}

// After the policy is deleted, new pods have no gates. Those that wait are still
// served: no rollout is stuck.
func testPolicyDeleted(t *testing.T, s *suite) {
	requireGates(t)
	a := s.newApp(t, appOptions{inject: true, replicas: 2, check: s.checkOf("v2", standin.Abnormal)}, func(a *app) {
		a.injectGates(t, 1)
		a.startOperator(t)
	})
	a.update(t, "v2")
	waiting := a.awaitPod(t, "v2", "with an abnormal backend", isClosed(healthGate, "BackendAbnormal"))
	for i := range a.policies {
		if err := a.Client.Delete(a.Ctx, &a.policies[i]); err != nil {
			t.Fatal(err)
		}
	}
	a.awaitInjection(t, 0)
	a.fewestServing(t, replicasOf(a))
	a.setCheck(t, standin.Always(standin.Normal))
	a.rolloutSucceeds(t)
	for _, pod := range a.pods(t, "v2") {
		switch {
		case pod.UID != waiting.UID && len(pod.Spec.ReadinessGates) > 0:
			t.Errorf("%s, which is new, has the gates %v", pod.Name, pod.Spec.ReadinessGates)
		case pod.UID == waiting.UID && conditionOf(&pod, healthGate).Reason != "BackendNormal":
			t.Errorf("%s, which waited, has the gate %+v", pod.Name, conditionOf(&pod, healthGate))
		}
	}
}
