// SPDX-License-Identifier: Apache-2.0

// Package rig is what programs share that look at the built programs from
// outside: it runs them as processes, reads what the kernel says of them, and
// speaks the simulator's admin API.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a program may take to end before it is killed.
	stopGrace = 10 * time.Second
	logTail   = 15
)

// A Process is a program that runs beside this one.
type Process struct {
	// Name says what it is, and Log is the file of its standard error.
	Name, Log string

	command *exec.Cmd
	output  *bytes.Buffer // nil when standard output goes elsewhere
	ended   chan struct{}
	failure error
}

// Start runs a program that ends with ctx, and with this process. Its log goes
// to a file of its name.
func Start(ctx context.Context, folder, name string, configure func(*exec.Cmd), path string, args ...string) (*Process, error) {
	command := exec.CommandContext(ctx, path, args...)
	p := &Process{Name: name, Log: filepath.Join(folder, name+".log"), command: command, output: &bytes.Buffer{}, ended: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the log of the %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the program has its own
	command.Stdout, command.Stderr = p.output, log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	dieWithParent(command)
	configure(command)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		p.failure = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID is its number.
func (p *Process) PID() int { return p.command.Process.Pid }

// Usage is what it has used so far.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// Paused does something while the program stands still, so that what is done
// comes to it all at once, and costs it nothing.
func (p *Process) Paused(do func() error) error {
	if err := p.command.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(do(), p.command.Process.Signal(syscall.SIGCONT))
}

// Stop asks the program to end and waits until it has.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopGrace, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	<-p.ended
}

// Ended is closed when it has, and Failure says how: nil after a clean end.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Failure is for after the end.
func (p *Process) Failure() error { return p.failure }

// Result waits for a program that ends by itself and decodes what it printed.
func (p *Process) Result(into any) error {
	<-p.ended
	if p.failure != nil {
		return p.died()
	}
	if err := json.Unmarshal(p.output.Bytes(), into); err != nil {
		return fmt.Errorf("the output of the %s: %w", p.Name, err)
	}
	return nil
}

// Alive is nil as long as the program runs.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return p.died()
	default:
		return nil
	}
}

func (p *Process) died() error {
	content, _ := os.ReadFile(p.Log)
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return fmt.Errorf("the %s ended: %s; its last log lines:\n%s", p.Name, p.command.ProcessState,
		strings.Join(lines[max(0, len(lines)-logTail):], "\n"))
}
