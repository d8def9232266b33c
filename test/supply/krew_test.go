// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const release = "v1.2.3"

// TestKrewInstallsThePlugin runs Krew itself on what a release would
// contain: .krew.yaml, filled in as its bot does, and the archives of dist.sh.
// The archives for other platforms contain the program of this one.
func TestKrewInstallsThePlugin(t *testing.T) {
	folder := buildArchives(t, release)
	_, platforms := krewManifest(t, folder, release)
	for _, platform := range platforms {
		home := t.TempDir()
		krewInstall(t, home, folder, platform)
		suffix, script := "", "kubectl_complete-lbh"
		if platform.os == "windows" {
			suffix, script = ".exe", "kubectl_complete-lbh.cmd"
		}
		installed := run(t, folder, filepath.Join(home, "bin", "kubectl-lbh"+suffix), "--version")
		if !strings.Contains(installed, release) {
			t.Errorf("%s/%s: the plugin prints the version %q", platform.os, platform.arch, installed)
		}
		files, err := filepath.Glob(filepath.Join(home, "store", "lbh", release, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range files {
			files[i] = filepath.Base(files[i])
		}
		if want := []string{"LICENSE", "kubectl-lbh" + suffix, script}; !slices.Equal(files, want) {
			t.Errorf("%s/%s: the archive contains %q, not %q", platform.os, platform.arch, files, want)
		}
	}
}

// buildArchives builds the plugin, and packs it into plugin.tar.gz and plugin.zip.
func buildArchives(t *testing.T, version string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	run(t, root, "make", "build-plugin", "VERSION="+version, "PLUGIN_OUT="+folder)
	for _, archive := range []string{"plugin.tar.gz", "plugin.zip"} {
		run(t, root, "hack/release/plugin.sh", filepath.Join(folder, "kubectl-lbh"), filepath.Join(folder, archive))
	}
	return folder
}

// krewInstall installs the archive for a platform from a folder, with home as the folder of Krew.
func krewInstall(t *testing.T, home, folder string, platform krewPlatform) {
	t.Helper()
	text, _ := krewManifest(t, folder, platform.version)
	manifest := filepath.Join(folder, "lbh.yaml")
	write(t, manifest, text)
	runKrew(t, home, platform, "install", "--manifest", manifest, "--archive", archiveFor(folder, platform.uri))
}

func runKrew(t *testing.T, home string, platform krewPlatform, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), tool(t, "krew"), args...)
	command.Env = []string{"HOME=" + home, "KREW_ROOT=" + home, "KREW_OS=" + platform.os, "KREW_ARCH=" + platform.arch, "PATH=" + os.Getenv("PATH")}
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s/%s: krew %q: %v\n%s", platform.os, platform.arch, args, err, output)
	}
}

// archiveFor is the archive of buildArchives with the format of an address.
func archiveFor(folder, address string) string {
	if strings.HasSuffix(address, ".zip") {
		return filepath.Join(folder, "plugin.zip")
	}
	return filepath.Join(folder, "plugin.tar.gz")
}

// TestArchivesAreReproducible packs one program twice, with another time and another umask.
func TestArchivesAreReproducible(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	write(t, program, []byte("program"))
	for _, extension := range []string{"tar.gz", "zip"} {
		var archives [2][]byte
		for i := range archives {
			if err := os.Chtimes(program, time.Time{}, time.Unix(int64(1_700_000_000+i), 0)); err != nil {
				t.Fatal(err)
			}
			archive := filepath.Join(folder, fmt.Sprintf("%d.%s", i, extension))
			run(t, root, "sh", "-c", fmt.Sprintf("umask 0%d2 && hack/release/plugin.sh %s %s", 2+5*i, program, archive))
			archives[i] = harness.ReadFile(t, archive)
		}
		if len(archives[0]) == 0 || !bytes.Equal(archives[0], archives[1]) {
			t.Errorf("%s: two archives of the same program differ", extension)
		}
	}
}

// TestDistBuildsWhatKrewDownloads compares dist.sh to the addresses in .krew.yaml.
func TestDistBuildsWhatKrewDownloads(t *testing.T) {
	script := harness.ReadFile(t, filepath.Join(root, "hack", "release", "dist.sh"))
	folder := t.TempDir()
	for _, name := range []string{"plugin.tar.gz", "plugin.zip"} { // any files will do
		write(t, filepath.Join(folder, name), nil)
	}
	_, platforms := krewManifest(t, folder, release)
	var names []string
	for _, p := range platforms {
		names = append(names, p.os+"/"+p.arch)
		extension := "tar.gz"
		if p.os == "windows" {
			extension = "zip"
		}
		if want := fmt.Sprintf("/download/%s/kubectl-lbh_%s_%s_%s.%s", release, release, p.os, p.arch, extension); !strings.HasSuffix(p.uri, want) {
			t.Errorf("%s has not the suffix %s", p.uri, want)
		}
	}
	if loop := "for platform in " + strings.Join(names, " ") + "; do\n\tGOOS=${platform%/*} GOARCH=${platform#*/} make -s build-plugin"; !strings.Contains(string(script), loop) {
		t.Errorf("dist.sh does not build the plugin for %q", names)
	}
}

type krewPlatform struct{ os, arch, uri, version string }

// krewManifest fills in .krew.yaml as krew-release-bot does, with the sums of the
// archives in a folder.
func krewManifest(t *testing.T, folder, version string) (text []byte, platforms []krewPlatform) {
	t.Helper()
	functions := template.FuncMap{
		"addURIAndSha": func(address, tag string) (string, error) {
			var uri bytes.Buffer
			parsed, err := template.New("").Parse(address)
			if err == nil {
				err = parsed.Execute(&uri, map[string]string{"TagName": tag})
			}
			content := harness.ReadFile(t, archiveFor(folder, uri.String()))
			return fmt.Sprintf("uri: %s\nsha256: %x", &uri, sha256.Sum256(content)), err
		},
		"indent": func(spaces int, text string) string {
			return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", spaces))
		},
	}
	var filled bytes.Buffer
	parsed, err := template.New(".krew.yaml").Funcs(functions).ParseFiles(filepath.Join(root, ".krew.yaml"))
	if err == nil {
		err = parsed.Execute(&filled, map[string]string{"TagName": version})
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
		platforms = append(platforms, krewPlatform{p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"], p.URI, version})
	}
	if len(platforms) == 0 {
		t.Fatalf("no platforms:\n%s", &filled)
	}
	return filled.Bytes(), platforms
}
