// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// read decodes a YAML file of the repository.
func read[T any](t *testing.T, path ...string) T {
	t.Helper()
	var into T
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err == nil {
		err = yaml.Unmarshal(text, &into)
	}
	if err != nil {
		t.Fatal(err)
	}
	return into
}

// minorOf is 33 of v1.33.13.
func minorOf(t *testing.T, version string) int {
	t.Helper()
	var minor, patch int
	if _, err := fmt.Sscanf(version, "v1.%d.%d", &minor, &patch); err != nil {
		t.Fatalf("version %s: %v", version, err)
	}
	return minor
}

// TestSupportedVersions compares what names the supported versions of Kubernetes: the chart's oldest, the matrix of
// ci.yaml, the control plane that all other tests use, and docs/support.md.
func TestSupportedVersions(t *testing.T) {
	chart := read[struct{ KubeVersion string }](t, "charts", "slb-health-operator", "Chart.yaml")
	control, err := os.ReadFile(filepath.Join(root, "hack", "controlplane", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`\sk8s\.io/kubernetes (v\S+)`).FindSubmatch(control)
	if newest == nil {
		t.Fatal("hack/controlplane/go.mod requires no k8s.io/kubernetes")
	}
	oldest := strings.TrimSuffix(strings.Replace(chart.KubeVersion, ">=", "v", 1), "-0")
	page, err := os.ReadFile(filepath.Join(root, "docs", "support.md"))
	if err != nil {
		t.Fatal(err)
	}

	matrix := readWorkflow(t, "ci.yaml").Jobs["compat"].Strategy.Matrix["kubernetes"]
	want := minorOf(t, oldest)
	for _, version := range matrix {
		if got := minorOf(t, version); got != want {
			t.Errorf("the matrix of ci.yaml has %s in place of a version of 1.%d", version, want)
		}
		if !strings.Contains(string(page), "| "+strings.TrimPrefix(version, "v")+" |") {
			t.Errorf("docs/support.md has no row for %s", version)
		}
		want++
	}
	if newest := minorOf(t, string(newest[1])); want != newest+1 {
		t.Errorf("the matrix of ci.yaml ends before 1.%d, the version of hack/controlplane/go.mod", newest)
	}
}

// TestCompatRefuses runs make test-compat with versions that it cannot build: one line says so, and no suite starts.
func TestCompatRefuses(t *testing.T) {
	for version, wanted := range map[string]string{
		"":         "controlplane: KUBERNETES is '': write a full version, such as KUBERNETES=v1.33.13",
		"1.33":     "controlplane: KUBERNETES is '1.33': write a full version, such as KUBERNETES=v1.33.13",
		"v1.33":    "controlplane: KUBERNETES is 'v1.33': write a full version, such as KUBERNETES=v1.33.13",
		"v1.99.99": "controlplane: Kubernetes v1.99.99 cannot be built: go: k8s.io/kubernetes@v1.99.99: module lookup disabled by GOPROXY=off",
	} {
		t.Run(version, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "make", "test-compat", "KUBERNETES="+version)
			command.Dir = root
			command.Env = append(os.Environ(), "GOPROXY=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw")
			output, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(output), wanted) || strings.Contains(string(output), "testing with") {
				t.Errorf("%v, wanted %q:\n%s", err, wanted, output)
			}
		})
	}
}
