// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// render renders the chart with values as JSON.
func render(t *testing.T, values string, args ...string) objects {
	t.Helper()
	manifests, err := renderOf(t, release, values, args...)
	if err != nil {
		t.Fatalf("%s: %v", values, err)
	}
	return parse(t, manifests)
}

func renderOf(t *testing.T, release, values string, args ...string) ([]byte, error) {
	t.Helper()
	args = append([]string{"template", release, chartFolder, "--namespace", namespace, "--values", "-"}, args...)
	return run(t, []string{"HOME=" + t.TempDir()}, []byte(values), helmPath(t), args...)
}

// settings are values, and what they change: a field by its path in the first object
// of a kind. A JSON null demands that the field is absent.
var settings = []struct{ values, kind, path, want string }{
	{`{}`, "Deployment", "spec.replicas", `2`},
	{`{"replicaCount": 0}`, "Deployment", "spec.replicas", `0`},
	{`{"replicas": 0}`, "Deployment", "spec.replicas", `0`},
	{`{"replicas": 3}`, "Deployment", "spec.replicas", `3`},
	{`{"replicaCount": 3, "replicas": 3}`, "Deployment", "spec.replicas", `3`},
	{`{"replicaCount": null}`, "Deployment", "spec.replicas", `2`},
	{`{"replicaCount": 5, "shards": [{"name": "a", "selector": "a=b"}]}`, "Deployment", "spec.replicas", `5`},
	{`{"replicaCount": 5, "shards": [{"name": "a", "selector": "a=b", "replicaCount": 1}]}`, "Deployment", "spec.replicas", `1`},
	{`{"replicaCount": 5, "shards": [{"name": "a", "selector": "a=b", "replicas": 0}]}`, "Deployment", "spec.replicas", `0`},

	{`{}`, "Deployment", "spec.strategy", `null`},
	{`{"updateStrategy": {"type": "Recreate"}}`, "Deployment", "spec.strategy", `{"type": "Recreate"}`},
	{`{}`, "Deployment", "spec.revisionHistoryLimit", `null`},
	{`{"revisionHistoryLimit": 0}`, "Deployment", "spec.revisionHistoryLimit", `0`},
	{`{"revisionHistoryLimit": 3}`, "Deployment", "spec.revisionHistoryLimit", `3`},
	{`{"deploymentAnnotations": {"a": "1"}, "commonAnnotations": {"a": "0", "b": "2"}}`, "Deployment", "metadata.annotations", `{"a": "1", "b": "2"}`},
	{`{"deploymentAnnotations": {"a": "1"}}`, "Service", "metadata.annotations", `null`},

	{`{}`, "Deployment", "spec.template.spec.hostNetwork", `null`},
	{`{}`, "Deployment", "spec.template.spec.dnsPolicy", `null`},
	{`{"hostNetwork": true}`, "Deployment", "spec.template.spec.hostNetwork", `true`},
	{`{"hostNetwork": true}`, "Deployment", "spec.template.spec.dnsPolicy", `"ClusterFirstWithHostNet"`},
	{`{"hostNetwork": true, "dnsPolicy": "Default"}`, "Deployment", "spec.template.spec.dnsPolicy", `"Default"`},
	{`{"dnsPolicy": "Default"}`, "Deployment", "spec.template.spec.dnsPolicy", `"Default"`},

	{`{}`, "CustomResourceDefinition", "metadata.annotations.helm\\.sh/resource-policy", `"keep"`},
	{`{"crds": {"annotations": {"a": "1"}}}`, "CustomResourceDefinition", "metadata.annotations.a", `"1"`},
	{`{"crds": {"annotations": {"a": "1"}}}`, "CustomResourceDefinition", "metadata.annotations.helm\\.sh/resource-policy", `"keep"`},
	{`{"crds": {"enabled": true, "install": true}}`, "CustomResourceDefinition", "kind", `"CustomResourceDefinition"`},
	{`{"crds": {"enabled": false}}`, "CustomResourceDefinition", "kind", `null`},
	{`{"crds": {"install": false}}`, "CustomResourceDefinition", "kind", `null`},
	{`{"crds": {"enabled": false, "install": true}}`, "CustomResourceDefinition", "kind", `null`},

	{`{}`, "ServiceMonitor", "spec.endpoints.0.honorLabels", `true`},
	{`{"metrics": {"serviceMonitor": {"honorLabels": false}}}`, "ServiceMonitor", "spec.endpoints.0.honorLabels", `false`},
	{`{}`, "ServiceMonitor", "spec.endpoints.0.scrapeTimeout", `null`},
	{`{"metrics": {"serviceMonitor": {"scrapeTimeout": "5s"}}}`, "ServiceMonitor", "spec.endpoints.0.scrapeTimeout", `"5s"`},
	{`{}`, "ServiceMonitor", "metadata.namespace", `"` + namespace + `"`},
	{`{}`, "ServiceMonitor", "spec.namespaceSelector", `null`},
	{`{"metrics": {"serviceMonitor": {"namespace": "monitoring"}}}`, "ServiceMonitor", "metadata.namespace", `"monitoring"`},
	{`{"metrics": {"serviceMonitor": {"namespace": "monitoring"}}}`, "ServiceMonitor", "spec.namespaceSelector", `{"matchNames": ["` + namespace + `"]}`},
	{`{"namespaceOverride": "42", "metrics": {"serviceMonitor": {"namespace": "monitoring"}}}`, "ServiceMonitor", "spec.namespaceSelector", `{"matchNames": ["42"]}`},
	{`{"metrics": {"serviceMonitor": {"additionalLabels": {"a": "1"}, "labels": {"a": "0", "b": "2"}}}}`, "ServiceMonitor", "metadata.labels.a", `"1"`},
	{`{"metrics": {"serviceMonitor": {"additionalLabels": {"a": "1"}, "labels": {"a": "0", "b": "2"}}}}`, "ServiceMonitor", "metadata.labels.b", `"2"`},
	{`{"metrics": {"prometheusRule": {"additionalLabels": {"a": "1"}, "labels": {"b": "2"}}}}`, "PrometheusRule", "metadata.labels.a", `"1"`},
	{`{"metrics": {"prometheusRule": {"additionalLabels": {"a": "1"}, "labels": {"b": "2"}}}}`, "PrometheusRule", "metadata.labels.b", `"2"`},
}

func TestSettings(t *testing.T) {
	t.Parallel()
	rendered := map[string]objects{}
	for _, test := range settings {
		if _, is := rendered[test.values]; !is {
			rendered[test.values] = render(t, test.values, "--set", "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true")
		}
		var got, want any
		if found := rendered[test.values].of(test.kind); len(found) > 0 {
			got = field(found[0].Object, test.path)
		}
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if difference := cmp.Diff(want, plain(t, got)); difference != "" {
			t.Errorf("%s: %s of the %s: want -, got +:\n%s", test.values, test.path, test.kind, difference)
		}
	}
}

// plain has the types of JSON.
func plain(t *testing.T, value any) (converted any) {
	t.Helper()
	content, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(content, &converted)
	}
	if err != nil {
		t.Fatal(err)
	}
	return converted
}

// field follows a path of names, with `\.` for a dot in a name and 0 for the first of a list.
func field(node any, path string) any {
	for name := range strings.SplitSeq(strings.ReplaceAll(path, `\.`, "\x00"), ".") {
		switch inner := node.(type) {
		case map[string]any:
			node = inner[strings.ReplaceAll(name, "\x00", ".")]
		case []any:
			node = inner[0]
		default:
			return nil
		}
	}
	return node
}

// TestNamespaceOverride demands that no object stays in the namespace of the release.
func TestNamespaceOverride(t *testing.T) {
	t.Parallel()
	for _, values := range []string{
		`{"namespaceOverride": "42", "metrics": {"serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true, "slo": {"enabled": true}}, "dashboard": {"enabled": true}}, "networkPolicy": {"enabled": true}}`,
		`{"namespaceOverride": "42", "namespaced": true}`,
	} {
		manifests, err := renderOf(t, release, values)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(manifests), namespace) {
			t.Errorf("%s: an object names %s", values, namespace)
		}
		for _, object := range parse(t, manifests) {
			if got := field(object.Object, "metadata.namespace"); got != nil && got != "42" {
				t.Errorf("%s: %s %s is in %v", values, object.GetKind(), object.GetName(), got)
			}
		}
	}
}

// rulesOf are the rules that the chart makes with values: those of the alerts, and those of the SLO.
func rulesOf(t *testing.T, values string) []monitoringRule {
	t.Helper()
	var all []monitoringRule
	for _, object := range render(t, values, "--set", "metrics.prometheusRule.enabled=true,metrics.prometheusRule.slo.enabled=true").of("PrometheusRule") {
		var resource struct {
			Spec struct {
				Groups []struct{ Rules []monitoringRule }
			}
		}
		decode(t, object, &resource)
		for _, group := range resource.Spec.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

// monitoringRule is a rule of a PrometheusRule.
type monitoringRule struct {
	Alert, Record, Expr string
	Annotations         map[string]string
}

// TestObjective demands the objective of values in its rule, and nothing else of them.
func TestObjective(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		`{}`: "vector(0.999)",
		`{"metrics": {"prometheusRule": {"slo": {"objective": 0.99995}}}}`: "vector(0.99995)",
		`{"metrics": {"prometheusRule": {"slo": {"objective": null}}}}`:    "vector(0.999)",
	} {
		var got []string
		for _, r := range rulesOf(t, values) {
			if r.Record == "slb_health:availability:objective" {
				got = append(got, r.Expr)
			}
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("%s: the objective is %q, not %s", values, got, want)
		}
	}
	if rules := render(t, `{"metrics": {"prometheusRule": {"enabled": true}}}`).of("PrometheusRule"); len(rules) != 1 {
		t.Errorf("by default there are %d PrometheusRules", len(rules))
	}
}

func TestRunbookBaseURL(t *testing.T) {
	t.Parallel()
	pages := func(values string) []string {
		var urls []string
		for _, alert := range rulesOf(t, values) {
			if alert.Alert == "" {
				continue // a recording rule
			}
			if url := alert.Annotations["runbook_url"]; !strings.HasSuffix(url, "/"+alert.Alert+".md") {
				t.Errorf("%s: the runbook of %s is %s", values, alert.Alert, url)
			}
			urls = append(urls, strings.TrimSuffix(alert.Annotations["runbook_url"], "/"+alert.Alert+".md"))
		}
		slices.Sort(urls)
		return slices.Compact(urls)
	}
	for values, want := range map[string]string{
		`{}`: "https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks",
		`{"metrics": {"prometheusRule": {"runbookBaseURL": "https://git.example/runbooks"}}}`:  "https://git.example/runbooks",
		`{"metrics": {"prometheusRule": {"runbookBaseURL": "https://git.example/runbooks/"}}}`: "https://git.example/runbooks",
	} {
		if got := pages(values); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: the runbooks are in %q, not %q", values, got, want)
		}
	}
}

// TestExtraObjects renders objects and text as templates of the chart.
func TestExtraObjects(t *testing.T) {
	rendered := parse(t, template(t, "everything")).of("ConfigMap")
	for name, want := range map[string]map[string]string{
		release + "-extra": {"image": "mirror.example/copies/slb-health-operator:v9.8.7@sha256:" + strings.Repeat("0123456789abcdef", 4)},
		"as-text":          {"metrics": "true"},
	} {
		i := slices.IndexFunc(rendered, func(o unstructured.Unstructured) bool { return o.GetName() == name })
		if i < 0 {
			t.Errorf("there is no ConfigMap %s", name)
			continue
		}
		if got := harness.Decode[corev1.ConfigMap](t, rendered[i]).Data; !cmp.Equal(got, want) {
			t.Errorf("%s has %v, not %v", name, got, want)
		}
	}
}

// TestImage combines registries with tags and digests.
func TestImage(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	for values, want := range map[string]string{
		`{}`: "ghcr.io/lbhealth/slb-health-operator:v0.0.0-dev",
		`{"image": {"tag": "v1"}, "global": {"imageRegistry": "acr.example"}}`:                                                   "acr.example/lbhealth/slb-health-operator:v1",
		`{"image": {"tag": "v1"}, "global": {"imageRegistry": "acr.example:5000/copies"}}`:                                       "acr.example:5000/copies/lbhealth/slb-health-operator:v1",
		`{"image": {"digest": "` + digest + `"}, "global": {"imageRegistry": "acr.example"}}`:                                    "acr.example/lbhealth/slb-health-operator:v0.0.0-dev@" + digest,
		`{"image": {"tag": "v1", "digest": "` + digest + `"}, "global": {"imageRegistry": "acr.example"}}`:                       "acr.example/lbhealth/slb-health-operator:v1@" + digest,
		`{"image": {"tag": "v1", "repository": "team/operator"}, "global": {"imageRegistry": "acr.example"}}`:                    "acr.example/team/operator:v1",
		`{"image": {"tag": "v1", "repository": "operator"}, "global": {"imageRegistry": "acr.example"}}`:                         "acr.example/operator:v1",
		`{"image": {"tag": "v1", "repository": "localhost/operator"}, "global": {"imageRegistry": "acr.example"}}`:               "acr.example/operator:v1",
		`{"image": {"tag": "v1", "repository": "registry:5000/a/operator"}, "global": {"imageRegistry": "acr.example"}}`:         "acr.example/a/operator:v1",
		`{"image": {"tag": "v1", "repository": "registry.example/a/operator"}, "global": {"imageRegistry": "", "storage": "x"}}`: "registry.example/a/operator:v1",
		`{"image": {"tag": "v1"}, "global": {"imageRegistry": null}}`:                                                            "ghcr.io/lbhealth/slb-health-operator:v1",
		`{"image": {"tag": "v1"}, "global": null}`:                                                                               "ghcr.io/lbhealth/slb-health-operator:v1",
	} {
		deployment := harness.Only[appsv1.Deployment](t, render(t, values), "Deployment")
		if got := deployment.Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("%s: the image is %s, not %s", values, got, want)
		}
	}
}

func TestImagePullSecrets(t *testing.T) {
	t.Parallel()
	for values, want := range map[string][]string{
		`{}`:                                    {},
		`{"imagePullSecrets": [{"name": "a"}]}`: {"a"},
		`{"global": {"imagePullSecrets": ["a"]}}`: {"a"},
		`{"global": {"imagePullSecrets": [{"name": "a"}, "b"]}, "imagePullSecrets": [{"name": "b"}, {"name": "c"}]}`: {"a", "b", "c"},
	} {
		got := []string{}
		for _, secret := range harness.Only[appsv1.Deployment](t, render(t, values), "Deployment").Spec.Template.Spec.ImagePullSecrets {
			got = append(got, secret.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the Secrets are %q, not %q", values, got, want)
		}
	}
}

// TestBadSettingsAreRefused demands a message with the value's name.
func TestBadSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for values, name := range map[string]string{
		`{"enabled": "yes"}`: "enabled",
		`{"global": {"imageRegistry": "https://registry.example"}}`:                      "imageRegistry",
		`{"global": {"imagePullSecrets": "a"}}`:                                          "imagePullSecrets",
		`{"global": {"imagePullSecrets": [{"names": "a"}]}}`:                             "imagePullSecrets",
		`{"namespaceOverride": "Not_A_Name"}`:                                            "namespaceOverride",
		`{"replicaCount": "2"}`:                                                          "replicaCount",
		`{"replicaCount": -1}`:                                                           "replicaCount",
		`{"replicaCount": 3, "replicas": 4}`:                                             "replicaCount",
		`{"shards": [{"name": "a", "selector": "b", "replicaCount": -1}]}`:               "replicaCount",
		`{"shards": [{"name": "a", "selector": "b", "replicaCount": 1, "replicas": 1}]}`: "replicaCount",
		`{"updateStrategy": {"type": "OnDelete"}}`:                                       "updateStrategy",
		`{"updateStrategy": {"rollingUpdate": {"maxSurge": "1"}}}`:                       "maxSurge",
		`{"updateStrategy": {"maxSurge": 1}}`:                                            "updateStrategy",
		`{"revisionHistoryLimit": -1}`:                                                   "revisionHistoryLimit",
		`{"deploymentAnnotations": {"a": 1}}`:                                            "deploymentAnnotations",
		`{"crds": {"enabled": "true"}}`:                                                  "enabled",
		`{"crds": {"install": "true"}}`:                                                  "install",
		`{"crds": {"annotations": {"a": true}}}`:                                         "annotations",
		`{"hostNetwork": "true"}`:                                                        "hostNetwork",
		`{"dnsPolicy": "None"}`:                                                          "dnsPolicy",
		`{"metrics": {"serviceMonitor": {"additionalLabels": {"a": 1}}}}`:                "additionalLabels",
		`{"metrics": {"serviceMonitor": {"namespace": "A"}}}`:                            "namespace",
		`{"metrics": {"serviceMonitor": {"honorLabels": "true"}}}`:                       "honorLabels",
		`{"metrics": {"serviceMonitor": {"scrapeTimeout": "5"}}}`:                        "scrapeTimeout",
		`{"metrics": {"prometheusRule": {"additionalLabels": ["a"]}}}`:                   "additionalLabels",
		`{"metrics": {"prometheusRule": {"runbookBaseURL": "docs"}}}`:                    "runbookBaseURL",
		`{"extraObjects": [{"kind": "ConfigMap"}]}`:                                      "extraObjects",
		`{"extraObjects": {}}`:                                                           "extraObjects",
	} {
		if _, err := renderOf(t, release, values); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: it should be refused with %s: %v", values, name, err)
		}
	}
}

// notes are Helm's notes of an install with values as JSON.
func notes(t *testing.T, values string) string {
	t.Helper()
	out, err := run(t, []string{"HOME=" + t.TempDir()}, []byte(values), helmPath(t), "install", release, chartFolder, "--dry-run=client", "--values", "-")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(out), "\nNOTES:\n")
	return text
}

// TestNotes demands the warnings for the values that cause them, and no others.
func TestNotes(t *testing.T) {
	t.Parallel()
	warnings := []string{"ImagePullBackOff", "set replicaCount", "set crds.enabled", "set metrics.serviceMonitor.additionalLabels", "installed nothing", "restricted Pod Security"}
	for values, want := range map[string][]string{
		`{}`:                       {"ImagePullBackOff", "restricted Pod Security"},
		`{"image": {"tag": "v1"}}`: {"restricted Pod Security"},
		`{"image": {"digest": "sha256:` + strings.Repeat("ab", 32) + `"}}`:                {"restricted Pod Security"},
		`{"image": {"tag": "v1"}, "hostNetwork": true}`:                                   {},
		`{"image": {"tag": "v1"}, "replicas": 2}`:                                         {"restricted Pod Security", "set replicaCount"},
		`{"image": {"tag": "v1"}, "crds": {"install": false}}`:                            {"restricted Pod Security", "set crds.enabled"},
		`{"image": {"tag": "v1"}, "metrics": {"serviceMonitor": {"labels": {"a": "b"}}}}`: {"restricted Pod Security", "set metrics.serviceMonitor.additionalLabels"},
		`{"enabled": false}`: {"installed nothing"},
	} {
		got := map[string]bool{}
		text := notes(t, values)
		for _, warning := range warnings {
			if strings.Contains(text, warning) {
				got[warning] = true
			}
		}
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: the notes are\n%s", values, text)
		}
	}
}
