// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// runner runs the steps and prints their results.
type runner struct {
	out io.Writer
	env *env
}

func (r *runner) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

// runStep names the step in its error.
func (r *runner) runStep(ctx context.Context, number int, step step) error {
	r.printf("\n=== %d. %s\n%s\n", number, step.title, step.text)
	since := time.Now()
	if err := r.play(ctx, step, since); err != nil {
		return fmt.Errorf("step %d, %s: %w", number, step.title, err)
	}
	return nil
}

func (r *runner) play(ctx context.Context, step step, since time.Time) error {
	if r.env.shop != nil {
		r.env.shop.recorder.Restart()
	}
	if err := r.run(ctx, step.first); err != nil {
		return err
	}
	if len(step.changes) > 0 {
		r.printf("\n")
	}
	for _, change := range step.changes {
		r.printf("simulator: %s\n", change)
		if err := change.make(ctx, r.env.simulator); err != nil {
			return err
		}
	}
	if err := r.env.await(ctx, step.expected, since, step.timeout); err != nil {
		return err
	}
	r.printf("seen in %.1fs: %s\n", time.Since(since).Seconds(), sentence(step.expected))
	return r.run(ctx, step.shown)
}

// run runs commands in a shell, as they are printed.
func (r *runner) run(ctx context.Context, commands []string) error {
	for _, text := range commands {
		r.printf("\n$ %s\n", text)
		command := exec.CommandContext(ctx, "/bin/sh", "-c", text)
		command.WaitDelay = stopGrace // kubectl may outlive the shell that ctx kills
		command.Env = r.env.environment()
		output, err := command.CombinedOutput()
		r.printf("%s", trim(string(output)))
		if err != nil {
			return fmt.Errorf("%s: %w; the operator's last log lines:\n%s", text, err, r.env.operator.Tail())
		}
	}
	return nil
}

// trim removes what kubectl pads its tables with.
func trim(output string) string {
	var b strings.Builder
	for row := range strings.Lines(output) {
		b.WriteString(strings.TrimRight(row, " \n") + "\n")
	}
	return b.String()
}

// sentence lists the expectations, and names each object once.
func sentence(expected []expectation) string {
	var b strings.Builder
	last := ""
	for i, e := range expected {
		name, what, _ := strings.Cut(e.what, ": ")
		switch {
		case name != last && i > 0:
			b.WriteString("; " + e.what)
		case name != last:
			b.WriteString(e.what)
		default:
			b.WriteString(", " + what)
		}
		last = name
	}
	return b.String()
}

func (c change) make(ctx context.Context, simulator *harness.Simulator) error {
	var body any
	if c.body != "" {
		body = json.RawMessage(c.body)
	}
	return simulator.Admin(ctx, c.method, strings.TrimPrefix(c.path, "/admin/v1/"), body, nil)
}

// printHints prints how to continue by hand.
func (r *runner) printHints() {
	s := r.env
	r.printf(`
Everything keeps running. Continue in another terminal:

  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl get lbh --watch

Make a backend fail, and fix it with "normal":

  curl -X PATCH %s%s -d '{"serverId":"i-web-1","serverHealthStatus":"abnormal"}'
%s
The operator's metrics: curl http://%s/metrics
Logs: %s

Ctrl-C stops the demo and cleans up.
`, s.controlPlane.Kubeconfig(), s.programs(), s.simulator.URL, webBackends, s.shop.hint(), s.metrics,
		filepath.Join(s.folder, "operator.stderr")+", "+filepath.Join(s.folder, "simulator.stderr"))
}
