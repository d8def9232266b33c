// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// steady contains the costs of a program while nothing changes.
type steady struct {
	Observations         int     `json:"observations"`
	CallsPerInterval     float64 `json:"callsPerLoadBalancerAndInterval"`
	WritesPerObservation float64 `json:"writesPerObservation"`
	CPUPerObservation    float64 `json:"cpuPerObservationMicroseconds"`
	Cores                float64 `json:"cores"`
	RSS                  int64   `json:"rssBytes"`
	PeakRSS              int64   `json:"peakRssBytes"`
}

// meter is a reading of all counters of a program.
type meter struct {
	at            time.Time
	calls, writes int
	usage         harness.Usage
}

func (s *env) meter(ctx context.Context, p *harness.Process) (meter, error) {
	if err := p.Alive(); err != nil {
		return meter{}, err
	}
	report, err := s.simulator.calls(ctx, 1)
	if err != nil {
		return meter{}, err
	}
	m := meter{at: time.Now(), calls: report.ByLoadBalancer[callerBalancer]}
	if p.Name != callerName {
		m.calls = report.ByAction["DescribeHealthStatus"] - m.calls
	}
	if m.usage, err = p.Usage(); err != nil {
		return meter{}, err
	}
	served, err := s.api.requested(ctx)
	m.writes = served.statusWrites
	return m, err
}

// times returns the uptime and the window for a size: short intervals need less.
func (b *bench) times(size fleetSize) (uptime, window time.Duration) {
	if size.Interval > minInterval {
		return b.form.uptime, b.form.window
	}
	window = min(b.form.window, 4*minInterval)
	return min(b.form.uptime, 2*minInterval+window), window
}

// steady measures programs that have just started, all at the same time.
func (b *bench) steady(ctx context.Context, size fleetSize, programs ...*harness.Process) ([]steady, error) {
	uptime, window := b.times(size)
	if err := harness.Wait(ctx, uptime-window); err != nil {
		return nil, err
	}
	before := make([]meter, len(programs))
	for i, p := range programs {
		var err error
		if before[i], err = b.meter(ctx, p); err != nil {
			return nil, err
		}
	}
	if err := harness.Wait(ctx, window); err != nil {
		return nil, err
	}
	measured := make([]steady, len(programs))
	for i, p := range programs {
		after, err := b.meter(ctx, p)
		if err != nil {
			return nil, err
		}
		if measured[i], err = between(before[i], after, size); err != nil {
			return nil, fmt.Errorf("the %s %w", p.Name, err)
		}
	}
	return measured, nil
}

func between(before, after meter, size fleetSize) (steady, error) {
	calls, took, cpu := after.calls-before.calls, after.at.Sub(before.at), after.usage.CPU-before.usage.CPU
	if calls == 0 {
		return steady{}, fmt.Errorf("made no calls in %s", took)
	}
	return steady{
		Observations:         calls,
		CallsPerInterval:     float64(calls) / float64(size.Balancers) / (took.Seconds() / size.Interval.Seconds()),
		WritesPerObservation: float64(after.writes-before.writes) / float64(calls),
		CPUPerObservation:    microseconds(cpu) / float64(calls),
		Cores:                cpu.Seconds() / took.Seconds(),
		RSS:                  after.usage.RSS, PeakRSS: after.usage.Peak,
	}, nil
}

const (
	callerName = "caller"
	// callerBalancer is named by bare calls only, so that they are counted separately.
	callerBalancer = "lb-caller"
)

// startCaller starts bare calls at the rate at which a size is observed. It resets
// the simulator's counters, which have room for a limited number of ids.
func (s *env) startCaller(ctx context.Context, size fleetSize, duration time.Duration) (*harness.Process, error) {
	if err := s.simulator.put(ctx, callerBalancer, size.Rows); err != nil {
		return nil, err
	}
	if err := s.simulator.Admin(ctx, http.MethodDelete, "calls", nil, nil); err != nil {
		return nil, err
	}
	return s.startWorker(ctx, callerName, "--rate", fmt.Sprint(size.rate()), "--duration", duration.String())
}

// callsPerInterval counts the calls per load balancer and interval, in the window before now.
func callsPerInterval(calls []call, now time.Time, window time.Duration, size fleetSize) float64 {
	n := 0
	for _, c := range calls {
		if c.Time.After(now.Add(-window)) && !c.Time.After(now) {
			n++
		}
	}
	return float64(n) / float64(size.Balancers) * float64(size.Interval) / float64(window)
}

func (b *bench) exactCallsPerInterval(ctx context.Context, size fleetSize) (float64, error) {
	now := time.Now()
	report, err := b.simulator.calls(ctx, keptCalls)
	if err != nil {
		return 0, err
	}
	_, window := b.times(size)
	return callsPerInterval(report.Calls, now, window, size), nil
}

// matchDelays returns the time from each request, by its id, to the status that it led to.
func matchDelays(stored []update, requested map[string]time.Time) ([]time.Duration, error) {
	found := make([]time.Duration, 0, len(stored))
	for _, u := range stored {
		if at, ok := requested[u.requestID]; ok {
			found = append(found, u.at.Sub(at))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("none of %d stored statuses names one of %d requests", len(stored), len(requested))
	}
	return found, nil
}

func newDelay(delays []time.Duration) delay {
	return delay{Count: len(delays), P50: milliseconds(percentile(delays, 50)), P99: milliseconds(percentile(delays, 99))}
}

// waitUntilObserved waits until every object was observed since the watcher's reset.
func (s *env) waitUntilObserved(ctx context.Context, size fleetSize, limit time.Duration) error {
	all := size.Balancers * size.Objects
	seen, err := s.watcher.waitFor(ctx, all, limit, func(u update) bool { return u.requestID != "" })
	if err == nil && len(seen) < all {
		err = fmt.Errorf("only %d of %d objects were observed within %s", len(seen), all, limit)
	}
	return err
}
