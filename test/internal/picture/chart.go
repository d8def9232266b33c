// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

const (
	smallText  = 10.0
	markGap    = 6  // between a mark of the axis and the plot
	timeHeight = 16 // of the times below it
	timeWidth  = 60 // from one of them to the next
	lineHeight = 14 // of the legend
	mostLines  = 2
	keyWidth   = 16 // of the stroke before a name
	keyGap     = 14 // after it
)

func (p *Picture) drawChart(out io.Writer, panel *Panel, f frame) {
	curves := p.curvesOf(panel)
	lowest, highest, found := bounds(curves)
	if !found {
		f.drawNothing(out)
		return
	}
	legend := layLegend(curves, f.width-2*inset)
	u := units[panel.unit()]
	values := marks(lowest, highest, u.base)
	widest := 0.0
	for _, value := range values {
		widest = math.Max(widest, widthOf(u.mark(value), smallText))
	}
	area := plot{
		left: f.x + inset + widest + markGap, right: f.x + f.width - 2*inset, top: f.y + titleHeight + 6,
		bottom: f.y + f.height - timeHeight - float64(legend.lines*lineHeight) - 6,
		steps:  len(curves[0].values), lowest: values[0], highest: values[len(values)-1],
	}
	for _, value := range values {
		y := area.y(value)
		fmt.Fprintf(out, `<line class="grid" x1="%s" y1="%s" x2="%s" y2="%s"/><text class="small" x="%s" y="%s" text-anchor="end">%s</text>`+"\n",
			tenths(area.left), tenths(y), tenths(area.right), tenths(y), tenths(area.left-markGap), tenths(y+3.5), svg.Escape(u.mark(value)))
	}
	p.drawTimes(out, area)
	for _, c := range curves {
		if c.base != nil {
			fmt.Fprintf(out, `<path class="area %s" d="%s"/>`+"\n", c.class, area.area(c))
		}
	}
	// The first one is drawn last: where those above it are nothing, it is seen.
	for _, c := range slices.Backward(curves) {
		fmt.Fprintf(out, `<path class="curve %s" d="%s"/>`+"\n", c.class, area.line(c.values))
	}
	legend.draw(out, f.x+inset, f.y+f.height-float64(legend.lines*lineHeight)-6)
}

func (p *Picture) drawTimes(out io.Writer, area plot) {
	all, layout := times(p.From, p.To, max(1, int((area.right-area.left)/timeWidth)))
	for _, at := range all {
		share := float64(at.Sub(p.From)) / float64(p.To.Sub(p.From))
		x := area.left + share*(area.right-area.left)
		fmt.Fprintf(out, `<line class="grid" x1="%s" y1="%s" x2="%s" y2="%s"/><text class="small" x="%s" y="%s" text-anchor="middle">%s</text>`+"\n",
			tenths(x), tenths(area.top), tenths(x), tenths(area.bottom), tenths(x), tenths(area.bottom+13), at.UTC().Format(layout))
	}
}

// A legend has the names of curves, from left to right in lines.
type legend struct {
	lines   int
	entries []entry
}

// An entry is a name in its place; that of no curve says what was left out.
type entry struct {
	name, class string
	x           float64
	line        int
}

// layLegend breaks lines. What does not fit into them is counted.
func layLegend(curves []curve, room float64) legend {
	l := legend{lines: 1}
	x := 0.0
	for i := 0; i < len(curves); {
		more, reserved := fmt.Sprintf("and %d more", len(curves)-i), 0.0
		if l.lines == mostLines && i < len(curves)-1 {
			reserved = widthOf(more, smallText)
		}
		name := fit(curves[i].name, smallText, room-keyWidth-keyGap-reserved)
		width := keyWidth + widthOf(name, smallText) + keyGap
		switch {
		case x == 0 || x+width+reserved <= room:
			l.entries = append(l.entries, entry{name, curves[i].class, x, l.lines - 1})
			x += width
			i++
		case l.lines < mostLines:
			x, l.lines = 0, l.lines+1
		default:
			l.entries = append(l.entries, entry{more, "", x, l.lines - 1})
			return l
		}
	}
	return l
}

func (l legend) draw(out io.Writer, left, top float64) {
	for _, e := range l.entries {
		x, y := left+e.x, top+float64(e.line*lineHeight)
		if e.class != "" {
			fmt.Fprintf(out, `<rect class="key %s" x="%s" y="%s" width="11" height="3" rx="1.5"/>`, e.class, tenths(x), tenths(y+5.5))
			x += keyWidth
		}
		fmt.Fprintf(out, `<text class="small" x="%s" y="%s">%s</text>`+"\n", tenths(x), tenths(y+10.5), svg.Escape(e.name))
	}
}
