// SPDX-License-Identifier: Apache-2.0

package main

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

// A process is a program that is measured, or measured against.
type process struct {
	name, log string
	command   *exec.Cmd
	output    *bytes.Buffer // nil when standard output goes elsewhere
	ended     chan struct{}
	failure   error
}

// start runs a program that ends with ctx, and with this process. Its log goes
// to a file of its name.
func start(ctx context.Context, folder, name string, configure func(*exec.Cmd), path string, args ...string) (*process, error) {
	command := exec.CommandContext(ctx, path, args...)
	p := &process{name: name, log: filepath.Join(folder, name+".log"), command: command, output: &bytes.Buffer{}, ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
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

func (p *process) usage() (usage, error) { return usageOf(p.command.Process.Pid) }

// paused does something while the program stands still, so that what is done
// comes to it all at once, and costs it nothing.
func (p *process) paused(do func() error) error {
	if err := p.command.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(do(), p.command.Process.Signal(syscall.SIGCONT))
}

// stop asks the program to end and waits until it has.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopGrace, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	<-p.ended
}

// result waits for a program that ends by itself and decodes what it printed.
func (p *process) result(into any) error {
	<-p.ended
	if p.failure != nil {
		return p.died()
	}
	if err := json.Unmarshal(p.output.Bytes(), into); err != nil {
		return fmt.Errorf("the output of the %s: %w", p.name, err)
	}
	return nil
}

// alive is nil as long as the program runs.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return p.died()
	default:
		return nil
	}
}

func (p *process) died() error {
	content, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return fmt.Errorf("the %s ended: %s; its last log lines:\n%s", p.name, p.command.ProcessState,
		strings.Join(lines[max(0, len(lines)-logTail):], "\n"))
}
