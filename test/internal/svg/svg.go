// SPDX-License-Identifier: Apache-2.0

// Package svg is what the drawings of this repository share: a head that names
// them for those who do not see them, text that follows the reader's preference
// of light or dark, and an escape that leaves nothing in a text to be markup.
package svg

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

const style = `text { fill: #57606a } line { stroke: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } line { stroke: #768390 } }`

// Start opens a drawing. Further rules of style may be given.
func Start(out io.Writer, width, height int, title string, rules ...string) {
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n",
		width, height, width, height)
	fmt.Fprintf(out, "<style>\n%s\n</style>\n", strings.Join(append([]string{style}, rules...), "\n"))
	fmt.Fprintf(out, "<title>%s</title>\n", Escape(title))
}

// End closes it.
func End(out io.Writer) { fmt.Fprintln(out, "</svg>") }

// Escape makes any text one that XML can hold, between tags and in quotes.
func Escape(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a Builder takes everything
	return escaped.String()
}
