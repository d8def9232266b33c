// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/internal/picture"
)

// TestThePictureIsOfTheDashboard fails when a panel came after it was drawn.
func TestThePictureIsOfTheDashboard(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "config", "grafana", "slb-health.json"))
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := picture.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	drawing, err := os.ReadFile(filepath.Join(root, "docs", "dashboard.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := picture.Check(dashboard, string(drawing)); err != nil {
		t.Errorf("docs/dashboard.svg: %v: run make dashboard-picture", err)
	}
}
