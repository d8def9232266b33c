// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"cmp"
	"slices"
	"time"
)

const (
	// slowCall is the duration from which calls of a queue are a danger to the
	// workers that other queues need.
	slowCall = time.Second
	// urgentInRow is how many urgent turns are given in a row while routine
	// ones wait, so that neither starves.
	urgentInRow = 3
	// leastWait keeps a target from coming back before anything can have changed.
	leastWait = 10 * time.Millisecond
	// maxLaneWait bounds how late it is noticed that calls no longer hang.
	maxLaneWait = 5 * time.Second
)

// queue is the targets of one account in one region: which of them wait for a
// turn, in what order, and which are calling.
type queue struct {
	pace    pace
	members map[memberKey]*member
	// actions are those that were ever claimed.
	actions []string
	// urgent and routine wait, the longest unasked first.
	urgent, routine []*member
	// inRow counts the urgent turns since the last routine one.
	inRow int
	// granted have a turn, and were not back yet to take it.
	granted []*member
	// calls are under way, the oldest first.
	calls []*member
	// duration is about how long calls take: a moving average.
	duration time.Duration
	// answered tells that a call was not Throttled since the last one that was.
	answered bool
	entered  uint64
}

type memberKey struct{ loadBalancerID, action string }

// member is one action of one target. It is in at most one of the queue's lists.
type member struct {
	state  state
	urgent bool
	since  time.Time
	place  uint64 // among those of equal since: in the order they came
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

// enter lets a member wait for a turn, or moves it up when it has become urgent.
func (q *queue) enter(m *member, urgent bool, since time.Time) {
	switch {
	case m.state == idle:
		q.entered++
		m.urgent, m.since, m.place = urgent, since, q.entered
	case m.state == waiting && urgent && !m.urgent:
		q.remove(m)
		m.urgent = true
	default:
		return
	}
	q.wait(m)
}

func (q *queue) wait(m *member) {
	line := q.line(m)
	at, _ := slices.BinarySearchFunc(*line, m, byAge)
	*line = slices.Insert(*line, at, m)
	m.state = waiting
}

// remove takes a member off the list that it is in.
func (q *queue) remove(m *member) {
	switch m.state {
	case waiting:
		line := q.line(m)
		if at, found := slices.BinarySearchFunc(*line, m, byAge); found {
			*line = slices.Delete(*line, at, at+1)
		}
	case granted:
		q.granted = without(q.granted, m)
	case calling:
		q.calls = without(q.calls, m)
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

func (q *queue) line(m *member) *[]*member {
	if m.urgent {
		return &q.urgent
	}
	return &q.routine
}

// grant gives turns to those in front for as long as there are tokens, and
// lanes for so many calls at once.
func (q *queue) grant(lanes int, now time.Time) {
	for len(q.granted)+len(q.calls) < lanes && len(q.urgent)+len(q.routine) > 0 && q.pace.spend(now) {
		m := q.next()
		q.remove(m)
		m.state = granted
		q.granted = append(q.granted, m)
	}
}

func (q *queue) next() *member {
	if len(q.urgent) > 0 && (q.inRow < urgentInRow || len(q.routine) == 0) {
		q.inRow++
		return q.urgent[0]
	}
	q.inRow = 0
	return q.routine[0]
}

func (q *queue) start(m *member, now time.Time) {
	q.remove(m)
	m.state, m.startedAt = calling, now
	q.calls = append(q.calls, m)
}

// end takes back a turn whose call lasted so long.
func (q *queue) end(m *member, took time.Duration) {
	q.remove(m)
	const weight = 4 // of the calls before against this one
	q.duration = (weight*q.duration + took) / (weight + 1)
}

// throttled slows the queue down after a call of a member was refused. A
// member that is refused again, while others are answered, says nothing of the
// account: it must not slow the others down for good. Turns that nobody came
// for are taken back.
func (q *queue) throttled(m *member, retryAfter time.Duration, now time.Time) {
	again := m.throttled && q.answered
	m.throttled, q.answered = true, false
	if again {
		return
	}
	for _, m := range q.granted {
		q.pace.tokens++
		q.wait(m)
	}
	q.pace.hold(retryAfter, now)
	q.pace.cut(m.startedAt, now)
	q.granted = nil
}

// slow tells whether the calls of the queue take long, or one under way does.
func (q *queue) slow(now time.Time) bool {
	return q.duration > slowCall || len(q.calls) > 0 && now.Sub(q.calls[0].startedAt) > slowCall
}

// comeBack is when a member that waits should ask for its turn again: when
// tokens for all before it have come and, where lanes are what is missing, soon.
func (q *queue) comeBack(m *member, lanes int, now time.Time) time.Time {
	ahead := q.ahead(m)
	at := later(q.pace.readyAt(ahead+1, now), now.Add(leastWait))
	if len(q.granted)+len(q.calls) >= lanes {
		calls := q.duration * time.Duration(ahead/max(lanes, 1)+1)
		at = later(at, now.Add(min(calls, maxLaneWait)))
	}
	return at
}

// ahead is about how many members have their turn before this one.
func (q *queue) ahead(m *member) int {
	at, _ := slices.BinarySearchFunc(*q.line(m), m, byAge)
	if m.urgent {
		return at + min(len(q.routine), (at+q.inRow)/urgentInRow)
	}
	return at + min(len(q.urgent), urgentInRow*(at+1))
}

func byAge(a, b *member) int {
	return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.place, b.place))
}

func without(list []*member, m *member) []*member {
	if at := slices.Index(list, m); at >= 0 {
		return slices.Delete(list, at, at+1)
	}
	return list
}
