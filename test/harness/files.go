// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io/fs"
	"os"
	"slices"
	"testing"
)

// ReadFile returns the content of a file.
func ReadFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// RepositoryFiles returns the files of the repository as slash-separated paths from
// its root, without those that git or a build keeps there.
func RepositoryFiles(t *testing.T) []string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	err = fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			files = append(files, path)
		case slices.Contains([]string{".git", "bin", "dist"}, entry.Name()):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
