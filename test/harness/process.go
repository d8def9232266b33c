// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopGrace is the time from SIGTERM to SIGKILL.
	stopGrace = 10 * time.Second
	tailLines = 40
	tailWidth = 400
)

// Process is a program that this process started.
type Process struct {
	Name string
	// Stdout and Stderr are files; the second is kept across starts of one name.
	Stdout, Stderr string

	command *exec.Cmd
	ended   chan struct{}
	failure error
}

// starts hands commands to one thread: Linux kills a program that is to die with
// its parent when the thread that started it ends.
var starts = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
})

// Start runs a program with this environment and nothing else, until ctx or this
// process ends. Its output goes to files of its name in the folder.
func Start(ctx context.Context, folder, name string, environment []string, path string, args ...string) (*Process, error) {
	command := exec.CommandContext(ctx, path, args...)
	p := &Process{
		Name: name, Stdout: filepath.Join(folder, name+".stdout"), Stderr: filepath.Join(folder, name+".stderr"),
		command: command, ended: make(chan struct{}),
	}
	command.Env = environment
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	dieWithParent(command)
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		p.failure = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *Process) start() error {
	stdout, err := os.Create(p.Stdout)
	if err != nil {
		return err
	}
	defer func() { _ = stdout.Close() }() // the program has its own
	stderr, err := os.OpenFile(p.Stderr, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = stderr.Close() }()
	p.command.Stdout, p.command.Stderr = stdout, stderr
	started := make(chan error)
	starts() <- func() { started <- p.command.Start() }
	return <-started
}

// PID is the process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Usage is the program's use of CPU and RAM so far.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.command.Process.Signal(s) }

// Paused runs do while the program is stopped, so that all that do changes
// reaches the program at once.
func (p *Process) Paused(do func() error) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(do(), p.Signal(syscall.SIGCONT))
}

// Stop terminates the program and waits until it has ended.
func (p *Process) Stop() {
	_ = p.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopGrace, func() { _ = p.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	<-p.ended
}

// Kill kills the program if it still runs.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Ended returns a channel that is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Failure returns why the program ended; nil after exit code 0.
func (p *Process) Failure() error { return p.failure }

// ExitCode returns the exit code of an ended program; -1 after a signal.
func (p *Process) ExitCode() int { return p.command.ProcessState.ExitCode() }

// Result waits for a program that ends by itself and decodes what it printed.
func (p *Process) Result(into any) error {
	<-p.ended
	if p.failure != nil {
		return p.Alive()
	}
	content, err := os.ReadFile(p.Stdout)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return fmt.Errorf("the output of the %s: %w", p.Name, err)
	}
	return nil
}

// Alive is nil as long as the program runs.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the %s ended: %s; its last log lines:\n%s", p.Name, p.command.ProcessState, p.Tail())
	default:
		return nil
	}
}

// Tail returns the last lines of the log without those of client-go's wire log.
func (p *Process) Tail() string {
	content, err := os.ReadFile(p.Stderr)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for entry := range bytes.Lines(content) {
		if bytes.HasPrefix(entry, []byte(`{"level":"Level(`)) {
			continue
		}
		entry = bytes.TrimRight(entry, "\n")
		kept = append(kept, string(entry[:min(len(entry), tailWidth)]))
	}
	return strings.Join(kept[max(0, len(kept)-tailLines):], "\n")
}
