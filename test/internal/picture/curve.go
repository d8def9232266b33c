// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A curve has a value for each step of the range, NaN being none. A stacked one
// stands on its base.
type curve struct {
	name, class  string
	base, values []float64
}

// curvesOf brings the answers to the queries of a panel onto the steps.
func (p *Picture) curvesOf(panel *Panel) []curve {
	var all []curve
	used := map[meaning]int{}
	for i, answer := range p.Answers[panel.ID] {
		for _, s := range answer {
			m := meaningOf(s.Labels)
			all = append(all, curve{s.name(panel.Targets[i].LegendFormat), className(m, used[m]), nil, p.onSteps(s.Points)})
			used[m]++
		}
	}
	if panel.stacked() {
		stack(all)
	}
	return all
}

func (p *Picture) onSteps(points []Point) []float64 {
	values := make([]float64, int(p.To.Sub(p.From)/p.Step)+1)
	for i := range values {
		values[i] = math.NaN()
	}
	from := float64(p.From.UnixMilli()) / 1000
	for _, point := range points {
		at := int(math.Round((point.At - from) / p.Step.Seconds()))
		if at >= 0 && at < len(values) && !math.IsInf(point.Value, 0) {
			values[at] = point.Value
		}
	}
	return values
}

// stack puts each curve onto those before it, where it is.
func stack(curves []curve) {
	if len(curves) == 0 {
		return
	}
	sum := make([]float64, len(curves[0].values))
	for i := range curves {
		c := &curves[i]
		c.base = slices.Clone(sum)
		for n, value := range c.values {
			if !math.IsNaN(value) {
				sum[n] += value
				c.values[n] = sum[n]
			}
		}
	}
}

// bounds are the lowest and the highest of all values; found says whether there are any.
func bounds(curves []curve) (lowest, highest float64, found bool) {
	lowest, highest = math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, value := range c.values {
			if !math.IsNaN(value) {
				lowest, highest, found = math.Min(lowest, value), math.Max(highest, value), true
			}
		}
	}
	return lowest, highest, found
}

// A plot is where curves are drawn, and what its edges stand for.
type plot struct {
	left, top, right, bottom float64
	steps                    int
	lowest, highest          float64
}

func (p plot) x(step int) float64 {
	return p.left + (p.right-p.left)*float64(step)/float64(max(p.steps-1, 1))
}

func (p plot) y(value float64) float64 {
	return p.bottom - (p.bottom-p.top)*(value-p.lowest)/(p.highest-p.lowest)
}

// A stretch is steps, first to last, of which each has a value.
type stretch struct{ first, last int }

func stretches(values []float64) []stretch {
	var all []stretch
	for n, value := range values {
		switch {
		case math.IsNaN(value):
		case n > 0 && len(all) > 0 && all[len(all)-1].last == n-1:
			all[len(all)-1].last = n
		default:
			all = append(all, stretch{n, n})
		}
	}
	return all
}

// line is a path through the values; a lonely one is a dot.
func (p plot) line(values []float64) string {
	var path strings.Builder
	for _, s := range stretches(values) {
		points := p.through(values, s)
		path.WriteString("M" + strings.Join(points, "L"))
		if len(points) == 1 {
			path.WriteString("h0")
		}
	}
	return path.String()
}

// area is a path around what lies between a curve and its base.
func (p plot) area(c curve) string {
	var path strings.Builder
	for _, s := range stretches(c.values) {
		below := p.through(c.base, s)
		slices.Reverse(below)
		path.WriteString("M" + strings.Join(append(p.through(c.values, s), below...), "L") + "Z")
	}
	return path.String()
}

// through has the points of a stretch but for those on a level way, which need
// not be said.
func (p plot) through(values []float64, s stretch) []string {
	var points []string
	for n := s.first; n <= s.last; n++ {
		if n > s.first && n < s.last && values[n-1] == values[n] && values[n] == values[n+1] {
			continue
		}
		points = append(points, tenths(p.x(n))+" "+tenths(p.y(values[n])))
	}
	return points
}

// tenths are what is left of a coordinate.
func tenths(value float64) string {
	return strconv.FormatFloat(math.Round(value*10)/10, 'f', -1, 64)
}
