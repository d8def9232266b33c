// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"container/heap"
	"fmt"
	"testing"
	"time"
)

const testRegion = "cn-hangzhou"

var (
	noon       = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	testBucket = Bucket{Account: "default", Region: testRegion, Product: "clb"}
	succeeded  = Result{Called: true}
	throttled  = Result{Called: true, Throttled: true}
)

// bucketOf is the bucket of an account in testRegion.
func bucketOf(namespace, name string) Bucket {
	return Bucket{Namespace: namespace, Account: namespace + "/" + name, Region: testRegion, Product: "clb"}
}

// item is a load balancer.
type item struct {
	bucket Bucket
	id     string
}

func lb(n int) item { return item{testBucket, fmt.Sprintf("lb-%04d", n)} }

func (i item) claim() Claim { return Claim{Bucket: i.bucket, Item: i.id} }

// harness runs workers against a Limiter in simulated time. Each item claims
// when it is due and a worker is free, claims again at requeueAt, calls for the
// duration that call returns, and is due again an interval later.
type harness struct {
	limiter  *Limiter
	workers  int
	interval time.Duration
	// call returns the duration and the result of a call.
	call func(i item, now time.Time) (time.Duration, Result)
	// urgent items have urgent claims, and repeating items claim again after each
	// call. namespaces are those of the requesters. Fast items claim fast permits,
	// each again fastEvery after its call.
	urgent, repeating map[item]bool
	fast              map[item]bool
	namespaces        map[item]string

	events     events
	calls      []call
	claims     int
	lastCalled map[item]time.Time
}

type call struct {
	item item
	at   time.Duration // since noon
	lag  time.Duration // since it was due
}

// event is the claim of an item, or the completion of a call where it has a permit.
type event struct {
	at     time.Time
	item   item
	dueAt  time.Time
	permit *Permit
	result Result
}

func newHarness(options Options) *harness {
	return &harness{
		limiter: New(options), workers: options.Concurrency, interval: time.Hour, lastCalled: map[item]time.Time{},
		urgent: map[item]bool{}, repeating: map[item]bool{}, fast: map[item]bool{}, namespaces: map[item]string{},
		call: func(item, time.Time) (time.Duration, Result) { return 20 * time.Millisecond, succeeded },
	}
}

func (h *harness) add(i item, at time.Duration) {
	heap.Push(&h.events, event{at: noon.Add(at), dueAt: noon.Add(at), item: i})
}

// addRoutine adds items of the namespace "routine" that are due every 30 s.
func (h *harness) addRoutine(n int) {
	h.interval = 30 * time.Second
	for i := range n {
		h.namespaces[lb(i)] = "routine"
		h.lastCalled[lb(i)] = noon.Add(-time.Second)
		h.add(lb(i), time.Duration(i)*h.interval/time.Duration(n))
	}
}

// addRepeating adds items of a namespace that has an urgent claim for each of
// them again after each call.
func (h *harness) addRepeating(namespace string, from, n int, at time.Duration) {
	for i := from; i < from+n; i++ {
		h.urgent[lb(i)], h.repeating[lb(i)], h.namespaces[lb(i)] = true, true, namespace
		h.lastCalled[lb(i)] = noon.Add(-time.Second)
		h.add(lb(i), at)
	}
}

// fastEvery is how often a fast item wants a call.
const fastEvery = 5 * time.Second

// addFast adds fast items that want their first calls at the same time.
func (h *harness) addFast(from, n int, at time.Duration) {
	for i := from; i < from+n; i++ {
		h.fast[lb(i)], h.namespaces[lb(i)] = true, "fast"
		h.lastCalled[lb(i)] = noon.Add(-time.Second)
		h.add(lb(i), at)
	}
}

// run plays all events up to so long after noon.
func (h *harness) run(until time.Duration) {
	for len(h.events) > 0 && !h.events[0].at.After(noon.Add(until)) {
		e := heap.Pop(&h.events).(event)
		switch {
		case e.permit != nil:
			h.finish(e)
		case h.workers == 0:
			e.at = h.nextFreeWorker()
			heap.Push(&h.events, e)
		default:
			h.start(e)
		}
	}
}

// start claims a permit and starts the call.
func (h *harness) start(e event) {
	h.claims++
	permit, requeueAt := h.limiter.Reserve(h.claim(e.item), e.at)
	if permit == nil {
		heap.Push(&h.events, event{at: requeueAt, dueAt: e.dueAt, item: e.item})
		return
	}
	h.calls = append(h.calls, call{e.item, e.at.Sub(noon), e.at.Sub(e.dueAt)})
	h.workers--
	duration, result := h.call(e.item, e.at)
	heap.Push(&h.events, event{at: e.at.Add(duration), dueAt: e.dueAt, item: e.item, permit: permit, result: result})
}

// finish ends a call and schedules the next claim of its item.
func (h *harness) finish(e event) {
	h.workers++
	e.permit.Release(e.result, e.at)
	h.lastCalled[e.item] = e.at
	next := e.at
	switch {
	case h.fast[e.item]:
		next = e.at.Add(fastEvery)
	case !h.repeating[e.item]:
		next = e.dueAt.Add(h.interval)
		for next.Before(e.at) { // skip missed slots
			next = next.Add(h.interval)
		}
	}
	heap.Push(&h.events, event{at: next, dueAt: next, item: e.item})
}

// claim is that of an item. Repeating and fast items are not due as routine ones.
func (h *harness) claim(i item) Claim {
	claim := i.claim()
	claim.Urgent, claim.Fast, claim.Since = h.urgent[i], h.fast[i], h.lastCalled[i]
	claim.Due = !h.repeating[i] && !h.fast[i]
	claim.Requester = Requester{h.namespaces[i], i.id}
	return claim
}

// nextFreeWorker is when the first of the calls in flight ends.
func (h *harness) nextFreeWorker() time.Time {
	var at time.Time
	for _, e := range h.events {
		if e.permit != nil && (at.IsZero() || e.at.Before(at)) {
			at = e.at
		}
	}
	return at.Add(1)
}

// count counts the calls that started in [from, to).
func (h *harness) count(from, to time.Duration) int {
	n := 0
	for _, c := range h.calls {
		if c.at >= from && c.at < to {
			n++
		}
	}
	return n
}

// inFlight counts the calls in flight for the matching items.
func (h *harness) inFlight(matches func(item) bool) int {
	n := 0
	for i := range h.events {
		if h.events[i].permit != nil && matches(h.events[i].item) {
			n++
		}
	}
	return n
}

// longestGap is the longest time without a call for an item of a namespace.
func (h *harness) longestGap(namespace string, until time.Duration) time.Duration {
	last := map[item]time.Duration{}
	gap := time.Duration(0)
	for _, c := range h.calls {
		if h.namespaces[c.item] == namespace {
			gap = max(gap, c.at-last[c.item])
			last[c.item] = c.at
		}
	}
	for _, at := range last {
		gap = max(gap, until-at)
	}
	return gap
}

// events is a container/heap by time and, so that a run does not depend on the
// number of events, by item.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at.Equal(e[j].at) {
		return e[i].item.id < e[j].item.id
	}
	return e[i].at.Before(e[j].at)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	popped := (*e)[last]
	*e = (*e)[:last]
	return popped
}

// claimAged is a claim for an item whose last call was so long before noon.
func claimAged(n int, action string, age time.Duration) Claim {
	claim := lb(n).claim()
	claim.Action, claim.Since = action, noon.Add(-age)
	return claim
}

// serveAll queues the claims behind an empty bucket, claims each of them again
// when a permit is due, and returns the claims in the order of their permits.
func serveAll(t *testing.T, limiter *Limiter, claims ...Claim) []Claim {
	t.Helper()
	first, _ := limiter.Reserve(lb(999).claim(), noon)
	if first == nil {
		t.Fatal("no permit from a full bucket")
	}
	first.Release(succeeded, noon)
	for _, claim := range claims {
		if permit, _ := limiter.Reserve(claim, noon); permit != nil {
			t.Fatalf("%+v got a permit from an empty bucket", claim)
		}
	}
	var served []Claim
	for second := range len(claims) + 1 {
		now := noon.Add(time.Duration(second) * time.Second)
		for i, claim := range claims {
			if claim.Item == "" {
				continue
			}
			if permit, _ := limiter.Reserve(claim, now); permit != nil {
				permit.Release(succeeded, now)
				served = append(served, claim)
				claims[i] = Claim{}
			}
		}
	}
	return served
}
