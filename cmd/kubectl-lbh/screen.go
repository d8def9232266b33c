// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// The alternate screen, without a cursor. What is too long all the same, in
	// a font that thinks otherwise of a character, must not push rows down.
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// keptLines is how many changes a screen remembers.
const keptLines = 200

// screen is the view of a terminal: the table, and below it the newest changes.
// When it closes, the changes stay where the shell goes on.
type screen struct {
	o         *options
	namespace string
	objects   []v1alpha1.LoadBalancerHealth
	told      []line
	entered   bool
}

func newScreen(o *options, namespace string) *screen { return &screen{o: o, namespace: namespace} }

func (s *screen) show(objects []v1alpha1.LoadBalancerHealth, told []line) error {
	s.objects = objects
	s.told = append(s.told, told...)
	s.told = s.told[max(0, len(s.told)-keptLines):]
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
		text = enterScreen + toTop
	}
	_, err := fmt.Fprint(s.o.Out, text+s.draw(width, height))
	return err
}

// draw is the screen's whole content: the table takes what the newest changes
// leave of the height, and those at least a third.
func (s *screen) draw(width, height int) string {
	colored := s.o.colored(s.o.Out)
	rows := []string{none(s.namespace)}
	if len(s.objects) > 0 {
		var buffer bytes.Buffer
		t := fleet(s.objects, s.namespace == "", false, s.o)
		t.fit(width)
		_ = t.write(&buffer, colored) // a buffer takes everything
		rows = strings.Split(strings.TrimSuffix(buffer.String(), "\n"), "\n")
	}
	told := min(len(s.told), max(height/3, height-len(rows)-2))
	if room := max(height-told-2, 2); len(rows) > room {
		hidden := len(rows) - room + 1
		rows = append(rows[:room-1], fmt.Sprintf("… and %d more", hidden))
	}
	rows = append(rows, "")
	for _, l := range s.told[len(s.told)-told:] {
		rows = append(rows, l.render(colored))
	}
	for i, row := range rows {
		rows[i] = cut(row, width) + clearLine
	}
	return strings.Join(rows, "\r\n") + clearBelow
}

func (s *screen) close() error {
	if !s.entered {
		return nil
	}
	var text strings.Builder
	text.WriteString(leaveScreen)
	for _, l := range s.told {
		text.WriteString(l.render(s.o.colored(s.o.Out)) + "\n")
	}
	_, err := fmt.Fprint(s.o.Out, text.String())
	return err
}

// cut shortens a row to what fits, without counting or splitting escapes.
func cut(row string, width int) string {
	if visible(row) <= width {
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
			if seen += columnsOf(r); seen >= width {
				return text.String() + "…\x1b[0m"
			}
		}
		text.WriteRune(r)
	}
	return text.String()
}

// visible is how many columns a row takes: its escapes take none.
func visible(row string) (n int) {
	escape := false
	for _, r := range row {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n += columnsOf(r)
		}
	}
	return n
}
