// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// urgentInRow is how many urgent permits are given in a row while routine
	// claims wait, so that neither starves; and how many permits a routine
	// claim gets for each urgent one when urgent ones are many.
	urgentInRow = 3
	// urgentCredit is how many urgent permits are few: a namespace that asks
	// without end must not make the answers of all others old.
	urgentCredit = 30
	// requestsInRow is how many urgent permits an object gets in a row, and
	// requestEvery how often after that.
	requestsInRow = 3
	requestEvery  = 5 * time.Second
)

// urgent is the urgent claims of a queue. They go round by namespace, so that
// one namespace's requests do not hold up another's.
type urgent struct {
	// lines are the namespaces that wait: that whose permit is next first.
	lines       []*line
	byNamespace map[string]*line
	size        int
	// inRow counts the permits since the last routine one.
	inRow int
	// credit is how many permits may go ahead of routine ones, in urgentInRow-ths.
	credit int
	// busyUntil is when an object had all of its last permits at the rate that
	// it gets in the long run.
	busyUntil map[Requester]time.Time
	sweepAt   int
}

// line is the urgent claims of one namespace, the longest unasked first.
type line struct {
	namespace string
	members   []*member
}

func newUrgent() urgent {
	return urgent{byNamespace: map[string]*line{}, credit: urgentCredit * urgentInRow, busyUntil: map[Requester]time.Time{}}
}

func (u *urgent) add(m *member) {
	l := u.byNamespace[m.requester.Namespace]
	if l == nil {
		l = &line{namespace: m.requester.Namespace}
		u.byNamespace[l.namespace] = l
		u.lines = append(u.lines, l)
	}
	l.members = insert(l.members, m, byAge)
	u.size++
}

func (u *urgent) remove(m *member) {
	l := u.byNamespace[m.requester.Namespace]
	l.members = without(l.members, m, byAge)
	u.size--
	if len(l.members) == 0 {
		delete(u.byNamespace, l.namespace)
		at := slices.Index(u.lines, l)
		u.lines = slices.Delete(u.lines, at, at+1)
	}
}

// next tells whether the next permit is an urgent one.
func (u *urgent) next(routineWaits bool) bool {
	return u.size > 0 && (!routineWaits || u.inRow < urgentInRow && u.credit >= urgentInRow)
}

// take returns the member that is next, of the namespace that is next, which
// goes behind the others. Where no routine claim waits, that takes no credit.
func (u *urgent) take(routineWaits bool, now time.Time) *member {
	u.inRow++
	if routineWaits {
		u.credit -= urgentInRow
	}
	l := u.lines[0]
	u.lines[copy(u.lines, u.lines[1:])] = l
	m := l.members[0]
	u.busyUntil[m.requester] = later(u.busyUntil[m.requester], now).Add(requestEvery)
	u.sweep(now)
	return m
}

// passed takes note of a routine permit.
func (u *urgent) passed() {
	u.inRow = 0
	u.credit = min(u.credit+1, urgentCredit*urgentInRow)
}

// allowedAt is from when an object may have an urgent permit.
func (u *urgent) allowedAt(r Requester) time.Time {
	return u.busyUntil[r].Add(-(requestsInRow - 1) * requestEvery)
}

// sweep forgets the objects that may have all their permits in a row again.
func (u *urgent) sweep(now time.Time) {
	if len(u.busyUntil) < u.sweepAt {
		return
	}
	maps.DeleteFunc(u.busyUntil, func(_ Requester, until time.Time) bool { return !until.After(now) })
	u.sweepAt = 2*len(u.busyUntil) + 100
}

// ahead is about how many urgent permits are given before that of a member.
func (u *urgent) ahead(m *member) int {
	l := u.byNamespace[m.requester.Namespace]
	at, _ := slices.BinarySearchFunc(l.members, m, byAge)
	return min(at*len(u.lines)+slices.Index(u.lines, l), u.size-1)
}

// routineBefore is how many routine permits are given before the urgent one
// that has so many urgent ones before it, if that many wait.
func (u *urgent) routineBefore(ahead int) int {
	return max((ahead+u.inRow)/urgentInRow, urgentInRow*(ahead+1)-u.credit)
}

// urgentBefore is how many urgent permits are given beside so many routine ones.
func (u *urgent) urgentBefore(routine int) int {
	return min(urgentInRow*routine, (u.credit+routine)/urgentInRow)
}

// byAge orders the longest unasked first, and before them the never asked.
func byAge(a, b *member) int {
	return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.place, b.place))
}
