// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// isPolicy reports whether a kind is an admission policy or the binding of one.
func isPolicy(kind string) bool { return strings.Contains(kind, "AdmissionPolicy") }

// TestReadinessGatesAreThoseOfConfig compares the policies to those of config/readiness-gates.
func TestReadinessGatesAreThoseOfConfig(t *testing.T) {
	t.Parallel()
	manifests, err := run(t, nil, nil, kubectlPath(t), "kustomize", withComponents(t, "../service-discovery", "../readiness-gates"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]any{}, map[string]any{}
	for _, object := range parse(t, manifests) {
		if isPolicy(object.GetKind()) {
			object.SetNamespace("") // kustomize gives one to kinds that it does not know
			want[identity(object)] = asHelmMakes(t, object).Object
		}
	}
	for _, object := range render(t, `{"readinessGates": {"enabled": true}}`) {
		if isPolicy(object.GetKind()) {
			got[identity(object)] = object.Object
		}
	}
	if difference := cmp.Diff(want, got); difference != "" || len(want) != 4 {
		t.Errorf("config/ -, chart +:\n%s", difference)
	}
}

// TestReadinessGatesFollowTheNamespaces demands that pods get gates only where an operator
// opens them.
func TestReadinessGatesFollowTheNamespaces(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		`{"readinessGates": {"enabled": true}}`:                                      `null`,
		`{"readinessGates": {"enabled": true}, "watch": {"selector": "team=web"}}`:   `null`,
		`{"readinessGates": {"enabled": true}, "watch": {"namespaces": ["b", "a"]}}`: `["a", "b"]`,
		`{"readinessGates": {"enabled": true}, "shards": [{"name": "one", "namespaces": ["b"]}, {"name": "two", "namespaces": ["a", "b"], "selector": "x=y"}]}`: `["a", "b"]`,
		`{"readinessGates": {"enabled": true}, "shards": [{"name": "one", "namespaces": ["b"]}, {"name": "two", "selector": "x=y"}]}`:                           `null`,
	} {
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		binding := render(t, values).of("MutatingAdmissionPolicyBinding")[0].Object
		got := plain(t, field(binding, "spec.matchResources.namespaceSelector.matchExpressions.0.values"))
		if difference := cmp.Diff(wanted, got); difference != "" {
			t.Errorf("%s: want -, got +:\n%s", values, difference)
		}
		if wanted != nil && field(binding, "spec.matchResources.namespaceSelector.matchExpressions.0.operator") != "In" {
			t.Errorf("%s: %v", values, binding["spec"])
		}
	}
}

// TestReadinessGatesBringTheirPermissions demands those of config/, once each.
func TestReadinessGatesBringTheirPermissions(t *testing.T) {
	t.Parallel()
	want := func(files ...string) []rbacv1.PolicyRule {
		var rules []rbacv1.PolicyRule
		for _, file := range files {
			role := harness.Only[rbacv1.ClusterRole](t, parse(t, harness.ReadFile(t, filepath.Join(config, file))), "ClusterRole")
			rules = append(rules, role.Rules...)
		}
		return rules
	}
	for values, files := range map[string][]string{
		`{"readinessGates": {"enabled": false}}`:                                       {"rbac/role.yaml"},
		`{"readinessGates": {"enabled": true}}`:                                        {"rbac/role.yaml", "service-discovery/role.yaml", "readiness-gates/role.yaml"},
		`{"readinessGates": {"enabled": true}, "serviceDiscovery": {"enabled": true}}`: {"rbac/role.yaml", "service-discovery/role.yaml", "readiness-gates/role.yaml"},
	} {
		for _, object := range render(t, values).of("ClusterRole") {
			if !strings.HasSuffix(object.GetName(), "-manager-role") {
				continue
			}
			if difference := cmp.Diff(want(files...), harness.Decode[rbacv1.ClusterRole](t, object).Rules); difference != "" {
				t.Errorf("%s: config/ -, chart +:\n%s", values, difference)
			}
		}
	}
	// backendNames has a rule that readinessGates has, too.
	for _, object := range render(t, `{"readinessGates": {"enabled": true}, "backendNames": {"enabled": true}}`).of("ClusterRole") {
		rules := harness.Decode[rbacv1.ClusterRole](t, object).Rules
		for i, rule := range rules {
			if slices.ContainsFunc(rules[i+1:], func(other rbacv1.PolicyRule) bool { return cmp.Equal(rule, other) }) {
				t.Errorf("%s has %v twice", object.GetName(), rule)
			}
		}
	}
}

// TestReadinessGatesOfOldVersions demands a refusal that names the way out.
func TestReadinessGatesOfOldVersions(t *testing.T) {
	t.Parallel()
	for version, refused := range map[string]bool{"v1.33.13": true, "v1.35.4-aliyun.1": true, "v1.36.0-aliyun.1": false, "v1.36.3": false} {
		_, err := helm(t, "template", release, chartFolder, "--kube-version", version, "--set", "readinessGates.enabled=true")
		if !refused && err != nil || refused && (err == nil || !strings.Contains(err.Error(), "readinessGates.inject: Kubernetes "+version)) {
			t.Errorf("%s: %v", version, err)
		}
		manifests, err := helm(t, "template", release, chartFolder, "--kube-version", version, "--set", "readinessGates.enabled=true,readinessGates.inject=false")
		if err != nil {
			t.Fatal(err)
		}
		if made := parse(t, manifests); len(made.of("ValidatingAdmissionPolicy")) != 1 || len(made.of("MutatingAdmissionPolicy")) != 0 {
			t.Errorf("%s: the guard is missing, or gates are injected", version)
		}
	}
}

// withComponents is a copy of config/default with components.
func withComponents(t *testing.T, components ...string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(copied, "default", "kustomization.yaml")
	content := string(harness.ReadFile(t, file)) + "\ncomponents: [" + strings.Join(components, ", ") + "]\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(file)
}

// testReadinessGates creates pods in a namespace that the operator watches, and in another.
func testReadinessGates(t *testing.T, c *cluster) {
	manifests := template(t, "", "--set", "readinessGates.enabled=true,watch.namespaces={team-a}")
	policies := parse(t, manifests)
	policies = slices.Concat(policies.of("MutatingAdmissionPolicy"), policies.of("MutatingAdmissionPolicyBinding"))
	for i := range policies {
		if err := c.admin.Create(t.Context(), &policies[i]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.admin.Delete(context.WithoutCancel(t.Context()), &policies[i]); err != nil {
				t.Error(err)
			}
		})
	}
	for _, namespace := range []string{"team-b", "team-a"} { // the API server learns of them in this order
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "gated", Labels: map[string]string{"slb.lbhealth.dev/readiness-gate": "enabled"}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "gated"}, Ports: []corev1.ServicePort{{Port: 443}}},
		}
		if err := c.admin.Create(t.Context(), service); err != nil {
			t.Fatal(err)
		}
	}
	g := NewWithT(t)
	g.Eventually(t.Context(), func(ctx context.Context) (int, error) { return c.gates(ctx, "team-a") }).WithTimeout(time.Minute).Should(Equal(2))
	if n, err := c.gates(t.Context(), "team-b"); n != 0 || err != nil {
		t.Errorf("a pod of a namespace that the operator does not watch has %d gates: %v", n, err)
	}
}

// gates counts those that a pod would get, which the restricted Pod Security Standard admits.
func (c *cluster) gates(ctx context.Context, namespace string) (int, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "gated", Labels: map[string]string{"app": "gated"}},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "web", Image: "web", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
	err := c.admin.Create(ctx, pod, client.DryRunAll)
	return len(pod.Spec.ReadinessGates), err
}
