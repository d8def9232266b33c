// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// testHardening also checks what the restricted Pod Security Standard permits.
func testHardening(t *testing.T, objects []unstructured.Unstructured) {
	deployment := harness.Only[appsv1.Deployment](t, objects, "Deployment")
	pod := &deployment.Spec.Template.Spec
	if c := pod.SecurityContext; c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || c.RunAsUser == nil || *c.RunAsUser == 0 ||
		c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %v", c)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Containers) != 1 || len(pod.InitContainers) > 0 {
		t.Errorf("the pod has more than one container of its own: %v", pod)
	}
	for _, volume := range pod.Volumes {
		if volume.Secret == nil || volume.Secret.SecretName != "slb-credentials" {
			t.Errorf("the pod has the volume %s", volume.Name)
		}
	}
	manager := &pod.Containers[0]
	c := manager.SecurityContext
	if c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem ||
		c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.Privileged != nil && *c.Privileged ||
		c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.Capabilities.Add) > 0 {
		t.Errorf("the container's security context is %v", c)
	}
	if !slices.Equal(manager.Command, []string{"/slb-health-operator"}) {
		t.Errorf("it starts %q", manager.Command)
	}
	if manager.Resources.Limits.Memory().IsZero() {
		t.Error("it has no memory limit")
	}
	for _, variable := range manager.Env {
		if variable.Value != "" {
			t.Errorf("%s has a value in the manifest", variable.Name)
		}
	}
	if slices.Contains(manager.Args, "--metrics-secure=false") && !slices.ContainsFunc(manager.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "--metrics-bind-address=127.0.0.1:")
	}) {
		t.Errorf("the metrics are public: %q", manager.Args)
	}
}

// testConfined demands that nothing is outside the operator's own namespace.
func testConfined(t *testing.T, objects []unstructured.Unstructured, namespace string) {
	for i := range objects {
		o := &objects[i]
		if o.GetNamespace() != namespace || o.GetKind() == "Namespace" {
			t.Errorf("%s %s is in namespace %q", o.GetKind(), o.GetName(), o.GetNamespace())
		}
		subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
		for _, subject := range subjects {
			if of := subject.(map[string]any)["namespace"]; of != namespace {
				t.Errorf("%s %s has a subject in %v", o.GetKind(), o.GetName(), of)
			}
		}
		if kind, found, _ := unstructured.NestedString(o.Object, "roleRef", "kind"); found && kind != "Role" {
			t.Errorf("%s %s refers to a %s", o.GetKind(), o.GetName(), kind)
		}
	}
}

// withOptions copies config/ and enables the opt-in components of config/default.
func withOptions(t *testing.T) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(configFolder)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(copied, "default", "kustomization.yaml")
	content := harness.ReadFile(t, file)
	const components = "components: [../network-policy, ../service-discovery, ../backend-names]"
	on := strings.Replace(string(content), "\n# "+components, "\n"+components, 1)
	if on == string(content) {
		t.Fatalf("%s has no comment %q", file, components)
	}
	if err := os.WriteFile(file, []byte(on), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(copied, "default")
}

func testNetworkPolicy(t *testing.T, objects []unstructured.Unstructured) {
	deployment := harness.Only[appsv1.Deployment](t, objects, "Deployment")
	service := harness.Only[corev1.Service](t, objects, "Service")
	policy := harness.Only[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
	spec := &policy.Spec
	selects := labels.SelectorFromSet(spec.PodSelector.MatchLabels)
	if policy.Namespace != namespace || selects.Empty() || !selects.Matches(labels.Set(deployment.Spec.Template.Labels)) {
		t.Errorf("it is for pods %v in %s", spec.PodSelector, policy.Namespace)
	}
	if !slices.Equal(spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}) {
		t.Errorf("it is about %v", spec.PolicyTypes)
	}
	if len(spec.Ingress) != 1 || len(spec.Ingress[0].From) != 1 {
		t.Fatalf("it lets in %v", spec.Ingress)
	}
	from := spec.Ingress[0].From[0]
	if from.PodSelector != nil || from.IPBlock != nil || from.NamespaceSelector == nil || len(from.NamespaceSelector.MatchLabels) == 0 {
		t.Errorf("it lets in %v", from)
	}
	metrics := deployment.Spec.Template.Spec.Containers[0].Ports[0]
	if got := portsOf(spec.Ingress[0].Ports); metrics.Name != "metrics" || service.Spec.Ports[0].TargetPort.StrVal != metrics.Name || !slices.Equal(got, []string{"TCP 8443"}) || metrics.ContainerPort != 8443 {
		t.Errorf("it lets in to %v, and metrics are at %v", got, metrics)
	}
	var out []string
	for _, rule := range spec.Egress {
		if len(rule.Ports) == 0 {
			t.Errorf("it lets out to every port: %v", rule)
		}
		out = append(out, portsOf(rule.Ports)...)
	}
	if !slices.Equal(out, []string{"UDP 53", "TCP 53", "TCP 443", "TCP 6443"}) {
		t.Errorf("it lets out to %v", out)
	}
}

func portsOf(rules []networkingv1.NetworkPolicyPort) []string {
	var found []string
	for _, rule := range rules {
		found = append(found, string(*rule.Protocol)+" "+rule.Port.String())
	}
	return found
}
