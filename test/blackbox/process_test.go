// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// stopGrace is the timeout of a graceful termination.
const stopGrace = 30 * time.Second

// process is a harness.Process whose failures fail the test.
type process struct{ *harness.Process }

// start runs a program with exactly this environment until the test ends. A name is unique in a folder, because its
// output stays there.
func start(t *testing.T, folder, name, program string, environment []string, args ...string) *process {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, name+".stderr")); err == nil {
		t.Fatalf("the name %s is in use", name)
	}
	p, err := harness.Start(context.WithoutCancel(t.Context()), folder, name, environment, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &process{p}
}

func (p *process) running() bool { return p.Alive() == nil }

// exit waits until the program exits, and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(within):
		t.Fatalf("%s has not exited within %s; its last log lines:\n%s", p.Name, within, p.Tail())
	}
	var failed *exec.ExitError
	if p.Failure() != nil && !errors.As(p.Failure(), &failed) {
		t.Fatalf("%s: %v", p.Name, p.Failure())
	}
	return p.ExitCode()
}

// terminate sends SIGTERM, and requires exit code 0.
func (p *process) terminate(t *testing.T, within time.Duration) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	if code := p.exit(t, within); code != 0 {
		t.Errorf("%s exited with code %d after SIGTERM; its last log lines:\n%s", p.Name, code, p.Tail())
	}
}

func (p *process) output(t *testing.T) (stdout, stderr string) {
	t.Helper()
	return readFile(t, p.Stdout), readFile(t, p.Stderr)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
