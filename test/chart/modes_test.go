// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func deployments(t *testing.T, mode string) []*appsv1.Deployment {
	t.Helper()
	var found []*appsv1.Deployment
	for _, object := range parse(t, template(t, mode)).of("Deployment") {
		found = append(found, harness.Decode[appsv1.Deployment](t, object))
	}
	return found
}

func matches(t *testing.T, selector *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !parsed.Empty() && parsed.Matches(labels.Set(set))
}

// variables are the environment of the operator.
func variables(deployment *appsv1.Deployment) map[string]string {
	found := map[string]string{}
	for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
		found[variable.Name] = variable.Value
	}
	return found
}

// TestIdentities demands of each identity what its provider reads, and nothing of the others.
func TestIdentities(t *testing.T) {
	for mode, want := range map[string]map[string]string{
		"":           {},
		"everything": {"HTTPS_PROXY": "http://proxy.example:3128"},
		"rrsa": {
			"ALIBABA_CLOUD_ROLE_ARN":          "acs:ram::1234567890123456:role/slb-health",
			"ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0123456789abcdef",
			"ALIBABA_CLOUD_OIDC_TOKEN_FILE":   "/var/run/secrets/tokens/oidc-token",
			"ALIBABA_CLOUD_STS_REGION":        "cn-beijing", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
		},
		"rrsa-addon": {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"},
		"rrsa-vpc": {
			"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
		},
		"ecs-role":            {"ALIBABA_CLOUD_ECS_METADATA": "node-role", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "false"},
		"require-credentials": {},
	} {
		got := variables(deployments(t, mode)[0])
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%q: %s is %q, not %q", mode, name, got[name], value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%q: %v, not %v", mode, got, want)
		}
	}
}

// TestKeyIsReadFromItsSecret follows the access key from the Secret to the flag, and
// demands that no other identity has one.
func TestKeyIsReadFromItsSecret(t *testing.T) {
	for mode, want := range map[string]string{
		"": "slb-credentials", "everything": "slb-key", "rrsa": "", "rrsa-addon": "", "rrsa-vpc": "", "ecs-role": "", "require-credentials": "",
	} {
		pod := deployments(t, mode)[0].Spec.Template.Spec
		got := ""
		for _, mount := range pod.Containers[0].VolumeMounts {
			if !slices.Contains(pod.Containers[0].Args, "--credentials-path="+mount.MountPath) {
				continue
			}
			for _, volume := range pod.Volumes {
				if volume.Name == mount.Name && volume.Secret != nil && mount.SubPath == "" { // the kubelet never updates a subPath
					got = volume.Secret.SecretName
				}
			}
		}
		flagged := slices.ContainsFunc(pod.Containers[0].Args, func(arg string) bool { return strings.HasPrefix(arg, "--credentials-path") })
		if got != want || flagged != (want != "") {
			t.Errorf("%q: the key is of Secret %q, not %q: %q", mode, got, want, pod.Containers[0].Args)
		}
	}
}

// TestTokenFileIsMounted follows the token of RRSA from the volume to the variable.
func TestTokenFileIsMounted(t *testing.T) {
	deployment := deployments(t, "rrsa")[0]
	file := variables(deployment)["ALIBABA_CLOUD_OIDC_TOKEN_FILE"]
	for _, mount := range deployment.Spec.Template.Spec.Containers[0].VolumeMounts {
		for _, volume := range deployment.Spec.Template.Spec.Volumes {
			if volume.Name != mount.Name || volume.Projected == nil {
				continue
			}
			token := volume.Projected.Sources[0].ServiceAccountToken
			if path.Join(mount.MountPath, token.Path) == file && token.Audience == "sts.example.com" && *token.ExpirationSeconds == 7200 {
				return
			}
		}
	}
	t.Errorf("no volume has %s", file)
}

func TestAddOnFindsTheRole(t *testing.T) {
	account := harness.Only[corev1.ServiceAccount](t, parse(t, template(t, "rrsa-addon")), "ServiceAccount")
	if got := account.Annotations["pod-identity.alibabacloud.com/role-name"]; got != "slb-health" || account.Annotations["example.com/note"] != "one" {
		t.Errorf("the ServiceAccount has %v", account.Annotations)
	}
}

// TestNodeRoleIsReached demands a way to the metadata server through the policy.
func TestNodeRoleIsReached(t *testing.T) {
	reaches := func(policy *networkingv1.NetworkPolicy) bool {
		return slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return len(rule.To) == 1 && rule.To[0].IPBlock != nil && rule.To[0].IPBlock.CIDR == "100.100.100.200/32" && rule.Ports[0].Port.IntValue() == 80
		})
	}
	if !reaches(harness.Only[networkingv1.NetworkPolicy](t, parse(t, template(t, "ecs-role")), "NetworkPolicy")) {
		t.Error("the metadata server is out of reach")
	}
	if reaches(harness.Only[networkingv1.NetworkPolicy](t, parse(t, template(t, "everything")), "NetworkPolicy")) {
		t.Error("the metadata server is within reach of an operator with a key")
	}
}

// TestCertificateIsMounted compares the flag to the volume.
func TestCertificateIsMounted(t *testing.T) {
	pod := deployments(t, "everything")[0].Spec.Template.Spec
	for _, mount := range pod.Containers[0].VolumeMounts {
		if !slices.Contains(pod.Containers[0].Args, "--metrics-cert-path="+mount.MountPath) {
			continue
		}
		for _, volume := range pod.Volumes {
			if volume.Name == mount.Name && volume.Secret != nil && volume.Secret.SecretName == "metrics-tls" {
				return
			}
		}
	}
	t.Errorf("%q names no folder with the Secret: %v", pod.Containers[0].Args, pod.Volumes)
}

// TestShardsAreApart demands of each shard pods, a budget and arguments of its own.
func TestShardsAreApart(t *testing.T) {
	for _, mode := range []string{"shards", "namespaced-shards"} {
		rendered := parse(t, template(t, mode))
		shards := deployments(t, mode)
		if len(shards) < 2 {
			t.Fatalf("%s: %d Deployments", mode, len(shards))
		}
		for _, shard := range shards {
			budgets := 0
			for _, object := range rendered.of("PodDisruptionBudget") {
				if matches(t, harness.Decode[policyv1.PodDisruptionBudget](t, object).Spec.Selector, shard.Spec.Template.Labels) {
					budgets++
				}
			}
			if budgets != 1 {
				t.Errorf("%s: %d budgets are for %s", mode, budgets, shard.Name)
			}
			for _, other := range shards {
				same := other.Name == shard.Name
				if matches(t, other.Spec.Selector, shard.Spec.Template.Labels) != same {
					t.Errorf("%s: %s and the pods of %s", mode, other.Name, shard.Name)
				}
				if slices.Equal(argumentsOf(other), argumentsOf(shard)) != same {
					t.Errorf("%s: %s and %s serve the same", mode, other.Name, shard.Name)
				}
			}
		}
	}
	limits := map[string]string{}
	replicas := map[string]int32{}
	for _, shard := range deployments(t, "shards") {
		limits[shard.Name] = shard.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String()
		replicas[shard.Name] = *shard.Spec.Replicas
	}
	const prefix = "slb-health-operator-controller-manager-"
	if limits[prefix+"a"] != "512Mi" || limits[prefix+"b"] != "2Gi" || replicas[prefix+"web"] != 0 || replicas[prefix+"a"] != 2 {
		t.Errorf("memory limits %v, replicas %v", limits, replicas)
	}
}

// TestEveryPodIsScraped demands that Service and ServiceMonitor find the pods of every shard.
func TestEveryPodIsScraped(t *testing.T) {
	for _, mode := range []string{"everything", "shards"} {
		rendered := parse(t, template(t, mode))
		service := harness.Only[corev1.Service](t, rendered, "Service")
		for _, deployment := range deployments(t, mode) {
			if !matches(t, metav1.SetAsLabelSelector(service.Spec.Selector), deployment.Spec.Template.Labels) {
				t.Errorf("%s: the Service does not find %s", mode, deployment.Name)
			}
		}
		var monitor struct {
			Spec struct{ Selector metav1.LabelSelector }
		}
		decode(t, rendered.of("ServiceMonitor")[0], &monitor)
		if !matches(t, &monitor.Spec.Selector, service.Labels) {
			t.Errorf("%s: the ServiceMonitor does not find the Service", mode)
		}
	}
}

// TestAlertsAreAboutThisRelease follows names into the expressions of alerts.
func TestAlertsAreAboutThisRelease(t *testing.T) {
	for mode, want := range map[string][]string{
		"everything": {`job="lbh-operator-controller-manager-metrics-service"`, `name=~"slb-health-operator.*|lbh[.]example[.]com"`},
		"shards":     {`job="slb-health-operator-controller-manager-metrics-service"`, `name=~"slb-health-operator.*|shard-a[.]example[.]com"`},
	} {
		rendered := parse(t, template(t, mode))
		var rule struct {
			Spec struct {
				Groups []struct {
					Rules []struct{ Alert, Expr string }
				}
			}
		}
		decode(t, rendered.of("PrometheusRule")[0], &rule)
		var expressions []string
		for _, alert := range rule.Spec.Groups[0].Rules {
			expressions = append(expressions, alert.Expr)
		}
		all := strings.Join(expressions, "\n")
		for _, part := range want {
			if !strings.Contains(all, part) {
				t.Errorf("%s: no alert has %s: %q", mode, part, expressions)
			}
		}
		if all := strings.ReplaceAll(all, want[0], ""); strings.Contains(all, "job=") {
			t.Errorf("%s: an alert is about another job than %s: %q", mode, want[0], expressions)
		}
	}
}

// TestNamespacedStaysInItsNamespaces demands Roles, in the namespaces of the objects.
func TestNamespacedStaysInItsNamespaces(t *testing.T) {
	for mode, served := range map[string][]string{
		"namespaced":         {namespace},
		"namespaced-several": {"team-a", "team-b"},
		"namespaced-shards":  {namespace, "team-a", "team-b"},
	} {
		var granted []string
		for _, object := range parse(t, template(t, mode)) {
			if object.GetNamespace() == "" || strings.HasPrefix(object.GetKind(), "Cluster") {
				t.Errorf("%s: %s %s is the cluster's", mode, object.GetKind(), object.GetName())
			}
			if object.GetKind() != "RoleBinding" {
				continue
			}
			binding := harness.Decode[rbacv1.RoleBinding](t, object)
			if binding.RoleRef.Kind != "Role" || binding.Subjects[0].Namespace != namespace {
				t.Errorf("%s: %s binds %v to %v", mode, binding.Name, binding.RoleRef, binding.Subjects)
			}
			if strings.HasSuffix(binding.RoleRef.Name, "-manager-role") {
				granted = append(granted, binding.Namespace)
			}
		}
		if !slices.Equal(slices.Sorted(slices.Values(granted)), served) {
			t.Errorf("%s: permissions in %q, not %q", mode, granted, served)
		}
	}
}

// TestOptInPermissions compares the roles to config/service-discovery and config/backend-names.
func TestOptInPermissions(t *testing.T) {
	optIn := []string{"albconfigs", "endpointslices", "ingressclasses", "ingresses", "networkpolicies", "nodes", "pods", "services"}
	for mode, want := range map[string][]string{
		"": nil, "service-discovery": {"albconfigs", "endpointslices", "ingressclasses", "ingresses", "nodes", "services"}, "backend-names": {"networkpolicies", "nodes", "pods"},
		"namespaced-several": {"albconfigs", "endpointslices", "ingressclasses", "ingresses", "networkpolicies", "pods", "services"},
	} {
		var got []string
		objects := parse(t, template(t, mode))
		for _, object := range append(objects.of("ClusterRole"), objects.of("Role")...) {
			if !strings.HasSuffix(object.GetName(), "-manager-role") {
				continue
			}
			for _, rule := range harness.Decode[rbacv1.ClusterRole](t, object).Rules {
				for _, resource := range rule.Resources {
					if slices.Contains(optIn, resource) && !slices.Contains(got, resource) {
						got = append(got, resource)
					}
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: may read %q, not %q", mode, got, want)
		}
	}
}
