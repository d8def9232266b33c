// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

func TestTheDashboardIsUpToDate(t *testing.T) {
	t.Parallel()

	committed, err := os.ReadFile("../../config/grafana/slb-health.json")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, want.Bytes()) {
		t.Error("config/grafana/slb-health.json is not what content.go says: run make dashboard")
	}
}

func TestPanelsFillTheirPlaces(t *testing.T) {
	t.Parallel()

	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range newDashboard(content).Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > columns || p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("%s is at %+v", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestQueriesUseVariablesThatExist(t *testing.T) {
	t.Parallel()

	d := newDashboard(content)
	known := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	variables := regexp.MustCompile(`\$\{?(\w+)`)
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range variables.FindAllSubmatch(data, -1) {
		if name := string(found[1]); !known[name] && name != "__all" {
			t.Errorf("there is no variable %s", name)
		}
	}
}
