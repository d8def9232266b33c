// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dataRace is the message of the race detector.
const dataRace = "WARNING: DATA RACE"

// result is the output and the exit code of a command.
type result struct {
	stdout, stderr string
	code           int
}

// environment is the environment of a user: a kubeconfig, PATH and a terminal.
func (s *suite) environment(extra ...string) []string {
	return append([]string{
		"HOME=" + s.Folder, "TERM=xterm-256color", "KUBECONFIG=" + s.Plane.Kubeconfig(),
		"PATH=" + s.path + string(os.PathListSeparator) + "/usr/bin" + string(os.PathListSeparator) + "/bin",
	}, extra...)
}

// command is `kubectl lbh` with these arguments.
func (s *fixture) command(args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(s.path, "kubectl"), append([]string{"lbh"}, args...)...)
	command.Env = s.environment()
	return command
}

// lbh runs `kubectl lbh` in the fixture's namespace.
func (s *fixture) lbh(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, s.command(append(args, "-n", s.namespace)...))
}

// finish runs a command with pipes, and waits for it.
func finish(t *testing.T, command *exec.Cmd) result {
	t.Helper()
	p := launch(t, command)
	return p.wait(t)
}

// process is a running command.
type process struct {
	command        *exec.Cmd
	stdout, stderr *output
	exited         chan struct{}
	failure        error
}

func launch(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, stdout: &output{}, stderr: &output{}, exited: make(chan struct{})}
	command.Stdout, command.Stderr = p.stdout, p.stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.failure = command.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // if it still runs
		<-p.exited
	})
	return p
}

// interrupt is Ctrl-C.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// wait waits until the command exits.
func (p *process) wait(t *testing.T) result {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("%q has not exited: %q, %q", p.command.Args, p.stdout, p.stderr)
	}
	var exit *exec.ExitError
	if p.failure != nil && !errors.As(p.failure, &exit) {
		t.Fatalf("%q: %v", p.command.Args, p.failure)
	}
	r := result{p.stdout.String(), p.stderr.String(), p.command.ProcessState.ExitCode()}
	if strings.Contains(r.stderr, dataRace) {
		t.Errorf("%q: %s", p.command.Args, r.stderr)
	}
	return r
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// succeeds requires exit code 0 and an empty standard error.
func (r result) succeeds(t *testing.T) string {
	t.Helper()
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit code %d, standard error %q", r.code, r.stderr)
	}
	return r.stdout
}

// summary is the line below a table.
var summary = regexp.MustCompile(`^\d+ objects?( \((none|\d+) shown\))?: .*; \d+ backends?(: .*)?\n$`)

// table requires exit code 0, and a summary alone on standard error.
func (r result) table(t *testing.T) string {
	t.Helper()
	if r.code != 0 || !summary.MatchString(r.stderr) {
		t.Fatalf("exit code %d, standard error %q", r.code, r.stderr)
	}
	return r.stdout
}

// fails requires exit code 1, and an error with all these parts.
func (r result) fails(t *testing.T, parts ...string) {
	t.Helper()
	rows := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	last := rows[len(rows)-1]
	if r.code != 1 || r.stdout != "" || !strings.HasPrefix(last, "error: ") {
		t.Errorf("exit code %d, standard output %q, standard error %q", r.code, r.stdout, r.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(last, part) {
			t.Errorf("%q lacks %q", last, part)
		}
	}
}
