// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// fleetOf is the rows of an answer: 50 listeners at most, and of each all its servers.
func fleetOf(rows int) []alicloud.Backend {
	backends := make([]alicloud.Backend, rows)
	for i := range backends {
		backends[i] = alicloud.Backend{
			ServerID: fmt.Sprintf("i-bp1do02x7n4nua4k%04d", i/50), ServerIP: fmt.Sprintf("10.0.%d.%d", i/50/250, i/50%250), Type: "ecs",
			ListenerPort: int32(443 + i%50), ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal",
		}
	}
	return backends
}

func sizes(b *testing.B, run func(b *testing.B, rows int)) {
	b.Helper()
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) { run(b, rows) })
	}
}

// unchanged is an object that was observed, and an answer that says the same again.
func unchanged(b *testing.B, rows int) (*world, Input) {
	b.Helper()
	w := newWorld(b)
	backends := fleetOf(rows)
	w.options.MaxBackends = 10000
	outcome := Evaluate(w.object, Input{Observation: &alicloud.Observation{RequestID: "first", At: w.now, Backends: backends}}, w.now, w.options)
	w.object.Status = stored(b, outcome.Status)
	w.after(DefaultInterval)
	return w, Input{Observation: &alicloud.Observation{RequestID: "next", At: w.now, Backends: backends}, AnsweredAt: w.now}
}

func BenchmarkNothingChanged(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		w, o := unchanged(b, rows)
		b.ReportAllocs()
		for b.Loop() {
			if Evaluate(w.object, o, w.now, w.options).Write {
				b.Fatal("something changed")
			}
		}
	})
}

func BenchmarkOneBackendTurned(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		w, o := unchanged(b, rows)
		o.Observation.Backends[rows/2].ServerHealthStatus = "abnormal"
		b.ReportAllocs()
		for b.Loop() {
			if len(Evaluate(w.object, o, w.now, w.options).Transitions.Backends) != 1 {
				b.Fatal("not one change")
			}
		}
	})
}

func BenchmarkFirstObservation(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		w := newWorld(b)
		o := Input{Observation: &alicloud.Observation{RequestID: "first", At: w.now, Backends: fleetOf(rows)}, AnsweredAt: w.now}
		b.ReportAllocs()
		for b.Loop() {
			if !Evaluate(w.object, o, w.now, w.options).Write {
				b.Fatal("nothing to write")
			}
		}
	})
}

func BenchmarkNextSlot(b *testing.B) {
	now := time.Now()
	for b.Loop() {
		NextSlot("default/cn-hangzhou/lb-bp1qjwo61pqz3ahltv0mw", DefaultInterval, now)
	}
}

// Deciding that nothing changed is what an operator does nearly all the time.
func TestDecidingThatNothingChangedAllocatesAFewTimesWhateverTheNumberOfRows(t *testing.T) {
	for _, rows := range []int{1, 20, 200, 5000} {
		w := newWorld(t)
		backends := fleetOf(rows)
		w.options.MaxBackends = rows
		first := Evaluate(w.object, Input{Observation: &alicloud.Observation{RequestID: "first", At: w.now, Backends: backends}}, w.now, w.options)
		w.object.Status = stored(t, first.Status)
		w.after(DefaultInterval)
		o := Input{Observation: &alicloud.Observation{RequestID: "next", At: w.now, Backends: backends}, AnsweredAt: w.now}
		allocations := leastAllocations(func() {
			if Evaluate(w.object, o, w.now, w.options).Write {
				t.Fatal("something changed")
			}
		})
		if allocations > 16 {
			t.Errorf("%d rows: %v allocations", rows, allocations)
		}
	}
}

// leastAllocations is what one run needs. It is the least of many and not their
// mean, because a sync.Pool under the race detector drops at random what it is
// given, and because the count is of the whole process.
func leastAllocations(run func()) float64 {
	least := testing.AllocsPerRun(1, run)
	for range 10 {
		least = min(least, testing.AllocsPerRun(1, run))
	}
	return least
}
