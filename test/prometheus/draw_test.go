// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-analyze/charts"
)

const (
	pictureWidth  = 1000
	pictureColumn = pictureWidth / 24
	pictureRow    = 24
	pictureHead   = 32
	largest       = 200 << 10
)

var (
	theme = charts.GetTheme(charts.ThemeGrafana)
	// meanings are colours of series by what their names mean.
	meanings = []struct {
		name  *regexp.Regexp
		color charts.Color
	}{
		{regexp.MustCompile(`\babnormal|^red$|Stalled True|(Healthy|Ready|Observed|Registered) False|Throttling`), charts.ColorFromHex("#f2495c")},
		{regexp.MustCompile(`unavailable|^yellow$|Unknown`), charts.ColorFromHex("#fade2a")},
		{regexp.MustCompile(`\bnormal|^green$|Stalled False|True| OK$`), charts.ColorFromHex("#73bf69")},
	}
)

// colorOf is the colour of a series by its name, or else by its number.
func colorOf(name string, i int) charts.Color {
	for _, m := range meanings {
		if m.name.MatchString(name) {
			return m.color
		}
	}
	return theme.GetSeriesColor(i)
}

// picture is the dashboard for a range of time.
type picture struct {
	server   *server
	values   map[string]string
	from, to time.Time
}

const pictureStep = 2 * time.Second

// draw writes a picture of the dashboard, with every panel and data in each.
func (p picture) draw(t *testing.T, d dashboard, path string) {
	t.Helper()
	height := 0
	for _, panel := range d.Panels {
		height = max(height, pictureHead+(panel.GridPos.Y+panel.GridPos.H)*pictureRow)
	}
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: pictureWidth, Height: height, Theme: theme})
	painter.FilledRect(0, 0, pictureWidth, height, theme.GetBackgroundColor(), theme.GetBackgroundColor(), 0)
	text(painter, d.Title+", object "+p.values["name"], 10, 22, 14)
	for _, panel := range d.Panels {
		x, y := panel.GridPos.X*pictureColumn, pictureHead+panel.GridPos.Y*pictureRow
		box := charts.NewBox(x+6, y+4, x+panel.GridPos.W*pictureColumn-6, y+panel.GridPos.H*pictureRow-4)
		if err := p.drawPanel(painter.Child(charts.PainterBoxOption(box)), panel); err != nil {
			t.Fatalf("%s: %v", panel.Title, err)
		}
	}
	drawing, err := painter.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if len(drawing) > largest {
		t.Errorf("the picture has %d bytes, more than %d", len(drawing), largest)
	}
	if err := os.WriteFile(path, append(bytes.ReplaceAll(drawing, []byte("\n"), []byte(" ")), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func text(p *charts.Painter, s string, x, y int, size float64) {
	p.Text(s, x, y, 0, charts.FontStyle{FontSize: size, FontColor: theme.GetTitleTextColor()})
}

func (p picture) drawPanel(painter *charts.Painter, panel panel) error {
	if panel.Type == "row" {
		text(painter, panel.Title, 4, 14, 12)
		return nil
	}
	text(painter, panel.Title, 4, 12, 10)
	painter = painter.Child(charts.PainterPaddingOption(charts.NewBox(4, 18, 4, 0)))
	var found []series
	for _, target := range panel.Targets {
		parameters := url.Values{
			"query": {withValues(target.Expr, p.values)}, "time": {fmt.Sprint(p.to.Unix())},
			"start": {fmt.Sprint(p.from.Unix())}, "end": {fmt.Sprint(p.to.Unix())}, "step": {pictureStep.String()},
		}
		path := "/api/v1/query"
		if strings.Contains(panel.Type, "time") {
			path = "/api/v1/query_range"
		}
		results, err := p.server.series(path, parameters)
		if err != nil {
			return err
		}
		for _, s := range results {
			s.name, s.column = s.legend(target.LegendFormat), "Value"
			if len(panel.Targets) > 1 {
				s.column += " #" + target.RefID
			}
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("no data")
	}
	switch panel.Type {
	case "stat":
		defaults := panel.FieldConfig.Defaults
		painter.Text(format(defaults.Unit, found[0].last()), 0, 44, 0, charts.FontStyle{FontSize: 28, FontColor: colorOf(defaults.Color.FixedColor, 0)})
		return nil
	case "table":
		return drawTable(painter, &panel, found)
	case "state-timeline":
		p.drawStates(painter, panel.FieldConfig.Defaults.Mappings, found)
		return nil
	default:
		return p.drawLines(painter, panel, found)
	}
}

func (p picture) drawLines(painter *charts.Painter, panel panel, found []series) error {
	var names, times []string
	var colors []charts.Color
	var lines charts.LineSeriesList
	top := 0.0
	for at := p.from; !at.After(p.to); at = at.Add(pictureStep) {
		times = append(times, at.UTC().Format("15:04:05"))
	}
	slices.SortFunc(found, func(a, b series) int { return -strings.Compare(a.name, b.name) })
	stacked := panel.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	for i, s := range found {
		values := make([]float64, len(times))
		if !stacked {
			for j := range values {
				values[j] = charts.GetNullValue()
			}
		}
		for _, point := range s.Values {
			if v := point.value(); v == v { // not NaN
				top = max(top, v)
				values[(int64(point.at())-p.from.Unix())/int64(pictureStep.Seconds())] = v
			}
		}
		names, colors = append(names, s.name), append(colors, colorOf(s.name, i))
		lines = append(lines, charts.LineSeries{Name: s.name, Values: values})
	}
	unit := func(v float64) string { return format(panel.FieldConfig.Defaults.Unit, v) }
	option := charts.NewLineChartOptionWithSeries(lines)
	option.Theme = theme.WithSeriesColors(colors)
	option.Padding = charts.NewBox(0, 0, 8, 0)
	option.Symbol, option.LineStrokeWidth, option.FillOpacity = charts.Symbol{Shape: charts.SymbolNone}, 1.5, 90
	option.StackSeries = &stacked
	option.XAxis.Labels, option.XAxis.LabelCount, option.XAxis.LabelFontStyle = times, painter.Width()/110, charts.NewFontStyleWithSize(8)
	option.YAxis = []charts.YAxisOption{{Min: new(0.0), LabelCount: 4, ValueFormatter: unit, LabelFontStyle: charts.NewFontStyleWithSize(8)}}
	if top > 0 && top < 1 {
		option.YAxis[0].Max = new(1.2 * top)
	}
	option.Legend = charts.LegendOption{SeriesNames: names, FontStyle: charts.NewFontStyleWithSize(9.5), Symbol: charts.SymbolDot}
	return painter.LineChart(option)
}

// format writes a number nearly as Grafana does.
func format(unit string, v float64) string {
	switch unit {
	case "bytes":
		return fmt.Sprintf("%.3g MiB", v/(1<<20))
	case "percentunit":
		return fmt.Sprintf("%.0f%%", 100*v)
	case "reqps":
		return fmt.Sprintf("%.3g/s", v)
	case "s":
		if v < 1 {
			return fmt.Sprintf("%.3g ms", 1000*v)
		}
		return fmt.Sprintf("%.3g s", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
