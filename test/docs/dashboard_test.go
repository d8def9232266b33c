// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
)

// dashboard is what these tests read of config/grafana.
type dashboard struct {
	Templating struct {
		List []struct{ Name string }
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ H, W, X, Y int }
	}
}

func readDashboard(t *testing.T) (d dashboard, content string) {
	t.Helper()
	content = read(t, "config/grafana/slb-health.json")
	if err := json.Unmarshal([]byte(content), &d); err != nil {
		t.Fatal(err)
	}
	return d, content
}

// TestThePictureIsOfTheDashboard fails when a panel was added after it was drawn.
func TestThePictureIsOfTheDashboard(t *testing.T) {
	d, _ := readDashboard(t)
	drawing := read(t, "docs/dashboard.svg")
	for _, p := range d.Panels {
		if !strings.Contains(drawing, ">"+html.EscapeString(p.Title)+"<") {
			t.Errorf("docs/dashboard.svg has no panel %q: run make dashboard-picture", p.Title)
		}
	}
}

func TestPanelsOfTheDashboardDoNotOverlap(t *testing.T) {
	d, _ := readDashboard(t)
	cells, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		at := p.GridPos
		if at.X+at.W > 24 || at.W == 0 || at.H == 0 {
			t.Errorf("%s is at %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s overlaps %s", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestQueriesOfTheDashboardUseVariablesThatExist(t *testing.T) {
	d, content := readDashboard(t)
	known := map[string]bool{"__rate_interval": true, "__all": true, "__data": true, "__url_time_range": true, "1": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	for _, found := range regexp.MustCompile(`(?:\$\{?|[?&]var-)(\w+)`).FindAllStringSubmatch(content, -1) {
		if !known[found[1]] {
			t.Errorf("there is no variable %s", found[1])
		}
	}
}
