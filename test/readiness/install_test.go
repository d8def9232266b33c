// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// guardExpressions are the validations of the guard, each in one line.
func guardExpressions(t *testing.T) []string {
	t.Helper()
	objects := harness.ParseManifests(t, harness.ReadFile(t, gatesFolder+"/guard.yaml"))
	var expressions []string
	for _, validation := range harness.Only[admissionv1.ValidatingAdmissionPolicy](t, objects, "ValidatingAdmissionPolicy").Spec.Validations {
		expressions = append(expressions, strings.Join(strings.Fields(validation.Expression), " "))
	}
	return expressions
}

// testByHand writes gates into a pod, which needs no policy and works in every version.
func (e *env) testByHand(t *testing.T) {
	e.createNamespace(t, "by-hand")
	pod := newPod("by-hand", map[string]string{"app": "web"}, withGates(both("web")...))
	e.create(t, pod)
	operator := e.as(t, operatorUser)
	for _, status := range []string{"False", "True"} {
		if err := patchStatus(t.Context(), operator, pod, merge(condition(ownGate+"web", status, "Test"))); err != nil {
			t.Fatal(err)
		}
	}
	live := e.live(t, pod)
	if got := gatesOf(live); !slices.Equal(got, both("web")) {
		t.Errorf("the pod has the gates %q", got)
	}
	if len(live.Status.Conditions) != 1 || live.Status.Conditions[0].Type != ownGate+"web" || live.Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Errorf("the pod has the conditions %v", live.Status.Conditions)
	}
}

// testPermissions checks every verb of pods and their subresources.
func (e *env) testPermissions(t *testing.T) {
	d, err := discovery.NewDiscoveryClientForConfig(e.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	served, err := d.ServerResourcesForGroupVersion("v1")
	if err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, resource := range served.APIResources {
		name, subresource, _ := strings.Cut(resource.Name, "/")
		if name != "pods" {
			continue
		}
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			if e.may(t, verb, name, subresource) {
				allowed = append(allowed, verb+" "+resource.Name)
			}
		}
	}
	slices.Sort(allowed)
	if want := []string{"list pods", "patch pods/status", "watch pods"}; !slices.Equal(allowed, want) {
		t.Errorf("the operator may %q, not %q", allowed, want)
	}
}

func (e *env) may(t *testing.T, verb, resource, subresource string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: operatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "guard", Verb: verb, Resource: resource, Subresource: subresource},
	}}
	e.create(t, review)
	return review.Status.Allowed
}

// testKustomize installs the component under other names: in a copy of config/default, in
// an overlay of such a copy, and in an overlay of config/default.
func (e *env) testKustomize(t *testing.T) {
	if !e.injects {
		t.Skipf("Kubernetes %s does not serve MutatingAdmissionPolicy v1, which the component contains", e.version)
	}
	e.plane.RunKubectl(t, nil, "delete", "-f", gatesFolder)
	const components = "components: [../service-discovery, ../readiness-gates]\n"
	const renamed = "namespace: elsewhere-1\nnamePrefix: x-\n"
	for name, test := range map[string]struct{ inDefault, overlay, account string }{
		"in config/default":                {components, "", "slb-health-operator-system:slb-health-operator-controller-manager"},
		"in an overlay of another name":    {"", renamed + "components: [../config/service-discovery, ../config/readiness-gates]\n", "elsewhere-1:x-slb-health-operator-controller-manager"},
		"below an overlay of another name": {components, renamed, "elsewhere-1:x-slb-health-operator-controller-manager"},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := e.plane.RunKubectl(t, nil, "kustomize", overlay(t, test.inDefault, test.overlay))
			e.plane.RunKubectl(t, manifests, "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-")
			e.plane.RunKubectl(t, manifests, "diff", "--server-side", "--force-conflicts", "-f", "-") // exits with 1 for a difference
			e.works(t, "system:serviceaccount:"+test.account, manifests)
			e.removePolicies(t, manifests)
		})
	}
}

// overlay returns the folder of an overlay of a copy of config/, with lines for both.
func overlay(t *testing.T, inDefault, inOverlay string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "config"), os.DirFS(configFolder)); err != nil {
		t.Fatal(err)
	}
	standard := filepath.Join(folder, "config", "default", "kustomization.yaml")
	files := map[string]string{
		standard: string(harness.ReadFile(t, standard)) + inDefault,
		filepath.Join(folder, "overlay", "kustomization.yaml"): "resources: [../config/default]\n" + inOverlay,
	}
	for file, content := range files {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "overlay")
}

// works demands gates on a pod, a condition by the operator, and a refusal.
func (e *env) works(t *testing.T, user string, manifests []byte) {
	t.Helper()
	objects := harness.ParseManifests(t, manifests)
	deployment := harness.Only[appsv1.Deployment](t, objects, "Deployment")
	account := "system:serviceaccount:" + deployment.Namespace + ":" + deployment.Spec.Template.Spec.ServiceAccountName
	if args := deployment.Spec.Template.Spec.Containers[0].Args; account != user || !slices.Contains(args, "--readiness-gates") {
		t.Errorf("%s runs with %q", account, args)
	}
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), both("web"))
	pod := newPod("shop", map[string]string{"app": "web"})
	e.create(t, pod)
	operator := e.as(t, user)
	NewWithT(t).Eventually(t.Context(), func(ctx context.Context) error {
		return patchStatus(ctx, operator, pod, merge(condition(ownGate+"web", "False", "NotRegistered")))
	}).WithTimeout(patience).Should(Succeed())
	e.awaitGuard(t, user, pod)
}

// removePolicies removes what makes the next installation work, and waits until it does
// not any more.
func (e *env) removePolicies(t *testing.T, manifests []byte) {
	t.Helper()
	for _, object := range harness.ParseManifests(t, manifests) {
		if kind := object.GetKind(); !strings.Contains(kind, "Admission") && kind != "ClusterRoleBinding" {
			continue
		}
		object.SetNamespace("") // kustomize gives one to kinds that it does not know
		if err := client.IgnoreNotFound(e.admin.Delete(t.Context(), &object)); err != nil {
			t.Fatal(err)
		}
	}
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), nil)
}
