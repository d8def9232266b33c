// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// testComponents checks that config/components makes the same of an overlay as the
// components that they wrap make of config/default.
func testComponents(t *testing.T, c *harness.ControlPlane) {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "config"), os.DirFS(configFolder)); err != nil {
		t.Fatal(err)
	}
	const overlay = `
resources: [../config/default]
components: [../config/components/network-policy, ../config/components/service-discovery, ../config/components/backend-names]
`
	own := filepath.Join(folder, "overlay")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	want, got := c.RunKubectl(t, nil, "kustomize", withOptions(t)), c.RunKubectl(t, nil, "kustomize", own)
	if difference := cmp.Diff(string(want), string(got)); difference != "" {
		t.Errorf("config/default -, overlay +:\n%s", difference)
	}
}
