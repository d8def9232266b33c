// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestImageBuildsFromMirrors checks that every host that a build contacts can be replaced
// by an argument: those of both base images, and the Go module proxy.
func TestImageBuildsFromMirrors(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	froms, proxy, downloads := 0, false, 0
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "ARG":
			name, _, _ := strings.Cut(fields[1], "=")
			declared[name] = froms == 0
			proxy = proxy || name == "GOPROXY" && froms == 1
		case "FROM":
			froms++
			image := regexp.MustCompile(`^FROM (?:--platform=\S+ )?\$\{(\w+)\}`).FindStringSubmatch(line)
			if len(image) == 0 || !declared[image[1]] {
				t.Errorf("no argument names the image of %q", strings.TrimSpace(line))
			}
		case "RUN":
			if strings.Contains(line, "go mod download") {
				downloads++
				if !proxy {
					t.Error("go mod download runs before ARG GOPROXY")
				}
			}
		default:
		}
	}
	if froms != 4 || downloads != 1 {
		t.Errorf("%d stages and %d downloads", froms, downloads)
	}
}

// TestMakePassesBuildArguments checks that TARGET and DOCKER_ARGS reach docker as they are written.
func TestMakePassesBuildArguments(t *testing.T) {
	const arguments = "--build-arg GOPROXY=https://proxy.example.com,direct --build-arg BUILDER_IMAGE=registry.example/golang:1.26 --push"
	for target, flag := range map[string]string{"": "", "simulator": "--target 'simulator' "} {
		output, err := exec.CommandContext(t.Context(), "make", "-s", "-n", "-C", filepath.Join("..", ".."), "docker-build", "TARGET="+target,
			"IMG=registry.example/slb-health-operator:v1.2.3", "VERSION=v1.2.3", "SOURCE_DATE_EPOCH=0", "DOCKER_ARGS="+arguments).CombinedOutput()
		want := "docker buildx build " + flag + "--build-arg VERSION='v1.2.3' --tag 'registry.example/slb-health-operator:v1.2.3' " + arguments + " .\n"
		if err != nil || !strings.HasSuffix(string(output), want) {
			t.Errorf("TARGET=%s: %v\n%s, not\n%s", target, err, output, want)
		}
	}
}
