// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

const testFastInterval = 5 * time.Second

// fastTest plays the queue of one target in simulated time.
type fastTest struct {
	*reconcileTest
	health string // of the one backend
	calls  []time.Duration
	// lags are those of the routine observations.
	lags  *recordedLags
	steps int
}

func newFastTest(t *testing.T, objects ...v1alpha1.LoadBalancerHealth) *fastTest {
	t.Helper()
	test := &fastTest{reconcileTest: newReconcileTest(t, objects...), health: v1alpha1.StatusNormal, lags: &recordedLags{}}
	test.FastInterval, test.Metrics = testFastInterval, test.lags
	test.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
		test.calls = append(test.calls, test.since())
		return &alicloud.Observation{RequestID: "r", Scope: request.Scope, At: test.clock.Now(), Backends: []alicloud.Backend{
			{ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: test.health},
		}}, nil
	}
	return test
}

// since is the time of the clock since start, without the time that reading it adds.
func (t *fastTest) since() time.Duration { return t.clock.Now().Sub(start).Round(time.Millisecond) }

// happening is something that happens at a time since start, before the reconcile of then.
type happening struct {
	at time.Duration
	do func(*fastTest)
}

func signal(at time.Duration) happening {
	return happening{at, func(t *fastTest) { t.Signal(t.target) }}
}

// play reconciles the target whenever the queue would, until a time since start.
func (t *fastTest) play(until time.Duration, events ...happening) {
	slices.SortStableFunc(events, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	due := t.since()
	for {
		happens := len(events) > 0 && events[0].at <= due
		if happens {
			due = events[0].at
		}
		if due >= until {
			return
		}
		t.clock.advance(max(start.Add(due).Sub(t.clock.now), 0))
		for len(events) > 0 && events[0].at <= due {
			events[0].do(t)
			events = events[1:]
		}
		t.steps++
		due = t.since() + max(t.step(), time.Millisecond)
	}
}

// between counts the calls in [from, to).
func (t *fastTest) between(from, to time.Duration) (n int) {
	for _, at := range t.calls {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// steadyTest is a target that was observed at the start of the process.
func steadyTest(t *testing.T) *fastTest { return newFastTest(t, newObject(observedAt(start))) }

func TestQuietHourCostsNoFastCall(t *testing.T) {
	with, without := steadyTest(t), steadyTest(t)
	without.FastInterval = 0
	with.play(time.Hour)
	without.play(time.Hour)
	if !slices.Equal(with.calls, without.calls) || len(with.calls) != 60 {
		t.Errorf("%d calls, %d without fast observation", len(with.calls), len(without.calls))
	}
	equal(t, "the number of reconciles", with.steps, without.steps)
}

// A signal causes a call at once, and one in each fast interval until the target
// was steady for 90 s. Routine observations stay in their slots.
func TestSignalStartsFastObservation(t *testing.T) {
	const at = 10*time.Minute + 7*time.Second
	with, without := steadyTest(t), steadyTest(t)
	with.play(20*time.Minute, signal(at))
	without.play(20 * time.Minute)
	equal(t, "the calls at once", with.between(at, at+10*time.Millisecond), 1)
	if n := with.between(at, at+steadyAfter); n < 18 || n > 20 { // with up to two routine ones
		t.Errorf("%d calls in 90 s", n)
	}
	equal(t, "the further calls after that", with.between(at+steadyAfter, 20*time.Minute), without.between(at+steadyAfter, 20*time.Minute))
	for _, routine := range without.calls {
		if !slices.ContainsFunc(with.calls, func(call time.Duration) bool { return (call - routine).Abs() <= 2*time.Millisecond }) {
			t.Errorf("no observation in the slot at %s", routine)
		}
	}
	equal(t, "the routine observations", len(with.lags.all), len(without.lags.all))
	for i := 1; i < len(with.calls); i++ {
		if gap := with.calls[i] - with.calls[i-1]; gap > time.Minute {
			t.Errorf("no call for %s before %s", gap, with.calls[i])
		}
	}
}

func TestSignalsCostOneCallInAFastInterval(t *testing.T) {
	test := steadyTest(t)
	var storm []happening
	for at := 10 * time.Minute; at < 12*time.Minute; at += 100 * time.Millisecond {
		storm = append(storm, signal(at))
	}
	test.play(12*time.Minute, storm...)
	// The routine observations of two minutes are extra.
	if n := test.between(10*time.Minute, 12*time.Minute); n < 24 || n > 26 {
		t.Errorf("%d calls in two minutes of signals", n)
	}
}

// A transition in an observation means that others may follow, without a sign in the cluster.
func TestTransitionStartsFastObservation(t *testing.T) {
	test := steadyTest(t)
	test.play(20*time.Minute, happening{10 * time.Minute, func(t *fastTest) { t.health = v1alpha1.StatusAbnormal }})
	first := test.calls[slices.IndexFunc(test.calls, func(at time.Duration) bool { return at >= 10*time.Minute })]
	if n := test.between(first, first+steadyAfter); n != 18 {
		t.Errorf("%d calls in 90 s", n)
	}
	equal(t, "the calls in the five minutes after that", test.between(first+steadyAfter, first+steadyAfter+5*time.Minute), 5)
}

// The first observation of a process has none to compare with.
func TestFirstObservationIsNoTransition(t *testing.T) {
	test := newFastTest(t, newObject(fresh))
	test.play(50 * time.Second)
	equal(t, "the number of calls", len(test.calls), 1)
}

func TestAwaitedTargetIsObservedWhileItIsAwaited(t *testing.T) {
	test := steadyTest(t)
	awaited := false
	test.Awaited = func(target alicloud.Target) bool { return awaited && target == test.target }
	test.play(time.Hour,
		happening{10 * time.Minute, func(t *fastTest) { awaited = true; t.Signal(t.target) }},
		happening{20 * time.Minute, func(*fastTest) { awaited = false }})
	if n := test.between(10*time.Minute, 20*time.Minute); n < 120 || n > 130 { // with ten routine ones
		t.Errorf("%d calls in ten minutes", n)
	}
	if n := test.between(20*time.Minute+testFastInterval, 30*time.Minute); n > 11 {
		t.Errorf("%d calls in the ten minutes after that", n)
	}
}

// The routine observations decide on failures: after one, nothing is observed
// faster until one succeeds, and a failed fast observation changes no status.
func TestFailuresAreRoutine(t *testing.T) {
	test := steadyTest(t)
	respond := test.api.respond
	test.play(3*time.Minute,
		happening{2 * time.Minute, func(t *fastTest) { t.cluster.patches = nil }}, signal(2*time.Minute),
		happening{2*time.Minute + time.Second, func(t *fastTest) {
			t.api.respond = func(alicloud.Request) (*alicloud.Observation, error) {
				t.calls = append(t.calls, t.since())
				return nil, &alicloud.Error{Kind: alicloud.Throttled, Message: "m"}
			}
		}})
	state := test.targets.get(test.target)
	if n := test.between(2*time.Minute+time.Second, 3*time.Minute); n < 1 || n > 12 {
		t.Errorf("%d calls", n)
	}
	equal(t, "the failures that count", state.failures.sameKindInARow, 1)
	routine := test.calls[len(test.calls)-1] // no call follows the failed routine one
	if state.attemptedAt.Sub(start).Round(time.Millisecond) != routine {
		t.Errorf("a call at %s after the failed routine observation at %s", routine, state.attemptedAt.Sub(start))
	}
	test.api.respond = respond
	calls := len(test.calls)
	test.play(10*time.Minute, signal(4*time.Minute+time.Second), signal(5*time.Minute))
	if len(test.calls) < calls+20 {
		t.Errorf("%d calls after the failure", len(test.calls)-calls)
	}
}

func TestFailedFastObservationWritesNothing(t *testing.T) {
	test := steadyTest(t)
	test.play(2 * time.Minute)
	test.failWith(&alicloud.Error{Kind: alicloud.ServiceError, Message: "m"})
	writes := test.cluster.writes
	test.Signal(test.target)
	test.step()
	test.expectCalls(3)
	state := test.targets.get(test.target)
	equal(t, "the failure", state.failures.last, nil)
	equal(t, "the writes", test.cluster.writes, writes)
}

// Without a permit the target waits for one of the fast class until it is due, or steady.
func TestQueuedFastObservation(t *testing.T) {
	test := steadyTest(t)
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 100, Burst: 1000, Concurrency: 32})
	drain := func(t *fastTest) { // 40 s until the bucket is full again
		permit, _ := t.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(t.target), Item: "lb-other"}, t.clock.Now())
		permit.Charge(4000)
		permit.Release(ratelimit.Result{Called: true}, t.clock.Now())
	}
	const at = 10*time.Minute + 7*time.Second
	test.play(20*time.Minute, happening{at, drain}, signal(at+time.Second))
	// The fast class keeps two tokens, which the bucket lost before.
	equal(t, "the calls while the bucket fills", test.between(at, at+39*time.Second), 2)
	if n := test.between(at+39*time.Second, at+steadyAfter); n < 9 {
		t.Errorf("%d calls after that", n)
	}
	state := test.targets.get(test.target)
	equal(t, "still queued", state.fast.queued || !state.permitAt.IsZero(), false)
}

// While fast permits are scarce, awaited targets share them, whatever their
// intervals: the one that was observed the longest ago is next.
func TestScarceFastPermitsAreShared(t *testing.T) {
	limiter, now := ratelimit.New(ratelimit.Options{QPS: 1, Burst: 1, Concurrency: 32}), start
	recs, calls := make([]*reconciliation, 6), make([]int, 6)
	for i := range recs {
		object := newObject(every(time.Hour))
		attemptedAt := start.Add(-time.Duration(i) * time.Minute)
		recs[i] = planned(&targetState{attemptedAt: attemptedAt, firstSeenAt: attemptedAt}, nil, object)
		recs[i].target.LoadBalancerID, recs[i].plan.fast = strconv.Itoa(i), true
	}
	for ; now.Before(start.Add(5 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		for i, rec := range recs {
			if now.Before(rec.fastDueAt(testFastInterval, true)) {
				continue
			}
			if permit, _ := limiter.Reserve(claimFor(rec, now), now); permit != nil {
				permit.Release(ratelimit.Result{Called: true}, now)
				rec.state.fast.attemptedAt, calls[i] = now, calls[i]+1
			}
		}
	}
	if least, most := slices.Min(calls), slices.Max(calls); least < 20 || most-least > 2 {
		t.Errorf("calls of the targets: %d", calls)
	}
}

// A target that becomes steady while it is queued cancels its claim.
func TestSteadyTargetCancelsItsClaim(t *testing.T) {
	test := steadyTest(t)
	test.play(10 * time.Minute)
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 1, Burst: 1_000_000, Concurrency: 32})
	permit, _ := test.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(test.target), Item: "lb-other"}, test.clock.Now())
	permit.Charge(1000)
	permit.Release(ratelimit.Result{Called: true}, test.clock.Now())
	calls := len(test.calls)
	test.Signal(test.target)
	if wait := test.step(); wait > time.Minute {
		t.Errorf("the target waits %s for a fast permit, and its routine observation is due in a minute", wait)
	}
	state := test.targets.get(test.target)
	equal(t, "queued", state.fast.queued, true)
	state.attemptedAt = test.clock.Now().Add(steadyAfter - time.Second) // it is not due
	test.clock.advance(steadyAfter)
	test.step()
	equal(t, "queued after 90 s", state.fast.queued || !state.permitAt.IsZero(), false)
	equal(t, "the calls", len(test.calls), calls)
}

func TestFastDueAt(t *testing.T) {
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	type in struct {
		routine, fast, signaled, active time.Time
		interval                        time.Duration
		stalled, failing, awaited       bool
	}
	for name, test := range map[string]struct {
		in
		want time.Time
	}{
		"nothing happened":                          {in{routine: at(0)}, time.Time{}},
		"a signal":                                  {in{routine: at(0), signaled: at(7), active: at(7)}, at(7)},
		"a signal before the last attempt":          {in{routine: at(8), signaled: at(7), active: at(7)}, at(13)},
		"a signal soon after the last fast attempt": {in{routine: at(0), fast: at(6), signaled: at(7), active: at(7)}, at(11)},
		"a transition":                              {in{routine: at(0), active: at(0.1)}, at(5)},
		"after a fast attempt":                      {in{routine: at(0), fast: at(5), active: at(0.1)}, at(10)},
		"after a routine attempt":                   {in{routine: at(8), fast: at(5), active: at(0.1)}, at(13)},
		"steady":                                    {in{routine: at(86), active: at(0)}, time.Time{}},
		"steady, but awaited":                       {in{routine: at(86), active: at(0), awaited: true}, at(91)},
		"awaited, without an attempt":               {in{awaited: true}, time.Time{}.Add(testFastInterval)},
		"an interval as short":                      {in{routine: at(0), signaled: at(7), active: at(7), interval: testFastInterval}, time.Time{}},
		"stalled":                                   {in{routine: at(0), signaled: at(7), active: at(7), stalled: true}, time.Time{}},
		"failing":                                   {in{routine: at(0), signaled: at(7), active: at(7), failing: true}, time.Time{}},
	} {
		state := &targetState{attemptedAt: test.routine, fast: fastState{signaledAt: test.signaled, activeAt: test.active, attemptedAt: test.fast}}
		if test.failing {
			state.failures.last = &alicloud.Error{}
		}
		object := newObject()
		rec := &reconciliation{state: state, plan: plan{
			active: []*v1alpha1.LoadBalancerHealth{&object}, interval: cmp.Or(test.interval, time.Minute), stalled: test.stalled,
		}}
		equal(t, name, rec.fastDueAt(testFastInterval, test.awaited), test.want)
		equal(t, name+", off", rec.fastDueAt(0, test.awaited), time.Time{})
	}
}

// A fast observation shortly before a routine one is not worth its call, unless a
// signal requires it.
func TestRoutineObservationReplacesFastOne(t *testing.T) {
	object := newObject()
	rec := &reconciliation{target: testTarget, state: &targetState{attemptedAt: start}, plan: plan{active: []*v1alpha1.LoadBalancerHealth{&object}, interval: time.Minute}}
	due := rec.dueAt()
	for before, want := range map[time.Duration]bool{3 * time.Second: true, 2 * time.Second: false, -time.Second: false} {
		at := due.Add(-before)
		rec.state.fast = fastState{activeAt: at, attemptedAt: at.Add(-testFastInterval)}
		equal(t, before.String()+" before", rec.fastDueAt(testFastInterval, false).Equal(at), want)
		rec.state.fast = fastState{activeAt: at, signaledAt: at}
		equal(t, "a signal "+before.String()+" before", rec.fastDueAt(testFastInterval, false), at)
	}
}

// Another scope has other rows, which is no transition.
func TestOnlyObservationsOfOneScopeAreCompared(t *testing.T) {
	observation := func(scope alicloud.Scope, health string) *alicloud.Observation {
		return &alicloud.Observation{At: start, Scope: scope, Backends: []alicloud.Backend{{ServerID: "i-1", ServerHealthStatus: health}}}
	}
	var state fastState
	all, one := alicloud.Scope{}, alicloud.Scope{ListenerPort: 443}
	for _, step := range []struct {
		observation *alicloud.Observation
		active      bool
	}{
		{observation(all, "normal"), false}, {observation(all, "normal"), false}, {observation(one, "abnormal"), false}, {observation(one, "normal"), true},
	} {
		state.succeeded(step.observation)
		equal(t, "active", !state.activeAt.IsZero(), step.active)
	}
}

func TestRowsID(t *testing.T) {
	rows := func(backends ...alicloud.Backend) uint64 { return rowsID(&alicloud.Observation{Backends: backends}) }
	a := alicloud.Backend{ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: v1alpha1.StatusNormal}
	b, c := a, a
	b.ServerID, c.ServerHealthStatus = "i-2", v1alpha1.StatusAbnormal
	equal(t, "in another order", rows(a, b), rows(b, a))
	for name, other := range map[string]uint64{"a transition": rows(c), "a further row": rows(a, b), "the same row twice": rows(a, a), "no row": rows()} {
		if other == rows(a) {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestBackendIndex(t *testing.T) {
	var index backendIndex
	row := func(kind, id, ip string) alicloud.Backend {
		return alicloud.Backend{Type: kind, ServerID: id, ServerIP: ip}
	}
	first, second := &indexedTarget{target: testTarget}, &indexedTarget{target: alicloud.Target{LoadBalancerID: "lb-2"}}
	observed := func(allNodes bool, rows ...alicloud.Backend) []uint64 {
		return backendKeys(&alicloud.Observation{Backends: rows}, allNodes)
	}
	count := func(key string, want int) {
		t.Helper()
		equal(t, "the targets of "+key, len(index.of(key)), want)
	}
	index.replace(first, observed(true, row("ecs", "i-1", "10.0.0.1"), row("ecs", "i-2", "10.0.0.2"), row("ecs", "i-2", "10.0.0.2")))
	index.replace(second, observed(true, row("eni", "eni-1", "10.1.0.1"), row("eni", "eni-1", "10.1.0.2")))
	count("i-1", 1)
	count("i-2", 1)
	count("10.0.0.1", 0)
	count("10.1.0.2", 1)
	count(anyNode, 1)
	index.replace(second, observed(true, row("", "i-2", ""), row("eni", "eni-1", "10.1.0.2")))
	count("i-2", 2)
	count("10.1.0.1", 0)
	count("10.1.0.2", 1)
	count(anyNode, 2)
	index.replace(first, nil)
	index.replace(second, observed(false, row("", "i-2", "")))
	count("i-2", 1)
	count(anyNode, 0)
	index.replace(second, nil)
	equal(t, "the keys of no target", len(index.targets), 0)
}

// The statuses have the backends that an earlier process observed.
func TestBackendsAreIndexedFromTheStatus(t *testing.T) {
	object := newObject(observedAt(start))
	object.Status.Backends = []v1alpha1.BackendStatus{{ServerID: "i-9", Type: "ecs"}}
	test := newFastTest(t, object)
	test.indexes = true
	test.step()
	equal(t, "the targets of i-9", len(test.backends.of("i-9")), 1)
	test.Signal(test.target)
	test.step() // creates the bucket, which has lost no token yet
	test.clock.advance(time.Second)
	test.step()
	equal(t, "the targets of i-9 after an observation", len(test.backends.of("i-9")), 0)
	equal(t, "the targets of i-1 after an observation", len(test.backends.of("i-1")), 1)
	test.cluster.objects = nil
	test.step()
	equal(t, "the targets of a deleted object", len(test.backends.targets), 0)
	equal(t, "its signals", len(test.signals.pending), 0)
}
