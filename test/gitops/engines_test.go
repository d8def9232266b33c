// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// engines evaluate objects as in a cluster with the configuration of docs/gitops.
type engines struct {
	argo lua.ResourceHealthOverrides
	// wait and checks are Flux by the healthCheckExprs of the two examples.
	wait, checks *cel.StatusEvaluator
}

// newEngines configures Argo CD by the settings in a cluster, which include
// docs/gitops/argocd/argocd-cm.yaml.
func newEngines(t *testing.T, cluster kubernetes.Interface) engines {
	t.Helper()
	overrides, err := settings.NewSettingsManager(t.Context(), cluster, argoNamespace).GetResourceOverrides()
	if err != nil {
		t.Fatal(err)
	}
	return engines{overrides, evaluator(t, "wait.yaml"), evaluator(t, "health-checks.yaml")}
}

// evaluator is Flux by the healthCheckExprs of an example.
func evaluator(t *testing.T, name string) *cel.StatusEvaluator {
	t.Helper()
	checks := kustomization(t, name).Spec.HealthCheckExprs
	if len(checks) != 1 {
		t.Fatalf("%s: %d healthCheckExprs, not one", name, len(checks))
	}
	found, err := cel.NewStatusEvaluator(&checks[0].HealthCheckExpressions)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// argoCD is the health of an object for Argo CD's controller.
func (e engines) argoCD(t *testing.T, object *unstructured.Unstructured) health.HealthStatus {
	t.Helper()
	result, err := health.GetResourceHealth(object, e.argo)
	if err != nil {
		t.Fatal(err)
	}
	if result == nil {
		t.Fatal("Argo CD knows no health of this kind")
	}
	return *result
}

// expressions is the status of an object for Flux by the healthCheckExprs of an example.
func expressions(t *testing.T, by *cel.StatusEvaluator, object *unstructured.Unstructured) string {
	t.Helper()
	result, err := by.Evaluate(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status.String()
}

// kstatus is the status of an object for Flux without them.
func kstatus(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	result, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status.String()
}

// kustomization is the first of an example for Flux: the gate.
func kustomization(t *testing.T, name string) kustomizev1.Kustomization {
	t.Helper()
	return decode[kustomizev1.Kustomization](t, filepath.Join("flux", name))[0]
}

// decode reads every document of a file of docs/gitops as a type, strictly.
func decode[T any](t *testing.T, name string) []T {
	t.Helper()
	content := harness.ReadFile(t, filepath.Join(docs, name))
	var found []T
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var object T
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found = append(found, object)
	}
}
