// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// The status of an observation that started before the transition does not count,
// nor that of another load balancer.
func TestDelaysAreThoseOfTheFirstObservationAfterATransition(t *testing.T) {
	t.Parallel()

	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	fleet := &fastFleet{transitions: []transition{{"lb-1", at(10), true}, {"lb-2", at(10), false}}}
	calls := []call{{Time: at(9), RequestID: "before"}, {Time: at(14), RequestID: "after"}, {Time: at(30), RequestID: "late"}}
	stored := []update{
		{name: "lb-1", requestID: "before", at: at(11)}, {name: "lb-2", requestID: "unknown", at: at(12)},
		{name: "lb-1", requestID: "after", at: at(15)}, {name: "lb-1", requestID: "late", at: at(31)}, {name: "lb-2", requestID: "late", at: at(32)},
	}
	signaled, others, err := fleet.delays(calls, stored)
	if err != nil {
		t.Fatal(err)
	}
	if len(signaled) != 1 || signaled[0] != 5*time.Second || len(others) != 1 || others[0] != 22*time.Second {
		t.Errorf("delays %v and %v", signaled, others)
	}
	if _, _, err := fleet.delays(calls, stored[:3]); err == nil {
		t.Error("a transition without a status is ignored")
	}
}

func TestMissedFastGoalsAreMarked(t *testing.T) {
	t.Parallel()

	r := &fastResult{
		Fast:  fastMeasured{CallsPerSecond: 11.4, Signaled: newDelays([]time.Duration{time.Second, 4 * time.Second})},
		Fixed: fastMeasured{CallsPerSecond: 10, Signaled: newDelays([]time.Duration{15 * time.Second})},
	}
	printed := func() string {
		var text strings.Builder
		printFast(&text, r)
		return text.String()
	}
	if text := printed(); strings.Contains(text, "missed") || !strings.Contains(text, "| ≤ 4.00 | 2.500 | 15.000 |") {
		t.Errorf("printed %s", text)
	}
	r.Fast.CallsPerSecond, r.Fast.Signaled = 11.6, newDelays([]time.Duration{5 * time.Second})
	if n := strings.Count(printed(), "(missed)"); n != 2 {
		t.Errorf("%d goals are marked as missed, not 2", n)
	}
}
