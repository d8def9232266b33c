// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A storm contains how fast statuses are stored when every object changes at once.
type storm struct {
	Writes     int     `json:"writes"`
	Throughput float64 `json:"writesPerSecond"`
	Events     int     `json:"events"` // requests for Events during the storm
	// Cores are how many cores each process kept busy.
	Cores map[string]float64 `json:"cores"`
}

// A delay contains the time from the API's response, or from a bare patch, to the
// stored status.
type delay struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50Milliseconds"`
	P99   float64 `json:"p99Milliseconds"`
}

// A stormResult contains the storm and the delays at a moderate rate.
type stormResult struct {
	Storm storm `json:"storm"`
	Delay delay `json:"delay"`
}

// storms contain the measurements in which the API server is the bottleneck. The
// limit is measured before and after the operator, because machines vary.
type storms struct {
	Size     fleetSize   `json:"size"`
	Before   stormResult `json:"limitBefore"`
	After    stormResult `json:"limitAfter"`
	Limit    stormResult `json:"limit"` // of both
	Operator stormResult `json:"operator"`
	Textbook stormResult `json:"textbook"`
}

func (b *bench) measureStorms(ctx context.Context) error {
	s := &b.results.Storms
	if s.Operator.Storm.Writes > 0 {
		return nil // measured together with the costs
	}
	if err := b.provide(ctx, s.Size); err != nil {
		return err
	}
	before, err := b.barePatches(ctx, s.Size, &s.Before)
	if err != nil {
		return err
	}
	if err := b.underStorm(ctx, operatorSubject, s.Size, b.form.rounds, &s.Operator); err != nil {
		return err
	}
	after, err := b.barePatches(ctx, s.Size, &s.After)
	if err != nil {
		return err
	}
	s.Limit.Storm = storm{
		Writes:     s.Before.Storm.Writes + s.After.Storm.Writes,
		Throughput: (s.Before.Storm.Throughput + s.After.Storm.Throughput) / 2,
		Cores:      mean(s.Before.Storm.Cores, s.After.Storm.Cores),
	}
	s.Limit.Delay = newDelay(append(before, after...))
	// The textbook writes all the time, so one round has enough delays.
	return b.underStorm(ctx, textbookSubject, s.Size, 1, &s.Textbook)
}

// barePatches measures the bare patcher: everything at once, then a part at a rate.
// It returns the delays of the latter.
func (b *bench) barePatches(ctx context.Context, size fleetSize, result *stormResult) ([]time.Duration, error) {
	b.logf("  bare patches")
	b.watcher.reset()
	var err error
	if result.Storm, err = b.bareStorm(ctx, size); err != nil {
		return nil, err
	}
	b.watcher.reset()
	n := size.Balancers / b.form.part
	// The machine's load is comparable only with as many calls of the SLB API.
	caller, err := b.startCaller(ctx, size, time.Hour)
	if err != nil {
		return nil, err
	}
	defer caller.Stop()
	patcher, err := b.startWorker(ctx, "patcher",
		"--count", strconv.Itoa(n*max(b.form.rounds/2, 1)), "--rate", fmt.Sprint(float64(n)/size.Interval.Seconds()))
	if err != nil {
		return nil, err
	}
	var sent map[string]time.Time
	if err := patcher.Result(&sent); err != nil {
		return nil, err
	}
	stored, err := b.watcher.waitFor(ctx, len(sent), b.timeout(size), anyUpdate)
	if err != nil {
		return nil, err
	}
	delays, err := matchDelays(stored, sent)
	result.Delay = newDelay(delays)
	return delays, err
}

func (b *bench) bareStorm(ctx context.Context, size fleetSize) (storm, error) {
	patcher, err := b.startWorker(ctx, "patcher", "--count", strconv.Itoa(size.Balancers))
	if err != nil {
		return storm{}, err
	}
	recorder, err := b.startCPURecorder(patcher)
	if err != nil {
		return storm{}, err
	}
	defer recorder.stop()
	var sent map[string]time.Time
	if err := patcher.Result(&sent); err != nil {
		return storm{}, err
	}
	return b.waitForStorm(ctx, size, recorder, anyUpdate)
}

// underStorm measures a subject: rounds of flips at a constant, moderate rate, then
// everything at once. The storm is last, because its Events are still being written
// when its statuses are stored.
func (b *bench) underStorm(ctx context.Context, subject testSubject, size fleetSize, rounds int, result *stormResult) error {
	return b.with(ctx, subject, func(p *harness.Process) error {
		err := harness.Wait(ctx, b.form.stormAfter)
		if err == nil && rounds > 0 {
			result.Delay, err = b.delay(ctx, size, rounds)
		}
		if err != nil {
			return err
		}
		if result.Storm, err = b.storm(ctx, size, p); err != nil {
			return err
		}
		if subject.name == operatorSubject.name && result.Storm.Writes < size.Balancers*size.Objects {
			return fmt.Errorf("the operator updated only %d objects", result.Storm.Writes)
		}
		return nil
	})
}

// delay measures the time from the API's response to the stored status at a moderate rate.
func (b *bench) delay(ctx context.Context, size fleetSize, rounds int) (delay, error) {
	b.watcher.reset()
	n := size.Balancers / b.form.part
	for round := range rounds {
		if err := b.flipAndWait(ctx, size, size.balancerIDs()[round*n:(round+1)*n]); err != nil {
			return delay{}, err
		}
	}
	report, err := b.simulator.calls(ctx, keptCalls)
	if err != nil {
		return delay{}, err
	}
	responses := make(map[string]time.Time, len(report.Calls))
	for _, call := range report.Calls {
		responses[call.RequestID] = call.Time
	}
	stored, err := b.watcher.updates()
	if err != nil {
		return delay{}, err
	}
	delays, err := matchDelays(stored, responses)
	return newDelay(delays), err
}

// flipAndWait flips the first backend of load balancers during one interval, and
// waits until every status contains it.
func (b *bench) flipAndWait(ctx context.Context, size fleetSize, ids []string) error {
	if err := b.flipBackends(ctx, ids, size.Interval); err != nil {
		return err
	}
	flipped := func(u update) bool { return slices.Contains(ids, balancerOf(u.name)) && b.isCurrent(u) }
	seen, err := b.watcher.waitFor(ctx, len(ids), b.timeout(size), flipped)
	if err == nil && len(seen) < len(ids) {
		err = fmt.Errorf("only %d of %d changes were stored", len(seen), len(ids))
	}
	return err
}

// storm flips the first backend of every load balancer at once, and waits until
// the statuses contain it.
func (b *bench) storm(ctx context.Context, size fleetSize, program *harness.Process) (storm, error) {
	before, err := b.api.requested(ctx)
	if err != nil {
		return storm{}, err
	}
	recorder, err := b.startCPURecorder(program)
	if err != nil {
		return storm{}, err
	}
	defer recorder.stop()
	b.watcher.reset()
	if err := program.Paused(func() error { return b.flipBackends(ctx, size.balancerIDs(), 0) }); err != nil {
		return storm{}, err
	}
	result, err := b.waitForStorm(ctx, size, recorder, b.isCurrent)
	if err != nil {
		return storm{}, err
	}
	after, err := b.api.requested(ctx)
	result.Events = after.since(before).events
	return result, err
}

// waitForStorm waits for the writes of a storm. Some may be missing at the timeout:
// with thousands of rows the textbook is too slow.
func (b *bench) waitForStorm(ctx context.Context, size fleetSize, recorder *cpuRecorder, counts func(update) bool) (storm, error) {
	all := size.Balancers * size.Objects
	seen, err := b.watcher.waitFor(ctx, all, b.timeout(size), counts)
	if err != nil {
		return storm{}, err
	}
	times := make([]time.Time, len(seen))
	for i := range seen {
		times[i] = seen[i].at
	}
	n, from, to := middleOf(times)
	if n == 0 {
		return storm{}, fmt.Errorf("only %d of %d writes arrived: too few for a rate", len(seen), all)
	}
	recorder.stop()
	cores := busyCores(recorder.readings, from, to)
	return storm{Writes: len(seen), Throughput: float64(n) / to.Sub(from).Seconds(), Cores: cores}, nil
}

func anyUpdate(u update) bool { return !u.added }
