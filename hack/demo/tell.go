// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// A teller plays the steps and prints what there is to see.
type teller struct {
	out   io.Writer
	stage *stage
}

func (t *teller) printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// tell plays one step.
func (t *teller) tell(ctx context.Context, number int, step step) error {
	t.printf("\n=== %d. %s\n%s\n", number, step.title, step.text)
	since := time.Now()
	if err := t.play(ctx, step, since); err != nil {
		return fmt.Errorf("step %d, %s: %w", number, step.title, err)
	}
	return nil
}

func (t *teller) play(ctx context.Context, step step, since time.Time) error {
	if err := t.run(ctx, step.first); err != nil {
		return err
	}
	if len(step.changes) > 0 {
		t.printf("\n")
	}
	for _, change := range step.changes {
		t.printf("simulator: %s\n", change)
		if err := change.make(ctx, t.stage.slb); err != nil {
			return err
		}
	}
	if err := t.stage.await(ctx, step.expected, since, step.timeout); err != nil {
		return err
	}
	t.printf("seen in %.1fs: %s\n", time.Since(since).Seconds(), sentence(step.expected))
	return t.run(ctx, step.shown)
}

// run runs commands in a shell, as they are printed.
func (t *teller) run(ctx context.Context, commands []string) error {
	for _, line := range commands {
		t.printf("\n$ %s\n", line)
		command := t.stage.guard.command(ctx, "/bin/sh", "-c", line)
		command.Env = t.stage.environment()
		output, err := command.CombinedOutput()
		t.printf("%s", trim(string(output)))
		if err != nil {
			return fmt.Errorf("%s: %w; the operator's last log lines:\n%s", line, err, tail(t.stage.operator.log))
		}
	}
	return nil
}

// trim removes what kubectl pads its tables with.
func trim(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// sentence lists what was expected, naming an object only where it changes.
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

func (c change) make(ctx context.Context, url string) (err error) {
	request, err := http.NewRequestWithContext(ctx, c.method, url+c.path, strings.NewReader(c.body))
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode >= http.StatusMultipleChoices {
		answer, _ := io.ReadAll(response.Body)
		return fmt.Errorf("the simulator answers %s to %s: %s", response.Status, c, answer)
	}
	return nil
}

// invite says how to go on by hand.
func (t *teller) invite() {
	s := t.stage
	t.printf(`
Everything keeps running. In another terminal:

  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl get lbh --watch

Break a backend, and fix it with "normal":

  curl -X PATCH %s%s -d '{"serverId":"i-web-1","serverHealthStatus":"abnormal"}'

The operator's metrics: curl http://%s/metrics
Logs: %s

Ctrl-C ends it.
`, s.controlPlane.Kubeconfig(), filepath.Dir(s.controlPlane.Kubectl()), s.slb, webBackends, s.metrics,
		filepath.Join(s.folder, "operator.log")+", "+filepath.Join(s.folder, "simulator.log"))
}
