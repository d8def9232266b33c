// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// The alternate screen, without cursor and wrapping: a row that is too long in
	// the terminal's font must not shift the rows below.
	enterAltScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	exitAltScreen  = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	toTop          = "\x1b[H"
	clearRow       = "\x1b[K"
	clearBelow     = "\x1b[J"
)

// maxLogEntries is how many changes a screen keeps.
const maxLogEntries = 200

// screen is the view in a terminal: the table, and below it the newest changes.
// close prints the changes below the shell's prompt.
type screen struct {
	o         *options
	namespace string
	columns   optionalColumns
	selection selection
	log       []logEntry
	entered   bool
}

func (s *screen) show(selected selection, entries []logEntry) error {
	s.selection = selected
	s.log = append(s.log, entries...)
	s.log = s.log[max(0, len(s.log)-maxLogEntries):]
	return s.tick()
}

func (s *screen) tick() error {
	width, height, ok := sizeOf(s.o.Out)
	if !ok {
		width, height = 80, 24
	}
	text := toTop
	if !s.entered {
		s.entered = true
		text = enterAltScreen + toTop
	}
	_, err := fmt.Fprint(s.o.Out, text+s.draw(width, height))
	return err
}

// draw renders the whole screen. The log gets at least a third of the height, and
// the table and its summary the rest.
func (s *screen) draw(width, height int) string {
	colored := s.o.colored(s.o.Out)
	rows := s.tableRows(width, colored)
	summary := notFoundMessage(s.namespace)
	if len(s.selection.all) > 0 {
		summary = s.selection.summary()
	}
	logged := min(len(s.log), max(height/3, height-len(rows)-3))
	if room := max(height-logged-3, 2); len(rows) > room {
		hidden := len(rows) - room + 1
		rows = append(rows[:room-1], fmt.Sprintf("… and %d more", hidden))
	}
	rows = append(rows, summary, "")
	for _, e := range s.log[len(s.log)-logged:] {
		rows = append(rows, e.render(colored))
	}
	for i, row := range rows {
		rows[i] = truncate(row, width) + clearRow
	}
	return strings.Join(rows, "\r\n") + clearBelow
}

// tableRows are the rows of the table, none for an empty one.
func (s *screen) tableRows(width int, colored bool) []string {
	if len(s.selection.shown) == 0 {
		return nil
	}
	var buffer bytes.Buffer
	t := tableOf(s.selection.shown, s.columns)
	t.fit(width)
	_ = t.write(&buffer, colored) // a buffer returns no error
	return strings.Split(strings.TrimSuffix(buffer.String(), "\n"), "\n")
}

func (s *screen) close() error {
	if !s.entered {
		return nil
	}
	var text strings.Builder
	text.WriteString(exitAltScreen)
	for _, e := range s.log {
		text.WriteString(e.render(s.o.colored(s.o.Out)) + "\n")
	}
	_, err := fmt.Fprint(s.o.Out, text.String())
	return err
}

// truncate shortens a row to a width. It neither counts nor splits escapes.
func truncate(row string, width int) string {
	if displayWidth(row) <= width {
		return row
	}
	var text strings.Builder
	seen, escape := 0, false
	for _, r := range row {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			if seen += runeWidth(r); seen >= width {
				return text.String() + "…\x1b[0m"
			}
		}
		text.WriteRune(r)
	}
	return text.String()
}

// displayWidth is the width of a row in columns; escapes have none.
func displayWidth(row string) (n int) {
	escape := false
	for _, r := range row {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n += runeWidth(r)
		}
	}
	return n
}
