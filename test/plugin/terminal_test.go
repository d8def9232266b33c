// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	. "github.com/onsi/gomega"
)

// A terminal is what a person sits at: a shell script runs in it, an emulator
// draws what it writes, and keys can be pressed.
type terminal struct {
	file  *os.File
	raw   *output
	ended chan struct{}

	mu     sync.Mutex // the emulator locks some of what it does, and not all
	screen vt10x.Terminal
}

// Write is what the script shows.
func (term *terminal) Write(p []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.Write(p)
}

// terminal opens one of that size, with the stage's namespace as $NS.
func (s *fixture) terminal(t *testing.T, columns, rows int, script string, environment ...string) *terminal {
	t.Helper()
	command := exec.Command("/bin/sh", "-c", script)
	command.Env = s.environment(append(environment, "NS="+s.namespace)...)
	file, err := pty.StartWithSize(command, size(columns, rows))
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{file: file, screen: vt10x.New(vt10x.WithSize(columns, rows)), raw: &output{}, ended: make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.MultiWriter(term, term.raw), file) // ends with an error when the script has
		_ = command.Wait()
		close(term.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-term.ended:
		default: // the shell leads a group of its own; a process left in it holds the terminal
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			<-term.ended
		}
		_ = file.Close()
		if strings.Contains(term.raw.String(), dataRace) {
			t.Error(term.raw)
		}
	})
	return term
}

func size(columns, rows int) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}
}

func (term *terminal) resize(t *testing.T, columns, rows int) {
	t.Helper()
	term.mu.Lock()
	term.screen.Resize(columns, rows)
	term.mu.Unlock()
	if err := pty.Setsize(term.file, size(columns, rows)); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.file.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// lines are the rows of the screen, down to the last one that is not empty.
func (term *terminal) lines() []string {
	term.mu.Lock()
	lines := strings.Split(term.screen.String(), "\n")
	term.mu.Unlock()
	last := 0
	for i, line := range lines {
		if lines[i] = strings.TrimRight(line, " "); lines[i] != "" {
			last = i + 1
		}
	}
	return lines[:last]
}

// shows waits for all of these on the screen.
func (term *terminal) shows(t *testing.T, parts ...string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		text := strings.Join(term.lines(), "\n")
		for _, part := range parts {
			g.Expect(text).To(ContainSubstring(part))
		}
	})
}

// colorOf is the colour of the end of a text on the screen.
func (term *terminal) colorOf(t *testing.T, text string) vt10x.Color {
	t.Helper()
	lines := term.lines()
	term.mu.Lock()
	defer term.mu.Unlock()
	for y, line := range lines {
		if before, _, found := strings.Cut(line, text); found {
			return term.screen.Cell(len([]rune(before+text))-1, y).FG
		}
	}
	t.Fatalf("%q is not on the screen:\n%s", text, strings.Join(lines, "\n"))
	return 0
}

// live reports whether a program has taken the screen over.
func (term *terminal) live() bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.Mode()&vt10x.ModeAltScreen != 0
}

func (term *terminal) cursorIsThere() bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.CursorVisible()
}

// end waits for the end of the script.
func (term *terminal) end(t *testing.T) {
	t.Helper()
	eventually(t, func(g Gomega) { g.Expect(term.ended).To(BeClosed()) })
}
