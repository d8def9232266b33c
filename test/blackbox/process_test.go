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

// stopGrace is far more than a program needs to end, and bounded.
const stopGrace = 30 * time.Second

// process is harness.Process for a test.
type process struct{ *harness.Process }

// start runs a program with this environment and nothing else, until the test
// ends. A name is used once in a folder: outputs are kept.
func start(t *testing.T, folder, name, program string, environment []string, args ...string) *process {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, name+".stderr")); err == nil {
		t.Fatalf("there is a %s already", name)
	}
	p, err := harness.Start(context.WithoutCancel(t.Context()), folder, name, environment, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &process{p}
}

func (p *process) running() bool { return p.Alive() == nil }

// exit waits for the end of the program and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(within):
		t.Fatalf("%s has not ended within %s; its last lines:\n%s", p.Name, within, p.Tail())
	}
	var failed *exec.ExitError
	if p.Failure() != nil && !errors.As(p.Failure(), &failed) {
		t.Fatalf("%s: %v", p.Name, p.Failure())
	}
	return p.ExitCode()
}

// terminate asks the program to end, demands that it does so well, and returns
// how long it took.
func (p *process) terminate(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	code := p.exit(t, within)
	took := time.Since(began)
	if code != 0 {
		t.Errorf("%s ended with exit code %d after SIGTERM; its last lines:\n%s", p.Name, code, p.Tail())
	}
	return took
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
