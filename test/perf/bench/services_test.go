// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func newServicesResult() *servicesResult {
	one := monitorMeasured{
		Exist: 20 * time.Second, Observed: 40 * time.Second,
		Rest:        steady{CallsPerInterval: 1.01, CPUPerObservation: 900, RSS: 150 << 20, PeakRSS: 200 << 20},
		FewestCalls: 1, MostCalls: 3,
	}
	one.First.Requests.creations = 100
	r := &servicesResult{Size: fleetSize{Balancers: 100, Objects: 1, Rows: 20, Interval: 30 * time.Second}, Window: time.Minute, Services: one, Written: one}
	r.Services.First.Requests.events = 100
	r.Services.Rest.RSS = 180 << 20
	return r
}

func TestServicesAreCounted(t *testing.T) {
	t.Parallel()

	if err := newServicesResult().check(); err != nil {
		t.Errorf("correct counts: %v", err)
	}
	for want, change := range map[string]func(r *servicesResult){
		"--monitor=all: 1.030 calls per load balancer and interval":             func(r *servicesResult) { r.Services.Rest.CallsPerInterval = 1.03 },
		"objects of users: 0.970 calls per load balancer and interval":          func(r *servicesResult) { r.Written.Rest.CallsPerInterval = 0.97 },
		"--monitor=all: from 0 to 3 calls for one load balancer in 2 intervals": func(r *servicesResult) { r.Services.FewestCalls = 0 },
		"--monitor=all: from 1 to 4 calls for one load balancer in 2 intervals": func(r *servicesResult) { r.Services.MostCalls = 4 },
		"--monitor=all: 101 requests to create 100 objects":                     func(r *servicesResult) { r.Services.First.Requests.creations++ },
		"--monitor=all: 99 events":                                              func(r *servicesResult) { r.Services.First.Requests.events-- },
		"objects of users: 1 events":                                            func(r *servicesResult) { r.Written.First.Requests.events++ },
		"1 writes while nothing changed":                                        func(r *servicesResult) { r.Writes = 1 },
	} {
		r := newServicesResult()
		change(r)
		if err := r.check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestServicesAreComparedByRatios(t *testing.T) {
	t.Parallel()

	var out strings.Builder
	printServices(&out, newServicesResult())
	for _, want := range []string{"| memory, MiB | 180 | 150 | 1.20 |", "| calls for one load balancer in 2 intervals | 1 to 3 | 1 to 3 | – |", "| … Events | 1.00 | 0.00 | – |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// A load balancer without a call has no count.
func TestFewestAndMost(t *testing.T) {
	t.Parallel()

	counts := map[string]int{"lb-1": 2, "lb-2": 3, "another": 9}
	for want, ids := range map[[2]int][]string{{2, 3}: {"lb-1", "lb-2"}, {0, 2}: {"lb-1", "lb-3"}} {
		if fewest, most := fewestAndMost(counts, ids); [2]int{fewest, most} != want {
			t.Errorf("%v: from %d to %d, want %v", ids, fewest, most, want)
		}
	}
}

// A new object is an update that no storm counts.
func TestNewObjectsAreNoWritesOfAStorm(t *testing.T) {
	t.Parallel()

	w := &watcher{changed: make(chan struct{}, 1)}
	for _, kind := range []string{"ADDED", "MODIFIED", "DELETED"} {
		e := watchEvent{Type: kind}
		e.Object.Metadata.Name = kind
		w.add(e, nil)
	}
	for name, counts := range map[string]func(update) bool{"MODIFIED": anyUpdate, "ADDED": func(u update) bool { return u.added }} {
		seen, err := w.waitFor(t.Context(), 1, time.Minute, counts)
		if err != nil || len(seen) != 1 || seen[0].name != name {
			t.Errorf("%v %v, want only %s", seen, err, name)
		}
	}
}
