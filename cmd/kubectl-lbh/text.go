// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A color is the number of an ANSI escape; plain is none.
type color int

const (
	plain  color = 0
	faint  color = 2
	red    color = 31
	green  color = 32
	yellow color = 33
)

// tame takes out of a text what a terminal would obey, whoever wrote it into an object.
func tame(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// paint gives a text its colour, and tames it.
func (c color) paint(text string, colored bool) string {
	text = tame(text)
	if !colored || c == plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}

// colored tells whether what goes to out may have colours.
func (o *options) colored(out io.Writer) bool {
	switch o.color {
	case "always":
		return true
	case "never":
		return false
	default:
		_, unwanted := os.LookupEnv("NO_COLOR")
		return !unwanted && isTerminal(out)
	}
}

// isTerminal tells whether out is a terminal that obeys escapes.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
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

// columnsOf is how many columns of a terminal a character takes: Chinese ones
// take two, and accents that sit upon another none.
func columnsOf(r rune) int {
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

// pad fills a text up with spaces, after it is tamed.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-visible(tame(text))))
}

// A cell is a word in a table.
type cell struct {
	text  string
	color color
}

// A table has columns as wide as their widest word.
type table struct {
	head []string
	rows [][]cell
}

const gap = "   "

// keptColumns stay, however narrow a terminal is.
const keptColumns = 4

// fit leaves out the last columns that there is no room for.
func (t *table) fit(columns int) {
	needed := -len(gap)
	for i, w := range t.widths() {
		if needed += len(gap) + w; needed <= columns || i < keptColumns {
			continue
		}
		t.head = t.head[:i]
		for j := range t.rows {
			t.rows[j] = t.rows[j][:i]
		}
		return
	}
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for i, word := range t.head {
		widths[i] = len(word)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], visible(tame(c.text)))
		}
	}
	return widths
}

func (t *table) write(out io.Writer, colored bool) error {
	widths := t.widths()
	var text strings.Builder
	line := func(cells []cell) {
		for i, c := range cells {
			text.WriteString(c.color.paint(c.text, colored))
			if i < len(cells)-1 {
				text.WriteString(pad(c.text, widths[i])[len(c.text):] + gap)
			}
		}
		text.WriteString("\n")
	}
	head := make([]cell, len(t.head))
	for i, word := range t.head {
		head[i] = cell{text: word}
	}
	line(head)
	for _, row := range t.rows {
		line(row)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// age is how long ago something was, as kubectl says it; "-" when it never was.
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
	default:
		return yellow
	}
}
