// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const licenceHeader = "SPDX-License-Identifier: Apache-2.0\n"

// TestSourcesNameTheirLicence covers what the goheader linter does not read: every module, scripts and makefiles.
func TestSourcesNameTheirLicence(t *testing.T) {
	checked := 0
	for _, file := range repositoryFiles(t) {
		if !isSource(file) || strings.Contains(file, "/testdata/") {
			continue
		}
		checked++
		if start := firstLines(string(harness.ReadFile(t, filepath.Join(root, file))), 3); !strings.Contains(start, licenceHeader) {
			t.Errorf("%s starts without %q", file, strings.TrimSpace(licenceHeader))
		}
	}
	if checked < 300 {
		t.Fatalf("only %d files were checked", checked)
	}
}

// isSource reports whether a file is code that carries a header: generated and declarative files do not.
func isSource(file string) bool {
	name := path.Base(file)
	return slices.Contains([]string{".go", ".sh", ".mk"}, path.Ext(name)) || slices.Contains([]string{"Makefile", "Dockerfile"}, name) ||
		file == ".ci/run"
}

func firstLines(text string, count int) string {
	return strings.Join(slices.Collect(strings.Lines(text))[:min(count, strings.Count(text, "\n"))], "")
}
