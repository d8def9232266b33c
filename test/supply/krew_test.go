// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const release = "v1.2.3"

// TestKrewInstallsThePlugin runs Krew itself on what a release would
// contain: .krew.yaml, filled in as its bot does, and the archive of dist.sh.
func TestKrewInstallsThePlugin(t *testing.T) {
	krew := tool(t, "krew")
	folder := t.TempDir()
	run(t, root, "make", "build-plugin", "VERSION="+release, "PLUGIN_OUT="+folder)
	archive := filepath.Join(folder, "plugin.tar.gz")
	run(t, root, "hack/release/plugin.sh", filepath.Join(folder, "kubectl-lbh"), archive)
	manifest := filepath.Join(folder, "lbh.yaml")
	text, platforms := krewManifest(t, archive)
	write(t, manifest, text)

	for _, platform := range platforms {
		home := t.TempDir()
		command := exec.CommandContext(t.Context(), krew, "install", "--manifest", manifest, "--archive", archive)
		command.Env = []string{"HOME=" + home, "KREW_ROOT=" + home, "KREW_OS=" + platform.os, "KREW_ARCH=" + platform.arch, "PATH=" + os.Getenv("PATH")}
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s/%s: %v\n%s", platform.os, platform.arch, err, output)
		}
		installed := run(t, folder, filepath.Join(home, "bin", "kubectl-lbh"), "--version")
		if !strings.Contains(installed, release) {
			t.Errorf("%s/%s: the plugin says that it is %q", platform.os, platform.arch, installed)
		}
		if _, err := os.Stat(filepath.Join(home, "store", "lbh", release, "kubectl_complete-lbh")); err != nil {
			t.Error(err)
		}
	}
}

// TestDistBuildsWhatKrewDownloads compares dist.sh to the addresses in .krew.yaml.
func TestDistBuildsWhatKrewDownloads(t *testing.T) {
	script := harness.ReadFile(t, filepath.Join(root, "hack", "release", "dist.sh"))
	_, platforms := krewManifest(t, filepath.Join(root, ".krew.yaml")) // any file will do
	var names []string
	for _, p := range platforms {
		names = append(names, p.os+"/"+p.arch)
		if want := fmt.Sprintf("/download/%s/kubectl-lbh_%s_%s_%s.tar.gz", release, release, p.os, p.arch); !strings.HasSuffix(p.uri, want) {
			t.Errorf("%s has not the suffix %s", p.uri, want)
		}
	}
	if loop := "for platform in " + strings.Join(names, " ") + "; do\n\tGOOS=${platform%/*} GOARCH=${platform#*/} make -s build-plugin"; !strings.Contains(string(script), loop) {
		t.Errorf("dist.sh does not build the plugin for %q", names)
	}
}

type krewPlatform struct{ os, arch, uri string }

// krewManifest fills in .krew.yaml as krew-release-bot does, with the sum of one
// archive for every platform.
func krewManifest(t *testing.T, archive string) (text []byte, platforms []krewPlatform) {
	t.Helper()
	content := harness.ReadFile(t, archive)
	functions := template.FuncMap{
		"addURIAndSha": func(address, tag string) (string, error) {
			var uri bytes.Buffer
			parsed, err := template.New("").Parse(address)
			if err == nil {
				err = parsed.Execute(&uri, map[string]string{"TagName": tag})
			}
			return fmt.Sprintf("uri: %s\nsha256: %x", &uri, sha256.Sum256(content)), err
		},
		"indent": func(spaces int, text string) string {
			return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", spaces))
		},
	}
	var filled bytes.Buffer
	parsed, err := template.New(".krew.yaml").Funcs(functions).ParseFiles(filepath.Join(root, ".krew.yaml"))
	if err == nil {
		err = parsed.Execute(&filled, map[string]string{"TagName": release})
	}
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Spec struct {
			Platforms []struct {
				URI      string
				Selector struct{ MatchLabels map[string]string }
			}
		}
	}
	if err := yaml.Unmarshal(filled.Bytes(), &manifest); err != nil {
		t.Fatalf("%v:\n%s", err, &filled)
	}
	for _, p := range manifest.Spec.Platforms {
		platforms = append(platforms, krewPlatform{p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"], p.URI})
	}
	if len(platforms) == 0 {
		t.Fatalf("no platforms:\n%s", &filled)
	}
	return filled.Bytes(), platforms
}
