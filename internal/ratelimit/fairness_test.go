// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// calm adds load balancers that are due every interval, 250 at 30 s: five
// sixths of a budget of 10 a second.
func (w *world) calm(n int) {
	w.interval = 30 * time.Second
	for i := range n {
		w.namespaces[lb(i)] = "calm"
		w.asked[lb(i)] = noon.Add(-time.Second)
		w.add(lb(i), time.Duration(i)*w.interval/time.Duration(n))
	}
}

// pester adds load balancers of a namespace that are asked for again as soon
// as they are served.
func (w *world) pester(namespace string, from, n int, at time.Duration) {
	for i := from; i < from+n; i++ {
		w.urgent[lb(i)], w.restless[lb(i)], w.namespaces[lb(i)] = true, true, namespace
		w.asked[lb(i)] = noon.Add(-time.Second)
		w.add(lb(i), at)
	}
}

// oldest is the longest that a target of a namespace went without a call.
func (w *world) oldest(namespace string, until time.Duration) time.Duration {
	last := map[alicloud.Target]time.Duration{}
	oldest := time.Duration(0)
	for _, c := range w.started {
		if w.namespaces[c.target] == namespace {
			oldest = max(oldest, c.at-last[c.target])
			last[c.target] = c.at
		}
	}
	for _, at := range last {
		oldest = max(oldest, until-at)
	}
	return oldest
}

func TestANamespaceThatAsksWithoutEndMakesNoOthersAnswersOld(t *testing.T) {
	for name, namespaces := range map[string]int{"one": 1, "twenty": 20} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
			w.calm(250)
			for n := range namespaces {
				w.pester(fmt.Sprint("greedy-", n), 1000+n*500/namespaces, 500/namespaces, time.Minute)
			}
			guest, guestWaited := lb(9000), time.Duration(0)
			w.urgent[guest], w.namespaces[guest] = true, "guest"
			w.add(guest, 5*time.Minute)
			const long = 10 * time.Minute
			w.run(long)
			for _, c := range w.started {
				if c.target == guest {
					guestWaited = max(guestWaited, c.lag)
				}
			}
			t.Logf("the oldest answer was %s old, a single request waited %s", w.oldest("calm", long), guestWaited)
			if age := w.oldest("calm", long); age > 45*time.Second {
				t.Errorf("an answer was %s old, at an interval of 30 s", age)
			}
			// A permit for each namespace, each among three routine ones.
			if limit := time.Duration(namespaces+1)*400*time.Millisecond + 100*time.Millisecond; guestWaited == 0 || guestWaited > limit {
				t.Errorf("a single request of another namespace waited %s, want up to %s", guestWaited, limit)
			}
			if n := w.during(0, long); n < 5890 { // 8.3 a second in the first minute
				t.Errorf("%d calls of 5900", n)
			}
		})
	}
}

func TestUrgentPermitsGoRoundByNamespace(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.pester("many", 100, 80, 0)
	w.pester("few", 200, 10, 0)
	w.pester("other", 300, 10, 0)
	w.run(3 * time.Second)
	got := map[string]int{}
	for _, c := range w.started[1:25] {
		got[w.namespaces[c.target]]++
	}
	if got["many"] != 8 || got["few"] != 8 || got["other"] != 8 {
		t.Errorf("24 permits went to %v", got)
	}
}

// Within a namespace the longest unasked is first, a new object before all.
func TestTheUrgentClaimsOfANamespaceAreOrderedByAge(t *testing.T) {
	w := newWorld(Options{QPS: 1, Burst: 1, Concurrency: 32})
	w.add(lb(0), 0) // spends the burst
	for i, age := range []int{3, 0, 1, 2} {
		w.urgent[lb(1+age)] = true
		if age > 0 {
			w.asked[lb(1+age)] = noon.Add(-time.Duration(age) * time.Minute)
		}
		w.add(lb(1+age), time.Duration(i+1)*time.Millisecond)
	}
	w.run(time.Minute)
	for i, want := range []int{0, 1, 4, 3, 2} {
		if got := w.started[i].target; got != lb(want) {
			t.Errorf("call %d is about %s, want %s", i, got, lb(want))
		}
	}
}

// The routine claims keep the budget busy, so that only urgent ones come soon.
func TestAnObjectGetsThreeUrgentPermitsInARowThenOneInFiveSeconds(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.calm(600) // twice the budget
	w.pester("greedy", 1000, 1, 10*time.Second)
	w.run(2 * time.Minute)
	var at []time.Duration
	for _, c := range w.started {
		if c.target == lb(1000) {
			at = append(at, c.at)
		}
	}
	if len(at) < 10 || at[2] > 12*time.Second {
		t.Fatalf("served at %v", at)
	}
	for i := 3; i < len(at); i++ {
		// Three of them at most in any ten seconds, and soon after that.
		if apart := at[i] - at[i-3]; apart < 4*time.Second {
			t.Errorf("four permits within %s, at %s", apart, at[i])
		}
	}
	if n := len(at); n < 23 || n > 27 {
		t.Errorf("%d permits in 110 s, want three and then one in five seconds: %v", n, at)
	}
}

func TestWithNothingElseToDoAnObjectIsServedAsOftenAsItAsks(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.pester("greedy", 1, 1, 0)
	w.run(10 * time.Second)
	if n := len(w.started); n < 90 {
		t.Errorf("%d calls in 10 s at 10 a second", n)
	}
}

// Asking for more must not make an object wait longer than asking for nothing.
func TestAnUrgentClaimThatIsDueIsServedAsRoutineToo(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.calm(600) // twice the budget: each is served once a minute
	for i := range 200 {
		w.urgent[lb(3*i)], w.namespaces[lb(3*i)] = true, "asks"
	}
	const long = 10 * time.Minute
	w.run(long)
	asks, calm := w.oldest("asks", long), w.oldest("calm", long)
	if asks > calm || calm > 90*time.Second {
		t.Errorf("one that asks was not asked about for %s, one that does not for %s", asks, calm)
	}
}

// Urgent claims that nothing routine waits behind take nothing from it.
func TestUrgentPermitsThatDelayNothingLeaveTheCredit(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 1, Concurrency: 32})
	w.pester("greedy", 1000, 500, 0)
	w.run(time.Minute)
	clear(w.restless)
	w.calm(100)
	before := len(w.started)
	w.run(62 * time.Second)
	urgent := 0
	for _, c := range w.started[before:] {
		if w.urgent[c.target] {
			urgent++
		}
	}
	if n := len(w.started) - before; n < 19 || urgent < 13 {
		t.Errorf("of the first %d permits with routine claims %d were urgent, want three in four", n, urgent)
	}
}

// Whoever creates load balancer after load balancer must not be ahead of all that are known.
func TestOneThatWasNeverAskedAboutWaitsAsRoutineFromWhenItIsQueued(t *testing.T) {
	budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	fresh, known, later := Claim{Target: lb(1)}, ago(2, "", time.Second), ago(3, "", -time.Millisecond)
	for i, got := range firstServed(t, budget, fresh, later, known) {
		if want := []Claim{known, fresh, later}[i]; got != want {
			t.Errorf("permit %d is for %+v, want %+v", i, got, want)
		}
	}
}

func TestWhatIsKnownOfRequestersIsBounded(t *testing.T) {
	w := newWorld(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	for i := range 20000 {
		w.urgent[lb(i)] = true
		w.add(lb(i), time.Duration(i)*10*time.Millisecond)
	}
	most := 0
	w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
		most = max(most, len(w.budget.queues[keyOf(target)].urgent.busyUntil))
		return time.Millisecond, nil
	}
	w.run(200 * time.Second)
	if most < 100 || most > 2000 {
		t.Errorf("up to %d objects were remembered, of 500 in any five seconds", most)
	}
}

// hang adds accounts whose calls hang, in one namespace or in one each.
func hanging(accounts int, oneNamespace bool) []alicloud.Account {
	list := make([]alicloud.Account, accounts)
	for a := range list {
		list[a] = alicloud.Account{fmt.Sprint("sick-", a), "key"}
		if oneNamespace {
			list[a] = alicloud.Account{"sick", fmt.Sprint("key-", a)}
		}
	}
	return list
}

// New accounts, that nothing is known of: anyone can create a hundred.
func TestNewAccountsThatHangLeaveMostWorkersToTheOthers(t *testing.T) {
	for _, accounts := range []int{1, 20, 100} {
		for namespaces, oneNamespace := range map[string]bool{"in one namespace": true, "in one each": false} {
			t.Run(fmt.Sprintf("%d %s", accounts, namespaces), func(t *testing.T) {
				w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
				w.interval = 10 * time.Second
				busy, most := 0, 0
				w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
					if target.Account.IsDefault() {
						return 20 * time.Millisecond, nil
					}
					busy = 1
					for i := range w.events {
						if w.events[i].turn != nil && !w.events[i].target.Account.IsDefault() {
							busy++
						}
					}
					most = max(most, busy)
					return 10 * time.Second, &alicloud.Error{Kind: alicloud.EndpointUnreachable}
				}
				for i := range 90 {
					w.add(lb(i), time.Duration(i)*111*time.Millisecond)
				}
				for _, account := range hanging(accounts, oneNamespace) {
					for i := range max(100/accounts, 3) {
						target := lb(i)
						target.Account = account
						w.add(target, 15*time.Second)
					}
				}
				w.add(alicloud.Target{Account: alicloud.Account{"new", "key"}, RegionID: testRegion, LoadBalancerID: "lb-new"}, time.Minute)
				w.run(3 * time.Minute)
				if most > 8 {
					t.Errorf("they hold %d of 32 workers", most)
				}
				for _, c := range w.started {
					if c.target.Account.IsDefault() && c.lag > 50*time.Millisecond {
						t.Fatalf("%s was late by %s", c.target, c.lag)
					}
				}
			})
		}
	}
}

// Those of one namespace leave room for the first call of another's account.
func TestNewAccountsOfOneNamespaceThatHangDoNotKeepANewOneFromItsFirstCall(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	w.interval = 10 * time.Second
	w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
		if target.Account.Namespace == "sick" {
			return 10 * time.Second, &alicloud.Error{Kind: alicloud.EndpointUnreachable}
		}
		return 20 * time.Millisecond, nil
	}
	for _, account := range hanging(100, true) {
		w.add(alicloud.Target{account, testRegion, "lb-sick"}, 0)
	}
	for i := range 10 {
		w.add(alicloud.Target{alicloud.Account{fmt.Sprint("well-", i), "key"}, testRegion, "lb-well"}, time.Duration(i)*5*time.Second)
	}
	w.run(2 * time.Minute)
	well := 0
	for _, c := range w.started {
		if c.target.LoadBalancerID == "lb-well" {
			well++
			if c.lag > 100*time.Millisecond {
				t.Errorf("%s was late by %s", c.target, c.lag)
			}
		}
	}
	if well < 90 {
		t.Errorf("%d calls of those that are well", well)
	}
}

func TestAHundredNewAccountsThatAreWellStartAtOnce(t *testing.T) {
	w := newWorld(Options{QPS: 10, Burst: 20, Concurrency: 32})
	for _, account := range hanging(100, true) {
		for i := range 5 {
			target := lb(i)
			target.Account = account
			w.add(target, 0)
		}
	}
	w.run(time.Minute)
	if n := len(w.started); n != 500 {
		t.Fatalf("%d calls of 500", n)
	}
	// 500 calls of 20 ms on 32 workers take 0.3 s.
	if last := w.started[499].at; last > time.Second {
		t.Errorf("the last call started after %s", last)
	}
	if perCall := float64(w.claims) / 500; perCall > 8 {
		t.Errorf("%.1f claims for a call: who waits comes back too often", perCall)
	}
	t.Logf("the last of 500 calls started after %s, %.1f claims a call", w.started[499].at, float64(w.claims)/500)
}

// secondClaims lets each account have a first permit, which ends as end says,
// and returns how many of them get a second one at the same moment.
func secondClaims(t *testing.T, accounts []alicloud.Account, end func(turn *Permit, now time.Time) time.Time) int {
	t.Helper()
	budget := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	now := noon
	for _, account := range accounts {
		turn, _ := budget.Reserve(Claim{Target: alicloud.Target{account, testRegion, "lb"}}, now)
		if turn == nil {
			t.Fatalf("%s has no first permit", account)
		}
		now = end(turn, now)
	}
	permits := 0
	for _, account := range accounts {
		if turn, _ := budget.Reserve(Claim{Target: alicloud.Target{account, testRegion, "lb"}}, now); turn != nil {
			permits++
		}
	}
	return permits
}

func TestAnAccountIsDoubtfulUntilACallEndedSoon(t *testing.T) {
	for name, step := range map[string]struct {
		end  func(turn *Permit, now time.Time) time.Time
		want int
	}{
		"its credentials failed": {func(turn *Permit, now time.Time) time.Time {
			turn.Release(false, &alicloud.Error{Kind: alicloud.CredentialsNotFound}, now)
			return now
		}, 8},
		"its first call timed out": {func(turn *Permit, now time.Time) time.Time {
			now = now.Add(3 * time.Second)
			turn.Release(true, &alicloud.Error{Kind: alicloud.EndpointUnreachable}, now)
			return now
		}, 8},
		"its first call was answered": {func(turn *Permit, now time.Time) time.Time {
			turn.Release(true, nil, now)
			return now
		}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got := secondClaims(t, hanging(100, false), step.end); got != step.want {
				t.Errorf("%d of 100 accounts have a permit at once, want %d", got, step.want)
			}
		})
	}
}

// However many load balancers the one has, and however few the other.
func TestASlowAccountLeavesLanesToAnother(t *testing.T) {
	w := newWorld(Options{QPS: 100, Burst: 20, Concurrency: 32})
	w.interval = 10 * time.Second
	w.callFor = func(target alicloud.Target, _ time.Time) (time.Duration, error) {
		if target.Account.IsDefault() {
			return 20 * time.Millisecond, nil
		}
		return 2 * time.Second, nil
	}
	w.add(lb(0), 0)
	for i, account := range hanging(4, true) {
		for n := range []int{1000, 2, 2, 2}[i] {
			target := lb(n)
			target.Account = account
			w.add(target, time.Duration(i)*time.Minute)
		}
	}
	w.run(5 * time.Minute)
	for _, c := range w.started {
		if c.target.Account.Namespace == "sick" && c.target.Account.Name != "key-0" && c.lag > 10*time.Second {
			t.Errorf("%s was late by %s", c.target, c.lag)
		}
	}
}

// As of a Secret that does not exist.
func TestAccountsThatNeverCallTakeNoLanesFromASlowOne(t *testing.T) {
	budget := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	for _, account := range hanging(20, false) {
		turn, _ := budget.Reserve(Claim{Target: alicloud.Target{account, testRegion, "lb"}}, noon)
		turn.Release(false, &alicloud.Error{Kind: alicloud.CredentialsNotFound}, noon)
	}
	turn, _ := budget.Reserve(Claim{Target: lb(0)}, noon)
	turn.Release(true, nil, noon.Add(2*time.Second))
	permits := 0
	for n := range 20 {
		if turn, _ := budget.Reserve(Claim{Target: lb(n)}, noon.Add(2*time.Second)); turn != nil {
			permits++
		}
	}
	if permits != 6 {
		t.Errorf("the slow one has %d permits at once, want three quarters of eight", permits)
	}
}

func TestAnAccountThatIsGoneLeavesNothingBehind(t *testing.T) {
	for name, forget := range map[string]func(budget *Limiter, turn *Permit, now time.Time){
		"after its call":  func(budget *Limiter, turn *Permit, now time.Time) { turn.Release(true, nil, now); budget.Forget(lb(1)) },
		"during its call": func(budget *Limiter, turn *Permit, now time.Time) { budget.Forget(lb(1)); turn.Release(true, nil, now) },
	} {
		t.Run(name, func(t *testing.T) {
			budget := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
			turn, _ := budget.Reserve(Claim{Target: lb(1)}, noon)
			forget(budget, turn, noon.Add(2*time.Second))
			if len(budget.queues)+len(budget.busy)+budget.doubtful != 0 {
				t.Errorf("%d accounts, %d of them busy and %d doubtful", len(budget.queues), len(budget.busy), budget.doubtful)
			}
		})
	}
}

// A refusal within the pause after a cut takes back the permits that are out,
// and not the tokens: they cost no call.
func TestPermitsThatARefusalTakesBackSpendNoToken(t *testing.T) {
	budget := New(Options{QPS: 1, Burst: 4, Concurrency: 32})
	at := noon.Add
	take := func(n int, now time.Time) *Permit {
		turn, _ := budget.Reserve(ago(n, "", 0), now)
		return turn
	}
	first, second := take(1, noon), take(2, noon)
	first.Release(true, &alicloud.Error{Kind: alicloud.Throttled}, noon) // cuts the rate to a half
	if take(3, at(time.Second)) != nil || take(4, at(time.Second)) != nil {
		t.Fatal("a permit at once after a cut")
	}
	if take(4, at(2*time.Second)) != nil {
		t.Fatal("the permit is for the one that was first")
	}
	second.Release(true, &alicloud.Error{Kind: alicloud.Throttled}, at(2*time.Second)) // started before the cut
	if take(3, at(2*time.Second)) == nil {
		t.Error("the token is lost")
	}
}
