// SPDX-License-Identifier: Apache-2.0

// Package slo tests the file for Sloth with Sloth.
package slo

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/slok/sloth/pkg/lib"
)

const file = "../../config/prometheus/slo/sloth.yaml"

// generate returns the rules that Sloth makes of a file.
func generate(t *testing.T, content string) (string, error) {
	t.Helper()
	generator, err := lib.NewPrometheusSLOGenerator(lib.PrometheusSLOGeneratorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := generator.GenerateFromRaw(t.Context(), []byte(content))
	if err != nil {
		return "", err
	}
	var rules bytes.Buffer
	err = generator.WriteResultAsPrometheusStd(t.Context(), *result, &rules)
	return rules.String(), err
}

func read(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestSlothGeneratesRulesAndAlerts(t *testing.T) {
	rules, err := generate(t, read(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, wanted := range map[string]int{
		"- record: slo:sli_error:ratio_rate": 8, // windows
		"alert: SLBFleetErrorBudgetBurn\n":   2,
		"severity: critical\n":               1,
		"severity: warning\n":                1,
		"runbook_url: https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks/SLBErrorBudgetBurn.md\n": 2,
	} {
		if got := strings.Count(rules, what); got != wanted {
			t.Errorf("%d of %q, want %d, in\n%s", got, what, wanted, rules)
		}
	}
}

// Sloth refuses a broken file, so the other test can fail.
func TestSlothRefusesABrokenFile(t *testing.T) {
	for what, edit := range map[string][2]string{
		"an objective that nothing meets": {"objective: 99.9", "objective: 101"},
		"a query without a window":        {"[{{.window}}]", "[5m]"},
		"a query that does not parse":     {"sum(sum_over_time", "sum(sum_over_time("},
		"an alert without a name":         {"name: SLBFleetErrorBudgetBurn", "title: SLBFleetErrorBudgetBurn"},
	} {
		content := read(t)
		if !strings.Contains(content, edit[0]) {
			t.Fatalf("%s has no %q", file, edit[0])
		}
		if _, err := generate(t, strings.ReplaceAll(content, edit[0], edit[1])); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}
