// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"testing"
	"time"
)

func TestThrottlingHalvesTheRateOnceAndItRecoversStepByStep(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.interval = 10 * time.Second
	refused := 0
	h.call = func(_ item, now time.Time) (time.Duration, Result) {
		if now.Sub(noon) < time.Second {
			refused++
			return 200 * time.Millisecond, throttled
		}
		return 20 * time.Millisecond, succeeded
	}
	for i := range 200 {
		h.add(lb(i), 0)
	}
	h.run(3 * time.Minute)
	if refused < 20 {
		t.Fatalf("%d calls were throttled", refused)
	}
	for _, window := range []struct {
		from, to        time.Duration
		atLeast, atMost float64
	}{
		{time.Second, 5 * time.Second, 4.5, 5.5},
		{5500 * time.Millisecond, 10 * time.Second, 5.5, 6.5},
		{15500 * time.Millisecond, 20 * time.Second, 7.5, 8.5},
		{2 * time.Minute, 150 * time.Second, 9.5, 10.5},
	} {
		rate := float64(h.count(window.from, window.to)) / (window.to - window.from).Seconds()
		if rate < window.atLeast || rate > window.atMost {
			t.Errorf("%.1f calls per second from %s to %s, want %v to %v", rate, window.from, window.to, window.atLeast, window.atMost)
		}
	}
}

func TestRateStaysAboveTheMinimumWhileTheAPIOnlyThrottles(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.interval = 10 * time.Second
	h.call = func(item, time.Time) (time.Duration, Result) { return time.Millisecond, throttled }
	for i := range 50 {
		h.add(lb(i), 0)
	}
	h.run(30 * time.Minute)
	// The next refusal reverts each step of recovery, so the rate stays near one step.
	if n := h.count(10*time.Minute, 20*time.Minute); n < 60 || n > 600 {
		t.Errorf("%d calls in 10 minutes", n)
	}
	h.call = func(item, time.Time) (time.Duration, Result) { return time.Millisecond, succeeded }
	h.run(40 * time.Minute)
	if n := h.count(35*time.Minute, 36*time.Minute); n < 290 {
		t.Errorf("%d calls a minute after the API recovered, want the 300 that 50 items make every 10 s", n)
	}
}

func TestRetryAfterPausesTheWholeBucketAndNoOther(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.interval = 5 * time.Second
	other := item{bucketOf("prod", "key"), "lb-other"}
	h.call = func(i item, now time.Time) (time.Duration, Result) {
		switch {
		case i == lb(0) && now.Equal(noon):
			return 10 * time.Millisecond, Result{Called: true, Throttled: true, RetryAfter: time.Second}
		case i == lb(1) && now.Equal(noon): // in flight with the first, so it does not decrease the rate again
			return 20 * time.Millisecond, Result{Called: true, Throttled: true, RetryAfter: 20 * time.Second}
		}
		return 10 * time.Millisecond, succeeded
	}
	h.add(lb(0), 0)
	for i := range 9 {
		h.add(lb(i+1), time.Duration(i)*100*time.Millisecond)
	}
	h.add(other, 0)
	h.run(time.Minute)
	others := 0
	for _, c := range h.calls {
		switch {
		case c.item == other:
			others++
		case c.at > 20*time.Millisecond && c.at < 20*time.Second:
			t.Errorf("%s was called at %s", c.item, c.at)
		}
	}
	if others != 13 {
		t.Errorf("the other account had %d calls in a minute, want one every 5 s", others)
	}
	if n := h.count(20*time.Second, 30*time.Second); n < 10 {
		t.Errorf("%d calls in the 10 s after the pause", n)
	}
}

// One load balancer that the API always throttles, among many that it does not,
// must not slow an account down for good; nor must a Retry-After of hours.
func TestOneThrottledItemDoesNotStarveTheOthers(t *testing.T) {
	for name, retryAfter := range map[string]time.Duration{
		"without Retry-After": 0, "with a short Retry-After": 5 * time.Second, "with a long Retry-After": 5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
			h.interval = 5 * time.Second
			h.call = func(i item, _ time.Time) (time.Duration, Result) {
				if i == lb(0) {
					return 20 * time.Millisecond, Result{Called: true, Throttled: true, RetryAfter: retryAfter}
				}
				return 20 * time.Millisecond, succeeded
			}
			for i := range 25 { // 5 per second
				h.add(lb(i), time.Duration(i)*200*time.Millisecond)
			}
			h.run(10 * time.Second)
			if retryAfter > h.interval { // the caller delays the item for as long
				h.call = func(item, time.Time) (time.Duration, Result) { return 20 * time.Millisecond, succeeded }
			}
			h.run(maxPause + 20*time.Second)
			h.calls = nil
			h.run(maxPause + 80*time.Second)
			if n := len(h.calls); n < 285 {
				t.Errorf("%d calls in a minute, want 300", n)
			}
		})
	}
}

// A refusal within the window of a decrease revokes the permits that were not
// fetched. Their tokens remain: they cost no call.
func TestRevokedPermitsReturnTheirTokens(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 4, Concurrency: 32})
	at := noon.Add
	reserve := func(n int, now time.Time) *Permit {
		permit, _ := limiter.Reserve(claimAged(n, "", 0), now)
		return permit
	}
	first, second := reserve(1, noon), reserve(2, noon)
	first.Release(throttled, noon) // halves the rate
	if reserve(3, at(time.Second)) != nil || reserve(4, at(time.Second)) != nil {
		t.Fatal("a permit at once after a decrease")
	}
	if reserve(4, at(2*time.Second)) != nil {
		t.Fatal("the permit is for the first claim")
	}
	second.Release(throttled, at(2*time.Second)) // started before the decrease
	if reserve(3, at(2*time.Second)) == nil {
		t.Error("the token is lost")
	}
}

// A response of four pages is four requests, as the API counts them.
func TestChargeDelaysLaterPermits(t *testing.T) {
	for name, result := range map[string]Result{"succeeded": succeeded, "throttled": throttled} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			permit, _ := limiter.Reserve(claimAged(1, listenersAction, 0), noon)
			permit.Charge(-1) // a call without a response
			permit.Charge(3)
			permit.Release(result, noon)
			next, requeueAt := limiter.Reserve(claimAged(2, "", 0), noon)
			wait := 4 * time.Second
			if result.Throttled { // at half of the rate
				wait = 8 * time.Second
			}
			if next != nil || requeueAt.Sub(noon) < wait-2*time.Second || requeueAt.Sub(noon) > wait {
				t.Errorf("the next permit is due after %s, want about %s", requeueAt.Sub(noon), wait)
			}
		})
	}
}
