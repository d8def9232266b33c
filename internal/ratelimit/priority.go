// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// class is a set of priority classes.
type class uint8

// The priority classes. A claim that is urgent and due waits in both, and gets
// the permit of the class that serves it first.
const (
	urgent class = 1 << iota
	routine
	// fast claims wait in fastQueue, behind all others.
	fast
)

func (c class) has(other class) bool { return c&other != 0 }

// priorityQueue orders the queued waiters by class and selects the one that gets
// the next permit. A further class of the same tokens needs a constant, a field, and
// its rule in each method of priorityQueue; queue and Limiter know nothing of these
// classes. The fast class has tokens of its own: fast.go.
type priorityQueue struct {
	urgent  urgentWaiters
	routine []*waiter // the longest waiting first
}

func newPriorityQueue() priorityQueue { return priorityQueue{urgent: newUrgentWaiters()} }

// classesOf returns the classes for a claim. urgentAt is later than now where
// the claim must wait as routine until then.
func (p *priorityQueue) classesOf(claim Claim, now time.Time) (classes class, urgentAt time.Time) {
	switch {
	case claim.Fast && !claim.Urgent && !claim.Due && claim.Action == "":
		return fast, time.Time{}
	case !claim.Urgent || claim.Action != "":
		return routine, time.Time{}
	}
	urgentAt = p.urgent.allowedAt(claim.Requester)
	switch {
	case urgentAt.After(now):
		return routine, urgentAt
	case claim.Due:
		return urgent | routine, urgentAt
	default:
		return urgent, urgentAt
	}
}

func (p *priorityQueue) add(w *waiter) {
	if w.classes.has(urgent) {
		p.urgent.add(w)
	}
	if w.classes.has(routine) {
		p.routine = insert(p.routine, w, byWait)
	}
}

func (p *priorityQueue) remove(w *waiter) {
	if w.classes.has(urgent) {
		p.urgent.remove(w)
	}
	if w.classes.has(routine) {
		p.routine = without(p.routine, w, byWait)
	}
}

// size counts the waiters; one that waits in two classes counts twice.
func (p *priorityQueue) size() int { return p.urgent.size + len(p.routine) }

// next selects the waiter that gets the next permit and accounts for it. The
// caller removes it.
func (p *priorityQueue) next(now time.Time) *waiter {
	routineWaits := len(p.routine) > 0
	if p.urgent.isNext(routineWaits) {
		return p.urgent.next(routineWaits, now)
	}
	p.urgent.servedRoutine()
	return p.routine[0]
}

// position estimates how many waiters get a permit before a queued one.
func (p *priorityQueue) position(w *waiter) int {
	position := math.MaxInt
	if w.classes.has(urgent) {
		n := p.urgent.position(w)
		position = n + min(len(p.routine), p.urgent.routineBefore(n))
	}
	if w.classes.has(routine) {
		n, _ := slices.BinarySearchFunc(p.routine, w, byWait)
		position = min(position, n+min(p.urgent.size, p.urgent.urgentBefore(n+1)))
	}
	return position
}

const (
	// maxUrgentInRow bounds the urgent permits in a row while routine claims
	// wait, so that neither class starves. It is also how many permits the
	// routine class gets for each urgent one once the credit is used up.
	maxUrgentInRow = 3
	// maxUrgentCredit is how many urgent permits the urgent class may get before
	// it counts as busy: a namespace that requests without end must not delay
	// the observations of all others.
	maxUrgentCredit = 30
	// requesterBurst is how many urgent permits a requester gets in a row, and
	// requesterInterval the interval after that.
	requesterBurst    = 3
	requesterInterval = 5 * time.Second
)

// urgentWaiters is the urgent class: a round robin over namespaces, so that the
// requests of one namespace do not delay those of another.
type urgentWaiters struct {
	// namespaces have waiters; the first one is next.
	namespaces  []*namespaceWaiters
	byNamespace map[string]*namespaceWaiters
	size        int
	// inRow counts the urgent permits since the last routine one.
	inRow int
	// credit is how many permits may precede routine ones, times maxUrgentInRow.
	credit int
	// paidUntil is when a requester has used up its permits at the rate of one
	// in requesterInterval.
	paidUntil map[Requester]time.Time
	sweepSize int
}

// namespaceWaiters are the urgent waiters of one namespace, the oldest first.
type namespaceWaiters struct {
	namespace string
	waiters   []*waiter
}

func newUrgentWaiters() urgentWaiters {
	return urgentWaiters{byNamespace: map[string]*namespaceWaiters{}, credit: maxUrgentCredit * maxUrgentInRow, paidUntil: map[Requester]time.Time{}}
}

func (u *urgentWaiters) add(w *waiter) {
	n := u.byNamespace[w.requester.Namespace]
	if n == nil {
		n = &namespaceWaiters{namespace: w.requester.Namespace}
		u.byNamespace[n.namespace] = n
		u.namespaces = append(u.namespaces, n)
	}
	n.waiters = insert(n.waiters, w, byAge)
	u.size++
}

func (u *urgentWaiters) remove(w *waiter) {
	n := u.byNamespace[w.requester.Namespace]
	n.waiters = without(n.waiters, w, byAge)
	u.size--
	if len(n.waiters) == 0 {
		delete(u.byNamespace, n.namespace)
		i := slices.Index(u.namespaces, n)
		u.namespaces = slices.Delete(u.namespaces, i, i+1)
	}
}

// isNext reports whether the next permit is an urgent one.
func (u *urgentWaiters) isNext(routineWaits bool) bool {
	return u.size > 0 && (!routineWaits || u.inRow < maxUrgentInRow && u.credit >= maxUrgentInRow)
}

// next returns the first waiter of the next namespace and moves that namespace
// to the end. It costs credit only where a routine waiter is delayed.
func (u *urgentWaiters) next(routineWaits bool, now time.Time) *waiter {
	u.inRow++
	if routineWaits {
		u.credit -= maxUrgentInRow
	}
	n := u.namespaces[0]
	u.namespaces[copy(u.namespaces, u.namespaces[1:])] = n
	w := n.waiters[0]
	u.paidUntil[w.requester] = later(u.paidUntil[w.requester], now).Add(requesterInterval)
	u.sweep(now)
	return w
}

// servedRoutine accounts for a routine permit.
func (u *urgentWaiters) servedRoutine() {
	u.inRow = 0
	u.credit = min(u.credit+1, maxUrgentCredit*maxUrgentInRow)
}

// allowedAt is when a requester may get its next urgent permit.
func (u *urgentWaiters) allowedAt(r Requester) time.Time {
	return u.paidUntil[r].Add(-(requesterBurst - 1) * requesterInterval)
}

// sweep deletes the requesters that have their full burst again.
func (u *urgentWaiters) sweep(now time.Time) {
	if len(u.paidUntil) < u.sweepSize {
		return
	}
	maps.DeleteFunc(u.paidUntil, func(_ Requester, until time.Time) bool { return !until.After(now) })
	u.sweepSize = 2*len(u.paidUntil) + 100
}

// position estimates how many urgent permits precede that of a waiter.
func (u *urgentWaiters) position(w *waiter) int {
	n := u.byNamespace[w.requester.Namespace]
	i, _ := slices.BinarySearchFunc(n.waiters, w, byAge)
	return min(i*len(u.namespaces)+slices.Index(u.namespaces, n), u.size-1)
}

// routineBefore is how many routine permits precede the urgent one at a
// position, if that many routine claims wait.
func (u *urgentWaiters) routineBefore(position int) int {
	return max((position+u.inRow)/maxUrgentInRow, maxUrgentInRow*(position+1)-u.credit)
}

// urgentBefore is how many urgent permits precede the given number of routine
// ones, if that many urgent claims wait.
func (u *urgentWaiters) urgentBefore(routinePermits int) int {
	return min(maxUrgentInRow*routinePermits, (u.credit+routinePermits)/maxUrgentInRow)
}

// byAge orders waiters without a call so far first, then those whose last call
// is the longest ago.
func byAge(a, b *waiter) int {
	return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.sequence, b.sequence))
}

// byWait orders waiters by their last call, the longest ago first. A waiter
// without one counts from when it was queued: a user who creates ever new load
// balancers must not delay all known ones.
func byWait(a, b *waiter) int {
	return cmp.Or(a.waitsSince().Compare(b.waitsSince()), cmp.Compare(a.sequence, b.sequence))
}

func (w *waiter) waitsSince() time.Time {
	if w.since.IsZero() {
		return w.queuedAt
	}
	return w.since
}

func insert(list []*waiter, w *waiter, order func(a, b *waiter) int) []*waiter {
	i, _ := slices.BinarySearchFunc(list, w, order)
	return slices.Insert(list, i, w)
}

func without(list []*waiter, w *waiter, order func(a, b *waiter) int) []*waiter {
	if i, found := slices.BinarySearchFunc(list, w, order); found {
		return slices.Delete(list, i, i+1)
	}
	return list
}
