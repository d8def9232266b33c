// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist"}, entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(path, suffix):
			name := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
			visit(name, read(t, name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
