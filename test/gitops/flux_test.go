// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"path/filepath"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// TestFluxExamples compares the examples to Flux's own types and to their description.
func TestFluxExamples(t *testing.T) {
	for _, name := range []string{"wait.yaml", "health-checks.yaml"} {
		for _, k := range decode[kustomizev1.Kustomization](t, filepath.Join("flux", name)) {
			if k.APIVersion != kustomizev1.GroupVersion.String() || k.Kind != kustomizev1.KustomizationKind {
				t.Errorf("%s: %s %s is not Flux's Kustomization", name, k.APIVersion, k.Kind)
			}
			// The CRD requires these.
			if k.Spec.Interval.Duration <= 0 || k.Spec.SourceRef.Kind == "" || k.Spec.SourceRef.Name == "" || k.Spec.Path == "" {
				t.Errorf("%s: %s lacks interval, sourceRef or path", name, k.Name)
			}
		}
	}
	gates := decode[kustomizev1.Kustomization](t, filepath.Join("flux", "wait.yaml"))
	if !gates[0].Spec.Wait || gates[0].Spec.Timeout == nil || gates[1].Spec.DependsOn[0].Name != gates[0].Name {
		t.Error("wait.yaml: the second must depend on the first, which waits, with a timeout")
	}
	checks := kustomization(t, "health-checks.yaml").Spec
	if checks.Wait {
		t.Error("health-checks.yaml: with wait, Flux ignores healthChecks")
	}
	gvk := v1alpha1.GroupVersion.WithKind("LoadBalancerHealth")
	if len(checks.HealthChecks) != 1 || checks.HealthChecks[0].APIVersion != gvk.GroupVersion().String() || checks.HealthChecks[0].Kind != gvk.Kind ||
		checks.HealthCheckExprs[0].APIVersion != gvk.GroupVersion().String() || checks.HealthCheckExprs[0].Kind != gvk.Kind {
		t.Errorf("health-checks.yaml: its checks are not about %s", gvk)
	}
}
