// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// TestReleasePublishesEveryImage checks that release.yaml compares, pushes, signs and
// attests the image of each target of the Dockerfile.
func TestReleasePublishesEveryImage(t *testing.T) {
	w := readWorkflow(t, "release.yaml")
	var script strings.Builder
	attested := map[string]string{}
	for _, step := range w.Jobs["publish"].Steps {
		script.WriteString(step.Run)
		if name := step.With["subject-name"]; strings.HasPrefix(step.Uses, "actions/attest@") && name != "" {
			attested[name] = step.With["subject-digest"]
		}
	}
	dockerfile := string(harness.ReadFile(t, filepath.Join(root, "Dockerfile")))
	var targets []string
	for _, found := range regexp.MustCompile(`(?m)^FROM .* AS (\w+)$`).FindAllStringSubmatch(dockerfile, -1) {
		if found[1] != "builder" {
			targets = append(targets, found[1])
		}
	}
	slices.Sort(targets)
	if !strings.Contains(script.String(), "for target in "+strings.Join(targets, " ")+"; do\n") {
		t.Errorf("not every image of %q is compared with the files of the release", targets)
	}
	for _, image := range []struct{ target, compare, variable, output, digest string }{
		{"operator", `cmp "rootfs/linux_$arch/slb-health-operator" "dist/slb-health-operator-linux-$arch"`, "IMAGE", "digest", "DIGEST"},
		{"plugin", `tar -xzOf "dist/kubectl-lbh_${VERSION}_linux_$arch.tar.gz" kubectl-lbh | cmp "rootfs/linux_$arch/kubectl-lbh" -`, "PLUGIN_IMAGE", "plugin", "PLUGIN_DIGEST"},
		{"simulator", `cmp "rootfs/linux_$arch/slb-simulator" "dist/slb-simulator-linux-$arch"`, "SIMULATOR_IMAGE", "simulator", "SIMULATOR_DIGEST"},
	} {
		targets = slices.DeleteFunc(targets, func(target string) bool { return target == image.target })
		for _, want := range []string{
			image.compare,
			"push " + image.output + " " + image.target + ` "$` + image.variable + `"`,
			`cosign sign --yes --recursive "$` + image.variable + "@$" + image.digest + `"`,
		} {
			if !strings.Contains(script.String(), want) {
				t.Errorf("release.yaml does not run %s", want)
			}
		}
		if w.Env[image.variable] == "" || attested["${{ env."+image.variable+" }}"] != "${{ steps.image.outputs."+image.output+" }}" {
			t.Errorf("%s has no provenance: %q, %q", image.variable, w.Env[image.variable], attested)
		}
	}
	if len(targets) > 0 {
		t.Errorf("no image is published of %q", targets)
	}
}

// TestKrewIndexGetsReleases checks that Krew's bot runs after a release that is no
// prerelease, with neither a secret nor a permission to write.
func TestKrewIndexGetsReleases(t *testing.T) {
	bots := 0
	for title, job := range readWorkflow(t, "release.yaml").Jobs {
		for _, step := range job.Steps {
			if !strings.HasPrefix(step.Uses, "rajatjindal/krew-release-bot@") {
				continue
			}
			bots++
			if job.Needs != "publish" || job.If != "${{ !contains(github.ref_name, '-') }}" {
				t.Errorf("job %s needs %q, and runs if %q", title, job.Needs, job.If)
			}
			if len(job.Permissions) != 1 || job.Permissions["contents"] != "read" || len(step.Env) > 0 || len(step.With) > 0 {
				t.Errorf("job %s may %v, and passes %v and %v", title, job.Permissions, step.Env, step.With)
			}
		}
	}
	if bots != 1 {
		t.Errorf("%d steps run Krew's bot", bots)
	}
}
