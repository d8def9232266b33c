// SPDX-License-Identifier: Apache-2.0

// Package prometheus tests config/prometheus with Prometheus.
package prometheus

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	alertsFile     = "../../config/prometheus/alerts.yaml"
	rulesFolder    = "rules"
	sloFile        = "../../config/prometheus/slo/rules.yaml"
	sloFolder      = "slo"
	runbooksFolder = "../../docs/runbooks"
	runbooksURL    = "https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks/"
)

// rules are the groups of a PrometheusRule.
type rules struct {
	Groups []struct {
		Name     string `json:"name"`
		Interval string `json:"interval,omitempty"`
		Rules    []rule `json:"rules"`
	} `json:"groups"`
}

// rule is an alert, or a record.
type rule struct {
	Alert       string            `json:"alert,omitempty"`
	Record      string            `json:"record,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	KeepFor     string            `json:"keep_firing_for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func readRules(t *testing.T) rules {
	t.Helper()
	return readRulesOf(t, alertsFile)
}

func readRulesOf(t *testing.T, file string) rules {
	t.Helper()
	content := harness.ReadFile(t, file)
	var resource struct {
		Spec rules `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &resource); err != nil {
		t.Fatal(err)
	}
	if len(resource.Spec.Groups) == 0 {
		t.Fatalf("%s has no groups", file)
	}
	return resource.Spec
}

// write writes the rules as a file of Prometheus.
func (r rules) write(t *testing.T, path string) {
	t.Helper()
	content, err := yaml.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r rules) all() []rule {
	var all []rule
	for _, group := range r.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// program finds a program of Prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install Prometheus, say with apt-get install prometheus", err)
	}
	return path
}

// ruleTests are the files of tests in a folder, by their names.
func ruleTests(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files of tests, %v", len(paths), err)
	}
	tests := map[string]string{}
	for _, path := range paths {
		content := harness.ReadFile(t, path)
		tests[filepath.Base(path)] = string(content)
	}
	return tests
}

// promtool runs promtool on rules, beside the files of tests in a folder.
func promtool(t *testing.T, r rules, tests string, args ...string) (output string, failed error) {
	t.Helper()
	folder := t.TempDir()
	r.write(t, filepath.Join(folder, "rules.yaml"))
	if err := os.CopyFS(folder, os.DirFS(tests)); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
	command.Dir = folder
	combined, err := command.CombinedOutput()
	return string(combined), err
}

func TestAlertsFireOnlyForTheirCause(t *testing.T) {
	tests := ruleTests(t, rulesFolder)
	args := append([]string{"test", "rules"}, slices.Sorted(maps.Keys(tests))...)
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, args} {
		if output, err := promtool(t, readRules(t), rulesFolder, args...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
	for _, r := range readRules(t).all() {
		if !strings.Contains(tests["annotations.yaml"], "alertname: "+r.Alert+"\n") {
			t.Errorf("no test lets %s fire with its annotations", r.Alert)
		}
	}
}

// TestOneCauseMakesOneAlertAtATime verifies that keep_firing_for of an alert ends
// before an alert with precedence fires.
func TestOneCauseMakesOneAlertAtATime(t *testing.T) {
	longest := map[string]time.Duration{}
	after := map[string]time.Duration{}
	for _, r := range readRules(t).all() {
		longest[r.Alert], after[r.Alert] = duration(t, r.KeepFor), duration(t, r.For)
	}
	for alert, successors := range map[string][]string{
		"SLBBackendAbnormal":    {"SLBHealthStalled", "SLBObservationStale"},
		"SLBBelowMinHealthy":    {"SLBHealthStalled", "SLBObservationStale"},
		"SLBHealthUnknown":      {"SLBHealthStalled", "SLBObservationStale", "SLBListenerMissing"},
		"SLBListenerMissing":    {"SLBHealthStalled", "SLBObservationStale"},
		"SLBBackendsMissing":    {"SLBHealthStalled", "SLBObservationStale"},
		"SLBObservationFailing": {"SLBHealthStalled", "SLBObservationStale"},
		"SLBObservationStale":   {"SLBHealthStalled"},
	} {
		for _, successor := range successors {
			if longest[alert] == 0 || longest[alert] > after[successor] {
				t.Errorf("%s is kept for %s, and %s fires after %s", alert, longest[alert], successor, after[successor])
			}
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEachAlertHasARunbook(t *testing.T) {
	var want []string
	contents := harness.ReadFile(t, filepath.Join(runbooksFolder, "README.md"))
	for _, r := range append(readRules(t).all(), readRulesOf(t, sloFile).all()...) {
		page := r.Alert + ".md"
		if r.Alert == "" || slices.Contains(want, page) {
			continue // a record, or another severity of the alert
		}
		want = append(want, page)
		if got := r.Annotations["runbook_url"]; got != runbooksURL+page {
			t.Errorf("%s leads to %q", r.Alert, got)
		}
		if !strings.Contains(string(contents), "["+r.Alert+"]("+page+")") {
			t.Errorf("the table of contents lacks %s", r.Alert)
		}
	}
	var got []string
	entries, err := os.ReadDir(runbooksFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != "README.md" {
			got = append(got, entry.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the runbooks are\n%q, and the alerts\n%q", got, want)
	}
}
