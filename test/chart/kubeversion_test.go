// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"strings"
	"testing"
)

// TestKubeVersion renders the chart for versions as clusters report them: Helm reads a vendor's suffix as a prerelease.
func TestKubeVersion(t *testing.T) {
	for version, refused := range map[string]bool{
		"v1.33.0":           false,
		"v1.33.1-aliyun.1":  false,
		"v1.33.0-aliyun.1":  false,
		"v1.37.2":           false,
		"v1.38.0-beta.0":    false,
		"v1.32.13":          true,
		"v1.32.7-aliyun.1":  true,
		"v1.28.15-aliyun.1": true,
	} {
		t.Run(version, func(t *testing.T) {
			_, err := helm(t, "template", release, chartFolder, "--kube-version", version)
			switch {
			case !refused && err != nil:
				t.Error(err)
			case refused && (err == nil || !strings.Contains(err.Error(), "chart requires kubeVersion: >=1.33.0-0")):
				t.Errorf("wanted a refusal that names the range, got %v", err)
			}
		})
	}
}
