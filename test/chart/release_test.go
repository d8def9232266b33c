// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// TestReleasedChartNamesTheSignedImage packages the chart as a release does.
func TestReleasedChartNamesTheSignedImage(t *testing.T) {
	const image, version = "registry.example/slb-health-operator", "v1.2.3-rc.1"
	digest := "sha256:" + strings.Repeat("ab", 32)
	folder := t.TempDir()
	if _, err := run(t, []string{"HOME=" + t.TempDir()}, nil, filepath.Join(root, "hack", "release", "chart.sh"), helmPath(t), version, image, digest, folder); err != nil {
		t.Fatal(err)
	}
	packaged := filepath.Join(folder, "slb-health-operator-1.2.3-rc.1.tgz")
	for _, test := range []struct{ values, want string }{
		{"replicas=2", image + ":" + version + "@" + digest},
		{"image.tag=v9", image + ":v9"},
		{"image.repository=mirror.example/operator", "mirror.example/operator:" + version + "@" + digest},
	} {
		manifests, err := helm(t, "template", release, packaged, "--set", test.values)
		if err != nil {
			t.Fatal(err)
		}
		deployment := harness.Only[appsv1.Deployment](t, parse(t, manifests), "Deployment")
		if got := deployment.Spec.Template.Spec.Containers[0].Image; got != test.want {
			t.Errorf("%s: the image is %s, not %s", test.values, got, test.want)
		}
		if got := deployment.Labels["helm.sh/chart"]; got != "slb-health-operator-1.2.3-rc.1" {
			t.Errorf("it calls itself %s", got)
		}
	}
}
