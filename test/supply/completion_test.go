// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// documentedCompletion returns the first shell block below the heading Completion of docs/kubectl-lbh.md.
func documentedCompletion(t *testing.T) string {
	t.Helper()
	page := harness.ReadFile(t, filepath.Join(root, "docs", "kubectl-lbh.md"))
	found := regexp.MustCompile("(?s)\n## Completion\n.*?```sh\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/kubectl-lbh.md has no command below Completion")
	}
	return string(found[1])
}

// user has a home, and Krew's folder and one of their own in PATH.
type user struct{ home, kubectl string }

func newUser(t *testing.T) user {
	t.Helper()
	kubectl, err := filepath.Abs(filepath.Join(root, "bin", "controlplane", "kubectl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kubectl); err != nil {
		t.Fatalf("%v: run make controlplane", err)
	}
	return user{t.TempDir(), kubectl}
}

func (u user) krew() string { return filepath.Join(u.home, ".krew") }

func (u user) bin() string { return filepath.Join(u.home, ".local", "bin") }

func (u user) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = []string{"HOME=" + u.home, "PATH=" + u.bin() + ":" + filepath.Join(u.krew(), "bin") + ":/usr/bin:/bin", "KUBECONFIG=" + filepath.Join(u.home, "none")}
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", program, args, err)
	}
	return string(output)
}

// colors completes the values of a flag of the plugin, as a shell does.
func (u user) colors(t *testing.T) string {
	t.Helper()
	return u.run(t, u.kubectl, "__complete", "lbh", "tree", "--color", "")
}

const everyColor = "auto\nalways\nnever\n:4\n"

// TestDocumentedCompletion installs the plugin with Krew, runs the documented command,
// and replaces the plugin with a later version, whose folder is another.
func TestDocumentedCompletion(t *testing.T) {
	u := newUser(t)
	platform := krewPlatform{os: runtime.GOOS, arch: runtime.GOARCH, version: release}
	archives := buildArchives(t, release)
	krewInstall(t, u.krew(), archives, platform)
	if got := u.colors(t); strings.Contains(got, "never") {
		t.Errorf("Krew alone enables the completion, so the command is not needed: %q", got)
	}
	u.run(t, "sh", "-c", documentedCompletion(t))
	if got := u.colors(t); got != everyColor {
		t.Errorf("after the documented command, kubectl completes %q", got)
	}

	run(t, root, "git", "init", "-q", filepath.Join(u.krew(), "index", "default")) // uninstall requires an index
	runKrew(t, u.krew(), platform, "uninstall", "lbh")
	platform.version = "v1.2.4"
	krewInstall(t, u.krew(), archives, platform)
	if got := u.colors(t); got != everyColor {
		t.Errorf("with a later version, kubectl completes %q", got)
	}
}

// TestCompletionOfWindows checks what docs/kubectl-lbh.md says about Windows, as far as kubectl decides
// it on every platform: it derives the name of a plugin from its file name, and the file need not be a program.
func TestCompletionOfWindows(t *testing.T) {
	u := newUser(t)
	for name, content := range map[string]string{
		"kubectl-lbh.exe": "", "kubectl_complete-lbh": "#!/bin/sh\nprintf 'never\\n:4\\n'\n",
	} {
		write(t, filepath.Join(u.bin(), name), []byte(content))
		if err := os.Chmod(filepath.Join(u.bin(), name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got := u.colors(t); strings.Contains(got, "never") {
		t.Errorf("kubectl completes lbh with kubectl-lbh.exe alone: %q", got)
	}
	write(t, filepath.Join(u.bin(), "kubectl-lbh"), nil)
	if got := u.colors(t); got != "never\n:4\n" {
		t.Errorf("kubectl does not complete lbh with an empty kubectl-lbh: %q", got)
	}
}
