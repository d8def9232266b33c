// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestExpectedBackendsAreCompared(t *testing.T) {
	t.Parallel()

	newResult := func() *expectedResult {
		r := &expectedResult{Size: *expectedOnly().expected, Window: expectedOnly().window}
		r.Without.Rest = steady{CallsPerInterval: 1, CPUPerObservation: 400, RSS: 100 << 20}
		r.With.Rest = steady{CallsPerInterval: 1, CPUPerObservation: 420, RSS: 110 << 20}
		return r
	}
	if err := newResult().check(); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	printExpected(&out, newResult())
	for _, want := range []string{"| CPU per observation, µs | 420 | 400 | 1.05 |", "| memory for each endpoint, bytes | 524 | | |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for want, change := range map[string]func(r *expectedResult){
		"1.15 times the CPU, not at most 1.1":                             func(r *expectedResult) { r.With.Rest.CPUPerObservation = 460 },
		"1 writes while nothing changed":                                  func(r *expectedResult) { r.Writes = 1 },
		"without: 0.900 calls per load balancer and interval":             func(r *expectedResult) { r.Without.Rest.CallsPerInterval = 0.9 },
		"with EndpointSlices: 1.100 calls per load balancer and interval": func(r *expectedResult) { r.With.Rest.CallsPerInterval = 1.1 },
	} {
		r := newResult()
		change(r)
		if err := r.check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
