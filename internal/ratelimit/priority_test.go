// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestUrgentClaimsGetThreePermitsInFour(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	for i := range 100 {
		h.add(lb(i), 0)
	}
	for i := 100; i < 130; i++ {
		h.urgent[lb(i)] = true
		h.add(lb(i), time.Millisecond)
	}
	h.run(time.Minute)
	urgentCalls, routineCalls := 0, 0
	for _, c := range h.calls[1:21] {
		if h.urgent[c.item] {
			urgentCalls++
		} else {
			routineCalls++
		}
	}
	if routineCalls < 4 || routineCalls > 6 {
		t.Errorf("of the first 20 permits %d were urgent and %d routine, want one in four", urgentCalls, routineCalls)
	}
}

func TestQueuedClaimThatBecomesUrgentMovesUp(t *testing.T) {
	h := newHarness(Options{QPS: 1, Burst: 1, Concurrency: 32})
	for i := range 30 {
		h.add(lb(i), 0)
	}
	h.run(0)
	h.urgent[lb(29)] = true
	h.add(lb(29), time.Millisecond) // a request, before requeueAt
	h.run(3 * time.Second)
	if !slices.ContainsFunc(h.calls, func(c call) bool { return c.item == lb(29) }) {
		t.Errorf("not among the first: %v", h.calls)
	}
}

// 250 routine items at 30 s use five sixths of a rate of 10 per second.
func TestNamespaceWithEndlessRequestsDelaysNoOther(t *testing.T) {
	for name, namespaces := range map[string]int{"one": 1, "twenty": 20} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
			h.addRoutine(250)
			for n := range namespaces {
				h.addRepeating(fmt.Sprint("greedy-", n), 1000+n*500/namespaces, 500/namespaces, time.Minute)
			}
			guest, guestWaited := lb(9000), time.Duration(0)
			h.urgent[guest], h.namespaces[guest] = true, "guest"
			h.add(guest, 5*time.Minute)
			const long = 10 * time.Minute
			h.run(long)
			for _, c := range h.calls {
				if c.item == guest {
					guestWaited = max(guestWaited, c.lag)
				}
			}
			t.Logf("the oldest observation was %s old, a single request waited %s", h.longestGap("routine", long), guestWaited)
			if age := h.longestGap("routine", long); age > 45*time.Second {
				t.Errorf("an observation was %s old, at an interval of 30 s", age)
			}
			// A permit for each namespace, each among three routine ones.
			if limit := time.Duration(namespaces+1)*400*time.Millisecond + 100*time.Millisecond; guestWaited == 0 || guestWaited > limit {
				t.Errorf("a single request of another namespace waited %s, want up to %s", guestWaited, limit)
			}
			if n := h.count(0, long); n < 5890 { // 8.3 per second in the first minute
				t.Errorf("%d calls of 5900", n)
			}
		})
	}
}

func TestUrgentPermitsAlternateBetweenNamespaces(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.addRepeating("many", 100, 80, 0)
	h.addRepeating("few", 200, 10, 0)
	h.addRepeating("other", 300, 10, 0)
	h.run(3 * time.Second)
	got := map[string]int{}
	for _, c := range h.calls[1:25] {
		got[h.namespaces[c.item]]++
	}
	if got["many"] != 8 || got["few"] != 8 || got["other"] != 8 {
		t.Errorf("24 permits went to %v", got)
	}
}

// Within a namespace a new item is first, then the one whose call is the longest ago.
func TestUrgentClaimsOfANamespaceAreServedByAge(t *testing.T) {
	h := newHarness(Options{QPS: 1, Burst: 1, Concurrency: 32})
	h.add(lb(0), 0) // consumes the burst
	for i, age := range []int{3, 0, 1, 2} {
		h.urgent[lb(1+age)] = true
		if age > 0 {
			h.lastCalled[lb(1+age)] = noon.Add(-time.Duration(age) * time.Minute)
		}
		h.add(lb(1+age), time.Duration(i+1)*time.Millisecond)
	}
	h.run(time.Minute)
	for i, want := range []int{0, 1, 4, 3, 2} {
		if got := h.calls[i].item; got != lb(want) {
			t.Errorf("call %d is about %s, want %s", i, got, lb(want))
		}
	}
}

// The routine claims use the whole rate, so only urgent permits come soon.
func TestRequesterGetsABurstOfUrgentPermitsThenOneInFiveSeconds(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.addRoutine(600) // twice the rate
	h.addRepeating("greedy", 1000, 1, 10*time.Second)
	h.run(2 * time.Minute)
	var at []time.Duration
	for _, c := range h.calls {
		if c.item == lb(1000) {
			at = append(at, c.at)
		}
	}
	if len(at) < 10 || at[2] > 12*time.Second {
		t.Fatalf("served at %v", at)
	}
	for i := 3; i < len(at); i++ {
		// At most three of them in ten seconds, and soon after that.
		if apart := at[i] - at[i-3]; apart < 4*time.Second {
			t.Errorf("four permits within %s, at %s", apart, at[i])
		}
	}
	if n := len(at); n < 23 || n > 27 {
		t.Errorf("%d permits in 110 s, want three and then one in five seconds: %v", n, at)
	}
}

func TestRequesterGetsAllPermitsOfAnIdleBucket(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.addRepeating("greedy", 1, 1, 0)
	h.run(10 * time.Second)
	if n := len(h.calls); n < 90 {
		t.Errorf("%d calls in 10 s at 10 per second", n)
	}
}

// An urgent claim must not wait longer than a routine one.
func TestUrgentClaimThatIsDueIsServedAsRoutineToo(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.addRoutine(600) // twice the rate: each gets one call a minute
	for i := range 200 {
		h.urgent[lb(3*i)], h.namespaces[lb(3*i)] = true, "urgent"
	}
	const long = 10 * time.Minute
	h.run(long)
	urgentGap, routineGap := h.longestGap("urgent", long), h.longestGap("routine", long)
	if urgentGap > routineGap || routineGap > 90*time.Second {
		t.Errorf("an urgent item had no call for %s, a routine one for %s", urgentGap, routineGap)
	}
}

func TestUrgentPermitsCostNoCreditWhileNoRoutineClaimWaits(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.addRepeating("greedy", 1000, 500, 0)
	h.run(time.Minute)
	clear(h.repeating)
	h.addRoutine(100)
	before := len(h.calls)
	h.run(62 * time.Second)
	urgentCalls := 0
	for _, c := range h.calls[before:] {
		if h.urgent[c.item] {
			urgentCalls++
		}
	}
	if n := len(h.calls) - before; n < 19 || urgentCalls < 13 {
		t.Errorf("of the first %d permits with routine claims %d were urgent, want three in four", n, urgentCalls)
	}
}

func TestStateOfRequestersIsBounded(t *testing.T) {
	h := newHarness(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	for i := range 20000 {
		h.urgent[lb(i)] = true
		h.add(lb(i), time.Duration(i)*10*time.Millisecond)
	}
	most := 0
	h.call = func(i item, _ time.Time) (time.Duration, Result) {
		most = max(most, len(h.limiter.queues[i.bucket].waiting.urgent.paidUntil))
		return time.Millisecond, succeeded
	}
	h.run(200 * time.Second)
	if most < 100 || most > 2000 {
		t.Errorf("state of up to %d requesters, of 500 in any five seconds", most)
	}
}
