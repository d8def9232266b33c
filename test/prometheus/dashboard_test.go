// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"encoding/json"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// dashboard is the part of Grafana's model that the tests need.
type dashboard struct {
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`
}

type panel struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit  string `json:"unit"`
			Color struct {
				FixedColor string `json:"fixedColor"`
			} `json:"color"`
			Custom struct {
				Stacking struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
			} `json:"custom"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content := harness.ReadFile(t, "../../config/grafana/slb-health.json")
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// everything has the variables without a selection.
func everything(window string) map[string]string {
	return map[string]string{"__rate_interval": window, "cluster": ".*", "namespace": ".*", "name": ".*", "job": ".*"}
}

var variable = regexp.MustCompile(`\$(\w+)`)

// withValues replaces the variables of a query; test/docs checks that each is known.
func withValues(query string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(query, func(found string) string { return values[found[1:]] })
}

// expectPanels sends every query of the dashboard, for everything.
func (s *env) expectPanels(t *testing.T) {
	t.Helper()
	queries := 0
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			queries++
			eventually(t, func(g Gomega) {
				g.Expect(s.server.results(g, withValues(target.Expr, everything(quickRange)))).NotTo(BeZero(), panel.Title+": "+target.Expr)
			})
		}
	}
	if queries < 15 {
		t.Errorf("the dashboard has only %d queries", queries)
	}
}
