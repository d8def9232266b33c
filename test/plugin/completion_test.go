// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var completionSpecs = []spec{
	{"kubectl completes commands, names, flags and their values", completion},
	{"help shows commands as users type them", help},
}

// complete runs kubectl's completion as a shell does. kubectl runs kubectl_complete-lbh.
func (s *fixture) complete(t *testing.T, words ...string) []string {
	t.Helper()
	command := exec.Command(filepath.Join(s.path, "kubectl"), append([]string{"__complete", "lbh"}, words...)...)
	command.Env = s.environment()
	r := finish(t, command)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	return strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
}

const noFiles = ":4"

func completion(t *testing.T, s *fixture) {
	s.put(t, "web", "abnormal")
	s.observe(t, "web")
	s.observe(t, "api", labelled(unserved, "true"))
	s.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
	in := "--namespace=" + s.namespace
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{in, "tree", ""}, []string{"api", "web\tBelowMinHealthy", noFiles}},
		{[]string{in, "tree", "w"}, []string{"web\tBelowMinHealthy", noFiles}},
		{[]string{in, "tree", "web", ""}, []string{noFiles}},
		{[]string{in, "watch", "web", ""}, []string{"api", noFiles}},
		{[]string{in, "wait", "web", "--for", ""}, []string{"healthy", "ready", "observed", noFiles}},
		{[]string{in, "listeners", "w"}, []string{"web\tBelowMinHealthy", noFiles}},
		{[]string{in, "listeners", "-o", ""}, []string{"wide", noFiles}},
		{[]string{in, "--sort-by", ""}, []string{"health", "name", "ready", "since", "backends", "abnormal", "missing", "disruptions", noFiles}},
		{[]string{in, "--unh"}, []string{"--unhealthy\tShow only the objects that are not Ready, or whose status is not current.", noFiles}},
		{[]string{in, "tree", "web", "--al"}, []string{"--all\tShow every backend of the status, not the first 20 of each listener.", noFiles}},
		{[]string{in, "--color", ""}, []string{"auto", "always", "never", noFiles}},
	} {
		if got := s.complete(t, c.words...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, not %q", c.words, got, c.want)
		}
	}
	got := s.complete(t, in, "")
	for _, want := range []string{"tree\tListeners and backends of one object, the abnormal and missing first, and why", "listeners\t", "wait\t", "watch\t", "refresh\t", "web\tBelowMinHealthy"} {
		if !slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, want) }) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func help(t *testing.T, s *fixture) {
	got := finish(t, s.command("--help")).succeeds(t)
	for _, want := range []string{"kubectl lbh [NAME...] [flags]", "kubectl lbh [command]", "kubectl lbh tree web"} {
		if !strings.Contains(got, want) {
			t.Errorf("the help lacks %q:\n%s", want, got)
		}
	}
	if got := finish(t, s.command("wait", "--help")).succeeds(t); !strings.Contains(got, "kubectl lbh wait NAME [flags]") {
		t.Errorf("%s", got)
	}
}
