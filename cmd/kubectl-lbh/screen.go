// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// keptLines is how many changes a screen remembers.
const keptLines = 200

// screen is the view of a terminal: the table, and below it the newest changes.
// When it closes, the changes stay where the shell goes on.
type screen struct {
	o          *options
	namespaces bool
	objects    []v1alpha1.LoadBalancerHealth
	told       []line
	entered    bool
}

func newScreen(o *options, namespaces bool) *screen { return &screen{o: o, namespaces: namespaces} }

func (s *screen) show(objects []v1alpha1.LoadBalancerHealth, told []line) error {
	s.objects = objects
	s.told = append(s.told, told...)
	s.told = s.told[max(0, len(s.told)-keptLines):]
	return s.tick()
}

func (s *screen) tick() error {
	if s.objects == nil {
		return nil
	}
	width, height := 80, 24
	if file, ok := s.o.Out.(*os.File); ok {
		if w, h, err := term.GetSize(int(file.Fd())); err == nil {
			width, height = w, h
		}
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
	var buffer bytes.Buffer
	_ = fleet(s.objects, s.namespaces, false, s.o).write(&buffer, colored) // a buffer takes everything
	rows := strings.Split(strings.TrimSuffix(buffer.String(), "\n"), "\n")
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
	var text strings.Builder
	seen, escape := 0, false
	for i, r := range row {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case seen == width-1 && utf8.RuneCountInString(row[i:]) > 1 && visible(row[i:]) > 1:
			return text.String() + "…\x1b[0m"
		default:
			seen++
		}
		text.WriteRune(r)
	}
	return text.String()
}

// visible counts what is not part of an escape.
func visible(row string) (n int) {
	escape := false
	for _, r := range row {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}
