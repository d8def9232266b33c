// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// fleetOf returns the rows of a response, of at most 50 listeners.
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

// unchanged is an object that was observed, and the input of an equal observation.
func unchanged(b *testing.B, rows int) (*testEnv, Input) {
	b.Helper()
	env := newEnv(b)
	backends := fleetOf(rows)
	env.options.MaxBackends = 10000
	outcome := Evaluate(env.object, Input{Observation: &alicloud.Observation{RequestID: "first", At: env.now, Backends: backends}}, env.now, env.options)
	env.object.Status = stored(b, outcome.Status)
	env.after(DefaultInterval)
	return env, Input{Observation: &alicloud.Observation{RequestID: "next", At: env.now, Backends: backends}, LastObservedAt: env.now}
}

func BenchmarkUnchanged(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		env, input := unchanged(b, rows)
		b.ReportAllocs()
		for b.Loop() {
			if Evaluate(env.object, input, env.now, env.options).Write {
				b.Fatal("Write is true")
			}
		}
	})
}

func BenchmarkOneBackendTransition(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		env, input := unchanged(b, rows)
		input.Observation.Backends[rows/2].ServerHealthStatus = "abnormal"
		b.ReportAllocs()
		for b.Loop() {
			if len(Evaluate(env.object, input, env.now, env.options).Transitions.Backends) != 1 {
				b.Fatal("want one transition")
			}
		}
	})
}

func BenchmarkFirstObservation(b *testing.B) {
	sizes(b, func(b *testing.B, rows int) {
		b.Helper()
		env := newEnv(b)
		input := Input{Observation: &alicloud.Observation{RequestID: "first", At: env.now, Backends: fleetOf(rows)}, LastObservedAt: env.now}
		b.ReportAllocs()
		for b.Loop() {
			if !Evaluate(env.object, input, env.now, env.options).Write {
				b.Fatal("Write is false")
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

// Nearly every observation of an operator finds no difference.
func TestUnchangedObservationAllocatesAtMost16Times(t *testing.T) {
	for _, rows := range []int{1, 20, 200, 5000} {
		env := newEnv(t)
		backends := fleetOf(rows)
		env.options.MaxBackends = rows
		first := Evaluate(env.object, Input{Observation: &alicloud.Observation{RequestID: "first", At: env.now, Backends: backends}}, env.now, env.options)
		env.object.Status = stored(t, first.Status)
		env.after(DefaultInterval)
		input := Input{Observation: &alicloud.Observation{RequestID: "next", At: env.now, Backends: backends}, LastObservedAt: env.now}
		allocations := leastAllocations(func() {
			if Evaluate(env.object, input, env.now, env.options).Write {
				t.Fatal("Write is true")
			}
		})
		if allocations > 16 {
			t.Errorf("%d rows: %v allocations", rows, allocations)
		}
	}
}

// leastAllocations returns the allocations of one run: the minimum of several
// runs, because a sync.Pool under the race detector drops values at random, and
// because the count is of the whole process.
func leastAllocations(run func()) float64 {
	least := testing.AllocsPerRun(1, run)
	for range 10 {
		least = min(least, testing.AllocsPerRun(1, run))
	}
	return least
}
