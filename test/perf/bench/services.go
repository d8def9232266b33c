// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A servicesResult compares the operator that creates an object for each Service with one
// whose objects users created.
type servicesResult struct {
	Size     fleetSize
	Window   time.Duration
	Services monitorMeasured
	Written  monitorMeasured
	// Writes are the requests of both operators that wrote anything while nothing changed.
	Writes int
}

// monitorMeasured contains the measurements of one operator.
type monitorMeasured struct {
	// Exist and Observed are how long it took, from the beginning, until all objects
	// existed, and until all of them were observed.
	Exist, Observed time.Duration
	First           firstStart
	Rest            steady
	// FewestCalls and MostCalls are those of one load balancer in the window.
	FewestCalls, MostCalls int
}

// firstStart is what the first start needed, until everything was written.
type firstStart struct {
	Requests requested
	PeakRSS  int64
}

// servicesOnly is the form that measures --monitor=all and nothing else. The objects of
// Services have the default interval.
func servicesOnly() form {
	return form{
		name: "services", timeout: 45 * time.Minute, uptime: 130 * time.Second, window: 60 * time.Second,
		services: &fleetSize{Balancers: 10_000, Objects: 1, Rows: usualRows, Interval: 30 * time.Second},
	}
}

// measureServices measures the first start of each operator alone, and then both at the
// same time while nothing changes, so that other load affects both.
func (b *bench) measureServices(ctx context.Context) (err error) {
	r := &servicesResult{Size: *b.form.services, Window: b.form.window}
	b.logf("%s: Services with --monitor=all, and objects that users created", r.Size)
	fleets := []*monitorFleet{
		{name: "bench-services", kind: "ecs", services: true, args: []string{"--service-discovery", "--monitor=all", "--region-id", region}, measured: &r.Services},
		{name: "bench-written", kind: "ecs", measured: &r.Written},
	}
	defer closeAll(fleets)
	for _, f := range fleets {
		if err := f.open(ctx, b.env, r.Size); err != nil {
			return err
		}
		b.logf("  the first start, %s", f.namespace())
		if err := f.start(ctx); err != nil {
			return err
		}
	}
	b.logf("  both, while nothing changes")
	b.results.Services = r
	r.Writes, err = b.measureRest(ctx, fleets)
	return err
}

func closeAll(fleets []*monitorFleet) {
	for _, f := range fleets {
		f.close()
	}
}

// measureRest restarts the operators and measures them in a window. It returns how
// many requests wrote anything.
func (b *bench) measureRest(ctx context.Context, fleets []*monitorFleet) (writes int, err error) {
	for _, f := range fleets {
		if err := f.startOperator(ctx); err != nil {
			return 0, err
		}
	}
	if err := harness.Wait(ctx, b.form.uptime-b.form.window); err != nil {
		return 0, err
	}
	before := make([]meter, len(fleets))
	for i, f := range fleets {
		err := f.simulator.Admin(ctx, http.MethodDelete, "calls", nil, nil)
		if err == nil {
			before[i], err = f.meter(ctx, f.operator)
		}
		if err != nil {
			return 0, err
		}
	}
	from, err := b.api.requested(ctx)
	if err != nil {
		return 0, err
	}
	if err := harness.Wait(ctx, b.form.window); err != nil {
		return 0, err
	}
	to, err := b.api.requested(ctx)
	if err != nil {
		return 0, err
	}
	for i, f := range fleets {
		if err := f.measureWindow(ctx, before[i]); err != nil {
			return 0, err
		}
	}
	return to.since(from).writes, nil
}

// measureWindow reads the counters at the end of the window.
func (f *monitorFleet) measureWindow(ctx context.Context, before meter) error {
	after, err := f.meter(ctx, f.operator)
	if err != nil {
		return err
	}
	report, err := f.simulator.calls(ctx, 1)
	if err != nil {
		return err
	}
	f.measured.FewestCalls, f.measured.MostCalls = fewestAndMost(report.ByLoadBalancer, f.size.balancerIDs())
	f.measured.Rest, err = between(before, after, f.size)
	return err
}

func fewestAndMost(counts map[string]int, ids []string) (fewest, most int) {
	fewest = math.MaxInt
	for _, id := range ids {
		fewest, most = min(fewest, counts[id]), max(most, counts[id])
	}
	return fewest, most
}

// windowTolerance is for calls that start a little later than those of the interval
// before, as on a machine with other load: 2 %.
const windowTolerance = 0.02

// check reports the counts that differ from what the documentation promises.
func (r *servicesResult) check() error {
	var wrong []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	intervals := int(r.Window / r.Size.Interval)
	for name, m := range map[string]monitorMeasured{"--monitor=all": r.Services, "objects of users": r.Written} {
		expect(math.Abs(m.Rest.CallsPerInterval-1) <= windowTolerance, "%s: %.3f calls per load balancer and interval", name, m.Rest.CallsPerInterval)
		expect(m.FewestCalls >= intervals-1 && m.MostCalls <= intervals+1, "%s: from %d to %d calls for one load balancer in %d intervals",
			name, m.FewestCalls, m.MostCalls, intervals)
		expect(m.First.Requests.creations == r.Size.Balancers, "%s: %d requests to create %d objects", name, m.First.Requests.creations, r.Size.Balancers)
	}
	expect(r.Writes == 0, "%d writes while nothing changed", r.Writes)
	expect(r.Services.First.Requests.events == r.Size.Balancers, "--monitor=all: %d events", r.Services.First.Requests.events)
	expect(r.Written.First.Requests.events == 0, "objects of users: %d events", r.Written.First.Requests.events)
	return errors.Join(wrong...)
}

// printServices prints the comparison.
func printServices(out io.Writer, r *servicesResult) {
	all, written := r.Services, r.Written
	fmt.Fprintf(out, "%d Services, each with a load balancer of %d backends, in one account; interval %s.\n\n", r.Size.Balancers, r.Size.Rows, r.Size.Interval)
	fmt.Fprint(out, "| | `--monitor=all` | objects of users | ratio |\n| --- | ---: | ---: | ---: |\n")
	row := func(name, format string, a, b float64) {
		ratio := "–"
		if b > 0 {
			ratio = fmt.Sprintf("%.2f", a/b)
		}
		fmt.Fprintf(out, "| %s | "+format+" | "+format+" | %s |\n", name, a, b, ratio)
	}
	perObject := func(n int) float64 { return float64(n) / float64(r.Size.Balancers) }
	megabytes := func(n int64) float64 { return float64(n) / (1 << 20) }
	row("API calls per load balancer and interval", "%.2f", all.Rest.CallsPerInterval, written.Rest.CallsPerInterval)
	fmt.Fprintf(out, "| calls for one load balancer in %d intervals | %d to %d | %d to %d | – |\n", r.Window/r.Size.Interval,
		all.FewestCalls, all.MostCalls, written.FewestCalls, written.MostCalls)
	fmt.Fprintf(out, "| writes while nothing changes, of both | %d | | – |\n", r.Writes)
	row("CPU per observation while nothing changes, µs", "%.0f", all.Rest.CPUPerObservation, written.Rest.CPUPerObservation)
	row("memory, MiB", "%.0f", megabytes(all.Rest.RSS), megabytes(written.Rest.RSS))
	row("its peak since the restart, MiB", "%.0f", megabytes(all.Rest.PeakRSS), megabytes(written.Rest.PeakRSS))
	row("its peak at the first start, MiB", "%.0f", megabytes(all.First.PeakRSS), megabytes(written.First.PeakRSS))
	row("until all objects exist, s", "%.0f", all.Exist.Seconds(), written.Exist.Seconds())
	row("until all were observed, s", "%.0f", all.Observed.Seconds(), written.Observed.Seconds())
	row("requests until then for each object: creations", "%.2f", perObject(all.First.Requests.creations), perObject(written.First.Requests.creations))
	row("… status writes", "%.2f", perObject(all.First.Requests.statusWrites), perObject(written.First.Requests.statusWrites))
	row("… Events", "%.2f", perObject(all.First.Requests.events), perObject(written.First.Requests.events))
}
