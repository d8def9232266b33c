// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"errors"
	"sync"
	"time"
)

// BudgetOptions bound the calls.
type BudgetOptions struct {
	// QPS is how many calls a second each account may make in each region.
	QPS float64
	// Burst is how many of them may come at once.
	Burst int
	// Concurrency is how many calls may be under way at once, over all
	// accounts and regions.
	Concurrency int
}

// Budget hands out turns to call the API. Alibaba Cloud counts calls per user,
// and an account's regions are served by different endpoints, so each account
// has a rate of its own in each region, which follows what the API puts up with.
//
// When more is asked for than the rate allows, the load balancer that was
// longest not asked about has the next turn. Nobody waits in a call of Budget:
// who gets no turn is told when to come back.
//
//	budget.go the accounts and regions side by side
//	queue.go  the order within one
//	urgent.go the urgent claims of one, namespace by namespace
//	pace.go   the rate of one
type Budget struct {
	options BudgetOptions

	mu     sync.Mutex
	queues map[queueKey]*queue
	// busy are the queues that have permits out.
	busy map[*queue]struct{}
	// doubtful counts the queues that share the workers for calls that may hang.
	doubtful int
}

type queueKey struct {
	account Account
	region  string
}

// NewBudget returns a Budget whose accounts and regions start at the full rate.
func NewBudget(options BudgetOptions) *Budget {
	return &Budget{options: options, queues: map[queueKey]*queue{}, busy: map[*queue]struct{}{}}
}

// Claim asks for a turn.
type Claim struct {
	Target Target
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

// Turn is the permission for one call. It must be ended.
type Turn struct {
	budget *Budget
	queue  *queue
	member *member
	action string
}

// Take returns a turn, or nil and when to ask again. A claim that got none
// stays in line until it gets one, or Leave or Forget is called.
func (b *Budget) Take(claim Claim, now time.Time) (*Turn, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue(claim.Target, now)
	defer b.note(q)
	m := q.member(memberKey{claim.Target.LoadBalancerID, claim.Action})
	q.enter(m, claim, now)
	q.pace.count(now)
	lanes := b.lanes(q, now)
	q.grant(m, lanes, now)
	if m.state != granted {
		return nil, q.comeBack(m, lanes, now)
	}
	q.start(m, now)
	return &Turn{budget: b, queue: q, member: m, action: claim.Action}, time.Time{}
}

// Charge spends n further tokens: for a call that took more than one request,
// as an answer of several pages does. Later calls wait for as long as that takes.
func (t *Turn) Charge(n int) {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	t.queue.pace.tokens -= float64(max(n, 0))
}

// End gives the turn back at now, with the error that its call came to, if
// any. A turn that was not used for a call is for somebody else.
func (t *Turn) End(called bool, err error, now time.Time) {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	q, m := t.queue, t.member
	defer t.budget.note(q)
	q.end(m, now.Sub(m.startedAt))
	q.proven = q.proven || called
	failure, failed := errors.AsType[*Error](err)
	switch {
	case !called:
		q.pace.tokens++
	case failed && failure.Kind == Throttled:
		q.throttled(q.wasThrottled(t.action, m), m.startedAt, failure.RetryAfter, now)
	default:
		*q.wasThrottled(t.action, m), q.answered = false, true
	}
}

// Leave gives up the permits that a target waits for, or has and did not use,
// of every action. A call under way goes on.
func (b *Budget) Leave(target Target) {
	b.leave(target, func(q *queue, _ memberKey, m *member) {
		if m.state != calling {
			q.leave(m)
		}
	})
}

// Cancel is Leave for the one action of a claim.
func (b *Budget) Cancel(claim Claim) {
	b.leave(claim.Target, func(q *queue, key memberKey, m *member) {
		if key.action == claim.Action && m.state != calling {
			q.leave(m)
		}
	})
}

// Forget drops what is known of a target, and with the last one of an account
// in a region also what was learned of that.
func (b *Budget) Forget(target Target) {
	b.leave(target, func(q *queue, key memberKey, m *member) {
		q.leave(m)
		delete(q.members, key)
		if len(q.members) == 0 {
			delete(b.queues, q.key)
		}
	})
}

// leave visits what is queued of each action of a target.
func (b *Budget) leave(target Target, visit func(*queue, memberKey, *member)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[keyOf(target)]
	if q == nil {
		return
	}
	defer b.note(q)
	for _, action := range q.actions {
		key := memberKey{target.LoadBalancerID, action}
		if m := q.members[key]; m != nil {
			visit(q, key, m)
		}
	}
}

// Allowed visits the calls per second now allowed for each account and region
// that has load balancers.
func (b *Budget) Allowed(now time.Time, visit func(account Account, region string, qps float64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, q := range b.queues {
		visit(key.account, key.region, q.pace.allowed(now))
	}
}

// lanes is how many calls a queue may have under way at once. A queue whose
// calls hang must not hold the workers that the others need: no queue takes
// more than three quarters of them. Those whose calls take long, and those that
// no call proved yet to be any better, share one quarter, of which a
// namespace's accounts get at most three quarters: anyone can create a hundred.
func (b *Budget) lanes(q *queue, now time.Time) int {
	all := b.options.Concurrency
	if len(b.queues) == 1 || !q.doubtful(now) {
		return most(all)
	}
	shared := max(all/4, 1)
	left, ofNamespace := shared, most(shared)
	for other := range b.busy {
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
		share = max(shared/max(b.doubtful, 1), 1)
	}
	return min(share, left, ofNamespace)
}

// most is three quarters, of one or two: one.
func most(n int) int { return max(n*3/4, 1) }

// note keeps busy and doubtful up to date after a change of a queue.
func (b *Budget) note(q *queue) {
	if q.held() > 0 {
		b.busy[q] = struct{}{}
	} else {
		delete(b.busy, q)
	}
	slow, first := q.duration > slowCall, !q.proven && q.held()+q.queued() > 0
	switch counts := b.queues[q.key] == q && (slow || first); {
	case counts && !q.counted:
		b.doubtful++
	case !counts && q.counted:
		b.doubtful--
	default:
		return
	}
	q.counted = !q.counted
}

func (b *Budget) queue(target Target, now time.Time) *queue {
	key := keyOf(target)
	q := b.queues[key]
	if q == nil {
		q = newQueue(key, newPace(b.options.QPS, b.options.Burst, now))
		b.queues[key] = q
	}
	return q
}

func keyOf(target Target) queueKey { return queueKey{target.Account, target.RegionID} }
