// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// umbrella is a chart that depends on this one under a name: its own, or an alias.
func umbrella(t *testing.T, name, values string) string {
	t.Helper()
	alias := ""
	if name != release {
		alias = "\n  alias: " + name
	}
	folder := t.TempDir()
	if err := harness.WriteFiles(folder, map[string][]byte{
		"values.yaml": []byte(values),
		"Chart.yaml": fmt.Appendf(nil, `apiVersion: v2
name: platform
version: 1.0.0
icon: https://example.com/icon.png
dependencies:
- name: slb-health-operator
  version: ">=0.0.0-0"
  repository: file://%s
  condition: %s.enabled%s
`, absolute(t, chartFolder), name, alias),
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "templates"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := helm(t, "dependency", "build", folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestUmbrella renders the chart as a dependency with a condition, on and off, under
// its own name and another.
func TestUmbrella(t *testing.T) {
	t.Parallel()
	for _, name := range []string{release, "lbh"} {
		t.Run(name, func(t *testing.T) {
			folder := umbrella(t, name, "global: {imageRegistry: mirror.example, storageClass: fast}\n"+name+": {enabled: true, replicaCount: 1}\n")
			if _, err := helm(t, "lint", "--strict", folder); err != nil {
				t.Error(err)
			}
			on, err := helm(t, "template", "platform", folder)
			if err != nil {
				t.Fatal(err)
			}
			rendered := parse(t, on)
			deployment := harness.Only[appsv1.Deployment](t, rendered, "Deployment")
			if got, want := deployment.Name, "platform-"+name+"-controller-manager"; got != want {
				t.Errorf("the Deployment is %s, not %s", got, want)
			}
			if image := deployment.Spec.Template.Spec.Containers[0].Image; *deployment.Spec.Replicas != 1 || !strings.HasPrefix(image, "mirror.example/lbhealth/") {
				t.Errorf("it has %d replicas of %s", *deployment.Spec.Replicas, image)
			}
			if len(rendered.of("CustomResourceDefinition")) != 1 {
				t.Error("there is no CRD")
			}
			off, err := helm(t, "template", "platform", folder, "--set", name+".enabled=false")
			if err != nil {
				t.Fatal(err)
			}
			if rest := parse(t, off); len(rest) > 0 {
				t.Errorf("%d objects of a disabled chart", len(rest))
			}
			if _, err := helm(t, "template", "platform", folder, "--set", name+".replica=1"); err == nil || !strings.Contains(err.Error(), "replica") {
				t.Errorf("an unknown value: %v", err)
			}
		})
	}
}

// TestDisabledWithoutCondition demands the same of the value alone.
func TestDisabledWithoutCondition(t *testing.T) {
	t.Parallel()
	for _, mode := range modes(t) {
		if rest := parse(t, template(t, mode, "--set", "enabled=false")); len(rest) > 0 {
			t.Errorf("%q: %d objects of a disabled chart", mode, len(rest))
		}
	}
}
