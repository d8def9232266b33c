// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"testing"
	"time"
)

const listenersAction = "DescribeLoadBalancerListeners"

func TestEachActionOfAnItemIsQueuedByItself(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	health, listeners := claimAged(1, "", 30*time.Second), claimAged(1, listenersAction, 5*time.Minute)
	served := serveAll(t, limiter, health, listeners, claimAged(2, "", time.Minute))
	want := []Claim{listeners, claimAged(2, "", time.Minute), health}
	if len(served) != len(want) {
		t.Fatalf("served %v", served)
	}
	for i := range want {
		if served[i] != want[i] {
			t.Errorf("permit %d is for %+v, want the oldest: %+v", i, served[i], want[i])
		}
	}
}

func TestOnlyTheMainActionIsUrgent(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	listeners := claimAged(1, listenersAction, time.Minute)
	listeners.Urgent = true
	served := serveAll(t, limiter, listeners, claimAged(2, "", 2*time.Minute))
	if len(served) != 2 || served[0].Action != "" {
		t.Errorf("served %+v, want the older claim for the main action first", served)
	}
}

func TestCancelRemovesOneActionAndCancelAllEach(t *testing.T) {
	for name, step := range map[string]struct {
		withdraw func(*Limiter)
		want     string // the actions of lb-0001 that are still queued
	}{
		"Cancel of an action":         {func(l *Limiter) { l.Cancel(claimAged(1, listenersAction, 0)) }, "health"},
		"Cancel of the main action":   {func(l *Limiter) { l.Cancel(claimAged(1, "", 0)) }, "listeners"},
		"CancelAll":                   {func(l *Limiter) { l.CancelAll(testBucket, lb(1).id) }, ""},
		"Forget":                      {func(l *Limiter) { l.Forget(testBucket, lb(1).id) }, ""},
		"CancelAll of another bucket": {func(l *Limiter) { l.CancelAll(bucketOf("prod", "key"), lb(1).id) }, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			for _, claim := range []Claim{claimAged(9, "", 0), claimAged(1, "", 0), claimAged(1, listenersAction, 0), claimAged(2, "", 0)} {
				limiter.Reserve(claim, noon)
			}
			step.withdraw(limiter)
			q := limiter.queues[testBucket]
			isQueued := func(action string) bool {
				w := q.waiters[waiterKey{lb(1).id, action}]
				return w != nil && w.state == queued
			}
			got := map[[2]bool]string{{true, true}: "both", {true, false}: "health", {false, true}: "listeners"}[[2]bool{isQueued(""), isQueued(listenersAction)}]
			if got != step.want {
				t.Errorf("%q is queued, want %q", got, step.want)
			}
			size := map[string]int{"": 1, "health": 2, "listeners": 2, "both": 3}[step.want]
			if n := q.waiting.size(); n != size {
				t.Errorf("%d waiters, want %d", n, size)
			}
		})
	}
}

// A user suspends an item while the limiter has a call about it in flight.
func TestCancelLetsACallInFlightContinue(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
	permit, _ := limiter.Reserve(claimAged(1, listenersAction, 0), noon)
	limiter.CancelAll(testBucket, lb(1).id)
	limiter.Cancel(claimAged(1, listenersAction, 0))
	if calls := len(limiter.queues[testBucket].calls); permit == nil || calls != 1 {
		t.Errorf("%d calls are in flight", calls)
	}
	permit.Release(succeeded, noon)
	if calls := len(limiter.queues[testBucket].calls); calls != 0 {
		t.Errorf("%d calls are in flight", calls)
	}
}

// The limit of an optional action may be one of its own.
func TestThrottledOptionalActionPausesTheOthersOnce(t *testing.T) {
	limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	now := noon
	reserve := func(claim Claim) *Permit {
		for {
			permit, requeueAt := limiter.Reserve(claim, now)
			if permit != nil {
				return permit
			}
			now = requeueAt
		}
	}
	paused := time.Duration(0)
	for i := range 20 {
		list := lb(i).claim()
		list.Action, list.Since = listenersAction, now
		reserve(list).Release(Result{Called: true, Throttled: true, RetryAfter: 30 * time.Second}, now)
		from := now
		reserve(lb(i+100).claim()).Release(succeeded, now)
		paused += now.Sub(from)
	}
	if paused > time.Minute {
		t.Errorf("20 throttled lists delayed the main action, which always succeeds, by %s", paused)
	}
}
