// SPDX-License-Identifier: Apache-2.0

// Command bench compares the operator with the limit of its environment, and with a
// textbook reconciler, in one run on one machine. `make bench` builds and runs it;
// BENCH=quick selects the quick form, BENCH=fast the comparison of fast observation
// with the fixed interval alone, BENCH=services that of --monitor=all with objects that
// users created alone, and BENCH_OUT names the folder for the report (docs).
//
//	form.go       how much is measured, as data
//	bench.go      the sequence of the measurements
//	measure.go    costs while nothing changes
//	storms.go     writes while the API server is the bottleneck
//	fast.go       fast observation against the fixed interval; rollout.go what happens
//	services.go   --monitor=all against objects that users created; servicesfleet.go both
//	writes.go     comparison of the forms of a status write; patches.go the forms
//	env.go        control plane, simulator and programs; fleet.go load balancers and objects
//	watcher.go    when each status was stored; cores.go CPU time of each process
//	worker.go     the limits and the textbook reconciler, as processes; patcher.go patches
//	figures.go    figures and goals, computed from the measurements
//	files.go      the report; markdown.go its text
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func main() {
	harness.Main("bench", func(ctx context.Context) error {
		if len(os.Args) > 1 {
			return runWorker(ctx, os.Args[1:], os.Stdout)
		}
		return report(ctx)
	})
}

// report measures, and writes the results.
func report(ctx context.Context) (err error) {
	form := full()
	switch os.Getenv("BENCH") {
	case "quick":
		form = quick()
	case "fast":
		form = fastOnly()
	case "services":
		form = servicesOnly()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, form.timeout, fmt.Errorf("the benchmark took more than %s", form.timeout))
	defer cancel()
	b := &bench{form: form, out: os.Stdout, started: time.Now()}
	b.logf("starting etcd, kube-apiserver and slb-simulator")
	if b.env, err = openEnv(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.run(ctx); err != nil {
		return err
	}
	d := &document{
		form: form, date: b.started, took: time.Since(b.started), command: commandOf(form), machine: thisMachine(), results: &b.results,
	}
	b.logf("done\n")
	switch form.name {
	case fastOnly().name:
		printFast(os.Stdout, b.results.Fast)
		return nil
	case servicesOnly().name:
		printServices(os.Stdout, b.results.Services)
		return b.results.Services.check()
	}
	printFigures(os.Stdout, figures(d.results))
	return d.write(outputFolder())
}
