// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math"
	"time"
)

const (
	// recoverInterval is the time without a decrease after which the rate
	// recovers by one step.
	recoverInterval = 5 * time.Second
	// recoverSteps is how many steps lead from 0 to the full rate.
	recoverSteps = 10
	// decreaseWindow is the window in which the API is assumed to count calls:
	// several calls throttled within one window decrease the rate once.
	decreaseWindow = time.Second
	// maxPause is the longest that one Retry-After pauses a whole bucket. The
	// caller delays the item of that call for as long as the API requires.
	maxPause = 30 * time.Second
	// minShare is the part of the full rate that remains after any number of
	// decreases: only calls show that the API accepts calls again.
	minShare = 1.0 / 64
)

// rateLimiter is an AIMD rate limiter on a token bucket: a throttled call halves
// the rate, and time without one restores it step by step. newRateLimiter
// returns one with a full bucket; the zero value is not usable.
type rateLimiter struct {
	qps   float64
	burst float64

	tokens     float64
	refilledAt time.Time
	// lost is the tokens that found no room in the bucket, in all.
	lost float64
	// decreasedTo is the rate after the last decrease, in calls per second.
	decreasedTo float64
	decreasedAt time.Time
	pausedUntil time.Time
}

func newRateLimiter(qps float64, burst int, now time.Time) rateLimiter {
	return rateLimiter{qps: qps, burst: float64(burst), tokens: float64(burst), refilledAt: now, decreasedTo: qps}
}

// current is the rate at now, in calls per second.
func (r *rateLimiter) current(now time.Time) float64 {
	if r.decreasedTo >= r.qps {
		return r.qps
	}
	recovering := max(now.Sub(r.recoversSince()), 0)
	return min(r.decreasedTo+math.Floor(recovering.Seconds()/recoverInterval.Seconds())*r.qps/recoverSteps, r.qps)
}

func (r *rateLimiter) recoversSince() time.Time { return later(r.decreasedAt, r.pausedUntil) }

// refill adds the tokens since the last refill. A reduced rate reduces the burst.
func (r *rateLimiter) refill(now time.Time) {
	if !now.After(r.refilledAt) {
		return
	}
	r.lost = r.lostUntil(now)
	r.tokens = min(r.tokens+r.accrued(now), r.capacity(r.current(now)))
	r.refilledAt = now
}

// almostOne is one token, less the rounding of sums of fractions.
const almostOne = 1 - 1e-6

// consume removes one token if there is one, after a refill at now.
func (r *rateLimiter) consume(now time.Time) bool {
	if r.tokens < almostOne || now.Before(r.pausedUntil) {
		return false
	}
	r.tokens--
	return true
}

// readyAt is when there will be n tokens, after a refill at now, if the API
// throttles no call until then.
func (r *rateLimiter) readyAt(n int, now time.Time) time.Time {
	missing := float64(n) - r.tokens
	at := later(now, r.pausedUntil)
	if missing <= 0 {
		return at
	}
	for {
		rate := r.current(at)
		ready := at.Add(time.Duration(missing / rate * float64(time.Second)))
		if rate >= r.qps {
			return ready
		}
		step := at.Add(recoverInterval - at.Sub(r.recoversSince())%recoverInterval)
		if !ready.After(step) {
			return ready
		}
		missing -= step.Sub(at).Seconds() * rate
		at = step
	}
}

// pause stops all calls for retryAfter, or for maxPause if that is shorter.
func (r *rateLimiter) pause(retryAfter time.Duration, now time.Time) {
	r.refill(now)
	r.pausedUntil = later(r.pausedUntil, now.Add(min(retryAfter, maxPause)))
}

// decrease halves the rate after the API throttled a call that started at
// startedAt, once for all calls of a window.
func (r *rateLimiter) decrease(startedAt, now time.Time) {
	r.refill(now)
	if !r.decreasedAt.IsZero() && startedAt.Before(r.decreasedAt.Add(decreaseWindow)) {
		return
	}
	r.decreasedTo = max(r.current(now)/2, r.qps*minShare)
	r.decreasedAt = now
	r.tokens = min(r.tokens, 0) // a debt from Charge remains
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
