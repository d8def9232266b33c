// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"encoding/json"
	"encoding/xml"
	"math"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// seriesOf has a value for each second from the beginning; NaN is none.
func seriesOf(labels map[string]string, values ...float64) Series {
	s := Series{Labels: labels}
	for n, value := range values {
		if !math.IsNaN(value) {
			s.Points = append(s.Points, Point{float64(began.Unix() + int64(n)), value})
		}
	}
	return s
}

// of is a picture of five seconds, with a panel that has one query.
func of(t *testing.T, panel string, answer ...Series) *Picture {
	t.Helper()
	dashboard, err := Read([]byte(`{"title": "one", "panels": [` + panel + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return &Picture{
		Dashboard: dashboard, From: began, To: began.Add(4 * time.Second), Step: time.Second,
		Answers: map[int][][]Series{dashboard.Panels[0].ID: {answer}},
	}
}

func chartPanel(config string) string {
	return `{"id": 7, "type": "timeseries", "title": "a chart", "gridPos": {"h": 8, "w": 12}, "targets": [{"expr": "x", "legendFormat": "{{name}}"}], "fieldConfig": {"defaults": {` + config + `}}}`
}

// element is any of a drawing.
type element struct {
	XMLName  xml.Name
	Class    string    `xml:"class,attr"`
	Path     string    `xml:"d,attr"`
	X        string    `xml:"x,attr"`
	Y        string    `xml:"y,attr"`
	Width    string    `xml:"width,attr"`
	Height   string    `xml:"height,attr"`
	Text     string    `xml:",chardata"`
	Elements []element `xml:",any"`
}

// drawn reads what a picture is drawn as.
func drawn(t *testing.T, p *Picture) element {
	t.Helper()
	var out strings.Builder
	p.Draw(&out)
	var root element
	if err := xml.Unmarshal([]byte(out.String()), &root); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	return root
}

func (e element) texts() []string {
	var all []string
	for _, child := range e.Elements {
		if child.XMLName.Local == "text" {
			all = append(all, child.Text)
		}
	}
	return all
}

// paths are those of a class, such as curve.
func (e element) paths(class string) []string {
	var all []string
	for _, child := range e.Elements {
		if child.XMLName.Local == "path" && strings.HasPrefix(child.Class, class+" ") {
			all = append(all, child.Path)
		}
	}
	return all
}

func TestEachPanelIsInItsPlace(t *testing.T) {
	t.Parallel()

	const panels = `
{"id": 1, "type": "row", "title": "a row", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}},
{"id": 2, "type": "stat", "title": "a number", "gridPos": {"h": 4, "w": 4, "x": 4, "y": 1}, "targets": [{"expr": "x"}],
 "fieldConfig": {"defaults": {"unit": "s", "color": {"fixedColor": "red"}}}}`
	p := of(t, panels)
	p.Answers = map[int][][]Series{2: {{seriesOf(nil, 90)}}}
	root := drawn(t, p)
	if got := strings.Join(root.texts(), "|"); got != "one|10:00:00 to 10:00:04 UTC|a row|a number|1.50 mins" {
		t.Errorf("%q", got)
	}
	if root.Height != "152" { // 40 above, 5 lines of 22 less a gap of 8, 10 below
		t.Errorf("the picture is %s high", root.Height)
	}
	for _, child := range root.Elements {
		switch {
		case child.Class == "panel" && (child.X != "174.7" || child.Y != "62" || child.Width != "156.7" || child.Height != "80"):
			t.Errorf("the number is at %s, %s, and %s by %s", child.X, child.Y, child.Width, child.Height)
		case child.Text == "1.50 mins" && child.Class != "number bad0":
			t.Errorf("the number's class is %q", child.Class)
		}
	}
}

func TestWhereNothingIsThePanelSaysSo(t *testing.T) {
	t.Parallel()

	for name, p := range map[string]*Picture{
		"no series":       of(t, chartPanel("")),
		"no points":       of(t, chartPanel(""), seriesOf(nil)),
		"not a number":    of(t, chartPanel(""), Series{Points: []Point{{float64(began.Unix()), math.NaN()}}}),
		"infinite":        of(t, chartPanel(""), seriesOf(nil, math.Inf(1))),
		"elsewhere":       of(t, chartPanel(""), Series{Points: []Point{{float64(began.Unix()) - 60, 1}}}),
		"stacked nothing": of(t, chartPanel(`"custom": {"stacking": {"mode": "normal"}}`)),
		"number":          of(t, `{"id": 7, "type": "stat", "gridPos": {"h": 4, "w": 4}, "targets": [{"expr": "x"}]}`),
		"not a number's":  of(t, `{"id": 7, "type": "stat", "gridPos": {"h": 4, "w": 4}, "targets": [{"expr": "x"}]}`, Series{Points: []Point{{0, math.NaN()}}}),
		"table":           of(t, `{"id": 7, "type": "table", "gridPos": {"h": 8, "w": 24}, "targets": [{"expr": "x"}]}`),
	} {
		if texts := drawn(t, p).texts(); texts[len(texts)-1] != NoData {
			t.Errorf("%s: %q", name, texts)
		}
	}
}

func TestNothingOfALabelIsMarkup(t *testing.T) {
	t.Parallel()

	const hostile = "\"><script>&amp;'\x01" // XML has no word for the last one
	const read = "\"><script>&amp;'\uFFFD"
	answer := seriesOf(map[string]string{"name": hostile}, 1, 2)
	for kind, panel := range map[string]string{
		"chart": chartPanel(""),
		"table": `{"id": 7, "type": "table", "title": "", "gridPos": {"h": 8, "w": 24}, "targets": [{"expr": "x"}]}`,
	} {
		if got := strings.Join(drawn(t, of(t, panel, answer)).texts(), "\n"); !strings.Contains(got, read) {
			t.Errorf("%s: the texts are\n%s", kind, got)
		}
	}
	p := of(t, chartPanel(""), answer)
	p.Dashboard.Title, p.Dashboard.Panels[0].Title = hostile, hostile
	p.Dashboard.Templating.List = []Variable{{Name: "name", Label: hostile}, {Name: "none", Label: "none"}}
	p.Values = map[string]string{"name": hostile}
	root := drawn(t, p)
	for _, want := range []string{read, read + ": " + read + " · 10:00:00 to 10:00:04 UTC"} {
		if got := strings.Join(root.texts(), "\n"); !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

func TestTableHasTheColumnsOfGrafana(t *testing.T) {
	t.Parallel()

	const panel = `{"id": 7, "type": "table", "title": "worst", "gridPos": {"h": 8, "w": 24}, "targets": [{"expr": "x"}],
"fieldConfig": {"defaults": {"unit": "percentunit"}},
"transformations": [{"id": "organize", "options": {"excludeByName": {"Time": true, "b": true}, "renameByName": {"Value": "normal"}}}]}`
	one := func(n float64) Series { return seriesOf(map[string]string{"b": "hidden", "a": "web", "c": "x"}, n) }
	p := of(t, panel, one(0), one(0.25), seriesOf(map[string]string{"d": "other"}, 1))
	if got := strings.Join(drawn(t, p).texts()[3:], "|"); got != "a|c|d|normal|web|x||0%|web|x||25%|||other|100%" {
		t.Errorf("%q", got)
	}

	var many []Series
	for range 9 {
		many = append(many, one(1))
	}
	texts := drawn(t, of(t, panel, many...)).texts()
	if got, rows := texts[len(texts)-1], strings.Count(strings.Join(texts, "|"), "web"); got != "and 3 more" || rows != 6 {
		t.Errorf("of 9 rows there are %d, and %q", rows, got)
	}
}

func TestReadRefusesWhatNobodyDraws(t *testing.T) {
	t.Parallel()

	for _, panel := range []string{
		`{"type": "gauge"}`, `{"type": "stat", "fieldConfig": {"defaults": {"unit": "furlongs"}}}`,
		`{"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"stacking": {"mode": "percent"}}}}}`,
		`{"type": "table", "transformations": [{"id": "merge"}]}`, `[]`,
	} {
		if _, err := Read([]byte(`{"panels": [` + panel + `]}`)); err == nil {
			t.Errorf("%s is read", panel)
		}
	}
}

func TestQueryHasTheValuesOfItsVariables(t *testing.T) {
	t.Parallel()

	target := Target{Expr: `rate(x{name=~"$name", namespace=~"$namespace", a=~"b$"}[$__rate_interval])`}
	got, err := target.Query(map[string]string{"name": "web", "namespace": ".*", "__rate_interval": "20s"})
	if want := `rate(x{name=~"web", namespace=~".*", a=~"b$"}[20s])`; got != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := target.Query(map[string]string{"name": "web", "__rate_interval": "20s"}); err == nil {
		t.Error("a variable without a value is no error")
	}
}

func TestAnswersOfPrometheusAreRead(t *testing.T) {
	t.Parallel()

	var got []Series
	const answer = `[{"metric": {"a": "b"}, "value": [1700000000.5, "NaN"]}, {"metric": {}, "values": [[1, "0.25"], [2, "+Inf"]]}]`
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if p := got[0].Points; len(p) != 1 || p[0].At != 1700000000.5 || !math.IsNaN(p[0].Value) || got[0].Labels["a"] != "b" {
		t.Errorf("an instant is %+v", got[0])
	}
	if p := got[1].Points; len(p) != 2 || p[0] != (Point{1, 0.25}) || !math.IsInf(p[1].Value, 1) {
		t.Errorf("a range is %+v", got[1])
	}
	for _, wrong := range []string{`{"value": [1]}`, `{"value": [1, "x"]}`, `{"value": [1, 2]}`, `{"values": 1}`, `{"value": [1, "2", 3]}`} {
		if err := json.Unmarshal([]byte(wrong), new(Series)); err == nil {
			t.Errorf("%s is read", wrong)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()

	p := of(t, chartPanel(""), seriesOf(map[string]string{"name": "No data of mine"}, 1, 2))
	var out strings.Builder
	p.Draw(&out)
	if err := Check(p.Dashboard, out.String()); err != nil {
		t.Error(err)
	}
	empty := of(t, chartPanel(""))
	var nothing strings.Builder
	empty.Draw(&nothing)
	for name, drawing := range map[string]string{
		"not closed": strings.TrimSuffix(out.String(), "</svg>\n"), "no panel": strings.ReplaceAll(out.String(), "a chart", "another"),
		"large": out.String() + strings.Repeat(" ", largest), "no data": nothing.String(),
	} {
		if Check(p.Dashboard, drawing) == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}
