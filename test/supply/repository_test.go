// SPDX-License-Identifier: Apache-2.0

// Package supply compares the supply chain to its documents: the modules and their
// licences, the contents of a program, the reaction to vulnerable code, and what the
// workflows may run.
package supply

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// root is the repository's folder.
const root = "../.."

// run runs a program in a folder, and returns what it printed on stdout.
func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOWORK=off")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s in %s: %v\n%s%s", program, strings.Join(args, " "), folder, err, &stdout, &stderr)
	}
	return stdout.String()
}

// repositoryFiles returns the files of the repository as slash-separated paths from
// its root, without those that git or a build keeps there.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
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

// tool returns the path of a pinned tool, built if it is not there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(harness.ToolsFolder(t), name)
	run(t, root, "make", "TOOLS="+filepath.Dir(path), path)
	return path
}

// write makes a file, and the folders above it.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
