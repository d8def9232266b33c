// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"encoding/json"
	"regexp"
	"strings"
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
		RefID        string `json:"refId"`
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
			Mappings []mapping `json:"mappings"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				Options string `json:"options"`
			} `json:"matcher"`
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Transformations []struct {
		Options organizing `json:"options"`
	} `json:"transformations"`
}

// organizing is which fields a table shows, in which order, and their names.
type organizing struct {
	ExcludeByName map[string]bool   `json:"excludeByName"`
	IndexByName   map[string]int    `json:"indexByName"`
	RenameByName  map[string]string `json:"renameByName"`
}

// organize is the last transformation of a table.
func (p *panel) organize() organizing { return p.Transformations[len(p.Transformations)-1].Options }

// mapping is text and colour by value.
type mapping struct {
	Options map[string]struct{ Text, Color string } `json:"options"`
}

// override reads a property that a panel sets for one of its fields.
func (p *panel) override(field, property string, into any) {
	for _, o := range p.FieldConfig.Overrides {
		for _, value := range o.Properties {
			if o.Matcher.Options == field && value.ID == property {
				_ = json.Unmarshal(value.Value, into)
			}
		}
	}
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
	return map[string]string{"__rate_interval": window, "cluster": ".*", "namespace": ".*", "product": ".*", "name": ".*", "job": ".*"}
}

var variable = regexp.MustCompile(`\$(\w+)`)

// withValues replaces the variables of a query; test/docs checks that each is known.
func withValues(query string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(query, func(found string) string { return values[found[1:]] })
}

// fallback is what a panel shows instead of no result.
const fallback = " or vector(0)"

// expectPanels sends every query of the dashboard, for everything. A fallback does not count.
func (s *env) expectPanels(t *testing.T) {
	t.Helper()
	queries := 0
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			queries++
			eventually(t, func(g Gomega) {
				g.Expect(s.server.results(g, withValues(strings.TrimSuffix(target.Expr, fallback), everything(quickRange)))).NotTo(BeZero(), panel.Title+": "+target.Expr)
			})
		}
	}
	if queries < 15 {
		t.Errorf("the dashboard has only %d queries", queries)
	}
}
