// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// color is the number of an ANSI escape; plain is none.
type color int

const (
	plain  color = 0
	faint  color = 2
	red    color = 31
	green  color = 32
	yellow color = 33
)

// sanitize replaces the control characters in a text of an object, which a terminal
// would interpret.
func sanitize(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// paint sanitizes a text, and colours it.
func (c color) paint(text string, colored bool) string {
	text = sanitize(text)
	if !colored || c == plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}

// colored reports whether the output may have colours.
func (o *options) colored(out io.Writer) bool {
	switch o.color {
	case "always":
		return true
	case "never":
		return false
	default:
		_, disabled := os.LookupEnv("NO_COLOR")
		return !disabled && isTerminal(out)
	}
}

// isTerminal reports whether out is a terminal that interprets escapes.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" && enableEscapes(file)
}

// sizeOf is the size of a terminal; a pipe has none.
func sizeOf(out io.Writer) (columns, rows int, ok bool) {
	file, isFile := out.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	columns, rows, err := term.GetSize(int(file.Fd()))
	return columns, rows, err == nil && columns > 0
}

// runeWidth is the width of a character in columns: two for a Chinese one, zero
// for a combining accent.
func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// pad appends spaces to a text, for its width after sanitize.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-displayWidth(sanitize(text))))
}

// cell is a text in a table.
type cell struct {
	text  string
	color color
}

// table has columns as wide as their widest cell.
type table struct {
	header   []string
	rows     [][]cell
	headless bool // true: write writes rows alone
}

const gap = "   "

// minColumns is how many columns even the narrowest terminal shows.
const minColumns = 4

// fit drops the last columns that exceed a width.
func (t *table) fit(columns int) {
	needed := -len(gap)
	for i, w := range t.widths() {
		if needed += len(gap) + w; needed <= columns || i < minColumns {
			continue
		}
		t.header = t.header[:i]
		for j := range t.rows {
			t.rows[j] = t.rows[j][:i]
		}
		return
	}
}

// drop drops a column.
func (t *table) drop(column string) {
	at := slices.Index(t.header, column)
	t.header = slices.Delete(t.header, at, at+1)
	for i := range t.rows {
		t.rows[i] = slices.Delete(t.rows[i], at, at+1)
	}
}

func (t *table) widths() []int {
	widths := make([]int, len(t.header))
	for i, word := range t.header {
		if !t.headless {
			widths[i] = len(word)
		}
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], displayWidth(sanitize(c.text)))
		}
	}
	return widths
}

func (t *table) write(out io.Writer, colored bool) error {
	widths := t.widths()
	var text strings.Builder
	writeRow := func(cells []cell) {
		for i, c := range cells {
			text.WriteString(c.color.paint(c.text, colored))
			if i < len(cells)-1 {
				text.WriteString(pad(c.text, widths[i])[len(c.text):] + gap)
			}
		}
		text.WriteString("\n")
	}
	header := make([]cell, len(t.header))
	for i, word := range t.header {
		header[i] = cell{text: word}
	}
	if !t.headless {
		writeRow(header)
	}
	for _, row := range t.rows {
		writeRow(row)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// age is the time since at in kubectl's format; "-" for the zero time.
func (o *options) age(at *metav1.Time) string {
	if at.IsZero() {
		return "-"
	}
	return duration.HumanDuration(o.serverNow().Sub(at.Time))
}

// colorOf is the colour of a backend's state.
func colorOf(serverHealthStatus string) color {
	switch serverHealthStatus {
	case v1alpha1.StatusNormal:
		return green
	case v1alpha1.StatusAbnormal:
		return red
	case v1alpha1.StatusUnused:
		return faint
	default:
		return yellow
	}
}
