// SPDX-License-Identifier: Apache-2.0

// Package prometheus holds config/prometheus to what Prometheus makes of it.
package prometheus

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	alertsFile     = "../../config/prometheus/alerts.yaml"
	runbooksFolder = "../../docs/runbooks"
	runbooksURL    = "https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks/"
)

// rules are the part of a PrometheusRule that Prometheus reads.
type rules struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func readRules(t *testing.T) rules {
	t.Helper()
	content, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var resource struct {
		Spec rules `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &resource); err != nil {
		t.Fatal(err)
	}
	if len(resource.Spec.Groups) == 0 {
		t.Fatalf("%s has no groups", alertsFile)
	}
	return resource.Spec
}

// write puts the rules into a file as Prometheus reads it.
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

func TestAlertsFireWhenTheyShouldAndThenOnly(t *testing.T) {
	folder := t.TempDir()
	readRules(t).write(t, filepath.Join(folder, "rules.yaml"))
	tests, err := os.ReadFile("alerts.promtool.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "tests.yaml"), tests, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "tests.yaml"}} {
		command := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
		command.Dir = folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
	for _, r := range readRules(t).all() {
		if !strings.Contains(string(tests), "alertname: "+r.Alert+"\n") {
			t.Errorf("no test lets %s fire", r.Alert)
		}
	}
}

func TestEachAlertHasARunbook(t *testing.T) {
	var want []string
	contents, err := os.ReadFile(filepath.Join(runbooksFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t).all() {
		page := r.Alert + ".md"
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
