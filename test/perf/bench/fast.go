// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A fastForm configures the comparison of fast observation with the fixed interval.
type fastForm struct {
	Balancers int           `json:"loadBalancers"`
	Rollouts  int           `json:"loadBalancersInARollout"`
	Interval  time.Duration `json:"intervalNanoseconds"`
	// FailEvery is the time between failures without a sign in the cluster, each of
	// which lasts half of it.
	FailEvery time.Duration `json:"failEveryNanoseconds"`
	Window    time.Duration `json:"windowNanoseconds"`
}

// A fastResult contains the measurements of both operators in the same window.
type fastResult struct {
	Form  fastForm     `json:"form"`
	Fast  fastMeasured `json:"fast"`
	Fixed fastMeasured `json:"fixed"`
}

// fastMeasured is what one operator needed to store the transitions.
type fastMeasured struct {
	CallsPerSecond float64 `json:"callsPerSecond"`
	// Signaled are the delays of transitions in a rollout, Others of failures that
	// only the API shows, from the transition to the stored status.
	Signaled delays `json:"signaled"`
	Others   delays `json:"others"`
	All      delays `json:"all"`
	// Lag is how late the routine observations started, on average.
	Lag float64 `json:"lagSeconds"`
}

// delays are in seconds.
type delays struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P99   float64 `json:"p99"`
}

func newDelays(all []time.Duration) delays {
	if len(all) == 0 {
		return delays{}
	}
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return delays{Count: len(all), Mean: sum.Seconds() / float64(len(all)), P99: percentile(all, 99).Seconds()}
}

// score is the figure of merit: delay × calls per second, the less the better.
func (m fastMeasured) score() float64 { return m.All.Mean * m.CallsPerSecond }

// fastOnly is the form that measures fast observation and nothing else.
func fastOnly() form {
	return form{name: "fast", timeout: 20 * time.Minute, fast: &fastForm{
		Balancers: 300, Rollouts: 6, Interval: 30 * time.Second, FailEvery: 2 * time.Minute, Window: 4 * time.Minute,
	}}
}

// measureFast runs two operators at the same time, each with its own load balancers.
// The same happens to both.
func (b *bench) measureFast(ctx context.Context) error {
	if b.form.fast == nil {
		return nil
	}
	f := *b.form.fast
	b.logf("fast observation: %d load balancers, %d of them in a rollout, every %s", f.Balancers, f.Rollouts, f.Interval)
	fleets := []*fastFleet{{env: b.env, form: f, name: "fast"}, {env: b.env, form: f, name: "fixed"}}
	defer stopOperators(fleets)
	for _, fleet := range fleets {
		interval := "5s"
		if fleet.name == "fixed" {
			interval = "0"
		}
		if err := fleet.open(ctx, interval); err != nil {
			return err
		}
	}
	err := b.playFast(ctx, fleets)
	if err != nil {
		return err
	}
	result := &fastResult{Form: f}
	for i, into := range []*fastMeasured{&result.Fast, &result.Fixed} {
		if *into, err = fleets[i].measured(ctx); err != nil {
			return err
		}
	}
	b.results.Fast = result
	return onAll(fleets, func(f *fastFleet) error { return f.remove(ctx) })
}

func stopOperators(fleets []*fastFleet) {
	for _, fleet := range fleets {
		if fleet.operator != nil {
			fleet.operator.Stop()
		}
	}
}

// playFast plays a window, and waits until the last transition is stored.
func (b *bench) playFast(ctx context.Context, fleets []*fastFleet) error {
	if err := b.awaitFirst(ctx, 2*b.form.fast.Balancers, b.form.fast.Interval); err != nil {
		return err
	}
	b.watcher.reset()
	if err := b.simulator.Admin(ctx, http.MethodDelete, "calls", nil, nil); err != nil {
		return err
	}
	playing, stop := context.WithTimeout(ctx, b.form.fast.Window)
	defer stop()
	var group errgroup.Group
	for i := range b.form.fast.Rollouts {
		group.Go(func() error { return rollOut(playing, fleets, i) })
	}
	group.Go(func() error { return failSilently(playing, fleets) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, fleet := range fleets {
		if err := fleet.countCalls(ctx); err != nil {
			return err
		}
	}
	return harness.Wait(ctx, b.form.fast.Interval+5*time.Second)
}

// awaitFirst waits until so many objects were observed, and the next observations are in their slots.
func (b *bench) awaitFirst(ctx context.Context, n int, interval time.Duration) error {
	limit := 4 * interval
	seen, err := b.watcher.waitFor(ctx, n, limit, func(u update) bool { return u.requestID != "" })
	if err == nil && len(seen) < n {
		err = fmt.Errorf("only %d of %d objects were observed within %s", len(seen), n, limit)
	}
	if err != nil {
		return err
	}
	return harness.Wait(ctx, interval)
}

// startOperator runs an operator for the objects of a namespace.
func (f *fastFleet) startOperator(ctx context.Context, fastInterval string) (err error) {
	if f.metrics, err = harness.FreeAddress(ctx); err != nil {
		return err
	}
	f.operator, err = harness.Start(ctx, f.Folder, f.name, f.Environment(accessKeyID, accessKeySecret), f.builtOperator(),
		"--kubeconfig", f.Plane.Kubeconfig(), "--slb-endpoint", f.simulator.URL, "--watch-namespace", f.namespace(),
		"--service-discovery", "--region-id", region, "--backend-names", "--fast-interval", fastInterval,
		"--slb-qps", "20", "--slb-burst", "20", "--listener-details", "off", "--status-heartbeat", "1h",
		"--metrics-bind-address", f.metrics, "--metrics-secure=false", "--health-probe-bind-address", "0")
	return err
}

// measured computes the figures of one operator.
func (f *fastFleet) measured(ctx context.Context) (fastMeasured, error) {
	report, err := f.simulator.calls(ctx, keptCalls)
	if err != nil {
		return fastMeasured{}, err
	}
	stored, err := f.watcher.updates()
	if err != nil {
		return fastMeasured{}, err
	}
	signaled, others, err := f.delays(report.Calls, stored)
	if err != nil {
		return fastMeasured{}, err
	}
	series, err := harness.Scrape(ctx, f.metrics)
	if err != nil {
		return fastMeasured{}, err
	}
	const lag = "slb_health_observation_lag_seconds"
	return fastMeasured{
		CallsPerSecond: float64(f.calls) / f.form.Window.Seconds(),
		Signaled:       newDelays(signaled), Others: newDelays(others), All: newDelays(append(signaled, others...)),
		Lag: series.Sum(lag+"_sum") / max(series.Sum(lag+"_count"), 1),
	}, nil
}

// delays matches each transition with the first status that an observation after it led to.
func (f *fastFleet) delays(calls []call, stored []update) (signaled, others []time.Duration, err error) {
	called := make(map[string]time.Time, len(calls))
	for _, c := range calls {
		called[c.RequestID] = c.Time
	}
	for _, t := range f.transitions {
		found := false
		for _, u := range stored {
			at, known := called[u.requestID]
			if u.name != t.balancer || !known || at.Before(t.at) {
				continue
			}
			if found = true; t.signaled {
				signaled = append(signaled, u.at.Sub(t.at))
			} else {
				others = append(others, u.at.Sub(t.at))
			}
			break
		}
		if !found {
			return nil, nil, fmt.Errorf("no status of %s after its transition at %s", t.balancer, t.at.Format(time.TimeOnly))
		}
	}
	return signaled, others, nil
}

// A fastGoal is a goal of fast observation.
type fastGoal struct {
	name        string
	fast, fixed float64
	goal        float64 // the most that fast may be; 0: none
}

func (r *fastResult) goals() []fastGoal {
	fast, fixed := r.Fast, r.Fixed
	return []fastGoal{
		{"mean delay of transitions with a sign in the cluster, s", fast.Signaled.Mean, fixed.Signaled.Mean, 4},
		{"its 99th percentile, s", fast.Signaled.P99, fixed.Signaled.P99, 0},
		{"mean delay of transitions without, s", fast.Others.Mean, fixed.Others.Mean, 0},
		{"calls per second", fast.CallsPerSecond, fixed.CallsPerSecond, 1.15 * fixed.CallsPerSecond},
		{"delay × calls per second", fast.score(), fixed.score(), 0},
		{"how late routine observations started, s", fast.Lag, fixed.Lag, 0},
	}
}

// printFast prints the comparison.
func printFast(out io.Writer, r *fastResult) {
	f := r.Form
	fmt.Fprintf(out, "%d load balancers with an interval of %s, %d of them in a rollout all the time: pods become Ready, are registered, pass\n"+
		"their health check 6 s later, and the old ones are removed. Every %s a backend of another one fails, without a sign in the\n"+
		"cluster. Two operators observed the same in the same %s: %d and %d transitions.\n\n",
		f.Balancers, f.Interval, f.Rollouts, f.FailEvery, f.Window, r.Fast.All.Count, r.Fixed.All.Count)
	fmt.Fprint(out, "| | goal | `--fast-interval=5s` | `--fast-interval=0` |\n| --- | ---: | ---: | ---: |\n")
	for _, g := range r.goals() {
		goal, missed := "–", ""
		if g.goal > 0 {
			goal, missed = fmt.Sprintf("≤ %.2f", g.goal), missedIf(g.fast > g.goal)
		}
		fmt.Fprintf(out, "| %s | %s | %.3f%s | %.3f |\n", g.name, goal, g.fast, missed, g.fixed)
	}
}
