// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// quietFor is how long no status is written before a storm of the operator.
const quietFor = 3 * time.Second

// A storm contains how fast statuses are stored when every object changes at once.
type storm struct {
	Writes     int     `json:"writes"`
	Throughput float64 `json:"writesPerSecond"`
	Events     int     `json:"events"` // requests for Events during the storm
	// Cores are how many cores each process kept busy.
	Cores map[string]float64 `json:"cores"`
}

// cpuPerWrite is the CPU time of all processes for one write, in milliseconds, without
// that of the benchmark itself: on a machine with nothing else to do, all cores
// divided by it are the rate.
func (s *storm) cpuPerWrite() float64 {
	var cores float64
	for process, busy := range s.Cores {
		if process != bencher {
			cores += busy
		}
	}
	return 1000 * cores / s.Throughput
}

// storms contain the measurements in which the API server is the bottleneck.
type storms struct {
	Size   fleetSize    `json:"size"`
	Rounds []stormRound `json:"rounds"`
	Delays stormDelays  `json:"delays"`
}

// A stormRound contains one storm of each contestant, one right after the other.
type stormRound struct {
	Limit    storm `json:"limit"`
	Operator storm `json:"operator"`
	Textbook storm `json:"textbook"`
}

// The contestants of a round.
func limitOf(r *stormRound) *storm    { return &r.Limit }
func operatorOf(r *stormRound) *storm { return &r.Operator }
func textbookOf(r *stormRound) *storm { return &r.Textbook }

// medianOf returns the median of a value of the rounds.
func (s *storms) medianOf(value func(*stormRound) float64) float64 {
	values := make([]float64, len(s.Rounds))
	for i := range s.Rounds {
		values[i] = value(&s.Rounds[i])
	}
	return median(values)
}

// relative is the median of the rate of one relative to that of another in the same
// round: machines vary from minute to minute.
func (s *storms) relative(of, to func(*stormRound) *storm) float64 {
	return s.medianOf(func(r *stormRound) float64 { return of(r).Throughput / to(r).Throughput })
}

// median is the storm with the median rate; the slower one of two.
func (s *storms) median(of func(*stormRound) *storm) storm {
	all := make([]storm, len(s.Rounds))
	for i := range s.Rounds {
		all[i] = *of(&s.Rounds[i])
	}
	slices.SortFunc(all, func(a, b storm) int { return cmp.Compare(a.Throughput, b.Throughput) })
	return all[(len(all)-1)/2]
}

func (b *bench) measureStorms(ctx context.Context) error {
	s := &b.results.Storms
	if len(s.Rounds) > 0 {
		return nil // measured together with the costs
	}
	if err := b.provide(ctx, s.Size); err != nil {
		return err
	}
	if err := b.measureDelays(ctx); err != nil {
		return err
	}
	contestants := []struct {
		of      func(*stormRound) *storm
		measure func(context.Context) (storm, error)
	}{
		{limitOf, func(ctx context.Context) (storm, error) { return b.bareStorm(ctx, s.Size) }},
		{operatorOf, func(ctx context.Context) (storm, error) { return b.underStorm(ctx, operatorSubject, s.Size) }},
		{textbookOf, func(ctx context.Context) (storm, error) { return b.underStorm(ctx, textbookSubject, s.Size) }},
	}
	for range b.form.storms {
		var round stormRound
		for _, c := range contestants {
			var err error
			if *c.of(&round), err = c.measure(ctx); err != nil {
				return err
			}
		}
		b.logf("  writes/s: limit %.1f, operator %.1f, textbook %.1f", round.Limit.Throughput, round.Operator.Throughput, round.Textbook.Throughput)
		s.Rounds = append(s.Rounds, round)
		slices.Reverse(contestants)
	}
	return nil
}

func (b *bench) bareStorm(ctx context.Context, size fleetSize) (storm, error) {
	b.logf("  bare writes")
	b.watcher.reset()
	program, err := b.startWorker(ctx, "bare-writer", "--count", strconv.Itoa(size.Balancers))
	if err != nil {
		return storm{}, err
	}
	recorder, err := b.startCPURecorder(program)
	if err != nil {
		return storm{}, err
	}
	defer recorder.stop()
	var sent map[string]time.Time
	if err := program.Result(&sent); err != nil {
		return storm{}, err
	}
	return b.waitForStorm(ctx, size, recorder, anyUpdate)
}

// underStorm measures a storm of a subject that has run for a while. The operator has
// then written what another contestant wrote differently; the textbook always writes.
func (b *bench) underStorm(ctx context.Context, subject testSubject, size fleetSize) (result storm, err error) {
	err = b.with(ctx, subject, func(p *harness.Process) error {
		err := harness.Wait(ctx, b.form.stormAfter)
		if err == nil && subject.name == operatorSubject.name {
			err = b.watcher.waitUntilQuiet(ctx, quietFor, b.timeout(size))
		}
		if err != nil {
			return err
		}
		if result, err = b.storm(ctx, size, p); err != nil {
			return err
		}
		if subject.name == operatorSubject.name && result.Writes < size.Balancers*size.Objects {
			return fmt.Errorf("the operator updated only %d objects", result.Writes)
		}
		return nil
	})
	return result, err
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
