// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

var (
	// uses is a step or job that runs code of others.
	uses = regexp.MustCompile(`^\s*(- )?uses:\s*(\S+)(\s+#\s*(\S+))?\s*$`)
	// pinned is an action at a digest: a tag can be moved to other code.
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	// exact is the version beside the digest, for people and for Dependabot.
	exact = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)
)

func TestActionsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("workflows: %v, %v", files, err)
	}
	for _, file := range files {
		text := harness.ReadFile(t, file)
		for row := range strings.Lines(string(text)) {
			if !strings.Contains(row, "uses:") {
				continue
			}
			found := uses.FindStringSubmatch(row)
			switch {
			case found == nil:
				t.Errorf("%s: cannot read %q", file, row)
			case strings.HasPrefix(found[2], "./"):
				// Of this repository, at this commit.
			case !pinned.MatchString(found[2]) || !exact.MatchString(found[4]):
				t.Errorf("%s: write owner/action@digest # v1.2.3, not %q", file, strings.TrimSpace(row))
			}
		}
	}
}

// workflow is what the test reads of a workflow.
type workflow struct {
	Permissions map[string]string `json:"permissions"`
	Env         map[string]string `json:"env"`
	Jobs        map[string]struct {
		Needs       string            `json:"needs"`
		If          string            `json:"if"`
		Permissions map[string]string `json:"permissions"`
		Strategy    struct {
			Matrix map[string][]string `json:"matrix"`
		} `json:"strategy"`
		Steps []struct {
			Uses string            `json:"uses"`
			Run  string            `json:"run"`
			With map[string]string `json:"with"`
			Env  map[string]string `json:"env"`
		} `json:"steps"`
	} `json:"jobs"`
}

func readWorkflow(t *testing.T, name string) workflow {
	t.Helper()
	text := harness.ReadFile(t, filepath.Join(root, ".github", "workflows", name))
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestCIRunsOneScript holds the workflow to what runs everywhere else too: one script, and the suites that
// .ci/run leaves out.
func TestCIRunsOneScript(t *testing.T) {
	commands := map[string][]string{}
	for name, job := range readWorkflow(t, "ci.yaml").Jobs {
		for _, step := range job.Steps {
			if step.Run != "" {
				commands[name] = append(commands[name], step.Run)
			}
		}
	}
	want := map[string][]string{
		"run": {".ci/run"}, "compat": {"make test-compat"},
		"rollouts": {"sudo apt-get update -q && sudo apt-get install -y -q --no-install-recommends prometheus", "make test-rollouts lint-rollouts"},
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("the commands of ci.yaml: put others into .ci/run (-want +got):\n%s", diff)
	}
}

// notInCI are the suites that .ci/run leaves out, and why.
var notInCI = map[string]string{
	"rbac":     "a part of test-blackbox",
	"compat":   "builds a Kubernetes in 10 CPU minutes, for one version at a time: the job compat of ci.yaml runs it",
	"rollouts": "builds Argo Rollouts in 7 CPU minutes: the job rollouts of ci.yaml runs it",
}

// TestCIRunsEverySuite compares .ci/run to the suites of hack/test.mk.
func TestCIRunsEverySuite(t *testing.T) {
	script := harness.ReadFile(t, filepath.Join(root, ".ci", "run"))
	makefile := harness.ReadFile(t, filepath.Join(root, "hack", "test.mk"))
	suites := regexp.MustCompile(`(?m)^test-([a-z]+):`).FindAllSubmatch(makefile, -1)
	if len(suites) < 14 {
		t.Errorf("only %d suites", len(suites))
	}
	for _, suite := range suites {
		name := string(suite[1])
		if runs := strings.Contains(string(script), "make test SUITE="+name+`"`); runs != (notInCI[name] == "") {
			t.Errorf(".ci/run runs the suite %s: %v, and the exception is %q", name, runs, notInCI[name])
		}
	}
}

// TestOnlyPublishingMayWrite keeps what compiles the code of others apart from
// what can sign and publish.
func TestOnlyPublishingMayWrite(t *testing.T) {
	for _, name := range []string{"ci.yaml", "release.yaml"} {
		w := readWorkflow(t, name)
		if w.Permissions == nil {
			t.Errorf("%s: without permissions: its jobs get the repository's default", name)
		}
		for permission, level := range w.Permissions {
			if level == "write" {
				t.Errorf("%s: every job may write %s", name, permission)
			}
		}
		for title, job := range w.Jobs {
			for permission, level := range job.Permissions {
				if level == "write" && title != "publish" {
					t.Errorf("%s: job %s may write %s", name, title, permission)
				}
			}
		}
	}
}
