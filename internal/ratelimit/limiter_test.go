// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const testRegion = "cn-hangzhou"

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// world plays workers that take turns of a budget, in time of its own: each
// target claims when it is due and a worker is free, comes back when it is
// told to, calls for as long as callFor says, and claims again an interval later.
type world struct {
	budget   *Limiter
	workers  int
	interval time.Duration
	// callFor is how long a target's call takes, and what it comes to.
	callFor func(target alicloud.Target, now time.Time) (time.Duration, error)
	// urgent targets claim as such, and restless ones again as soon as they are
	// served; namespaces are those of who asks for them.
	urgent, restless map[alicloud.Target]bool
	namespaces       map[alicloud.Target]string

	events  events
	started []asking
	claims  int
	asked   map[alicloud.Target]time.Time
}

type asking struct {
	target alicloud.Target
	at     time.Duration // since noon
	lag    time.Duration // since it was due
}

type occasion struct {
	at     time.Time
	target alicloud.Target
	dueAt  time.Time
	turn   *Permit
	err    error
}

func newWorld(options Options) *world {
	return &world{
		budget: New(options), workers: options.Concurrency, interval: time.Hour, asked: map[alicloud.Target]time.Time{},
		urgent: map[alicloud.Target]bool{}, restless: map[alicloud.Target]bool{}, namespaces: map[alicloud.Target]string{},
		callFor: func(alicloud.Target, time.Time) (time.Duration, error) { return 20 * time.Millisecond, nil },
	}
}

func (w *world) add(target alicloud.Target, at time.Duration) {
	heap.Push(&w.events, occasion{at: noon.Add(at), dueAt: noon.Add(at), target: target})
}

// run plays until so long after noon.
func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && !w.events[0].at.After(noon.Add(until)) {
		o := heap.Pop(&w.events).(occasion)
		if o.turn != nil {
			w.workers++
			o.turn.Release(true, o.err, o.at)
			w.asked[o.target] = o.at
			if w.restless[o.target] {
				heap.Push(&w.events, occasion{at: o.at, dueAt: o.at, target: o.target})
				continue
			}
			next := o.dueAt.Add(w.interval)
			for next.Before(o.at) { // slots that were missed are gone
				next = next.Add(w.interval)
			}
			heap.Push(&w.events, occasion{at: next, dueAt: next, target: o.target})
			continue
		}
		if w.workers == 0 {
			o.at = w.nextEnd()
			heap.Push(&w.events, o)
			continue
		}
		w.claims++
		turn, again := w.budget.Reserve(w.claim(o.target), o.at)
		if turn == nil {
			heap.Push(&w.events, occasion{at: again, dueAt: o.dueAt, target: o.target})
			continue
		}
		w.started = append(w.started, asking{o.target, o.at.Sub(noon), o.at.Sub(o.dueAt)})
		w.workers--
		took, err := w.callFor(o.target, o.at)
		heap.Push(&w.events, occasion{at: o.at.Add(took), dueAt: o.dueAt, target: o.target, turn: turn, err: err})
	}
}

// claim is that of a target. Restless ones are not due otherwise.
func (w *world) claim(target alicloud.Target) Claim {
	return Claim{
		Target: target, Urgent: w.urgent[target], Due: !w.restless[target], Since: w.asked[target],
		Requester: Requester{w.namespaces[target], target.LoadBalancerID},
	}
}

// nextEnd is when the first of the calls under way ends.
func (w *world) nextEnd() time.Time {
	var at time.Time
	for _, o := range w.events {
		if o.turn != nil && (at.IsZero() || o.at.Before(at)) {
			at = o.at
		}
	}
	return at.Add(1)
}

// during counts the calls that started from one time to another.
func (w *world) during(from, to time.Duration) int {
	n := 0
	for _, c := range w.started {
		if c.at >= from && c.at < to {
			n++
		}
	}
	return n
}

type events []occasion

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(occasion)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	o := (*e)[last]
	*e = (*e)[:last]
	return o
}

func lb(n int) alicloud.Target {
	return alicloud.Target{RegionID: testRegion, LoadBalancerID: fmt.Sprintf("lb-%04d", n)}
}

func TestTurnsComeAtOnceUpToTheBurstAndThenAtTheRate(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 3, Concurrency: 32})
	for i := range 8 {
		w.add(lb(i), 0)
	}
	w.run(time.Minute)
	var at []time.Duration
	for _, c := range w.started {
		at = append(at, c.at.Round(time.Millisecond))
	}
	want := []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond}
	if !slices.Equal(at, want) {
		t.Errorf("calls at %v, want %v", at, want)
	}
}

func TestARateBelowOneASecondIsKept(t *testing.T) {
	w := newWorld(Options{QPS: 0.5, Burst: 1, Concurrency: 32})
	for i := range 4 {
		w.add(lb(i), 0)
	}
	w.run(time.Minute)
	if n := w.during(0, 5*time.Second); n != 3 {
		t.Errorf("%d calls in 5 s, want those at 0, 2 and 4 s", n)
	}
}

func TestAccountsAndRegionsHaveBudgetsOfTheirOwn(t *testing.T) {
	budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	for _, step := range []struct {
		account      alicloud.Account
		region, lb   string
		comesAtOnce  bool
		becauseThere string
	}{
		{alicloud.Account{}, "cn-hangzhou", "lb-1", true, "is nobody else"},
		{alicloud.Account{}, "cn-hangzhou", "lb-2", false, "was another of the same account and region"},
		{alicloud.Account{}, "cn-beijing", "lb-1", true, "is another region"},
		{alicloud.Account{"prod", "key"}, "cn-hangzhou", "lb-1", true, "is another account"},
		{alicloud.Account{"test", "key"}, "cn-hangzhou", "lb-1", true, "is another namespace"},
		{alicloud.Account{"prod", "key"}, "cn-hangzhou", "lb-3", false, "was another of the same account and region"},
	} {
		turn, again := budget.Reserve(Claim{Target: alicloud.Target{step.account, step.region, step.lb}}, noon)
		if (turn != nil) != step.comesAtOnce {
			t.Errorf("%v %s %s: a turn at once: %v, because there %s", step.account, step.region, step.lb, turn != nil, step.becauseThere)
		}
		if turn == nil && again.Sub(noon) != time.Second {
			t.Errorf("%v %s %s: comes back after %s", step.account, step.region, step.lb, again.Sub(noon))
		}
	}
}

// More is asked for than the budget gives: 200 load balancers every 10 s want
// 20 calls a second, and 10 are there.
func TestWhenTheBudgetIsTooSmallAllAreServedInTurn(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.interval = 10 * time.Second
	const targets = 200
	for i := range targets {
		w.add(lb(i), time.Duration(i)*50*time.Millisecond)
	}
	const long = 10 * time.Minute
	w.run(long)
	if n := w.during(0, long); n < 5990 || n > 6001 {
		t.Errorf("%d calls in 10 minutes, want all of the budget's 6000", n)
	}
	last := map[alicloud.Target]time.Duration{}
	for _, c := range w.started {
		if before, again := last[c.target]; again {
			if gap := c.at - before; gap > 21*time.Second {
				t.Fatalf("%s waited %s at %s; with 200 at 10 a second each is due every 20 s", c.target, gap, c.at)
			}
		}
		last[c.target] = c.at
	}
	if len(last) != targets {
		t.Errorf("%d of %d load balancers were asked about", len(last), targets)
	}
	if perCall := float64(w.claims) / float64(len(w.started)); perCall > 3 {
		t.Errorf("%.1f claims for a call: who waits comes back too often", perCall)
	}
}

func TestWhoWasLongestUnaskedIsServedFirst(t *testing.T) {
	w := newWorld(Options{QPS: 1, Burst: 1, Concurrency: 32})
	w.add(lb(0), 0) // spends the burst
	for i, age := range []int{3, 1, 4, 2, 5} {
		w.asked[lb(age)] = noon.Add(-time.Duration(age) * time.Minute)
		w.add(lb(age), time.Duration(i+1)*time.Millisecond)
	}
	w.run(time.Minute)
	for i, c := range w.started {
		if want := lb([]int{0, 5, 4, 3, 2, 1}[i]); c.target != want {
			t.Errorf("call %d is about %s, want %s", i, c.target, want)
		}
	}
}

func TestWhatSomebodyWaitsForGoesAheadButNotForEver(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	for i := range 100 {
		w.add(lb(i), 0)
	}
	for i := 100; i < 130; i++ {
		w.urgent[lb(i)] = true
		w.add(lb(i), time.Millisecond)
	}
	w.run(time.Minute)
	urgent, routine := 0, 0
	for _, c := range w.started[1:21] {
		if w.urgent[c.target] {
			urgent++
		} else {
			routine++
		}
	}
	if routine < 4 || routine > 6 {
		t.Errorf("of the first 20 turns %d were urgent and %d routine, want one in four", urgent, routine)
	}
}

func TestAClaimThatBecomesUrgentMovesUp(t *testing.T) {
	w := newWorld(Options{QPS: 1, Burst: 1, Concurrency: 32})
	for i := range 30 {
		w.add(lb(i), 0)
	}
	w.run(0)
	w.urgent[lb(29)] = true
	w.add(lb(29), time.Millisecond) // it comes early, because somebody asked
	w.run(3 * time.Second)
	if !slices.ContainsFunc(w.started, func(c asking) bool { return c.target == lb(29) }) {
		t.Errorf("not among the first: %v", w.started)
	}
}

func TestThrottlingHalvesTheRateOnceAndCalmRestoresItStepByStep(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	w.interval = 10 * time.Second
	throttled := 0
	w.callFor = func(_ alicloud.Target, now time.Time) (time.Duration, error) {
		if now.Sub(noon) < time.Second {
			throttled++
			return 200 * time.Millisecond, &alicloud.Error{Kind: alicloud.Throttled}
		}
		return 20 * time.Millisecond, nil
	}
	for i := range 200 {
		w.add(lb(i), 0)
	}
	w.run(3 * time.Minute)
	if throttled < 20 {
		t.Fatalf("%d calls were throttled", throttled)
	}
	for _, stretch := range []struct {
		from, to time.Duration
		atLeast  float64
		atMost   float64
	}{
		{time.Second, 5 * time.Second, 4.5, 5.5},
		{5500 * time.Millisecond, 10 * time.Second, 5.5, 6.5},
		{15500 * time.Millisecond, 20 * time.Second, 7.5, 8.5},
		{2 * time.Minute, 150 * time.Second, 9.5, 10.5},
	} {
		rate := float64(w.during(stretch.from, stretch.to)) / (stretch.to - stretch.from).Seconds()
		if rate < stretch.atLeast || rate > stretch.atMost {
			t.Errorf("%.1f calls a second from %s to %s, want %v to %v", rate, stretch.from, stretch.to, stretch.atLeast, stretch.atMost)
		}
	}
}

func TestAnAPIThatOnlyThrottlesIsAskedAtTheLeastRate(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	w.interval = 10 * time.Second
	w.callFor = func(alicloud.Target, time.Time) (time.Duration, error) {
		return time.Millisecond, &alicloud.Error{Kind: alicloud.Throttled}
	}
	for i := range 50 {
		w.add(lb(i), 0)
	}
	w.run(30 * time.Minute)
	// A step of calm is undone by the next refusal, so it settles at about one step.
	if n := w.during(10*time.Minute, 20*time.Minute); n < 60 || n > 600 {
		t.Errorf("%d calls in 10 minutes", n)
	}
	w.callFor = func(alicloud.Target, time.Time) (time.Duration, error) { return time.Millisecond, nil }
	w.run(40 * time.Minute)
	if n := w.during(35*time.Minute, 36*time.Minute); n < 290 {
		t.Errorf("%d calls a minute after it recovered, want the 300 that 50 load balancers make every 10 s", n)
	}
}

func TestRetryAfterHoldsTheWholeAccountAndNobodyElse(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	w.interval = 5 * time.Second
	other := alicloud.Target{Account: alicloud.Account{"prod", "key"}, RegionID: testRegion, LoadBalancerID: "lb-other"}
	w.callFor = func(target alicloud.Target, now time.Time) (time.Duration, error) {
		switch {
		case target == lb(0) && now.Equal(noon):
			return 10 * time.Millisecond, &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: time.Second}
		case target == lb(1) && now.Equal(noon): // it was under way with the first, so it cuts nothing
			return 20 * time.Millisecond, &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: 20 * time.Second}
		}
		return 10 * time.Millisecond, nil
	}
	w.add(lb(0), 0)
	for i := range 9 {
		w.add(lb(i+1), time.Duration(i)*100*time.Millisecond)
	}
	w.add(other, 0)
	w.run(time.Minute)
	others := 0
	for _, c := range w.started {
		switch {
		case c.target == other:
			others++
		case c.at > 20*time.Millisecond && c.at < 20*time.Second:
			t.Errorf("%s was asked about at %s", c.target, c.at)
		}
	}
	if others != 13 {
		t.Errorf("the other account was asked about %d times in a minute, every 5 s", others)
	}
	if n := w.during(20*time.Second, 30*time.Second); n < 10 {
		t.Errorf("%d calls in the 10 s after the hold", n)
	}
}

// One load balancer that is always refused, among many that are not, is no
// reason to slow an account down for good; nor is a Retry-After of hours.
func TestOneThatIsThrottledForEverDoesNotStarveTheOthers(t *testing.T) {
	for name, refusal := range map[string]*alicloud.Error{
		"without Retry-After": {Kind: alicloud.Throttled}, "with a short Retry-After": {Kind: alicloud.Throttled, RetryAfter: 5 * time.Second},
		"with a long Retry-After": {Kind: alicloud.Throttled, RetryAfter: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
			w.interval = 5 * time.Second
			w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
				if target == lb(0) {
					return 20 * time.Millisecond, refusal
				}
				return 20 * time.Millisecond, nil
			}
			for i := range 25 { // 5 a second
				w.add(lb(i), time.Duration(i)*200*time.Millisecond)
			}
			w.run(10 * time.Second)
			if refusal.RetryAfter > w.interval { // it waits for as long itself
				w.callFor = func(alicloud.Target, time.Time) (time.Duration, error) { return 20 * time.Millisecond, nil }
			}
			w.run(maxHold + 20*time.Second)
			w.started = nil
			w.run(maxHold + 80*time.Second)
			if n := len(w.started); n < 285 {
				t.Errorf("%d calls in a minute, want 300", n)
			}
		})
	}
}

// Two accounts; one hangs on every call. How late the other's observations
// start must not depend on it.
func TestAnAccountThatHangsDelaysNoOther(t *testing.T) {
	sick := alicloud.Account{"sick", "key"}
	lagOf := func(hangs bool) (mean, worst time.Duration) {
		w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
		workers := 0
		w.interval = 10 * time.Second
		w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
			if target.Account == sick && hangs {
				workers++
				return 10 * time.Second, &alicloud.Error{Kind: alicloud.EndpointUnreachable}
			}
			return 20 * time.Millisecond, nil
		}
		for i := range 90 {
			well, ill := lb(i), lb(i)
			ill.Account = sick
			w.add(well, time.Duration(i)*111*time.Millisecond)
			w.add(ill, time.Duration(i)*111*time.Millisecond)
		}
		w.run(5 * time.Minute)
		n := 0
		for _, c := range w.started {
			if c.target.Account != sick {
				mean += c.lag
				worst = max(worst, c.lag)
				n++
			}
		}
		if n < 2600 {
			t.Errorf("%d calls of the account that is well", n)
		}
		return mean / time.Duration(n), worst
	}
	mean, worst := lagOf(false)
	meanBeside, worstBeside := lagOf(true)
	if meanBeside > mean*11/10 || worstBeside > worst*11/10 {
		t.Errorf("late by %s on average and %s at most, without the sick account %s and %s", meanBeside, worstBeside, mean, worst)
	}
}

// Workers are what a hanging account takes from the others: whatever the
// number of accounts that hang, most workers stay free.
func TestAccountsThatHangShareAQuarterOfTheWorkers(t *testing.T) {
	for _, accounts := range []int{1, 3, 20} {
		w := newWorld(Options{QPS: 10, Burst: 5, Concurrency: 32})
		busy, most := 0, 0
		w.interval = 10 * time.Second
		w.add(alicloud.Target{Account: alicloud.Account{"well", "key"}, RegionID: testRegion, LoadBalancerID: "lb-well"}, 0)
		w.callFor = func(target alicloud.Target, now time.Time) (time.Duration, error) {
			if target.Account.Namespace == "well" {
				return 20 * time.Millisecond, nil
			}
			if now.Sub(noon) > time.Minute {
				busy = 1
				for i := range w.events {
					if w.events[i].turn != nil && w.events[i].target.Account.Namespace != "well" {
						busy++
					}
				}
				most = max(most, busy)
			}
			return 10 * time.Second, &alicloud.Error{Kind: alicloud.EndpointUnreachable}
		}
		for a := range accounts {
			for i := range 100 / accounts {
				target := lb(i)
				target.Account = alicloud.Account{"sick", fmt.Sprint("key-", a)}
				w.add(target, time.Duration(i)*300*time.Millisecond)
			}
		}
		w.run(3 * time.Minute)
		if most > 8 || most < 1 {
			t.Errorf("%d accounts that hang hold %d of 32 workers", accounts, most)
		}
	}
}

func TestAHangThatEndsIsRecoveredFromWithinAnInterval(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	w.interval = 30 * time.Second
	const healsAt = 2 * time.Minute
	w.callFor = func(_ alicloud.Target, now time.Time) (time.Duration, error) {
		if now.Sub(noon) < healsAt {
			return 10 * time.Second, &alicloud.Error{Kind: alicloud.EndpointUnreachable}
		}
		return 20 * time.Millisecond, nil
	}
	w.add(alicloud.Target{Account: alicloud.Account{"well", "key"}, RegionID: testRegion, LoadBalancerID: "lb-well"}, 0)
	for i := range 250 {
		w.add(lb(i), time.Duration(i)*120*time.Millisecond)
	}
	w.run(5 * time.Minute)
	asked := map[alicloud.Target]bool{}
	for _, c := range w.started {
		if c.at >= healsAt && c.at < healsAt+w.interval+25*time.Second { // 250 at 10 a second
			asked[c.target] = true
		}
	}
	if len(asked) < 250 {
		t.Errorf("%d of 250 load balancers were asked about within an interval and the time that the budget needs", len(asked))
	}
}

// A start among ten thousand: they are due within one interval, and the budget
// needs longer than that for all of them.
func TestAStartAmongTenThousandStaysWithinTheBudget(t *testing.T) {
	const fleet, qps, burst = 10000, 250, 20
	w := newWorld(Options{QPS: qps, Burst: burst, Concurrency: 32})
	w.interval = 30 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	for i := range fleet {
		w.asked[lb(i)] = noon.Add(-time.Duration(random.Int64N(int64(time.Minute))))
		w.add(lb(i), time.Duration(random.Int64N(int64(w.interval))))
	}
	newcomer := lb(fleet)
	w.urgent[newcomer] = true
	w.add(newcomer, 20*time.Second)
	budgetTime := time.Duration(fleet) * time.Second / qps
	w.run(w.interval + budgetTime)
	first := map[alicloud.Target]time.Duration{}
	perSecond := map[int]int{}
	for _, c := range w.started {
		perSecond[int(c.at.Seconds())]++
		if _, known := first[c.target]; !known {
			first[c.target] = c.at
		}
	}
	if len(first) != fleet+1 {
		t.Errorf("%d of %d were asked about within an interval and the time that the budget needs", len(first), fleet+1)
	}
	for second, n := range perSecond {
		if n > qps+burst {
			t.Errorf("%d calls in second %d", n, second)
		}
	}
	if late := first[newcomer] - 20*time.Second; late > 100*time.Millisecond {
		t.Errorf("the new one waited %s behind routine ones", late)
	}
}

func TestATurnThatIsNotUsedIsForSomebodyElse(t *testing.T) {
	budget := New(Options{QPS: 0.001, Burst: 1, Concurrency: 32})
	for range 3 {
		turn, _ := budget.Reserve(Claim{Target: lb(1)}, noon)
		if turn == nil {
			t.Fatal("no turn")
		}
		turn.Release(false, &alicloud.Error{Kind: alicloud.CredentialsNotFound}, noon)
	}
}

func TestWhoLeavesTheLineHoldsNobodyUp(t *testing.T) {
	for name, leave := range map[string]func(*Limiter, alicloud.Target){"suspended": (*Limiter).CancelAll, "deleted": (*Limiter).Forget} {
		t.Run(name, func(t *testing.T) {
			budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			take := func(n int, at time.Duration) *Permit {
				turn, _ := budget.Reserve(Claim{Target: lb(n)}, noon.Add(at))
				return turn
			}
			if take(0, 0) == nil || take(1, 0) != nil || take(2, 0) != nil {
				t.Fatal("the burst is 1")
			}
			leave(budget, lb(1))
			if take(2, time.Second) == nil {
				t.Error("the second in line did not move up")
			}
		})
	}
}

func TestTheRateIsKeptWhenManyWorkersTakeTurns(t *testing.T) {
	budget := New(Options{QPS: 10, Burst: 50, Concurrency: 1000})
	var mu sync.Mutex
	var group sync.WaitGroup
	given := 0
	for worker := range 16 {
		group.Go(func() {
			for i := range 50 {
				turn, _ := budget.Reserve(Claim{Target: lb(worker*50 + i)}, noon.Add(time.Second))
				if turn == nil {
					continue
				}
				turn.Release(true, nil, noon.Add(time.Second))
				mu.Lock()
				given++
				mu.Unlock()
			}
			budget.Rates(noon, func(alicloud.Account, string, float64) {})
		})
	}
	group.Wait()
	if given != 50 {
		t.Errorf("%d turns at once, want the burst of 50", given)
	}
}

func BenchmarkTakeATurnWithTenThousandInLine(b *testing.B) {
	budget := New(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	const line = 10000
	targets := make([]alicloud.Target, line)
	asked := make([]time.Time, line)
	for i := range line {
		targets[i], asked[i] = lb(i), noon.Add(time.Duration(i)*time.Millisecond)
		budget.Reserve(Claim{Target: targets[i], Since: asked[i]}, noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		at := int(math.Mod(float64(i), line))
		if turn, _ := budget.Reserve(Claim{Target: targets[at], Since: asked[at]}, now); turn != nil {
			asked[at] = now
			turn.Release(true, nil, now)
		}
	}
}

// Urgent claims of a thousand namespaces, each namespace with ten.
func BenchmarkTakeAnUrgentPermitWithTenThousandQueued(b *testing.B) {
	budget := New(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	const queued = 10000
	claims := make([]Claim, queued)
	for i := range claims {
		claims[i] = Claim{
			Target: lb(i), Urgent: true, Since: noon.Add(time.Duration(i) * time.Millisecond),
			Requester: Requester{fmt.Sprint("namespace-", i%1000), fmt.Sprint("object-", i)},
		}
		budget.Reserve(claims[i], noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		claim := &claims[i%queued]
		if turn, _ := budget.Reserve(*claim, now); turn != nil {
			claim.Since = now
			turn.Release(true, nil, now)
		}
	}
}

// Ten thousand accounts that are new, of which most wait for others' first calls.
func BenchmarkTakeAPermitAmongTenThousandNewAccounts(b *testing.B) {
	budget := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	const accounts = 10000
	targets := make([]alicloud.Target, accounts)
	for i := range targets {
		targets[i] = alicloud.Target{alicloud.Account{fmt.Sprint("namespace-", i), "key"}, testRegion, "lb-1"}
		budget.Reserve(Claim{Target: targets[i]}, noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		budget.Reserve(Claim{Target: targets[i%accounts]}, now)
	}
}
