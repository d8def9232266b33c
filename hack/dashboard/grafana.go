// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

// Names are those of Grafana's dashboard model.

type dashboard struct {
	UID           string         `json:"uid"`
	Title         string         `json:"title"`
	Tags          []string       `json:"tags"`
	SchemaVersion int            `json:"schemaVersion"`
	Refresh       string         `json:"refresh"`
	Time          map[string]any `json:"time"`
	Templating    templating     `json:"templating"`
	Panels        []grafanaPanel `json:"panels"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string      `json:"name"`
	Label      string      `json:"label"`
	Type       string      `json:"type"`
	Query      string      `json:"query"`
	Datasource *datasource `json:"datasource,omitempty"`
	Refresh    int         `json:"refresh,omitempty"`
	IncludeAll bool        `json:"includeAll,omitempty"`
	AllValue   string      `json:"allValue,omitempty"`
	Multi      bool        `json:"multi,omitempty"`
	Current    any         `json:"current,omitempty"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type grafanaPanel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Datasource      *datasource      `json:"datasource,omitempty"`
	GridPos         position         `json:"gridPos"`
	Targets         []target         `json:"targets,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
}

type position struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID        string `json:"refId"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Instant      bool   `json:"instant,omitempty"`
	Range        bool   `json:"range,omitempty"`
	Format       string `json:"format,omitempty"`
}

type fieldConfig struct {
	Defaults  map[string]any `json:"defaults"`
	Overrides []any          `json:"overrides"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// prometheus is the data source that the person who looks has chosen.
var prometheus = &datasource{Type: "prometheus", UID: "${datasource}"}

const (
	columns      = 24
	numberHeight = 4
	graphHeight  = 8
)

func newDashboard(rows []row) dashboard {
	d := dashboard{
		UID: "slb-health", Title: "SLB health", Tags: []string{"slb-health-operator"}, SchemaVersion: 39, Refresh: "30s",
		Time: map[string]any{"from": "now-3h", "to": "now"},
		Templating: templating{List: []variable{
			{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus"},
			variableOf("job", "Operator", `label_values(slb_api_rate_limit, job)`),
			variableOf("cluster", "Cluster", `label_values(slb_health_condition, cluster)`),
			variableOf("namespace", "Namespace", `label_values(slb_health_condition{cluster=~"$cluster"}, namespace)`),
			variableOf("name", "Object", `label_values(slb_health_condition{cluster=~"$cluster", namespace=~"$namespace"}, name)`),
		}},
	}
	y, id := 0, 0
	for _, r := range rows {
		id++
		d.Panels = append(d.Panels, grafanaPanel{ID: id, Type: "row", Title: r.title, GridPos: position{H: 1, W: columns, Y: y}})
		y++
		x, height := 0, 0
		for _, p := range r.panels {
			if x+p.width > columns {
				x, y, height = 0, y+height, 0
			}
			id++
			placed := newPanel(id, p)
			placed.GridPos.X, placed.GridPos.Y = x, y
			x, height = x+p.width, max(height, placed.GridPos.H)
			d.Panels = append(d.Panels, placed)
		}
		y += height
	}
	return d
}

// variableOf is one with every value chosen at first.
func variableOf(name, label, query string) variable {
	return variable{
		Name: name, Label: label, Type: "query", Query: query, Datasource: prometheus, Refresh: 2, IncludeAll: true, AllValue: ".*", Multi: true,
		Current: map[string]any{"text": "All", "value": "$__all"},
	}
}

func newPanel(id int, p panel) grafanaPanel {
	g := grafanaPanel{
		ID: id, Type: p.kind, Title: p.title, Description: p.about, Datasource: prometheus,
		GridPos:     position{H: graphHeight, W: p.width},
		FieldConfig: &fieldConfig{Defaults: map[string]any{}, Overrides: []any{}},
	}
	if p.unit != "" {
		g.FieldConfig.Defaults["unit"] = p.unit
	}
	if p.stacked {
		g.FieldConfig.Defaults["custom"] = map[string]any{"stacking": map[string]any{"mode": "normal"}, "fillOpacity": 30}
	}
	for i, q := range p.queries {
		t := target{RefID: string(rune('A' + i)), Expr: q.expr, LegendFormat: q.legend, Range: true}
		if p.kind != series {
			t.Instant, t.Range = true, false
		}
		if p.kind == tableOfNow {
			t.Format = "table"
		}
		g.Targets = append(g.Targets, t)
	}
	switch p.kind {
	case number:
		g.GridPos.H = numberHeight
		g.Options = map[string]any{"colorMode": "value", "reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}}
		g.FieldConfig.Defaults["color"] = map[string]any{"mode": "fixed", "fixedColor": colorOf(p.title)}
	case tableOfNow:
		g.FieldConfig.Defaults["unit"] = "percentunit"
		g.Transformations = []transformation{{ID: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true}, "renameByName": map[string]string{"Value": "normal"},
		}}}
	}
	return g
}

// colorOf makes what is wrong stand out.
func colorOf(title string) string {
	switch {
	case title == "Healthy":
		return "green"
	case title == "Unhealthy", title == "Stalled", strings.HasPrefix(title, "Abnormal"):
		return "red"
	default:
		return "yellow"
	}
}
