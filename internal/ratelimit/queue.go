// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// slowCall is the duration above which the calls of a queue endanger the
	// workers that other queues need.
	slowCall = time.Second
	// minRequeue keeps a waiter from claiming again before anything can have changed.
	minRequeue = 10 * time.Millisecond
	// maxRequeueInFlight bounds how late a waiter sees that calls no longer hang.
	maxRequeueInFlight = 5 * time.Second
)

// queue is the items of one bucket: which of them wait for a permit, in what
// order, and which have a call in flight.
type queue struct {
	bucket  Bucket
	rate    rateLimiter
	waiters map[waiterKey]*waiter
	// actions lists every action that was ever claimed.
	actions []string
	// waiting orders the queued waiters, except the fast ones.
	waiting priorityQueue
	fast    fastQueue
	// granted have a permit that their caller has not fetched yet.
	granted []*waiter
	// calls are in flight, the oldest first.
	calls []*waiter
	// duration is the moving average of the duration of calls.
	duration time.Duration
	// proven says that a call ended, so that duration is known.
	proven bool
	// counted says that Limiter.restricted includes this queue.
	counted bool
	// actionThrottled says that the API throttled the last call of an optional action.
	actionThrottled bool
	// succeeded says that the API accepted a call since it last throttled one.
	succeeded bool
	sequence  uint64
}

func newQueue(bucket Bucket, rate rateLimiter) *queue {
	return &queue{
		bucket: bucket, rate: rate, waiters: map[waiterKey]*waiter{}, waiting: newPriorityQueue(),
		fast: fastQueue{refilledAt: rate.refilledAt},
	}
}

type waiterKey struct{ item, action string }

// waiter is one action of one item.
type waiter struct {
	state state
	// classes are the priority classes that it is queued in.
	classes   class
	requester Requester
	// urgentAt is when a claim that must not be urgent yet may become urgent.
	urgentAt time.Time
	since    time.Time
	queuedAt time.Time
	// sequence orders waiters of equal age: first in, first out.
	sequence  uint64
	startedAt time.Time
	// throttled says that the API throttled its last call.
	throttled bool
}

type state int

const (
	idle state = iota
	queued
	granted
	calling
)

func (q *queue) waiter(key waiterKey) *waiter {
	w := q.waiters[key]
	if w == nil {
		w = &waiter{}
		q.waiters[key] = w
		if !slices.Contains(q.actions, key.action) {
			q.actions = append(q.actions, key.action)
		}
	}
	return w
}

// enqueue adds a waiter, or moves it where its claim changed: a claim can become
// urgent, or due, while it is queued.
func (q *queue) enqueue(w *waiter, claim Claim, now time.Time) {
	var classes class
	classes, w.urgentAt = q.waiting.classesOf(claim, now)
	switch w.state {
	case idle:
		q.sequence++
		w.since, w.queuedAt, w.sequence = claim.Since, now, q.sequence
	case queued:
		if classes == w.classes && (!classes.has(urgent) || claim.Requester == w.requester) {
			return
		}
		q.remove(w)
	default:
		return
	}
	w.classes, w.requester = classes, claim.Requester
	q.add(w)
}

func (q *queue) add(w *waiter) {
	if w.classes == fast {
		q.fast.waiting = insert(q.fast.waiting, w, byWait)
	} else {
		q.waiting.add(w)
	}
	w.state = queued
}

// remove makes a waiter idle.
func (q *queue) remove(w *waiter) {
	same := func(other *waiter) bool { return other == w }
	switch {
	case w.classes == fast:
		q.fast.remove(w)
	case w.state == queued:
		q.waiting.remove(w)
	case w.state == granted:
		q.granted = slices.DeleteFunc(q.granted, same)
	case w.state == calling:
		q.calls = slices.DeleteFunc(q.calls, same)
	}
	w.state = idle
}

// cancel makes a waiter idle whose claim was withdrawn, and returns the token of
// a permit that it did not fetch. A call in flight continues.
func (q *queue) cancel(w *waiter) {
	if w.state == granted && w.classes == fast {
		q.fast.giveBack()
	} else if w.state == granted {
		q.rate.tokens++
	}
	if w.state == granted || w.state == queued {
		q.remove(w)
	}
}

// grant gives permits to the first waiters while there are tokens and fewer than
// maxInFlight calls in flight. The first permit of a queue goes to the waiter
// that claims: workers for unproven queues are scarce, and must not be reserved
// for a waiter that claims again later.
func (q *queue) grant(claimant *waiter, maxInFlight int, now time.Time) {
	for q.inFlight() < maxInFlight && q.waiting.size() > 0 && q.rate.consume(now) {
		w := claimant
		if q.proven || q.inFlight() > 0 {
			w = q.waiting.next(now)
		}
		q.remove(w)
		w.state = granted
		q.granted = append(q.granted, w)
	}
}

// inFlight counts the permits that were granted and not released, except fast ones.
func (q *queue) inFlight() int { return len(q.granted) + len(q.calls) }

func (q *queue) start(w *waiter, now time.Time) {
	q.remove(w)
	w.state, w.startedAt = calling, now
	q.calls = append(q.calls, w)
}

// finish ends a call that lasted for took, unless its item was forgotten meanwhile.
func (q *queue) finish(w *waiter, took time.Duration) {
	if w.state != calling {
		return
	}
	q.remove(w)
	const weight = 4     // of the earlier calls against this one
	if q.duration == 0 { // the first
		q.duration = took
	}
	q.duration = (weight*q.duration + took) / (weight + 1)
}

// lastThrottled is the flag that records whether the API throttled the last
// call: one for each item or, since an optional action may have a limit of its
// own, one for the optional actions.
func (q *queue) lastThrottled(action string, w *waiter) *bool {
	if action != "" {
		return &q.actionThrottled
	}
	return &w.throttled
}

// throttled pauses the queue and decreases its rate after the API throttled a
// call that started at startedAt, and revokes the permits that were not fetched.
// It ignores a repeated refusal of one item while other calls succeed: that says
// nothing of the bucket, and must not slow the others for good.
func (q *queue) throttled(last *bool, startedAt time.Time, retryAfter time.Duration, now time.Time) {
	repeated := *last && q.succeeded
	*last, q.succeeded = true, false
	if repeated {
		return
	}
	for _, w := range q.granted {
		q.rate.tokens++
		q.add(w)
	}
	q.granted = nil
	q.fast.revoke()
	q.fast.tokens = 0
	q.rate.pause(retryAfter, now)
	q.rate.decrease(startedAt, now)
}

// restricted reports whether the calls of the queue may use workers for long:
// they are slow, one in flight is slow already, or no call ended yet.
func (q *queue) restricted(now time.Time) bool {
	return !q.proven || q.duration > slowCall || len(q.calls) > 0 && now.Sub(q.calls[0].startedAt) > slowCall
}

// requeueAt is when a waiter should claim again: once there are tokens for all
// waiters up to its position and, where max in-flight is reached, soon. A claim
// that may become urgent before that claims again then.
func (q *queue) requeueAt(w *waiter, maxInFlight int, now time.Time) time.Time {
	position := 0
	if w.state == queued {
		position = q.waiting.position(w)
	}
	at := later(q.rate.readyAt(position+1, now), now.Add(minRequeue))
	if q.inFlight() >= maxInFlight {
		calls := q.duration * time.Duration(position/max(maxInFlight, 1)+1)
		if !q.proven { // it waits for the calls of other queues: spread the claims, with a growing delay
			calls = minRequeue + rand.N(now.Sub(w.queuedAt)+minRequeue) //nolint:gosec // it spreads, and guards nothing
		}
		at = later(at, now.Add(min(calls, maxRequeueInFlight)))
	}
	if w.urgentAt.After(now) && w.urgentAt.Before(at) {
		return later(w.urgentAt, now.Add(minRequeue))
	}
	return at
}
