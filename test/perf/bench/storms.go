// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A storm is how fast statuses are stored when every object changes at once.
type storm struct {
	Writes     int     `json:"writes"`
	Throughput float64 `json:"writesPerSecond"`
	Events     int     `json:"events"` // requests about Events meanwhile
	// Cores are those that each process kept busy while the storm was under way.
	Cores map[string]float64 `json:"cores"`
}

// A delay is the time from an answer to the stored status, or from a patch to the same.
type delay struct {
	Samples int     `json:"samples"`
	P50     float64 `json:"p50Milliseconds"`
	P99     float64 `json:"p99Milliseconds"`
}

// stormy is the result of the storm and of the constant rate.
type stormy struct {
	Storm storm `json:"storm"`
	Delay delay `json:"delay"`
}

// storms are where the API server is the bottleneck. The limit is measured
// before and after the operator, because machines change their mind.
type storms struct {
	Size     size   `json:"size"`
	Before   stormy `json:"limitBefore"`
	After    stormy `json:"limitAfter"`
	Limit    stormy `json:"limit"` // of both
	Operator stormy `json:"operator"`
	Textbook stormy `json:"textbook"`
}

func (b *bench) storms(ctx context.Context) error {
	s := &b.results.Storms
	if s.Operator.Storm.Writes > 0 {
		return nil // together with the costs
	}
	if err := b.stand(ctx, s.Size); err != nil {
		return err
	}
	before, err := b.bare(ctx, s.Size, &s.Before)
	if err != nil {
		return err
	}
	if err := b.underStorm(ctx, operatorSubject, s.Size, b.form.rounds, &s.Operator); err != nil {
		return err
	}
	after, err := b.bare(ctx, s.Size, &s.After)
	if err != nil {
		return err
	}
	s.Limit.Storm = storm{
		Writes:     s.Before.Storm.Writes + s.After.Storm.Writes,
		Throughput: (s.Before.Storm.Throughput + s.After.Storm.Throughput) / 2,
		Cores:      mean(s.Before.Storm.Cores, s.After.Storm.Cores),
	}
	s.Limit.Delay = newDelay(append(before, after...))
	// It writes all the time, so one round has delays enough.
	return b.underStorm(ctx, textbookSubject, s.Size, 1, &s.Textbook)
}

// bare measures the bare patcher: everything at once, then a part at a rate. It
// returns the delays of the latter.
func (b *bench) bare(ctx context.Context, size size, into *stormy) ([]time.Duration, error) {
	b.say("  bare patches")
	b.watcher.forget()
	var err error
	if into.Storm, err = b.bareStorm(ctx, size); err != nil {
		return nil, err
	}
	b.watcher.forget()
	n := size.Balancers / b.form.part
	// The load is the same only if the API is asked as often meanwhile.
	caller, err := b.startCaller(ctx, size, time.Hour)
	if err != nil {
		return nil, err
	}
	defer caller.Stop()
	sent, err := b.patch(ctx, "--count", strconv.Itoa(n*max(b.form.rounds/2, 1)), "--rate", fmt.Sprint(float64(n)/size.Interval.Seconds()))
	if err != nil {
		return nil, err
	}
	stored, err := b.watcher.until(ctx, len(sent), b.patience(size), anyChange)
	if err != nil {
		return nil, err
	}
	delays, err := delays(stored, sent)
	into.Delay = newDelay(delays)
	return delays, err
}

func (b *bench) bareStorm(ctx context.Context, size size) (storm, error) {
	patcher, err := b.startWorker(ctx, "patcher", "--count", strconv.Itoa(size.Balancers))
	if err != nil {
		return storm{}, err
	}
	record, err := b.recordCores(patcher)
	if err != nil {
		return storm{}, err
	}
	defer record.end()
	var sent map[string]time.Time
	if err := patcher.Result(&sent); err != nil {
		return storm{}, err
	}
	return b.follow(ctx, size, record, anyChange)
}

// patch runs the bare patcher to its end, and returns when it sent what.
func (b *bench) patch(ctx context.Context, args ...string) (map[string]time.Time, error) {
	patcher, err := b.startWorker(ctx, "patcher", args...)
	if err != nil {
		return nil, err
	}
	var sent map[string]time.Time
	err = patcher.Result(&sent)
	return sent, err
}

// underStorm measures a subject: a part after the other, so that writes come at
// a constant, moderate rate, and then everything at once. Not the other way
// round: the events of the storm are still written when its statuses are.
func (b *bench) underStorm(ctx context.Context, who subject, size size, rounds int, into *stormy) error {
	return b.with(ctx, who, func(p *harness.Process) error {
		if err := harness.Wait(ctx, b.form.stormAfter); err != nil {
			return err
		}
		var err error
		if into.Delay, err = b.delay(ctx, size, rounds); err != nil {
			return err
		}
		into.Storm, err = b.storm(ctx, who, size, p)
		return err
	})
}

// delay measures the time from an answer to the stored status at a moderate rate.
func (b *bench) delay(ctx context.Context, size size, rounds int) (delay, error) {
	b.watcher.forget()
	n := size.Balancers / b.form.part
	for round := range rounds {
		if err := b.turnAndWait(ctx, size, size.balancerIDs()[round*n:(round+1)*n]); err != nil {
			return delay{}, err
		}
	}
	requested, err := b.answers(ctx)
	if err != nil {
		return delay{}, err
	}
	stored, err := b.watcher.record()
	if err != nil {
		return delay{}, err
	}
	delays, err := delays(stored, requested)
	return newDelay(delays), err
}

// turnAndWait turns the first backend of load balancers, one after the other
// for an interval, and waits until every object says so.
func (b *bench) turnAndWait(ctx context.Context, size size, ids []string) error {
	if err := b.turnWithin(ctx, size.Interval, ids); err != nil {
		return err
	}
	turned := map[string]bool{}
	for _, id := range ids {
		turned[id] = true
	}
	seen, err := b.watcher.until(ctx, len(ids), b.patience(size), func(c change) bool { return turned[balancerOf(c.name)] && b.agrees(c) })
	if err == nil && len(seen) < len(ids) {
		err = fmt.Errorf("only %d of %d changes were stored", len(seen), len(ids))
	}
	return err
}

// stormPair measures a storm of both subjects at a size that is there.
func (b *bench) stormPair(ctx context.Context, p *pair) error {
	for _, one := range p.trials() {
		err := b.with(ctx, one.who, func(program *harness.Process) error {
			if err := harness.Wait(ctx, b.form.stormAfter); err != nil {
				return err
			}
			stormed, err := b.storm(ctx, one.who, p.Size, program)
			one.into.Storm = &stormed
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// storm turns the first backend of every load balancer at once, and waits until
// every object says so, which all must that the operator is for.
func (b *bench) storm(ctx context.Context, who subject, size size, program *harness.Process) (storm, error) {
	before, err := b.api.requested(ctx)
	if err != nil {
		return storm{}, err
	}
	record, err := b.recordCores(program)
	if err != nil {
		return storm{}, err
	}
	defer record.end()
	b.watcher.forget()
	if err := program.Paused(func() error { return b.turn(ctx, size.balancerIDs()) }); err != nil {
		return storm{}, err
	}
	stormed, err := b.follow(ctx, size, record, b.agrees)
	if err != nil {
		return storm{}, err
	}
	if who.name == operatorSubject.name && stormed.Writes < size.Balancers*size.Objects {
		return storm{}, fmt.Errorf("the operator brought only %d objects up to date", stormed.Writes)
	}
	after, err := b.api.requested(ctx)
	stormed.Events = after.events - before.events
	return stormed, err
}

// follow waits for the writes of a storm. Some may be missing after patience:
// the textbook is far behind with thousands of rows.
func (b *bench) follow(ctx context.Context, size size, record *coreRecord, counts func(change) bool) (storm, error) {
	all := size.Balancers * size.Objects
	seen, err := b.watcher.until(ctx, all, b.patience(size), counts)
	if err != nil {
		return storm{}, err
	}
	times := make([]time.Time, len(seen))
	for i := range seen {
		times[i] = seen[i].at
	}
	n, from, to := underWay(times)
	if n == 0 {
		return storm{}, fmt.Errorf("%d of %d writes are no storm", len(seen), all)
	}
	return storm{Writes: len(seen), Throughput: float64(n) / to.Sub(from).Seconds(), Cores: record.between(from, to)}, nil
}

func anyChange(change) bool { return true }
