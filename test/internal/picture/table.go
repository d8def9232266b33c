// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

const (
	rowHeight  = 17
	cellText   = 11.0
	valueField = "Value"
)

// A grid is a table of texts, with a header above each column.
type grid struct {
	headers []string
	rows    [][]string
}

// gridOf has a column for each label, in the order of their names, and one for
// the value, as Grafana makes them of an answer.
func (p *Panel) gridOf(answer []Series) grid {
	names := map[string]bool{}
	for _, s := range answer {
		for name := range s.Labels {
			names[name] = true
		}
	}
	fields := append(slices.Sorted(maps.Keys(names)), valueField)
	renamed := map[string]string{}
	for _, t := range p.Transformations {
		fields = slices.DeleteFunc(fields, func(field string) bool { return t.Options.ExcludeByName[field] })
		maps.Copy(renamed, t.Options.RenameByName)
	}
	var g grid
	for _, field := range fields {
		header := field
		if name := renamed[field]; name != "" {
			header = name
		}
		g.headers = append(g.headers, header)
	}
	for _, s := range answer {
		row := make([]string, 0, len(fields))
		for _, field := range fields {
			cell := s.Labels[field]
			if field == valueField {
				cell = units[p.unit()].write(s.last())
			}
			row = append(row, cell)
		}
		g.rows = append(g.rows, row)
	}
	return g
}

func (p *Picture) drawTable(out io.Writer, panel *Panel, f frame) {
	answer := first(p.Answers[panel.ID])
	if len(answer) == 0 {
		f.drawNothing(out)
		return
	}
	g := panel.gridOf(answer)
	lines := int((f.height - titleHeight - 8) / rowHeight)
	y := f.y + titleHeight + rowHeight - 2
	widths := g.widths(f.width - 2*inset)
	f.drawCells(out, g.headers, widths, y, "strong")
	fmt.Fprintf(out, `<line class="grid" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", tenths(f.x+inset), tenths(y+5), tenths(f.x+f.width-inset), tenths(y+5))
	for i, row := range g.rows {
		y += rowHeight
		if i == lines-2 && len(g.rows) > lines-1 {
			f.drawCells(out, []string{fmt.Sprintf("and %d more", len(g.rows)-i)}, []float64{f.width}, y, "")
			return
		}
		f.drawCells(out, row, widths, y, "")
	}
}

// widths shares room among columns by their longest texts.
func (g grid) widths(room float64) []float64 {
	widths := make([]float64, len(g.headers))
	total := 0.0
	for n := range widths {
		widths[n] = widthOf(g.headers[n], cellText)
		for _, row := range g.rows {
			widths[n] = math.Max(widths[n], widthOf(row[n], cellText))
		}
		total += widths[n]
	}
	for n := range widths {
		widths[n] *= room / total
	}
	return widths
}

func (f frame) drawCells(out io.Writer, cells []string, widths []float64, y float64, class string) {
	x := f.x + inset
	for n, cell := range cells {
		fmt.Fprintf(out, `<text class="%s" x="%s" y="%s" font-size="%g">%s</text>`, class, tenths(x), tenths(y), cellText,
			svg.Escape(fit(cell, cellText, widths[n]-4)))
		x += widths[n]
	}
	fmt.Fprintln(out)
}
