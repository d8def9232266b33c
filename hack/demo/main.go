// SPDX-License-Identifier: Apache-2.0

// Command demo shows the operator at work on one machine, without a cluster or
// an account. It starts a real control plane, the SLB simulator and the
// operator, applies config/samples, and plays an incident: what happens to the
// load balancers, and what kubectl shows. The demo watches the API server for the
// result of each step, and exits with 1 if one does not appear.
//
// Run it by `make demo`, which builds the programs first. It runs until Ctrl-C, or,
// with DEMO_EXIT=1, until the last step. It always cleans up, also when it is killed.
//
// With kube-controller-manager, it also plays a bad deploy without and with a
// readiness gate.
//
// steps.go, missing.go and rollouts.go have the steps as data. run.go runs and prints them, env.go
// and cluster.go start and stop the programs, watch.go and expect.go check the results.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// withoutRollouts is printed first, because the build takes minutes.
const withoutRollouts = `There is no kube-controller-manager here, so the demo omits its chapter about rollouts: a bad deploy without and
with a readiness gate, which takes about 80 s. To see it, run: make controller-manager demo
The first build of kube-controller-manager takes about 4 minutes on 2 cores.

`

// interruptedStatus is what shells give a program that Ctrl-C ended.
const interruptedStatus = 130

func main() {
	// The demo prints what a reader needs; libraries stay silent.
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())

	// With SIGPIPE, the demo also cleans up after a closed pipe \(`make demo | head`\).
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	context.AfterFunc(ctx, func() {
		restore() // a second Ctrl-C stops the demo at once
		fmt.Fprintln(os.Stderr, "\nstopping, and cleaning up …")
	})
	stay := os.Getenv("DEMO_EXIT") == "" || os.Getenv("DEMO_EXIT") == "0"
	err := run(ctx, os.Stdout, stay)
	switch {
	case ctx.Err() != nil && err != nil:
		fmt.Fprintln(os.Stderr, "interrupted before the last step")
		os.Exit(interruptedStatus)
	case err != nil:
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, stay bool) (err error) {
	started := time.Now()
	s, err := newEnv(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	list := steps()
	_, missing := harness.FindControllerManager()
	if missing == nil {
		list = append(list, rollouts()...)
	} else {
		fmt.Fprint(out, withoutRollouts)
	}
	if err := s.open(ctx, out, missing == nil); err != nil {
		return err
	}
	r := &runner{out: out, env: s}
	for i, step := range list {
		if err := r.runStep(ctx, i+1, step); err != nil {
			return err
		}
	}
	r.printf("\nAll steps succeeded in %s.\n", time.Since(started).Round(time.Second))
	if !stay {
		return nil
	}
	r.printHints()
	return s.dead(ctx)
}
