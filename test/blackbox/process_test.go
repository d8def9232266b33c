// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopGrace is far more than a program needs to end, and bounded.
const stopGrace = 30 * time.Second

// process is a running program whose output goes to files.
type process struct {
	name    string
	command *exec.Cmd
	stdout  string
	stderr  string
	ended   chan struct{}
	failure error
}

// starts hands commands to one thread: the kernel signals a program that is to
// die with its parent when the thread that started it ends.
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

// start runs a program with this environment and nothing else. Its output is
// kept in the folder as name.stdout and name.stderr.
func start(t *testing.T, folder, name, program string, environment []string, args ...string) *process {
	t.Helper()
	p := &process{
		name: name, command: exec.Command(program, args...), ended: make(chan struct{}),
		stdout: filepath.Join(folder, name+".stdout"), stderr: filepath.Join(folder, name+".stderr"),
	}
	p.command.Env = environment
	dieWithParent(p.command)
	stdout, stderr := createFile(t, p.stdout), createFile(t, p.stderr)
	p.command.Stdout, p.command.Stderr = stdout, stderr

	started := make(chan error)
	starts() <- func() { started <- p.command.Start() }
	err := <-started
	_, _ = stdout.Close(), stderr.Close()
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.failure = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the program at once, if it still runs.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// exit waits for the end of the program and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s has not ended within %s; its last lines:\n%s", p.name, within, p.tail())
	}
	var failed *exec.ExitError
	if p.failure != nil && !errors.As(p.failure, &failed) {
		t.Fatalf("%s: %v", p.name, p.failure)
	}
	return p.command.ProcessState.ExitCode()
}

// terminate asks the program to end, demands that it does so well, and returns
// how long it took.
func (p *process) terminate(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	code := p.exit(t, within)
	took := time.Since(began)
	if code != 0 {
		t.Errorf("%s ended with exit code %d after SIGTERM; its last lines:\n%s", p.name, code, p.tail())
	}
	return took
}

func (p *process) output(t *testing.T) (stdout, stderr string) {
	t.Helper()
	return readFile(t, p.stdout), readFile(t, p.stderr)
}

const (
	tailLines = 40
	tailWidth = 400
)

// tail returns the last lines of stderr without those of client-go's wire log.
func (p *process) tail() string {
	data, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte(`{"level":"Level(`)) {
			continue
		}
		line = bytes.TrimRight(line, "\n")
		kept = append(kept, string(line[:min(len(line), tailWidth)]))
	}
	return strings.Join(kept[max(0, len(kept)-tailLines):], "\n")
}

// createFile refuses a name that is there already: outputs are kept.
func createFile(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
