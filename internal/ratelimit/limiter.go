// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"errors"
	"sync"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Options bound the calls.
type Options struct {
	// QPS is how many calls a second each account may make in each region.
	QPS float64
	// Burst is how many of them may come at once.
	Burst int
	// Concurrency is how many calls may be under way at once, over all
	// accounts and regions.
	Concurrency int
}

// Limiter hands out turns to call the API. Alibaba Cloud counts calls per user,
// and an account's regions are served by different endpoints, so each account
// has a rate of its own in each region, which follows what the API puts up with.
//
// When more is asked for than the rate allows, the load balancer that was
// longest not asked about has the next turn. Nobody waits in a call of Limiter:
// who gets no turn is told when to come back.
//
//	budget.go the accounts and regions side by side
//	queue.go  the order within one
//	urgent.go the urgent claims of one, namespace by namespace
//	pace.go   the rate of one
type Limiter struct {
	options Options

	mu     sync.Mutex
	queues map[queueKey]*queue
	// busy are the queues that have permits out.
	busy map[*queue]struct{}
	// doubtful counts the queues that share the workers for calls that may hang.
	doubtful int
}

type queueKey struct {
	account alicloud.Account
	region  string
}

// New returns a Limiter whose accounts and regions start at the full rate.
func New(options Options) *Limiter {
	return &Limiter{options: options, queues: map[queueKey]*queue{}, busy: map[*queue]struct{}{}}
}

// Claim asks for a turn.
type Claim struct {
	Target alicloud.Target
	// Action is the call that the permit is for; "" is DescribeHealthStatus.
	// Each action of a target is queued by itself, and the others are never urgent.
	Action string
	// Urgent claims, of something that a user just asked for, go ahead of
	// routine ones: three permits in four while they are few, and one in four
	// when they are many. One whose requester had too many counts as routine.
	Urgent bool
	// Due tells that an urgent claim is due as a routine one as well.
	Due bool
	// Requester is the object of an urgent claim.
	Requester Requester
	// Since is when the action was last called for the target; zero: never.
	Since time.Time
}

// Requester is an object that waits for an answer: of several, the one that
// waits longest.
type Requester struct {
	Namespace, Name string
}

// Permit is the permission for one call. It must be ended.
type Permit struct {
	limiter *Limiter
	queue   *queue
	member  *member
	action  string
}

// Reserve returns a turn, or nil and when to ask again. A claim that got none
// stays in line until it gets one, or CancelAll or Forget is called.
func (l *Limiter) Reserve(claim Claim, now time.Time) (*Permit, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(claim.Target, now)
	defer l.note(q)
	m := q.member(memberKey{claim.Target.LoadBalancerID, claim.Action})
	q.enter(m, claim, now)
	q.pace.count(now)
	lanes := l.lanes(q, now)
	q.grant(m, lanes, now)
	if m.state != granted {
		return nil, q.comeBack(m, lanes, now)
	}
	q.start(m, now)
	return &Permit{limiter: l, queue: q, member: m, action: claim.Action}, time.Time{}
}

// Charge spends n further tokens: for a call that took more than one request,
// as an answer of several pages does. Later calls wait for as long as that takes.
func (p *Permit) Charge(n int) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.queue.pace.tokens -= float64(max(n, 0))
}

// Release gives the turn back at now, with the error that its call came to, if
// any. A turn that was not used for a call is for somebody else.
func (p *Permit) Release(called bool, err error, now time.Time) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	q, m := p.queue, p.member
	defer p.limiter.note(q)
	q.end(m, now.Sub(m.startedAt))
	q.proven = q.proven || called
	failure, failed := errors.AsType[*alicloud.Error](err)
	switch {
	case !called:
		q.pace.tokens++
	case failed && failure.Kind == alicloud.Throttled:
		q.throttled(q.wasThrottled(p.action, m), m.startedAt, failure.RetryAfter, now)
	default:
		*q.wasThrottled(p.action, m), q.answered = false, true
	}
}

// CancelAll gives up the permits that a target waits for, or has and did not use,
// of every action. A call under way goes on.
func (l *Limiter) CancelAll(target alicloud.Target) {
	l.visit(target, func(q *queue, _ memberKey, m *member) {
		if m.state != calling {
			q.leave(m)
		}
	})
}

// Cancel is CancelAll for the one action of a claim.
func (l *Limiter) Cancel(claim Claim) {
	l.visit(claim.Target, func(q *queue, key memberKey, m *member) {
		if key.action == claim.Action && m.state != calling {
			q.leave(m)
		}
	})
}

// Forget drops what is known of a target, and with the last one of an account
// in a region also what was learned of that.
func (l *Limiter) Forget(target alicloud.Target) {
	l.visit(target, func(q *queue, key memberKey, m *member) {
		q.leave(m)
		delete(q.members, key)
		if len(q.members) == 0 {
			delete(l.queues, q.key)
		}
	})
}

// visit visits what is queued of each action of a target.
func (l *Limiter) visit(target alicloud.Target, visit func(*queue, memberKey, *member)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[keyOf(target)]
	if q == nil {
		return
	}
	defer l.note(q)
	for _, action := range q.actions {
		key := memberKey{target.LoadBalancerID, action}
		if m := q.members[key]; m != nil {
			visit(q, key, m)
		}
	}
}

// Rates visits the calls per second now allowed for each account and region
// that has load balancers.
func (l *Limiter) Rates(now time.Time, visit func(account alicloud.Account, region string, qps float64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, q := range l.queues {
		visit(key.account, key.region, q.pace.allowed(now))
	}
}

// lanes is how many calls a queue may have under way at once. A queue whose
// calls hang must not hold the workers that the others need: no queue takes
// more than three quarters of them. Those whose calls take long, and those that
// no call proved yet to be any better, share one quarter, of which a
// namespace's accounts get at most three quarters: anyone can create a hundred.
func (l *Limiter) lanes(q *queue, now time.Time) int {
	all := l.options.Concurrency
	if len(l.queues) == 1 || !q.doubtful(now) {
		return most(all)
	}
	shared := max(all/4, 1)
	left, ofNamespace := shared, most(shared)
	for other := range l.busy {
		if other == q || !other.doubtful(now) {
			continue
		}
		left -= other.held()
		if other.key.account.Namespace == q.key.account.Namespace {
			ofNamespace -= other.held()
		}
	}
	share := 1 // until the first call ends
	if q.proven {
		share = max(shared/max(l.doubtful, 1), 1)
	}
	return min(share, left, ofNamespace)
}

// most is three quarters, of one or two: one.
func most(n int) int { return max(n*3/4, 1) }

// note keeps busy and doubtful up to date after a change of a queue.
func (l *Limiter) note(q *queue) {
	if q.held() > 0 {
		l.busy[q] = struct{}{}
	} else {
		delete(l.busy, q)
	}
	slow, first := q.duration > slowCall, !q.proven && q.held()+q.queued() > 0
	switch counts := l.queues[q.key] == q && (slow || first); {
	case counts && !q.counted:
		l.doubtful++
	case !counts && q.counted:
		l.doubtful--
	default:
		return
	}
	q.counted = !q.counted
}

func (l *Limiter) queue(target alicloud.Target, now time.Time) *queue {
	key := keyOf(target)
	q := l.queues[key]
	if q == nil {
		q = newQueue(key, newPace(l.options.QPS, l.options.Burst, now))
		l.queues[key] = q
	}
	return q
}

func keyOf(target alicloud.Target) queueKey { return queueKey{target.Account, target.RegionID} }
