// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// firstFast is the first of the fast items in these tests.
const firstFast = 5000

// routineCalls are the calls for the items that are not fast.
func (h *harness) routineCalls() []call {
	return slices.DeleteFunc(slices.Clone(h.calls), func(c call) bool { return h.fast[c.item] })
}

// fastCalls counts the calls for fast items that started in [from, to).
func (h *harness) fastCalls(from, to time.Duration) int {
	n := 0
	for _, c := range h.calls {
		if h.fast[c.item] && c.at >= from && c.at < to {
			n++
		}
	}
	return n
}

// A storm of fast claims does not change the time of any routine or urgent call.
func TestFastClaimsDelayNoOtherClaim(t *testing.T) {
	type load func(*harness)
	for name, add := range map[string]load{
		"spread": func(h *harness) { h.addRoutine(280) },
		"all at once": func(h *harness) {
			h.interval = 30 * time.Second
			for i := range 250 {
				h.namespaces[lb(i)] = "routine"
				h.add(lb(i), time.Second)
			}
		},
		"more than the rate": func(h *harness) { h.addRoutine(600) },
		"urgent claims, too": func(h *harness) {
			h.addRoutine(200)
			h.addRepeating("prod", 1000, 3, 10*time.Second)
		},
		"a throttling API": func(h *harness) {
			h.addRoutine(200)
			h.call = func(i item, now time.Time) (time.Duration, Result) {
				if second := now.Sub(noon) / time.Second; !h.fast[i] && second%40 < 2 && second >= 40 {
					return 20 * time.Millisecond, throttled
				}
				return 20 * time.Millisecond, succeeded
			}
		},
		"an API that throttles fast calls": func(h *harness) {
			h.addRoutine(200)
			h.call = func(i item, _ time.Time) (time.Duration, Result) {
				return 20 * time.Millisecond, Result{Called: true, Throttled: h.fast[i]}
			}
		},
		"slow calls": func(h *harness) {
			h.addRoutine(100)
			h.call = func(item, time.Time) (time.Duration, Result) { return 3 * time.Second, succeeded }
		},
		"fast calls that hang": func(h *harness) {
			h.addRoutine(250)
			h.call = func(i item, _ time.Time) (time.Duration, Result) {
				if h.fast[i] {
					return 10 * time.Minute, succeeded
				}
				return 20 * time.Millisecond, succeeded
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const until = 5 * time.Minute
			run := func(fastItems int) *harness {
				h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
				add(h)
				h.addFast(firstFast, fastItems, 0)
				h.run(until)
				return h
			}
			without, with := run(0), run(300)
			if !slices.Equal(with.routineCalls(), without.routineCalls()) {
				for i, c := range with.routineCalls() {
					if want := without.routineCalls()[i]; c != want {
						t.Fatalf("with a storm of fast claims call %d is %v, without it %v", i, c, want)
					}
				}
				t.Fatalf("%d calls with a storm of fast claims, %d without", len(with.routineCalls()), len(without.routineCalls()))
			}
			t.Logf("%d other calls, %d fast ones", len(without.calls), with.fastCalls(0, until))
		})
	}
}

// TestFastClassUsesTheRest proves that the equality above is not that of a class
// which gets nothing.
func TestFastClassUsesTheRest(t *testing.T) {
	for name, test := range map[string]struct {
		routine, atLeast, atMost int // calls in a minute
	}{
		"nothing else":        {0, 295, 301},
		"a third of the rate": {100, 295, 301},
		"most of the rate":    {240, 115, 121},
		"the whole rate":      {330, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
			h.addRoutine(test.routine)
			h.addFast(firstFast, 300, 0)
			h.run(3 * time.Minute)
			if n := h.fastCalls(2*time.Minute, 3*time.Minute); n < test.atLeast || n > test.atMost {
				t.Errorf("%d fast calls a minute, want %d to %d", n, test.atLeast, test.atMost)
			}
		})
	}
}

func TestFastClassUsesHalfOfADecreasedRate(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.addFast(firstFast, 300, 0)
	h.run(10 * time.Second)
	permit, _ := h.limiter.Reserve(lb(1).claim(), noon.Add(10*time.Second))
	permit.Release(throttled, noon.Add(10*time.Second)) // 5 a second, until 15 s
	h.run(15*time.Second - 1)
	// The bucket has room for ten tokens, which takes two seconds.
	if n := h.fastCalls(10*time.Second+1, 12*time.Second); n != 0 {
		t.Errorf("%d fast calls while the bucket was not full", n)
	}
	if n := h.fastCalls(12*time.Second, 15*time.Second); n < 5 || n > 8 {
		t.Errorf("%d fast calls in 3 s at half of 5 a second", n)
	}
}

// Every fast item gets its share while they want more than there is.
func TestFastClaimsStretchEqually(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.addFast(firstFast, 100, 0)
	h.run(200 * time.Second)
	calls := map[item]int{}
	for _, c := range h.calls {
		calls[c.item]++
	}
	// A thousand permits for a hundred items, and each wants forty.
	counts := slices.Sorted(maps.Values(calls))
	if len(counts) != 100 || counts[0] < 9 || counts[99] > 11 {
		t.Errorf("calls of %d items: %v", len(counts), counts)
	}
	if perCall := float64(h.claims) / float64(len(h.calls)); perCall > 3 {
		t.Errorf("%.1f claims for each call", perCall)
	}
}

func TestFastClaimsWaitForOtherClaims(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
	claim := lb(2).claim()
	claim.Fast = true
	for n := range 2 {
		permit, _ := limiter.Reserve(lb(10+n).claim(), noon)
		permit.Release(succeeded, noon)
	}
	if permit, _ := limiter.Reserve(lb(1).claim(), noon); permit != nil {
		t.Fatal("a permit from an empty bucket")
	}
	if permit, _ := limiter.Reserve(claim, noon.Add(time.Minute)); permit != nil {
		t.Fatal("a fast claim got a permit while a routine claim waited")
	}
	permit, _ := limiter.Reserve(lb(1).claim(), noon.Add(time.Minute))
	permit.Release(succeeded, noon.Add(time.Minute))
	if permit, at := limiter.Reserve(claim, noon.Add(time.Minute)); permit == nil {
		t.Errorf("no permit for a fast claim in a full bucket: until %s", at.Sub(noon))
	}
}

// A fast claim that becomes due, or urgent, is served like any other of that class.
func TestFastClaimBecomesRoutine(t *testing.T) {
	for name, change := range map[string]func(*Claim){
		"due":    func(c *Claim) { c.Due = true },
		"urgent": func(c *Claim) { c.Urgent, c.Requester = true, Requester{"prod", "web"} },
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
			claim := lb(1).claim()
			claim.Fast = true
			if permit, _ := limiter.Reserve(claim, noon); permit != nil {
				t.Fatal("the bucket lost no token yet")
			}
			change(&claim)
			permit, _ := limiter.Reserve(claim, noon)
			if permit == nil {
				t.Fatal("no permit from a full bucket")
			}
			permit.Release(succeeded, noon)
			if q := limiter.queues[testBucket]; len(q.fast.waiting)+q.waiting.size() != 0 {
				t.Error("the claim still waits")
			}
		})
	}
}

func TestThrottledFastCallPausesTheFastClassOnly(t *testing.T) {
	limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	claim := lb(1).claim()
	claim.Fast = true
	limiter.Reserve(claim, noon)
	at := noon.Add(time.Second)
	permit, _ := limiter.Reserve(claim, at)
	permit.Release(Result{Called: true, Throttled: true, RetryAfter: time.Minute}, at)
	limiter.Rates(at, func(_ Bucket, qps float64) {
		if qps != 10 {
			t.Errorf("%v calls a second for the other classes", qps)
		}
	})
	if permit, _ := limiter.Reserve(claim, at.Add(time.Minute-1)); permit != nil {
		t.Error("a fast permit in the pause that the API requires")
	}
	if permit, _ := limiter.Reserve(claim, at.Add(time.Minute)); permit == nil {
		t.Error("no fast permit after the pause")
	}
}

// A permit that was granted before the API throttled a call is not used in the pause.
func TestThrottlingRevokesFastPermits(t *testing.T) {
	for name, test := range map[string]struct {
		throttled Claim
		pause     time.Duration
	}{
		"a fast call":    {Claim{Bucket: testBucket, Item: "lb-x", Fast: true}, fastPause},
		"a routine call": {Claim{Bucket: testBucket, Item: "lb-x"}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
			first, second := lb(1).claim(), lb(2).claim()
			first.Fast, second.Fast = true, true
			permit, _ := limiter.Reserve(test.throttled, noon)
			limiter.Reserve(first, noon)
			at := noon.Add(time.Second)
			if permit == nil { // the bucket has lost a token only since noon
				permit, _ = limiter.Reserve(test.throttled, at)
			}
			at = at.Add(time.Second)
			limiter.Reserve(second, at) // grants the first
			permit.Release(Result{Called: true, Throttled: true, RetryAfter: 10 * time.Second}, at)
			if permit, _ := limiter.Reserve(first, at.Add(test.pause-1)); permit != nil {
				t.Error("a permit in the pause")
			}
			if permit, _ := limiter.Reserve(first, at.Add(test.pause+10*time.Second)); permit == nil {
				t.Error("no permit after the pause")
			}
		})
	}
}

// A fast permit that is returned, canceled or forgotten goes to the next claim.
func TestFastPermitIsReturned(t *testing.T) {
	first, second := lb(1).claim(), lb(2).claim()
	first.Fast, second.Fast = true, true
	at := noon.Add(time.Second)
	for name, giveUp := range map[string]func(*Limiter){
		"not called": func(l *Limiter) {
			permit, _ := l.Reserve(first, at)
			permit.Release(Result{}, at)
		},
		"canceled":  func(l *Limiter) { l.Cancel(first) },
		"forgotten": func(l *Limiter) { l.Forget(testBucket, first.Item) },
		"forgotten in flight": func(l *Limiter) {
			permit, _ := l.Reserve(first, at)
			l.Forget(testBucket, first.Item)
			permit.Release(Result{}, at)
		},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 1})
			limiter.Reserve(first, noon)
			limiter.Reserve(second, noon)
			if permit, _ := limiter.Reserve(second, at); permit != nil {
				t.Fatal("the permit is for the first claim")
			}
			giveUp(limiter)
			if permit, _ := limiter.Reserve(second, at); permit == nil {
				t.Error("no permit for the second claim")
			}
			if limiter.fastInFlight != 1 {
				t.Errorf("%d fast calls in flight", limiter.fastInFlight)
			}
		})
	}
}

// The buckets whose calls do not hang have fast permits, too.
func TestFastCallsThatHangAreBounded(t *testing.T) {
	h := newHarness(Options{QPS: 100, Burst: 20, Concurrency: 32})
	hangs := func(i item) bool { return i.bucket != testBucket }
	for n := range 10 {
		i := item{bucketOf("tenant", string(rune('a'+n))), "lb-hangs"}
		h.fast[i] = true
		h.add(i, 0)
	}
	h.addFast(firstFast, 20, 0)
	h.add(lb(1), 0) // a routine call, which proves that the bucket is fast
	h.call = func(i item, _ time.Time) (time.Duration, Result) {
		if hangs(i) {
			return time.Hour, succeeded
		}
		return 20 * time.Millisecond, succeeded
	}
	h.run(time.Minute)
	if n := h.inFlight(hangs); n == 0 || n > 2 {
		t.Errorf("%d calls hang, of 4 fast calls in flight", n)
	}
	if n := h.fastCalls(30*time.Second, time.Minute); n < 100 {
		t.Errorf("%d fast calls in the other bucket", n)
	}
}
