// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedTestsExist holds what a page says that a test proves to the tests.
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

// each reads the files of the repository whose names end so.
func each(t *testing.T, suffix string, visit func(file, content string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "dist"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, suffix):
			return nil
		}
		content, err := os.ReadFile(file)
		if err == nil {
			visit(file, string(content))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
