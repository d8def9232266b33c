// SPDX-License-Identifier: Apache-2.0

// Command bench compares the operator with the limit of its environment, and with a
// textbook reconciler, in one run on one machine. `make bench` builds and runs it;
// BENCH=quick selects the quick form, and BENCH_OUT names the folder for the report (docs).
// BENCH=fast, gates, forms, storm, services, expected, products and builds measure one part
// alone, and print it: fast observation against the fixed interval, readiness gates, the forms
// of a status write, the storms, --monitor=all against objects that users created, expected
// backends against the same operator without them, CLB, NLB and ALB against a naive reader,
// and the operator against another build (BENCH_BASE).
//
//	form.go       how much is measured, as data
//	bench.go      the sequence of the measurements
//	measure.go    costs while nothing changes
//	storms.go     writes while the API server is the bottleneck; delays.go at a moderate rate
//	fast.go       fast observation against the fixed interval; rollout.go what happens
//	services.go   --monitor=all against objects that users created; servicesfleet.go both
//	expected.go   expected backends of Services, against an operator that cannot know them
//	products.go   CLB, NLB and ALB against a naive reader; productfleet.go load balancers and
//	              objects, productcalls.go calls of each observation, productreport.go goals
//	builds.go     the operator against another build
//	contestant.go programs that alternate; productwindow.go their costs
//	gates.go      readiness gates of many pods; gatepods.go the pods
//	writes.go     comparison of the forms of a status write; writeforms.go the forms
//	env.go        control plane, simulator and programs; fleet.go load balancers and objects
//	watcher.go    when each status was stored; cores.go CPU time of each process
//	worker.go     the limits and the textbook reconciler, as processes; barewriter.go writes
//	figures.go    figures and goals, computed from the measurements
//	files.go      the report; markdown.go its text
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
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

// alone are the forms that measure one part, and print it.
var alone = map[string]struct {
	measure func(*bench, context.Context) error
	print   func(io.Writer, *results) error
}{
	"fast":  {(*bench).measureFast, func(out io.Writer, r *results) error { printFast(out, r.Fast); return nil }},
	"gates": {(*bench).measureGates, func(out io.Writer, r *results) error { printGates(out, r.Gates); return nil }},
	"forms": {(*bench).compareForms, func(out io.Writer, r *results) error { printWrites(out, r.Writes); return nil }},
	"storm": {(*bench).onlyStorms, func(out io.Writer, r *results) error { printStormsAlone(out, &r.Storms); return nil }},
	"expected": {(*bench).measureExpected, func(out io.Writer, r *results) error {
		printExpected(out, r.Expected)
		return r.Expected.check()
	}},
	"products": {(*bench).measureProducts, func(out io.Writer, r *results) error {
		printProducts(out, r.Products)
		return errors.Join(writeProducts(outputFolder(), time.Now(), r.Products), r.Products.check())
	}},
	"builds": {(*bench).measureBuilds, func(out io.Writer, r *results) error { printBuilds(out, r.Builds); return nil }},
	"services": {(*bench).measureServices, func(out io.Writer, r *results) error {
		printServices(out, r.Services)
		return r.Services.check()
	}},
}

func printStormsAlone(out io.Writer, s *storms) {
	printRounds(out, s)
	fmt.Fprintln(out)
	printCores(out, s)
}

// formNamed returns the form of a value of BENCH.
func formNamed(name string) (form, error) {
	forms := map[string]func() form{
		"": full, "full": full, "quick": quick, "fast": fastOnly, "gates": gatesOnly, "forms": formsOnly, "storm": stormOnly,
		"services": servicesOnly, "expected": expectedOnly, "products": productsOnly, "builds": buildsOnly,
	}
	if named, found := forms[name]; found {
		return named(), nil
	}
	return form{}, fmt.Errorf("BENCH=%s is not one of %q", name, slices.Sorted(maps.Keys(forms)))
}

// report measures, and writes the results.
func report(ctx context.Context) (err error) {
	form, err := formNamed(os.Getenv("BENCH"))
	if err != nil {
		return err
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
	if part, alone := alone[form.name]; alone {
		return part.print(os.Stdout, &b.results)
	}
	printFigures(os.Stdout, figures(d.results))
	return d.write(outputFolder())
}
