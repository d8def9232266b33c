// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a program may take to end before it is killed.
	stopGrace = 5 * time.Second
	// logTail is how many lines of a log are shown when something went wrong.
	logTail = 15
)

// A guard leads the process group that every program of the demo is in. Ctrl-C
// in a terminal therefore reaches the demo only, which ends the others in order.
// Should the demo die without that, the guard, a shell that reads from a pipe
// which only the demo holds, reads its end and ends the group and the folder.
type guard struct {
	shell *exec.Cmd
	pipe  io.WriteCloser
}

// A line means a clean end. The wait is longer than that of internal/controlplane,
// whose folder is in this one.
const guardScript = `
read -r _ && exit
trap '' TERM
kill -s TERM 0
sleep 5
rm -rf "$1"
kill -s KILL 0
`

func newGuard(ctx context.Context, folder string) (*guard, error) {
	shell := exec.CommandContext(ctx, "/bin/sh", "-c", guardScript, "sh", folder)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return &guard{shell: shell, pipe: pipe}, nil
}

// command is one that the guard watches over. When ctx ends it is asked to end,
// and killed after the grace.
func (g *guard) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.shell.Process.Pid}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	return command
}

// dismiss is for after the programs have ended.
func (g *guard) dismiss() error {
	_, _ = io.WriteString(g.pipe, "\n")
	_ = g.pipe.Close()
	if err := g.shell.Wait(); err != nil {
		return fmt.Errorf("dismiss the guard: %w", err)
	}
	return nil
}

// A program runs until its context ends.
type program struct {
	name, log string
	ended     chan struct{}
	state     string // how it ended, once ended is closed
}

// launch starts a program whose standard error goes to a log of its name.
func (s *stage) launch(command *exec.Cmd, name string) (*program, error) {
	log := filepath.Join(s.folder, name+".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the log of the %s: %w", name, err)
	}
	defer func() { _ = file.Close() }() // the program has its own
	command.Stderr = file
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	p := &program{name: name, log: log, ended: make(chan struct{})}
	s.programs = append(s.programs, p)
	go func() {
		_ = command.Wait()
		p.state = command.ProcessState.String()
		close(p.ended)
		s.dead <- p
	}()
	return p, nil
}

// postMortem is for a program that ended though nobody asked it to.
func (p *program) postMortem() error {
	return fmt.Errorf("the %s ended: %s; its last log lines:\n%s", p.name, p.state, tail(p.log))
}

// tail returns the last lines of a log, indented.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "  " + err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-logTail):], "\n  ")
}
