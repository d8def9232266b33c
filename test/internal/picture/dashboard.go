// SPDX-License-Identifier: Apache-2.0

// Package picture draws a dashboard of Grafana, as an SVG, from what its queries
// returned.
//
//	dashboard.go  Grafana's model, as much of it as is drawn
//	answer.go     what Prometheus answers
//	picture.go    panels in their places, and their frames
//	number.go     a panel of one number
//	table.go      a panel of rows
//	chart.go      a panel of lines: its axes and legend
//	curve.go      the lines themselves, stacked or not
//	axis.go       where an axis has its marks
//	unit.go       numbers as Grafana writes them
//	color.go      what colours mean
//	text.go       texts that fit
//	check.go      whether a drawing is of a dashboard, and whole
package picture

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Kinds of panels, by their names in Grafana.
const (
	kindRow    = "row"
	kindNumber = "stat"
	kindChart  = "timeseries"
	kindTable  = "table"
)

// Dashboard is a dashboard as it is imported into Grafana.
type Dashboard struct {
	Title      string `json:"title"`
	Templating struct {
		List []Variable `json:"list"`
	} `json:"templating"`
	Panels []Panel `json:"panels"`
}

// Variable is what the person who looks may choose.
type Variable struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Type  string `json:"type"`
}

// Panel is one of a dashboard. Its place is in columns of 24, and in lines.
type Panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	Targets     []Target `json:"targets"`
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
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			ExcludeByName map[string]bool   `json:"excludeByName"`
			RenameByName  map[string]string `json:"renameByName"`
		} `json:"options"`
	} `json:"transformations"`
}

// Target is a query of a panel.
type Target struct {
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
}

// Read reads a dashboard, and refuses what would not be drawn as Grafana does.
func Read(content []byte) (Dashboard, error) {
	var d Dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		return d, fmt.Errorf("a dashboard: %w", err)
	}
	for i := range d.Panels {
		if err := d.Panels[i].check(); err != nil {
			return d, fmt.Errorf("the panel %q: %w", d.Panels[i].Title, err)
		}
	}
	return d, nil
}

func (p *Panel) check() error {
	switch p.Type {
	case kindRow, kindNumber, kindChart, kindTable:
	default:
		return fmt.Errorf("nobody draws the type %q", p.Type)
	}
	if _, known := units[p.unit()]; !known {
		return fmt.Errorf("nobody knows the unit %q", p.unit())
	}
	if mode := p.FieldConfig.Defaults.Custom.Stacking.Mode; mode != "" && mode != "normal" {
		return fmt.Errorf("nobody stacks by %q", mode)
	}
	for _, t := range p.Transformations {
		if t.ID != "organize" {
			return fmt.Errorf("nobody transforms by %q", t.ID)
		}
	}
	return nil
}

// Ranged says whether a panel shows a time, rather than now.
func (p *Panel) Ranged() bool { return p.Type == kindChart }

func (p *Panel) unit() string { return p.FieldConfig.Defaults.Unit }

func (p *Panel) stacked() bool { return p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal" }

var variable = regexp.MustCompile(`\$(\w+)`)

// Query is what is asked when variables have these values.
func (t Target) Query(values map[string]string) (string, error) {
	var missing error
	query := variable.ReplaceAllStringFunc(t.Expr, func(found string) string {
		value, known := values[found[1:]]
		if !known {
			missing = fmt.Errorf("%s has no value in %s", found, t.Expr)
		}
		return value
	})
	return query, missing
}
