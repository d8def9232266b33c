// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestSLORules tests the recorded shares and availabilities, and the alerts on them.
func TestSLORules(t *testing.T) {
	t.Parallel()
	if output, err := promtool(t, readRulesOf(t, sloFile), sloFolder, "check", "rules", "rules.yaml"); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	for _, file := range slices.Sorted(maps.Keys(ruleTests(t, sloFolder))) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if output, err := promtool(t, readRulesOf(t, sloFile), sloFolder, "test", "rules", file); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// TestEachSLORuleIsTested breaks one part of a rule after the other: each time, the
// test of the file must fail.
func TestEachSLORuleIsTested(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct{ file, from, to string }{
		"which status is an error":     {"hour.yaml", `{status=~"True|False"}`, ``},
		"the end of a deleted object":  {"hour.yaml", `[1h]) and on (cluster, namespace, name) slb_health:verdict`, `[1h])`},
		"which condition":              {"hour.yaml", `{condition="Healthy"}`, ``},
		"two replicas":                 {"hour.yaml", "max by (cluster, namespace, name, status)", "max by (cluster, namespace, name, status, pod)"},
		"the window of an hour":        {"hour.yaml", "[1h]", "[30m]"},
		"the window of 3 days":         {"days.yaml", "[3d]", "[24h]"},
		"the objective":                {"critical.yaml", "vector(0.999)", "vector(0.99)"},
		"the burn rate of 3 days":      {"days.yaml", `{window="3d"} > 1`, `{window="3d"} > 0.5`},
		"the short window of 3 days":   {"days.yaml", `{window="6h"} > 1`, `{window="6h"} >= 0`},
		"the burn rate of an hour":     {"critical.yaml", `{window="1h"} > 14.4`, `{window="1h"} > 34`},
		"the short window of an hour":  {"critical.yaml", `{window="5m"} > 14.4`, `{window="5m"} >= 0`},
		"the burn rate of 6 hours":     {"critical.yaml", `{window="6h"} > 6`, `{window="6h"} > 5`},
		"the short window of 6 hours":  {"critical.yaml", `{window="30m"} > 6`, `{window="30m"} >= 0`},
		"what the critical alert says": {"critical.yaml", "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			mutant, changed := readRulesOf(t, sloFile), false
			for g := range mutant.Groups {
				for i := range mutant.Groups[g].Rules {
					r := &mutant.Groups[g].Rules[i]
					if test.from == "" {
						changed = changed || r.Alert != ""
						delete(r.Annotations, "summary")
						continue
					}
					before := r.Expr
					r.Expr = strings.ReplaceAll(before, test.from, test.to)
					changed = changed || r.Expr != before
				}
			}
			if !changed {
				t.Fatalf("no rule has %q", test.from)
			}
			output, err := promtool(t, mutant, sloFolder, "test", "rules", test.file)
			if err == nil || !strings.Contains(output, "exp:") {
				t.Errorf("no test of %s fails: %v\n%s", test.file, err, output)
			}
		})
	}
}
