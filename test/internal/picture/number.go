// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"cmp"
	"fmt"
	"io"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

const numberSize = 30

func (p *Picture) drawNumber(out io.Writer, panel *Panel, f frame) {
	answer := first(p.Answers[panel.ID])
	if len(answer) == 0 {
		f.drawNothing(out)
		return
	}
	m := cmp.Or(fixed[panel.FieldConfig.Defaults.Color.FixedColor], plain)
	fmt.Fprintf(out, `<text class="number %s" x="%s" y="%s" font-size="%d" text-anchor="middle">%s</text>`+"\n",
		className(m, 0), tenths(f.x+f.width/2), tenths(f.y+titleHeight+(f.height-titleHeight)/2+8), numberSize,
		svg.Escape(units[panel.unit()].write(answer[0].last())))
}

// first is the answer to the first query, if there is one.
func first(answers [][]Series) []Series {
	if len(answers) == 0 {
		return nil
	}
	return answers[0]
}
