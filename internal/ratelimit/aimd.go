// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math"
	"time"
)

const (
	// calmStep is how long a queue must go without a cut before its rate is
	// raised by a step.
	calmStep = 5 * time.Second
	// cutPause is the window that the API is taken to count calls in: what it
	// refuses within the window of a cut is no news.
	cutPause = time.Second
	// calmSteps is how many steps lead from nothing to the full rate.
	calmSteps = 10
	// maxHold is the longest that one answer's Retry-After holds a whole
	// account; the load balancer that it was about waits for as long as it says.
	maxHold = 30 * time.Second
	// leastShare is the part of the full rate that no cut goes below: a queue
	// must go on asking to learn that the API answers again.
	leastShare = 1.0 / 64
)

// pace is how fast one account may call in one region: a token bucket whose
// rate Throttled answers halve and calm restores step by step. Its zero value
// is not useful; newPace fills the bucket.
type pace struct {
	qps   float64
	burst float64

	tokens float64
	// countedAt is when tokens was counted.
	countedAt time.Time
	// rate is what the last cut left, in calls per second, and cutAt when.
	rate  float64
	cutAt time.Time
	// heldUntil is when the API asked to come back; nothing is called before.
	heldUntil time.Time
}

func newPace(qps float64, burst int, now time.Time) pace {
	return pace{qps: qps, burst: float64(burst), tokens: float64(burst), countedAt: now, rate: qps}
}

// allowed is the rate now, in calls per second.
func (p *pace) allowed(now time.Time) float64 {
	if p.rate >= p.qps {
		return p.qps
	}
	calm := max(now.Sub(later(p.cutAt, p.heldUntil)), 0)
	return min(p.rate+math.Floor(calm.Seconds()/calmStep.Seconds())*p.qps/calmSteps, p.qps)
}

// count adds the tokens that came since it was last called. While the rate is
// reduced, so is the burst.
func (p *pace) count(now time.Time) {
	if !now.After(p.countedAt) {
		return
	}
	allowed := p.allowed(now)
	since := max(now.Sub(later(p.countedAt, p.heldUntil)), 0)
	p.tokens = min(p.tokens+since.Seconds()*allowed, max(1, p.burst*allowed/p.qps))
	p.countedAt = now
}

// spend takes one token if there is one, counted at now.
func (p *pace) spend(now time.Time) bool {
	const almost = 1 - 1e-6 // sums of fractions
	if p.tokens < almost || now.Before(p.heldUntil) {
		return false
	}
	p.tokens--
	return true
}

// readyAt is when n tokens will be there if all stays calm, counted at now.
func (p *pace) readyAt(n int, now time.Time) time.Time {
	missing := float64(n) - p.tokens
	at := later(now, p.heldUntil)
	if missing <= 0 {
		return at
	}
	calmSince := later(p.cutAt, p.heldUntil)
	for {
		allowed := p.allowed(at)
		ready := at.Add(time.Duration(missing / allowed * float64(time.Second)))
		if allowed >= p.qps {
			return ready
		}
		step := at.Add(calmStep - at.Sub(calmSince)%calmStep)
		if !ready.After(step) {
			return ready
		}
		missing -= step.Sub(at).Seconds() * allowed
		at = step
	}
}

// hold lets nothing through for as long as the API asked to, within reason.
func (p *pace) hold(retryAfter time.Duration, now time.Time) {
	p.count(now)
	p.heldUntil = later(p.heldUntil, now.Add(min(retryAfter, maxHold)))
}

// cut halves the rate after a call that started at that time was refused, once
// for all calls of a window.
func (p *pace) cut(started, now time.Time) {
	p.count(now)
	if !p.cutAt.IsZero() && started.Before(p.cutAt.Add(cutPause)) {
		return
	}
	p.rate = max(p.allowed(now)/2, p.qps*leastShare)
	p.cutAt = now
	p.tokens = min(p.tokens, 0) // what was charged beyond them stays
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
