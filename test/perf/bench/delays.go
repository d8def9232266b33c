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

// A delay contains the time from the API's response, or from a bare write, to the
// stored status.
type delay struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50Milliseconds"`
	P99   float64 `json:"p99Milliseconds"`
}

// stormDelays contain the delays at a moderate rate, with the load balancers of the storms.
type stormDelays struct {
	Limit    delay `json:"limit"`
	Operator delay `json:"operator"`
	Textbook delay `json:"textbook"`
}

// measureDelays measures the limit before and after the operator, because machines vary.
func (b *bench) measureDelays(ctx context.Context) error {
	s := &b.results.Storms
	if b.form.rounds == 0 {
		return nil
	}
	before, err := b.bareDelays(ctx, s.Size)
	if err != nil {
		return err
	}
	if s.Delays.Operator, err = b.delay(ctx, operatorSubject, s.Size, b.form.rounds); err != nil {
		return err
	}
	after, err := b.bareDelays(ctx, s.Size)
	if err != nil {
		return err
	}
	s.Delays.Limit = newDelay(append(before, after...))
	// The textbook writes all the time, so one round has enough delays.
	s.Delays.Textbook, err = b.delay(ctx, textbookSubject, s.Size, 1)
	return err
}

// bareDelays measures bare writes at a moderate rate.
func (b *bench) bareDelays(ctx context.Context, size fleetSize) ([]time.Duration, error) {
	b.logf("  bare writes at a moderate rate")
	b.watcher.reset()
	n := size.Balancers / b.form.part
	// The machine's load is comparable only with as many calls of the SLB API.
	caller, err := b.startCaller(ctx, size, time.Hour)
	if err != nil {
		return nil, err
	}
	defer caller.Stop()
	program, err := b.startWorker(ctx, "bare-writer",
		"--count", strconv.Itoa(n*max(b.form.rounds/2, 1)), "--rate", fmt.Sprint(float64(n)/size.Interval.Seconds()))
	if err != nil {
		return nil, err
	}
	var sent map[string]time.Time
	if err := program.Result(&sent); err != nil {
		return nil, err
	}
	stored, err := b.watcher.waitFor(ctx, len(sent), b.timeout(size), anyUpdate)
	if err != nil {
		return nil, err
	}
	return matchDelays(stored, sent)
}

// delay measures a subject during rounds of flips at a constant, moderate rate.
func (b *bench) delay(ctx context.Context, subject testSubject, size fleetSize, rounds int) (result delay, err error) {
	err = b.with(ctx, subject, func(*harness.Process) error {
		if err := harness.Wait(ctx, b.form.stormAfter); err != nil {
			return err
		}
		result, err = b.flipRounds(ctx, size, rounds)
		return err
	})
	return result, err
}

// flipRounds measures the time from the API's response to the stored status.
func (b *bench) flipRounds(ctx context.Context, size fleetSize, rounds int) (delay, error) {
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
