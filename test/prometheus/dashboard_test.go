// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/internal/picture"
)

const dashboardFile = "../../config/grafana/slb-health.json"

func readDashboard(t *testing.T) picture.Dashboard {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := picture.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	return dashboard
}

// everything is what the variables are when nothing was chosen.
func everything(lookBack string) map[string]string {
	return map[string]string{"__rate_interval": lookBack, "cluster": ".*", "namespace": ".*", "name": ".*", "job": ".*"}
}

// expectPanels asks every query of the dashboard, for everything.
func (s *env) expectPanels(t *testing.T) {
	t.Helper()
	asked := 0
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			asked++
			query, err := target.Query(everything(quickRange))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func(g Gomega) {
				g.Expect(s.server.results(g, query)).NotTo(BeZero(), panel.Title+": "+target.Expr)
			})
		}
	}
	if asked < 15 {
		t.Errorf("the dashboard has %d queries only", asked)
	}
}

// draw writes a picture of the dashboard as it is now, its lines from a time on.
func (s *env) draw(t *testing.T, path string, values map[string]string, from time.Time) {
	t.Helper()
	const step = time.Second // as often as the server scrapes
	p := picture.Picture{
		Dashboard: readDashboard(t), Values: values,
		From: from.Truncate(step), To: time.Now().Truncate(step), Step: step, Answers: map[int][][]picture.Series{},
	}
	for i := range p.Dashboard.Panels {
		panel := &p.Dashboard.Panels[i]
		for _, target := range panel.Targets {
			answer, err := s.ask(&p, panel, target)
			if err != nil {
				t.Fatalf("%s: %v", panel.Title, err)
			}
			p.Answers[panel.ID] = append(p.Answers[panel.ID], answer)
		}
	}
	var drawing bytes.Buffer
	p.Draw(&drawing)
	if err := picture.Check(p.Dashboard, drawing.String()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, drawing.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *env) ask(p *picture.Picture, panel *picture.Panel, target picture.Target) ([]picture.Series, error) {
	query, err := target.Query(p.Values)
	if err != nil {
		return nil, err
	}
	if !panel.Ranged() {
		return s.server.series("/api/v1/query", url.Values{"query": {query}, "time": {fmt.Sprint(p.To.Unix())}})
	}
	return s.server.series("/api/v1/query_range", url.Values{
		"query": {query}, "start": {fmt.Sprint(p.From.Unix())}, "end": {fmt.Sprint(p.To.Unix())}, "step": {fmt.Sprint(p.Step.Seconds())},
	})
}
