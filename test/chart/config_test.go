// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// asHelmMakes converts an object of config/ into that of the chart. These are all
// the differences.
func asHelmMakes(t *testing.T, object unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	// Helm's own labels instead of kustomize's.
	var chart struct{ Name, Version, AppVersion string }
	content, err := os.ReadFile(filepath.Join(chartFolder, "Chart.yaml"))
	if err == nil {
		err = yaml.Unmarshal(content, &chart)
	}
	if err != nil {
		t.Fatal(err)
	}
	labels := object.GetLabels()
	labels["app.kubernetes.io/managed-by"] = "Helm"
	labels["app.kubernetes.io/instance"] = release
	labels["app.kubernetes.io/version"] = chart.AppVersion
	labels["helm.sh/chart"] = chart.Name + "-" + chart.Version
	object.SetLabels(labels)

	// A namespace may have several releases: what selects pods names the release.
	nameRelease(object.Object)

	switch object.GetKind() {
	case "Namespace": // Helm makes it, or finds it there.
		return nil
	case "CustomResourceDefinition": // Helm keeps it on uninstall.
		annotations := object.GetAnnotations()
		annotations["helm.sh/resource-policy"] = "keep"
		object.SetAnnotations(annotations)
	default:
	}
	return &object
}

// nameRelease adds the release to all labels that say which pods are meant.
func nameRelease(node any) {
	switch node := node.(type) {
	case map[string]any:
		if node["control-plane"] == "controller-manager" {
			node["app.kubernetes.io/name"] = release
			node["app.kubernetes.io/instance"] = release
		}
		for _, child := range node {
			nameRelease(child)
		}
	case []any:
		for _, child := range node {
			nameRelease(child)
		}
	default:
	}
}

// TestChartMakesWhatConfigMakes compares object by object.
func TestChartMakesWhatConfigMakes(t *testing.T) {
	image := []string{"--set", "image.repository=slb-health-operator,image.tag=latest"}
	for _, test := range []struct {
		name   string
		folder []string
		args   []string
	}{
		{"default", []string{config + "/default"}, nil},
		{"with all that is optional", []string{withComponents(t, "../network-policy"), config + "/prometheus", config + "/prometheus/slo"}, []string{
			"--set", "networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.prometheusRule.slo.enabled=true",
		}},
		{"namespaced", []string{config + "/namespaced"}, []string{"--set", "namespaced=true", "--namespace", "slb-health"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := map[string]any{}
			for _, folder := range test.folder {
				manifests, err := run(t, nil, nil, kubectlPath(t), "kustomize", folder)
				if err != nil {
					t.Fatal(err)
				}
				for _, object := range parse(t, manifests) {
					if made := asHelmMakes(t, object); made != nil {
						want[identity(*made)] = made.Object
					}
				}
			}
			got := map[string]any{}
			for _, object := range parse(t, template(t, "", slices.Concat(image, test.args)...)) {
				got[identity(object)] = object.Object
			}
			if difference := cmp.Diff(want, got); difference != "" {
				t.Errorf("config/ -, chart +:\n%s", difference)
			}
		})
	}
}

func identity(o unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// kubectlPath is kubectl beside the control plane.
func kubectlPath(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("KUBEBUILDER_ASSETS")
	if folder == "" {
		folder = filepath.Join(root, "bin", "controlplane")
	}
	return filepath.Join(folder, "kubectl")
}
