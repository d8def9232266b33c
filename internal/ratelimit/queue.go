// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// slowCall is the duration from which calls of a queue are a danger to the
	// workers that other queues need.
	slowCall = time.Second
	// leastWait keeps a target from coming back before anything can have changed.
	leastWait = 10 * time.Millisecond
	// maxLaneWait bounds how late it is noticed that calls no longer hang.
	maxLaneWait = 5 * time.Second
)

// queue is the targets of one account in one region: which of them wait for a
// turn, in what order, and which are calling.
type queue struct {
	key     queueKey
	pace    pace
	members map[memberKey]*member
	// actions are those that were ever claimed.
	actions []string
	// urgent and routine wait. A member that waits for either is in both.
	urgent  urgent
	routine []*member // the longest unasked first
	// granted have a turn, and were not back yet to take it.
	granted []*member
	// calls are under way, the oldest first.
	calls []*member
	// duration is about how long calls take: a moving average.
	duration time.Duration
	// proven tells that a call ended, so that duration says something.
	proven bool
	// counted tells that Limiter.doubtful counts it.
	counted bool
	// actionThrottled tells that the last call of an optional action was.
	actionThrottled bool
	// answered tells that a call was not Throttled since the last one that was.
	answered bool
	entered  uint64
}

func newQueue(key queueKey, pace pace) *queue {
	return &queue{key: key, pace: pace, members: map[memberKey]*member{}, urgent: newUrgent()}
}

type memberKey struct{ loadBalancerID, action string }

// member is one action of one target.
type member struct {
	state state
	// urgent and routine tell which of the permits it waits for.
	urgent, routine bool
	requester       Requester
	// urgentAt is when it may be urgent, of a claim that may not yet.
	urgentAt time.Time
	since    time.Time
	// enteredAt is when it was queued, and place its position among those of
	// equal age: in the order they came.
	enteredAt time.Time
	place     uint64
	// startedAt is when its call started.
	startedAt time.Time
	// throttled tells that its last call was.
	throttled bool
}

type state int

const (
	idle state = iota
	waiting
	granted
	calling
)

func (q *queue) member(key memberKey) *member {
	m := q.members[key]
	if m == nil {
		m = &member{}
		q.members[key] = m
		if !slices.Contains(q.actions, key.action) {
			q.actions = append(q.actions, key.action)
		}
	}
	return m
}

// enter queues a member, or changes what it waits for as its claim has changed:
// it moves up when it has become urgent, or due as well.
func (q *queue) enter(m *member, claim Claim, now time.Time) {
	urgent := claim.Urgent && claim.Action == ""
	m.urgentAt = time.Time{}
	if urgent {
		m.urgentAt = q.urgent.allowedAt(claim.Requester)
		urgent = !m.urgentAt.After(now)
	}
	routine := !urgent || claim.Due
	switch m.state {
	case idle:
		q.entered++
		m.since, m.enteredAt, m.place = claim.Since, now, q.entered
	case waiting:
		if urgent == m.urgent && routine == m.routine && (!urgent || claim.Requester == m.requester) {
			return
		}
		q.remove(m)
	default:
		return
	}
	m.urgent, m.routine, m.requester = urgent, routine, claim.Requester
	q.wait(m)
}

func (q *queue) wait(m *member) {
	if m.urgent {
		q.urgent.add(m)
	}
	if m.routine {
		q.routine = insert(q.routine, m, byWait)
	}
	m.state = waiting
}

// remove takes a member off the lists that it is in.
func (q *queue) remove(m *member) {
	switch m.state {
	case waiting:
		if m.urgent {
			q.urgent.remove(m)
		}
		if m.routine {
			q.routine = without(q.routine, m, byWait)
		}
	case granted:
		q.granted = slices.DeleteFunc(q.granted, func(other *member) bool { return other == m })
	case calling:
		q.calls = slices.DeleteFunc(q.calls, func(other *member) bool { return other == m })
	}
	m.state = idle
}

// leave is remove for a member that does not want its permit any more: a token
// that was spent on it is for another.
func (q *queue) leave(m *member) {
	if m.state == granted {
		q.pace.tokens++
	}
	q.remove(m)
}

// grant gives permits to those in front for as long as there are tokens, and
// lanes for so many calls at once. The first call of a queue is for the member
// that claims: lanes are scarce then, and none may wait for one to come back.
func (q *queue) grant(claims *member, lanes int, now time.Time) {
	for q.held() < lanes && q.queued() > 0 && q.pace.spend(now) {
		m := claims
		if q.proven || q.held() > 0 {
			m = q.next(now)
		}
		q.remove(m)
		m.state = granted
		q.granted = append(q.granted, m)
	}
}

// next is the member that gets the next permit.
func (q *queue) next(now time.Time) *member {
	routineWaits := len(q.routine) > 0
	if q.urgent.next(routineWaits) {
		return q.urgent.take(routineWaits, now)
	}
	q.urgent.passed()
	return q.routine[0]
}

// held is how many permits are out.
func (q *queue) held() int { return len(q.granted) + len(q.calls) }

// queued is how many members wait; those that wait for either permit count twice.
func (q *queue) queued() int { return q.urgent.size + len(q.routine) }

func (q *queue) start(m *member, now time.Time) {
	q.remove(m)
	m.state, m.startedAt = calling, now
	q.calls = append(q.calls, m)
}

// end takes back a permit whose call lasted so long, unless its member was
// forgotten meanwhile.
func (q *queue) end(m *member, took time.Duration) {
	if m.state != calling {
		return
	}
	q.remove(m)
	const weight = 4     // of the calls before against this one
	if q.duration == 0 { // the first
		q.duration = took
	}
	q.duration = (weight*q.duration + took) / (weight + 1)
}

// wasThrottled is where it is noted that a call was refused: of its load
// balancer, or of an optional action as a whole, which may have a limit of its own.
func (q *queue) wasThrottled(action string, m *member) *bool {
	if action != "" {
		return &q.actionThrottled
	}
	return &m.throttled
}

// throttled slows the queue down after a call that started at that time was
// refused. What is refused again, while others are answered, says nothing of the
// account: it must not slow the others down for good. Permits that were not
// used yet are taken back.
func (q *queue) throttled(before *bool, startedAt time.Time, retryAfter time.Duration, now time.Time) {
	again := *before && q.answered
	*before, q.answered = true, false
	if again {
		return
	}
	for _, m := range q.granted {
		q.pace.tokens++
		q.wait(m)
	}
	q.pace.hold(retryAfter, now)
	q.pace.cut(startedAt, now)
	q.granted = nil
}

// slow tells whether the calls of the queue take long, or one under way does.
func (q *queue) slow(now time.Time) bool {
	return q.duration > slowCall || len(q.calls) > 0 && now.Sub(q.calls[0].startedAt) > slowCall
}

// doubtful tells whether the calls of the queue may hold workers for long.
func (q *queue) doubtful(now time.Time) bool { return !q.proven || q.slow(now) }

// comeBack is when a member that waits should ask for its turn again: when
// tokens for all before it have come and, where lanes are what is missing,
// soon. One that may be urgent before that moves up then.
func (q *queue) comeBack(m *member, lanes int, now time.Time) time.Time {
	ahead := q.ahead(m)
	at := later(q.pace.readyAt(ahead+1, now), now.Add(leastWait))
	if q.held() >= lanes {
		calls := q.duration * time.Duration(ahead/max(lanes, 1)+1)
		if !q.proven { // others' calls are what it waits for: not all at once, and ever more rarely
			calls = leastWait + rand.N(now.Sub(m.enteredAt)+leastWait) //nolint:gosec // it spreads, and guards nothing
		}
		at = later(at, now.Add(min(calls, maxLaneWait)))
	}
	if m.urgentAt.After(now) && m.urgentAt.Before(at) {
		return later(m.urgentAt, now.Add(leastWait))
	}
	return at
}

// ahead is about how many members have their turn before this one.
func (q *queue) ahead(m *member) int {
	if m.state != waiting {
		return 0
	}
	ahead := math.MaxInt
	if m.urgent {
		at := q.urgent.ahead(m)
		ahead = at + min(len(q.routine), q.urgent.routineBefore(at))
	}
	if m.routine {
		at, _ := slices.BinarySearchFunc(q.routine, m, byWait)
		ahead = min(ahead, at+min(q.urgent.size, q.urgent.urgentBefore(at+1)))
	}
	return ahead
}

// byWait orders the longest unasked first. One that was never asked about
// counts from when it was queued: whoever creates ever new load balancers must
// not be ahead of all that are known.
func byWait(a, b *member) int {
	return cmp.Or(a.waitsSince().Compare(b.waitsSince()), cmp.Compare(a.place, b.place))
}

func (m *member) waitsSince() time.Time {
	if m.since.IsZero() {
		return m.enteredAt
	}
	return m.since
}

func insert(list []*member, m *member, order func(a, b *member) int) []*member {
	at, _ := slices.BinarySearchFunc(list, m, order)
	return slices.Insert(list, at, m)
}

func without(list []*member, m *member, order func(a, b *member) int) []*member {
	if at, found := slices.BinarySearchFunc(list, m, order); found {
		return slices.Delete(list, at, at+1)
	}
	return list
}
