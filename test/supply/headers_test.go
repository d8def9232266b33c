// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const licenceHeader = "SPDX-License-Identifier: Apache-2.0\n"

// TestSourcesNameTheirLicence covers what the goheader linter does not read: every module, scripts and makefiles.
func TestSourcesNameTheirLicence(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !isSource(path):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		checked++
		if start := firstLines(string(content), 3); !strings.Contains(start, licenceHeader) {
			t.Errorf("%s starts without %q", path, strings.TrimSpace(licenceHeader))
		}
		return nil
	})
	if err != nil || checked < 300 {
		t.Fatalf("%d files were checked: %v", checked, err)
	}
}

// isSource reports whether a file is code that carries a header: generated and declarative files do not.
func isSource(path string) bool {
	name := filepath.Base(path)
	return slices.Contains([]string{".go", ".sh", ".mk"}, filepath.Ext(name)) || slices.Contains([]string{"Makefile", "Dockerfile"}, name) ||
		strings.HasSuffix(filepath.ToSlash(path), "/.ci/run")
}

func firstLines(text string, count int) string {
	return strings.Join(slices.Collect(strings.Lines(text))[:min(count, strings.Count(text, "\n"))], "")
}
