// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// everyKind are values with which the chart makes objects of each of its kinds, for
// two shards whose names are as long as possible and differ in their last letter.
var everyKind = fmt.Sprintf(`{
	"shards": [{"name": "%[1]sa", "selector": "x=a"}, {"name": "%[1]sb", "selector": "x=b"}],
	"networkPolicy": {"enabled": true},
	"metrics": {"serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true, "slo": {"enabled": true}}, "dashboard": {"enabled": true}}
}`, strings.Repeat("s", 19))

// TestLongNames renders releases whose names are as long as Helm permits and differ in
// their last letter, and long overrides. All these objects could be in one cluster.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long-release-", 4)
	owners := map[string]string{}
	for _, test := range []struct{ release, override string }{ // y is a boolean in YAML
		{release: release}, {release: "y"}, {long + "a", ""}, {long + "b", ""}, {long[:38] + "slb-health-opea", ""},
		{"o", strings.Repeat("o", 99) + "a"}, {"p", strings.Repeat("o", 99) + "b"},
	} {
		values := everyKind
		if test.override != "" {
			values = strings.Replace(values, "{", `{"fullnameOverride": "`+test.override+`",`, 1)
		}
		manifests, err := renderOf(t, test.release, values)
		if err != nil {
			t.Fatal(err)
		}
		rendered := parse(t, manifests)
		verifyReferences(t, rendered)
		for _, object := range rendered {
			verifyName(t, object)
			if object.GetKind() == "CustomResourceDefinition" {
				continue
			}
			if owner, is := owners[identity(object)]; is {
				t.Errorf("%s and %s%s both have %s", owner, test.release, test.override, identity(object))
			}
			owners[identity(object)] = test.release + test.override
		}
	}
}

// TestLongNamesWithDots demands that truncated names have no dot before the hash.
func TestLongNamesWithDots(t *testing.T) {
	for _, object := range render(t, `{"namespaced": true, "fullnameOverride": "`+strings.Repeat("o.", 50)+`o"}`) {
		verifyName(t, object)
	}
}

func verifyName(t *testing.T, object unstructured.Unstructured) {
	t.Helper()
	problems := validation.IsDNS1123Subdomain(object.GetName())
	if object.GetKind() == "Service" {
		problems = append(problems, validation.IsDNS1035Label(object.GetName())...)
	}
	for _, value := range object.GetLabels() {
		problems = append(problems, validation.IsValidLabelValue(value)...)
	}
	if len(object.GetName()) > 63 || len(problems) > 0 {
		t.Errorf("%s has %d characters: %q", identity(object), len(object.GetName()), problems)
	}
}

// verifyReferences follows the names in bindings, pods and alerts to objects of the release.
func verifyReferences(t *testing.T, rendered objects) {
	t.Helper()
	there := map[string]bool{}
	for _, object := range rendered {
		there[identity(object)] = true
	}
	demand := func(kind, namespace, name string) {
		t.Helper()
		if key := kind + " " + namespace + "/" + name; !there[key] {
			t.Errorf("the release has no %s", key)
		}
	}
	for _, object := range append(rendered.of("ClusterRoleBinding"), rendered.of("RoleBinding")...) {
		binding := harness.Decode[rbacv1.RoleBinding](t, object)
		demand(binding.RoleRef.Kind, object.GetNamespace(), binding.RoleRef.Name)
		demand("ServiceAccount", namespace, binding.Subjects[0].Name)
	}
	for _, object := range rendered.of("Deployment") {
		demand("ServiceAccount", namespace, harness.Decode[appsv1.Deployment](t, object).Spec.Template.Spec.ServiceAccountName)
	}
	service := rendered.of("Service")[0].GetName()
	if rule := fmt.Sprint(rendered.of("PrometheusRule")[0].Object); !strings.Contains(rule, fmt.Sprintf("job=%q", service)) {
		t.Errorf("no alert is about the Service %s", service)
	}
}
