// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

// The chart shows how far from its goal each subject is: 1 is the goal, more is
// worse, on a logarithmic axis. Text and lines follow the reader's preference of
// light or dark; the bars are of colours that also differ in brightness.
const (
	chartWidth  = 760
	labelWidth  = 250
	valueWidth  = 60
	rowHeight   = 46
	barHeight   = 14
	chartTop    = 54
	chartBottom = 34

	axisFrom = 0.1
	axisTo   = 1000.0

	operatorColor = "#2da44e"
	textbookColor = "#d4a72c"
)

func drawChart(out io.Writer, rows []figure) {
	height := chartTop + len(rows)*rowHeight + chartBottom
	svg.Start(out, chartWidth, height, "How far the operator and the textbook reconciler are from each goal")
	fmt.Fprintf(out, `<rect x="%d" y="8" width="12" height="12" fill="%s"/><text x="%d" y="18">operator</text>`+"\n", labelWidth, operatorColor, labelWidth+18)
	fmt.Fprintf(out, `<rect x="%d" y="8" width="12" height="12" fill="%s"/><text x="%d" y="18">textbook</text>`+"\n", labelWidth+100, textbookColor, labelWidth+118)
	fmt.Fprintf(out, `<text x="%d" y="18" text-anchor="end">as far as the goal, or less: met</text>`+"\n", chartWidth-10)
	bottom := height - chartBottom
	for tick := axisFrom; tick <= axisTo; tick *= 10 {
		x, dash, label := position(tick), ` stroke-dasharray="2 4"`, fmt.Sprintf("%g×", tick)
		if math.Abs(tick-1) < tolerance {
			dash, label = "", "goal"
		}
		fmt.Fprintf(out, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d"%s/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, chartTop-16, x, bottom, dash, x, bottom+18, label)
	}
	for i, r := range rows {
		y := chartTop + i*rowHeight
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text><text x="%d" y="%d" text-anchor="end" font-size="11">%s</text>`+"\n",
			labelWidth-10, y+12, svg.Escape(r.key), labelWidth-10, y+27, svg.Escape("goal "+r.goalText()))
		drawBar(out, y, operatorColor, r, r.operator)
		drawBar(out, y+barHeight+2, textbookColor, r, r.textbook)
	}
	svg.End(out)
}

func drawBar(out io.Writer, y int, color string, f figure, value float64) {
	end := position(f.distance(value))
	fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/><text x="%.1f" y="%d">%.2f</text>`+"\n",
		labelWidth, y, math.Max(end-labelWidth, 1), barHeight, color, math.Max(end, labelWidth+1)+6, y+11, value)
}

// distance is how many times worse than the goal a value is. A goal of nothing
// is held to be missed as many times as there is of it, in percent.
func (f figure) distance(value float64) float64 {
	switch {
	case f.most:
		return f.goal / math.Max(value, axisFrom/axisTo)
	case f.goal == 0:
		return 1 + 100*value
	default:
		return value / f.goal
	}
}

// position is where a distance is on the axis.
func position(distance float64) float64 {
	share := math.Log10(math.Min(math.Max(distance, axisFrom), axisTo)/axisFrom) / math.Log10(axisTo/axisFrom)
	return labelWidth + share*(chartWidth-labelWidth-valueWidth)
}
