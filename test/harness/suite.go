// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// RunParallel runs the tests of a package, up to a number at the same time. It is for
// tests that wait far more than they compute, whatever the number of processors.
func RunParallel(m *testing.M, number string) {
	flag.Parse()
	if err := flag.Set("test.parallel", number); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// ToolsFolder returns the folder of the pinned tools, which the Makefile builds.
func ToolsFolder(t *testing.T) string {
	t.Helper()
	if folder := os.Getenv("TOOLS"); folder != "" {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			t.Fatal(err)
		}
		return absolute
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "bin", "tools")
}

// ReadFile returns the content of a file.
func ReadFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
