// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
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

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
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

func (t *table) write(out io.Writer, colored bool) error {
	widths := make([]int, len(t.head))
	for i, word := range t.head {
		widths[i] = utf8.RuneCountInString(word)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var text strings.Builder
	line := func(cells []cell) {
		for i, c := range cells {
			text.WriteString(c.color.paint(c.text, colored))
			if i < len(cells)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)) + gap)
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
	return duration.HumanDuration(o.now().Sub(at.Time))
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
