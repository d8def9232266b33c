// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math"
	"slices"
	"time"
)

const (
	// fastShare is the part of the current rate that the fast class may use.
	fastShare = 0.5
	// maxFastTokens is how many lost tokens the fast class keeps: so many calls it
	// adds at most to those that the bucket allows.
	maxFastTokens = 2
	// fastPause is the least pause of the fast class after the API throttled one
	// of its calls.
	fastPause = 30 * time.Second
	// minFastRequeue keeps fast waiters from claiming again too often: while
	// routine claims use the whole rate, no estimate says when there is a permit.
	minFastRequeue = 100 * time.Millisecond
	// workersPerFast is how many workers there are for each fast call in flight.
	workersPerFast = 8
)

// fastQueue is the fast class of one bucket. It shares nothing with the other
// classes that could delay them:
//
//   - its tokens are those that the bucket loses because it is full;
//   - its calls do not count against the max in-flight of the bucket;
//   - its claims neither refill the bucket nor grant permits of other classes;
//   - the results of its calls change only its own pause.
type fastQueue struct {
	waiting []*waiter // the longest waiting first
	granted []*waiter
	// calls counts the calls in flight.
	calls int

	// tokens are lost ones of the bucket, up to maxFastTokens. share is the fast share
	// of the rate, up to one call. A permit takes one of each.
	tokens, share float64
	refilledAt    time.Time
	// lost is rateLimiter.lostUntil at refilledAt.
	lost        float64
	pausedUntil time.Time
	// counted is how many of these permits Limiter.fastInFlight includes.
	counted int
}

// inFlight counts the fast permits that were granted and not released.
func (f *fastQueue) inFlight() int { return len(f.granted) + f.calls }

// refill adds the tokens that the bucket lost since the last refill, and the share.
func (f *fastQueue) refill(rate *rateLimiter, now time.Time) {
	if !now.After(f.refilledAt) {
		return
	}
	lost := rate.lostUntil(now)
	f.tokens = min(f.tokens+max(lost-f.lost, 0), maxFastTokens)
	f.share = min(f.share+now.Sub(f.refilledAt).Seconds()*rate.current(now)*fastShare, 1)
	f.lost, f.refilledAt = lost, now
}

// consume removes one token if there is one, after a refill at now.
func (f *fastQueue) consume(rate *rateLimiter, now time.Time) bool {
	if min(f.tokens, f.share) < almostOne || now.Before(f.pausedUntil) || now.Before(rate.pausedUntil) {
		return false
	}
	f.charge(1)
	return true
}

func (f *fastQueue) charge(n float64) {
	f.tokens -= n
	f.share -= n
}

// giveBack returns the tokens of a permit without a call.
func (f *fastQueue) giveBack() {
	f.tokens = min(f.tokens+1, maxFastTokens)
	f.share = min(f.share+1, 1)
}

// throttled pauses the class after the API throttled one of its calls, and
// revokes the permits that were not fetched. The rate of the other classes
// changes only when the API throttles one of theirs.
func (f *fastQueue) throttled(retryAfter time.Duration, now time.Time) {
	f.revoke()
	f.tokens = 0
	f.pausedUntil = later(f.pausedUntil, now.Add(max(retryAfter, fastPause)))
}

// revoke queues the waiters again whose permit was not fetched.
func (f *fastQueue) revoke() {
	for _, w := range f.granted {
		f.giveBack()
		f.waiting = insert(f.waiting, w, byWait)
		w.state = queued
	}
	f.granted = nil
}

// remove removes a waiter of the class from the list of its state.
func (f *fastQueue) remove(w *waiter) {
	switch w.state {
	case queued:
		f.waiting = without(f.waiting, w, byWait)
	case granted:
		f.granted = slices.DeleteFunc(f.granted, func(other *waiter) bool { return other == w })
	case calling:
		f.calls--
	}
}

// reserveFast is Reserve for a waiter of the fast class.
func (l *Limiter) reserveFast(q *queue, w *waiter, now time.Time) (permit *Permit, requeueAt time.Time) {
	maxFast := l.maxFast(q, now)
	q.fast.refill(&q.rate, now)
	q.grantFast(maxFast, now)
	if w.state != granted {
		return nil, q.fastRequeueAt(w, maxFast, now)
	}
	q.remove(w)
	w.state, w.startedAt = calling, now
	q.fast.calls++
	return &Permit{limiter: l, queue: q, waiter: w, fast: true}, time.Time{}
}

// releaseFast is Release for a permit of the fast class.
func (q *queue) releaseFast(w *waiter, result Result, now time.Time) {
	if w.state == calling { // its item was not forgotten
		q.remove(w)
	}
	switch {
	case !result.Called:
		q.fast.giveBack()
	case result.Throttled:
		q.fast.throttled(result.RetryAfter, now)
	}
}

// maxFast bounds the fast calls of a queue that are in flight at once. All queues
// share one worker in eight, so that fast calls that hang do not use the workers that
// routine calls need. Of several queues none gets more than half of that, and one
// whose calls are slow gets one call while more than half of it is free.
func (l *Limiter) maxFast(q *queue, now time.Time) int {
	shared := max(l.options.Concurrency/workersPerFast, 1)
	free := shared - (l.fastInFlight - q.fast.counted)
	switch {
	case len(l.queues) == 1:
		return free
	case q.restricted(now):
		return min(1, free-shared/2)
	default:
		return min(max(shared/2, 1), free)
	}
}

// grantFast gives permits to the first fast waiters while no other claim waits.
func (q *queue) grantFast(maxFast int, now time.Time) {
	for q.waiting.size() == 0 && len(q.fast.waiting) > 0 && q.fast.inFlight() < maxFast && q.fast.consume(&q.rate, now) {
		w := q.fast.waiting[0]
		q.remove(w)
		w.state = granted
		q.fast.granted = append(q.fast.granted, w)
	}
}

// fastRequeueAt estimates when a fast waiter gets a permit: after all other
// claims, once the bucket is full again and loses tokens.
func (q *queue) fastRequeueAt(w *waiter, maxFast int, now time.Time) time.Time {
	position, _ := slices.BinarySearchFunc(q.fast.waiting, w, byWait)
	rate := q.rate.current(now)
	n := float64(position + 1)
	tokens := q.rate.missing(now) + float64(q.waiting.size()) + max(n-q.fast.tokens, 0)
	at := now.Add(time.Duration(max(tokens, (n-q.fast.share)/fastShare) / rate * float64(time.Second)))
	at = later(at, later(q.rate.pausedUntil, q.fast.pausedUntil))
	if q.fast.inFlight() >= maxFast {
		calls := q.duration * time.Duration(position/max(maxFast, 1)+1)
		at = later(at, now.Add(min(calls, maxRequeueInFlight)))
	}
	return later(at, now.Add(minFastRequeue))
}

// capacity is the most tokens of the bucket at a rate.
func (r *rateLimiter) capacity(rate float64) float64 { return max(1, r.burst*rate/r.qps) }

// accrued is the tokens that a refill at now adds to the bucket, if it has room.
func (r *rateLimiter) accrued(now time.Time) float64 {
	since := max(now.Sub(later(r.refilledAt, r.pausedUntil)), 0)
	return since.Seconds() * r.current(now)
}

// lostUntil is how many tokens the bucket has lost because it was full, with
// those that a refill at now would lose.
func (r *rateLimiter) lostUntil(now time.Time) float64 {
	return r.lost + max(r.tokens+r.accrued(now)-r.capacity(r.current(now)), 0)
}

// missing is how many tokens the bucket has room for at now.
func (r *rateLimiter) missing(now time.Time) float64 {
	return math.Max(r.capacity(r.current(now))-r.tokens-r.accrued(now), 0)
}
