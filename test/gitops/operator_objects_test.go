// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// serviceAccount is the one that docs/install.md and the trust policy of RRSA name.
const serviceAccount = "slb-health-operator-controller-manager"

// expectOperator checks the CRD and the Deployment, and that the bindings are for accounts that are installed.
func expectOperator(t *testing.T, objects []unstructured.Unstructured, flags ...string) {
	t.Helper()
	var deployment *appsv1.Deployment
	kinds := map[string]int{}
	for i := range objects {
		kinds[objects[i].GetKind()]++
		switch objects[i].GetKind() {
		case "Deployment":
			deployment = harness.Only[appsv1.Deployment](t, objects, "Deployment")
		case "ClusterRoleBinding":
			expectSubject(t, harness.Decode[rbacv1.ClusterRoleBinding](t, objects[i]), objects)
		default:
		}
	}
	if kinds["CustomResourceDefinition"] != 1 || kinds["ServiceMonitor"] != 1 || kinds["PrometheusRule"] != 1 || deployment == nil {
		t.Fatalf("the objects are %v", kinds)
	}
	pod := deployment.Spec.Template.Spec
	if deployment.Namespace != operatorNamespace || pod.ServiceAccountName != serviceAccount {
		t.Errorf("the operator runs in %s as %s", deployment.Namespace, pod.ServiceAccountName)
	}
	for _, flag := range flags {
		if !slices.Contains(pod.Containers[0].Args, flag) {
			t.Errorf("the operator has no %s: %q", flag, pod.Containers[0].Args)
		}
	}
	if got := pod.Containers[0].Image; !strings.HasPrefix(got, "ghcr.io/lbhealth/slb-health-operator:") {
		t.Errorf("the image is %s", got)
	}
}

// expectSubject checks that a binding is for a ServiceAccount among the objects.
func expectSubject(t *testing.T, binding *rbacv1.ClusterRoleBinding, objects []unstructured.Unstructured) {
	t.Helper()
	if len(binding.Subjects) != 1 || !slices.ContainsFunc(objects, func(o unstructured.Unstructured) bool {
		return o.GetKind() == binding.Subjects[0].Kind && o.GetName() == binding.Subjects[0].Name && o.GetNamespace() == binding.Subjects[0].Namespace
	}) {
		t.Errorf("%s binds %v", binding.Name, binding.Subjects)
	}
}

// expectComponents checks that what the components add has the names and labels of the other objects,
// and that engines do not prune the CRD.
func expectComponents(t *testing.T, objects []unstructured.Unstructured) {
	t.Helper()
	for i := range objects {
		o := &objects[i]
		switch o.GetKind() {
		case "CustomResourceDefinition":
			if a := o.GetAnnotations(); a[pruneOption] != "Prune=false" || a["kustomize.toolkit.fluxcd.io/prune"] != "disabled" {
				t.Errorf("the CRD has the annotations %v", a)
			}
		case "Namespace":
		default:
			if !strings.HasPrefix(o.GetName(), "slb-health-operator-") || o.GetLabels()["app.kubernetes.io/name"] != "slb-health-operator" {
				t.Errorf("%s %s has the labels %v", o.GetKind(), o.GetName(), o.GetLabels())
			}
		}
	}
}
