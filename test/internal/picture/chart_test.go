// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

var none = math.NaN()

// square is 40 wide and 100 high, of five steps.
var square = plot{left: 0, top: 0, right: 40, bottom: 100, steps: 5, lowest: 0, highest: 10}

func TestLinesGoThroughTheirPoints(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		values []float64
		want   string
	}{
		"rising":          {[]float64{0, 1, 2, 4, 10}, "M0 100L10 90L20 80L30 60L40 0"},
		"flat":            {[]float64{5, 5, 5, 5, 5}, "M0 50L40 50"},
		"a step":          {[]float64{0, 0, 0, 10, 10}, "M0 100L20 100L30 0L40 0"},
		"a gap":           {[]float64{1, 1, none, 2, 2}, "M0 90L10 90M30 80L40 80"},
		"one point":       {[]float64{none, none, 3, none, none}, "M20 70h0"},
		"gaps at the end": {[]float64{none, 1, 2, 3, none}, "M10 90L20 80L30 70"},
		"a tenth":         {[]float64{1.2345, none, none, none, none}, "M0 87.7h0"},
		"nothing":         {[]float64{none, none, none, none, none}, ""},
	} {
		if got := square.line(c.values); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestStackedCurvesStandOnEachOther(t *testing.T) {
	t.Parallel()

	curves := []curve{{values: []float64{1, 1, none, 4, 4}}, {values: []float64{none, 2, 2, 2, 0}}, {values: []float64{3, 3, 3, 3, 3}}}
	stack(curves)
	for n, want := range []string{"M0 90L10 90M30 60L40 60", "M10 70L20 80L30 40L40 60", "M0 60L10 40L20 50L30 10L40 30"} {
		if got := square.line(curves[n].values); got != want {
			t.Errorf("the top of curve %d is %s", n, got)
		}
	}
	if got := square.area(curves[1]); got != "M10 70L20 80L30 40L40 60L40 60L30 60L20 100L10 90Z" {
		t.Errorf("the area of the second is %s", got)
	}
}

func TestChartsAreStackedWhenTheirPanelSaysSo(t *testing.T) {
	t.Parallel()

	answer := []Series{seriesOf(map[string]string{"status": "normal"}, 1, 1), seriesOf(map[string]string{"status": "abnormal"}, 3, 3)}
	plain := drawn(t, of(t, chartPanel(""), answer...))
	stacked := drawn(t, of(t, chartPanel(`"custom": {"stacking": {"mode": "normal"}}`), answer...))
	if len(plain.paths("curve")) != 2 || len(plain.paths("area")) != 0 || !slices.Contains(plain.texts(), "3") || slices.Contains(plain.texts(), "4") {
		t.Errorf("not stacked: %q, %q", plain.texts(), plain.paths("area"))
	}
	if len(stacked.paths("curve")) != 2 || len(stacked.paths("area")) != 2 || !slices.Contains(stacked.texts(), "4") {
		t.Errorf("stacked: %q, %q", stacked.texts(), stacked.paths("area"))
	}
}

func TestEachQueryOfAPanelHasItsLegend(t *testing.T) {
	t.Parallel()

	p := of(t, `{"id": 7, "type": "timeseries", "gridPos": {"h": 8, "w": 12}, "targets": [{"expr": "x", "legendFormat": "{{ region }} p50"}, {"expr": "y", "legendFormat": "{{region}} {{nothing}}p99"}]}`)
	p.Answers[7] = [][]Series{{seriesOf(map[string]string{"region": "here"}, 1)}, {seriesOf(map[string]string{"region": "here"}, 2)}}
	if texts := drawn(t, p).texts(); !slices.Contains(texts, "here p50") || !slices.Contains(texts, "here p99") {
		t.Errorf("%q", texts)
	}
}

func TestLegendsFit(t *testing.T) {
	t.Parallel()

	named := func(names ...string) []curve {
		var all []curve
		for _, name := range names {
			all = append(all, curve{name: name, class: "plain0"})
		}
		return all
	}
	const room = 200
	for name, c := range map[string]struct {
		curves []curve
		lines  int
		last   string
	}{
		"short":         {named("a", "b"), 1, "b"},
		"two lines":     {named(strings.Repeat("a", 20), strings.Repeat("b", 20)), 2, strings.Repeat("b", 20)},
		"too long":      {named(strings.Repeat("a", 80)), 1, strings.Repeat("a", 27) + "…"},
		"too many":      {named(slices.Repeat([]string{"name"}, 30)...), 2, "and 25 more"},
		"long and many": {named(strings.Repeat("a", 80), strings.Repeat("b", 80), strings.Repeat("c", 80)), 2, "and 1 more"},
	} {
		l := layLegend(c.curves, room)
		if last := l.entries[len(l.entries)-1].name; l.lines != c.lines || last != c.last {
			t.Errorf("%s: %d lines, and last %q", name, l.lines, last)
		}
		for _, e := range l.entries {
			if e.x+widthOf(e.name, smallText) > room {
				t.Errorf("%s: %q ends at %.0f", name, e.name, e.x+widthOf(e.name, smallText))
			}
		}
	}
}

func TestMarksAreRoundAndHoldAllValues(t *testing.T) {
	t.Parallel()

	const mib = 1 << 20
	for _, c := range []struct {
		lowest, highest, base float64
		want                  []float64
	}{
		{0, 0, 1000, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{3, 3, 1000, []float64{0, 1, 2, 3}},
		{0, 23, 1000, []float64{0, 5, 10, 15, 20, 25}},
		{0, 0.3, 1000, []float64{0, 0.1, 0.2, 0.3}},
		{-3, 4, 1000, []float64{-4, -2, 0, 2, 4}},
		{50 * mib, 57 * mib, 1024, []float64{0, 20 * mib, 40 * mib, 60 * mib}},
		{0, 12345, 1000, []float64{0, 5000, 10000, 15000}},
	} {
		got := marks(c.lowest, c.highest, c.base)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("from %g to %g: %g", c.lowest, c.highest, got)
		}
	}
}

func TestTimesAreRound(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		length time.Duration
		most   int
		want   string
	}{
		{90 * time.Second, 6, "10:00:20 10:00:40 10:01:00 10:01:20"},
		{90 * time.Second, 4, "10:00:30 10:01:00 10:01:30"},
		{3 * time.Hour, 6, "10:30 11:00 11:30 12:00 12:30 13:00"},
		{300 * time.Hour, 1, "00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00 00:00"},
	} {
		from := began.Add(3 * time.Second)
		all, layout := times(from, from.Add(c.length), c.most)
		var got []string
		for _, at := range all {
			got = append(got, at.Format(layout))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q", c.length, got)
		}
	}
}

func TestUnitsAreWrittenAsGrafanaDoes(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"", 0, "0"}, {"", 12, "12"}, {"", 0.034, "0.0340"}, {"", 2.5, "2.50"}, {"", 1.234, "1.23"}, {"", -0.5, "-0.500"}, {"", 123.4, "123"},
		{"short", 1500, "1.50 K"}, {"short", 2e6, "2 Mil"}, {"short", 0.0123, "0.0123"},
		{"bytes", 512, "512 B"}, {"bytes", 57.3 * (1 << 20), "57.3 MiB"}, {"bytes", 1 << 60, "1048576 TiB"},
		{"reqps", 1.26, "1.26 req/s"}, {"reqps", 2300, "2.30K req/s"}, {"percentunit", 0.25, "25%"}, {"percentunit", 2.0 / 3, "66.7%"},
		{"s", 0, "0 s"}, {"s", 0.00025, "250 µs"}, {"s", 0.0345, "34.5 ms"}, {"s", 4.8, "4.80 s"}, {"s", 90, "1.50 mins"}, {"s", 7200, "2 hours"}, {"s", 172800, "2 days"}, {"s", 60, "1 min"},
		{"s", math.Inf(1), NoData},
	} {
		if got := units[c.unit].write(c.value); got != c.want {
			t.Errorf("%g %s: %q, not %q", c.value, c.unit, got, c.want)
		}
	}
	if got := units["s"].mark(0.3000000000000004); got != "300 ms" {
		t.Errorf("a mark is %q", got)
	}
}
