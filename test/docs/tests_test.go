// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// TestDocumentedTestsExist verifies that every test exists that a page names.
func TestDocumentedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	each(t, "_test.go", func(_, content string) {
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(content, -1) {
			declared[found[1]] = true
		}
	})
	named := 0
	each(t, ".md", func(file, content string) {
		for _, found := range regexp.MustCompile("`(Test[A-Z]\\w+)[/`]").FindAllStringSubmatch(content, -1) {
			named++
			if !declared[found[1]] {
				t.Errorf("%s names %s, and there is no such test", file, found[1])
			}
		}
	})
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}

// each reads the files of the repository with a suffix.
func each(t *testing.T, suffix string, visit func(file, content string)) {
	t.Helper()
	for _, file := range harness.RepositoryFiles(t) {
		if strings.HasSuffix(file, suffix) {
			visit(file, string(harness.ReadFile(t, filepath.Join(root, file))))
		}
	}
}
