// SPDX-License-Identifier: Apache-2.0

// Package ratelimit gives permits to call an API that throttles. It knows
// nothing of the API: callers name the bucket that a call counts against, and
// report whether the API throttled the call.
package ratelimit

import (
	"sync"
	"time"
)

// Options bound the calls.
type Options struct {
	// QPS is the calls per second allowed for each bucket.
	QPS float64
	// Burst is the calls allowed at once for each bucket.
	Burst int
	// Concurrency is the number of workers that call, over all buckets. Limiter
	// derives the max in-flight calls of each bucket from it.
	Concurrency int
}

// Bucket identifies one rate limit: the API counts the calls of an account in
// each region, and for each product, by themselves.
type Bucket struct {
	// Namespace is the tenant that the account belongs to. Limiter bounds the
	// calls in flight of the slow buckets of one tenant.
	Namespace string
	// Account identifies the account; RateLimits exports it, so it contains no key.
	Account string
	// Region and Product are those of the API.
	Region, Product string
}

// Limiter gives permits to call. Each bucket has an AIMD rate limiter and a
// priority queue; a bound on the calls in flight keeps a bucket whose calls hang
// from using all workers.
//
// No method of Limiter waits: a claim without a permit is queued, and the caller
// gets the time to claim again.
//
//	limiter.go  the buckets side by side, and max in-flight
//	queue.go    the queue of one bucket, and the states of its waiters
//	priority.go the priority classes: which waiter gets the next permit
//	fast.go     the class below them, which uses only spare tokens
//	aimd.go     the rate of one bucket
type Limiter struct {
	options Options

	mu     sync.Mutex
	queues map[Bucket]*queue
	// active are the queues with permits in flight.
	active map[*queue]struct{}
	// restricted counts the queues that share the workers for slow calls.
	restricted int
	// fastInFlight counts the fast permits of all queues.
	fastInFlight int
}

// New returns a Limiter whose buckets start at the full rate.
func New(options Options) *Limiter {
	return &Limiter{options: options, queues: map[Bucket]*queue{}, active: map[*queue]struct{}{}}
}

// Claim requests a permit for one call.
type Claim struct {
	Bucket Bucket
	// Item is what the call is about: the id of a load balancer.
	Item string
	// Action is the call; "" is the main one. Limiter queues each action of an
	// item by itself. Only the main action can be urgent.
	Action string
	// Urgent claims have priority over routine ones: they get three permits in
	// four while they are few, and one in four while they are many. A claim
	// whose requester recently had too many urgent permits counts as routine.
	Urgent bool
	// Fast claims are extra. They get a permit only while no other claim of the
	// bucket waits, of the tokens that the bucket would lose because it is full, and
	// for at most half of the current rate: they never delay another claim. While
	// the claims need more, each of them waits longer, the oldest first.
	Fast bool
	// Due says that an urgent or fast claim is due as a routine one, too. An urgent
	// one then gets the permit of the class that serves it first; a fast one is routine.
	Due bool
	// Requester is the object that an urgent claim is for.
	Requester Requester
	// Since is when the action was last called for the item; zero: never. The
	// oldest claim is served first.
	Since time.Time
}

// Requester is the object that an urgent permit counts against: where several
// objects wait for one call, the one that has waited longest.
type Requester struct {
	Namespace, Name string
}

// Permit allows one call. The caller must release it.
type Permit struct {
	limiter *Limiter
	queue   *queue
	waiter  *waiter
	action  string
	fast    bool
}

// Result is the outcome of the call of a permit.
type Result struct {
	// Called says that the call was made. Without it, the token goes to another claim.
	Called bool
	// Throttled says that the API refused the call because of the rate.
	Throttled bool
	// RetryAfter is the pause that a throttling API requires; 0: none given.
	RetryAfter time.Duration
}

// Reserve returns a permit, or nil and the time to claim again. A claim without
// a permit stays queued until a later Reserve succeeds, or until Cancel,
// CancelAll or Forget.
func (l *Limiter) Reserve(claim Claim, now time.Time) (permit *Permit, requeueAt time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(claim.Bucket, now)
	defer l.track(q)
	w := q.waiter(waiterKey{claim.Item, claim.Action})
	q.enqueue(w, claim, now)
	if w.classes == fast {
		return l.reserveFast(q, w, now)
	}
	q.rate.refill(now)
	maxInFlight := l.maxInFlight(q, now)
	q.grant(w, maxInFlight, now)
	if w.state != granted {
		return nil, q.requeueAt(w, maxInFlight, now)
	}
	q.start(w, now)
	return &Permit{limiter: l, queue: q, waiter: w, action: claim.Action}, time.Time{}
}

// Charge consumes n more tokens: for a call that needed more than one request,
// such as a response of several pages. Later calls wait until the bucket is refilled.
func (p *Permit) Charge(n int) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	if tokens := float64(max(n, 0)); p.fast {
		p.queue.fast.charge(tokens)
	} else {
		p.queue.rate.tokens -= tokens
	}
}

// Release returns the permit at now, with the result of its call.
func (p *Permit) Release(result Result, now time.Time) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	q, w := p.queue, p.waiter
	defer p.limiter.track(q)
	if p.fast {
		q.releaseFast(w, result, now)
		return
	}
	q.finish(w, now.Sub(w.startedAt))
	q.proven = q.proven || result.Called
	switch {
	case !result.Called:
		q.rate.tokens++
	case result.Throttled:
		q.throttled(q.lastThrottled(p.action, w), w.startedAt, result.RetryAfter, now)
	default:
		*q.lastThrottled(p.action, w), q.succeeded = false, true
	}
}

// CancelAll removes every action of an item from the queue, with the permits
// that it was granted and has not fetched. Calls in flight continue.
func (l *Limiter) CancelAll(bucket Bucket, item string) {
	l.forEachAction(bucket, item, func(q *queue, _ waiterKey, w *waiter) { q.cancel(w) })
}

// Cancel is CancelAll for the one action of a claim.
func (l *Limiter) Cancel(claim Claim) {
	l.forEachAction(claim.Bucket, claim.Item, func(q *queue, key waiterKey, w *waiter) {
		if key.action == claim.Action {
			q.cancel(w)
		}
	})
}

// Forget deletes the state of an item, and with the last item of a bucket the
// state of the bucket. The permits in flight must still be released.
func (l *Limiter) Forget(bucket Bucket, item string) {
	l.forEachAction(bucket, item, func(q *queue, key waiterKey, w *waiter) {
		q.cancel(w)
		q.remove(w)
		delete(q.waiters, key)
		if len(q.waiters) == 0 {
			delete(l.queues, q.bucket)
		}
	})
}

// forEachAction visits the waiter of each action of an item.
func (l *Limiter) forEachAction(bucket Bucket, item string, visit func(*queue, waiterKey, *waiter)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[bucket]
	if q == nil {
		return
	}
	defer l.track(q)
	for _, action := range q.actions {
		key := waiterKey{item, action}
		if w := q.waiters[key]; w != nil {
			visit(q, key, w)
		}
	}
}

// Rates visits the calls per second now allowed for each bucket that has items.
func (l *Limiter) Rates(now time.Time, visit func(bucket Bucket, qps float64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for bucket, q := range l.queues {
		visit(bucket, q.rate.current(now))
	}
}

// maxInFlight bounds the calls of a queue that are in flight at once. Calls that
// hang must not use the workers that the other buckets need: no queue gets more
// than three quarters of them. The restricted queues share one quarter, and those
// of one namespace get at most three quarters of it, because any user can create
// a hundred accounts.
func (l *Limiter) maxInFlight(q *queue, now time.Time) int {
	workers := l.options.Concurrency
	if len(l.queues) == 1 || !q.restricted(now) {
		return threeQuarters(workers)
	}
	shared := max(workers/4, 1)
	free, freeOfNamespace := shared, threeQuarters(shared)
	for other := range l.active {
		if other == q || !other.restricted(now) {
			continue
		}
		free -= other.inFlight()
		if other.bucket.Namespace == q.bucket.Namespace {
			freeOfNamespace -= other.inFlight()
		}
	}
	share := 1 // until the first call ends
	if q.proven {
		share = max(shared/max(l.restricted, 1), 1)
	}
	return min(share, free, freeOfNamespace)
}

// threeQuarters rounds down, but not to 0.
func threeQuarters(n int) int { return max(n*3/4, 1) }

// track updates active, restricted and fastInFlight after a queue changed.
func (l *Limiter) track(q *queue) {
	l.fastInFlight += q.fast.inFlight() - q.fast.counted
	q.fast.counted = q.fast.inFlight()
	if q.inFlight() > 0 {
		l.active[q] = struct{}{}
	} else {
		delete(l.active, q)
	}
	slow, first := q.duration > slowCall, !q.proven && q.inFlight()+q.waiting.size() > 0
	switch counts := l.queues[q.bucket] == q && (slow || first); {
	case counts && !q.counted:
		l.restricted++
	case !counts && q.counted:
		l.restricted--
	default:
		return
	}
	q.counted = !q.counted
}

func (l *Limiter) queue(bucket Bucket, now time.Time) *queue {
	q := l.queues[bucket]
	if q == nil {
		q = newQueue(bucket, newRateLimiter(l.options.QPS, l.options.Burst, now))
		l.queues[bucket] = q
	}
	return q
}
