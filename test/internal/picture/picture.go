// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

// Picture is a dashboard with what its queries returned, by the panels' ids and
// in the order of their queries.
type Picture struct {
	Dashboard Dashboard
	// Values are what the variables stand for.
	Values   map[string]string
	From, To time.Time
	// Step is the time between two points of the answers.
	Step    time.Duration
	Answers map[int][][]Series
}

const (
	width      = 1000
	columns    = 24
	lineOfGrid = 22 // Grafana's has 38 pixels, which is more than a page has room for
	margin     = 10
	gap        = 8
	headHeight = 40

	inset       = 8
	titleHeight = 24
	everything  = ".*"
)

// A frame is where a panel is.
type frame struct{ x, y, width, height float64 }

// Draw writes the picture.
func (p *Picture) Draw(out io.Writer) {
	height := headHeight + margin
	for i := range p.Dashboard.Panels {
		place := &p.Dashboard.Panels[i].GridPos
		height = max(height, headHeight+(place.Y+place.H)*lineOfGrid-gap+margin)
	}
	svg.Start(out, width, height, "The Grafana dashboard "+p.Dashboard.Title+": what its queries returned", rules())
	fmt.Fprintf(out, `<rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", width, height)
	p.drawHead(out)
	for i := range p.Dashboard.Panels {
		p.drawPanel(out, &p.Dashboard.Panels[i])
	}
	svg.End(out)
}

// drawHead has what was chosen, as Grafana does.
func (p *Picture) drawHead(out io.Writer) {
	var chosen []string
	for _, v := range p.Dashboard.Templating.List {
		switch value := p.Values[v.Name]; value {
		case "":
		case everything:
			chosen = append(chosen, v.Label+": All")
		default:
			chosen = append(chosen, v.Label+": "+value)
		}
	}
	span := p.From.UTC().Format("15:04:05") + " to " + p.To.UTC().Format("15:04:05 UTC")
	fmt.Fprintf(out, `<text class="strong" x="%d" y="26" font-size="16">%s</text><text x="%d" y="26" text-anchor="end">%s</text>`+"\n",
		margin+2, svg.Escape(p.Dashboard.Title), width-margin-2, svg.Escape(strings.Join(append(chosen, span), " · ")))
}

func (p *Picture) drawPanel(out io.Writer, panel *Panel) {
	const column = float64(width-2*margin+gap) / columns
	place := panel.GridPos
	f := frame{
		x: margin + float64(place.X)*column, y: headHeight + float64(place.Y)*lineOfGrid,
		width: float64(place.W)*column - gap, height: float64(place.H)*lineOfGrid - gap,
	}
	if panel.Type == kindRow {
		fmt.Fprintf(out, `<text class="strong" x="%s" y="%s" font-size="13">%s</text>`+"\n", tenths(f.x+2), tenths(f.y+f.height), svg.Escape(panel.Title))
		return
	}
	fmt.Fprintf(out, `<rect class="panel" x="%s" y="%s" width="%s" height="%s" rx="3"/><text class="strong" x="%s" y="%s">%s</text>`+"\n",
		tenths(f.x), tenths(f.y), tenths(f.width), tenths(f.height),
		tenths(f.x+inset), tenths(f.y+17), svg.Escape(fit(panel.Title, 12, f.width-2*inset)))
	switch panel.Type {
	case kindNumber:
		p.drawNumber(out, panel, f)
	case kindTable:
		p.drawTable(out, panel, f)
	case kindChart:
		p.drawChart(out, panel, f)
	}
}

// NoData is what Grafana says where there is nothing.
const NoData = "No data"

func (f frame) drawNothing(out io.Writer) {
	fmt.Fprintf(out, `<text x="%s" y="%s" text-anchor="middle">%s</text>`+"\n", tenths(f.x+f.width/2), tenths(f.y+titleHeight+(f.height-titleHeight)/2), NoData)
}
