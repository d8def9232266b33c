// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()

	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i) // in no order
	}
	for _, tc := range []struct {
		name   string
		values []time.Duration
		p      float64
		want   time.Duration
	}{
		{"nothing", nil, 99, 0},
		{"one", []time.Duration{7}, 50, 7},
		{"median of two is the lower", []time.Duration{9, 3}, 50, 3},
		{"median", hundred, 50, 50},
		{"99th", hundred, 99, 99},
		{"last", hundred, 100, 100},
		{"first", hundred, 0, 1},
	} {
		if got := percentile(tc.values, tc.p); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()

	for want, values := range map[float64][]float64{0: nil, 7: {7}, 3: {9, 1, 3}, 4: {5, 100, 3, 0}} {
		if got := median(values); got != want {
			t.Errorf("the median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestThroughputIgnoresOutliers(t *testing.T) {
	t.Parallel()

	start := time.Unix(1000, 0)
	times := []time.Time{start.Add(-time.Hour)} // one long before
	for i := range 99 {
		times = append(times, start.Add(time.Duration(i)*10*time.Millisecond))
	}
	times[99] = start.Add(time.Hour) // and one long after
	n, from, to := middleOf(times)
	if got := float64(n) / to.Sub(from).Seconds(); math.Abs(got-100) > 0.01 {
		t.Errorf("%.2f per second, want 100", got)
	}
	if n, _, _ := middleOf(times[:1]); n != 0 {
		t.Errorf("a single time counts as %d", n)
	}
}

func TestCallsPerInterval(t *testing.T) {
	t.Parallel()

	var calls []call
	for i := range 20 { // two load balancers, each every 5 s
		calls = append(calls, call{Time: time.Unix(int64(5*(i/2)), int64(i%2)*1e9)})
	}
	two := fleetSize{Balancers: 2, Interval: 5 * time.Second}
	now := time.Unix(43, 0)
	if got := callsPerInterval(calls, now, 20*time.Second, two); math.Abs(got-1) > 1e-9 {
		t.Errorf("%v calls per interval, want 1", got)
	}
	two.Interval *= 2
	if got := callsPerInterval(calls, now, 20*time.Second, two); math.Abs(got-2) > 1e-9 {
		t.Errorf("%v calls per interval, want 2", got)
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()

	at := time.Unix(1000, 0)
	stored := []update{{requestID: "A", at: at.Add(30 * time.Millisecond)}, {requestID: "of another", at: at}}
	got, err := matchDelays(stored, map[string]time.Time{"A": at, "B": at})
	if err != nil || len(got) != 1 || got[0] != 30*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := matchDelays(stored, nil); err == nil {
		t.Error("no error without any match")
	}
}

func TestCoresBetween(t *testing.T) {
	t.Parallel()

	var readings []reading
	for i := range 100 { // half a core until second 5, two cores after it
		busy := time.Duration(i) * 50 * time.Millisecond
		if i > 50 {
			busy = 2500*time.Millisecond + time.Duration(i-50)*200*time.Millisecond
		}
		readings = append(readings, reading{at: time.Unix(0, int64(i)*1e8), cpu: map[string]time.Duration{writer: busy}})
	}
	for _, tc := range []struct {
		from, to int64
		want     float64
	}{{1, 4, 0.5}, {6, 9, 2}, {4, 6, 1.25}} {
		if got := busyCores(readings, time.Unix(tc.from, 0), time.Unix(tc.to, 0))[writer]; math.Abs(got-tc.want) > 0.001 {
			t.Errorf("%.3f cores from %d to %d, want %.2f", got, tc.from, tc.to, tc.want)
		}
	}
}
