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

// terminal runs a shell script, with an emulator that draws its output.
type terminal struct {
	file   *os.File
	raw    *output
	exited chan struct{}

	mu     sync.Mutex // the emulator locks some of its methods only
	screen vt10x.Terminal
}

// Write draws the script's output.
func (term *terminal) Write(p []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.Write(p)
}

// terminal opens a terminal of that size, with the fixture's namespace as $NS.
func (s *fixture) terminal(t *testing.T, columns, rows int, script string, environment ...string) *terminal {
	t.Helper()
	command := exec.Command("/bin/sh", "-c", script)
	command.Env = s.environment(append(environment, "NS="+s.namespace)...)
	file, err := pty.StartWithSize(command, size(columns, rows))
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{file: file, screen: vt10x.New(vt10x.WithSize(columns, rows)), raw: &output{}, exited: make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.MultiWriter(term, term.raw), file) // returns an error when the script exits
		_ = command.Wait()
		close(term.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-term.exited:
		default: // the shell's process group; any process of it keeps the terminal open
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			<-term.exited
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

// rows are the rows of the screen, without empty ones at the bottom.
func (term *terminal) rows() []string {
	term.mu.Lock()
	rows := strings.Split(term.screen.String(), "\n")
	term.mu.Unlock()
	last := 0
	for i, row := range rows {
		if rows[i] = strings.TrimRight(row, " "); rows[i] != "" {
			last = i + 1
		}
	}
	return rows[:last]
}

// shows waits for all of these on the screen.
func (term *terminal) shows(t *testing.T, parts ...string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		text := strings.Join(term.rows(), "\n")
		for _, part := range parts {
			g.Expect(text).To(ContainSubstring(part))
		}
	})
}

// colorOf is the colour of the last character of a text on the screen.
func (term *terminal) colorOf(t *testing.T, text string) vt10x.Color {
	t.Helper()
	rows := term.rows()
	term.mu.Lock()
	defer term.mu.Unlock()
	for y, row := range rows {
		if before, _, found := strings.Cut(row, text); found {
			return term.screen.Cell(len([]rune(before+text))-1, y).FG
		}
	}
	t.Fatalf("%q is not on the screen:\n%s", text, strings.Join(rows, "\n"))
	return 0
}

// live reports whether a program uses the alternate screen.
func (term *terminal) live() bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.Mode()&vt10x.ModeAltScreen != 0
}

func (term *terminal) cursorVisible() bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.CursorVisible()
}

// waitExit waits until the script exits.
func (term *terminal) waitExit(t *testing.T) {
	t.Helper()
	eventually(t, func(g Gomega) { g.Expect(term.exited).To(BeClosed()) })
}
