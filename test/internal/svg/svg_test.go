// SPDX-License-Identifier: Apache-2.0

package svg_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

func TestADrawingIsXMLWhateverItsTextsHold(t *testing.T) {
	t.Parallel()

	const text, read = "a \"b\" <c> & 'd' \x00 \xff]]>", "a \"b\" <c> & 'd' \uFFFD \uFFFD]]>"
	var out strings.Builder
	svg.Start(&out, 20, 10, text, ".a { fill: red }")
	out.WriteString(`<text x="` + svg.Escape(text) + `">` + svg.Escape(text) + `</text>`)
	svg.End(&out)

	var got struct {
		Style string `xml:"style"`
		Title string `xml:"title"`
		Text  struct {
			X    string `xml:"x,attr"`
			Body string `xml:",chardata"`
		} `xml:"text"`
	}
	if err := xml.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	if got.Title != read || got.Text.X != read || got.Text.Body != read {
		t.Errorf("%q became %+v", text, got)
	}
	if !strings.Contains(got.Style, "prefers-color-scheme") || !strings.Contains(got.Style, ".a { fill: red }") {
		t.Errorf("the style is %q", got.Style)
	}
}
