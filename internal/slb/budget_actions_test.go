// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"testing"
	"time"
)

const listenersAction = "DescribeLoadBalancerListeners"

// ago is a claim for a target that was asked about so long before noon.
func ago(n int, action string, age time.Duration) Claim {
	return Claim{Target: lb(n), Action: action, Since: noon.Add(-age)}
}

// firstServed lets the claims wait behind a spent burst, asks again for all of
// them each time a permit is due, and returns the claims in the order of their permits.
func firstServed(t *testing.T, budget *Budget, claims ...Claim) []Claim {
	t.Helper()
	if turn, _ := budget.Take(Claim{Target: lb(999)}, noon); turn == nil {
		t.Fatal("the burst is spent already")
	} else {
		turn.End(true, nil, noon)
	}
	for _, claim := range claims {
		if turn, _ := budget.Take(claim, noon); turn != nil {
			t.Fatalf("%+v got a permit that is not there", claim)
		}
	}
	var served []Claim
	for second := range len(claims) + 1 {
		now := noon.Add(time.Duration(second) * time.Second)
		for i, claim := range claims {
			if claim.Target.LoadBalancerID == "" {
				continue
			}
			if turn, _ := budget.Take(claim, now); turn != nil {
				turn.End(true, nil, now)
				served = append(served, claim)
				claims[i] = Claim{}
			}
		}
	}
	return served
}

func TestEachActionOfATargetIsQueuedByItself(t *testing.T) {
	budget := NewBudget(BudgetOptions{QPS: 1, Burst: 1, Concurrency: 32})
	health, details := ago(1, "", 30*time.Second), ago(1, listenersAction, 5*time.Minute)
	served := firstServed(t, budget, health, details, ago(2, "", time.Minute))
	want := []Claim{details, ago(2, "", time.Minute), health}
	if len(served) != len(want) {
		t.Fatalf("served %v", served)
	}
	for i := range want {
		if served[i] != want[i] {
			t.Errorf("permit %d is for %+v, want the longest unasked: %+v", i, served[i], want[i])
		}
	}
}

func TestOnlyAHealthCallIsUrgent(t *testing.T) {
	budget := NewBudget(BudgetOptions{QPS: 1, Burst: 1, Concurrency: 32})
	details := ago(1, listenersAction, time.Minute)
	details.Urgent = true
	served := firstServed(t, budget, details, ago(2, "", 2*time.Minute))
	if len(served) != 2 || served[0].Action != "" {
		t.Errorf("served %+v, want the health call that waits longer first", served)
	}
}

func TestCancelIsOfOneActionAndLeaveOfAll(t *testing.T) {
	for name, step := range map[string]struct {
		leave func(*Budget)
		want  string // the actions of lb-0001 that are still queued
	}{
		"Cancel":                {func(b *Budget) { b.Cancel(ago(1, listenersAction, 0)) }, "health"},
		"Cancel of the default": {func(b *Budget) { b.Cancel(ago(1, "", 0)) }, "listeners"},
		"Leave":                 {func(b *Budget) { b.Leave(lb(1)) }, ""},
		"Forget":                {func(b *Budget) { b.Forget(lb(1)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			budget := NewBudget(BudgetOptions{QPS: 1, Burst: 1, Concurrency: 32})
			for _, claim := range []Claim{ago(9, "", 0), ago(1, "", 0), ago(1, listenersAction, 0), ago(2, "", 0)} {
				budget.Take(claim, noon)
			}
			step.leave(budget)
			queued := ""
			q := budget.queues[keyOf(lb(1))]
			for key, m := range q.members {
				if key.loadBalancerID == lb(1).LoadBalancerID && m.state == waiting {
					queued += map[string]string{"": "health", listenersAction: "listeners"}[key.action]
				}
			}
			if queued != step.want {
				t.Errorf("%q is queued, want %q", queued, step.want)
			}
			if others := len(q.routine); others != 1+min(len(step.want), 1) {
				t.Errorf("%d claims are queued", others)
			}
		})
	}
}

// A routine target is suspended while the details of it are being read.
func TestLeaveLetsACallUnderWayGoOn(t *testing.T) {
	budget := NewBudget(BudgetOptions{QPS: 1, Burst: 2, Concurrency: 32})
	turn, _ := budget.Take(ago(1, listenersAction, 0), noon)
	budget.Leave(lb(1))
	budget.Cancel(ago(1, listenersAction, 0))
	if calls := len(budget.queues[keyOf(lb(1))].calls); turn == nil || calls != 1 {
		t.Errorf("%d calls are under way", calls)
	}
	turn.End(true, nil, noon)
	if calls := len(budget.queues[keyOf(lb(1))].calls); calls != 0 {
		t.Errorf("%d calls are under way", calls)
	}
}

// Its account may be gone by then, and must not come back by that.
func TestAPermitThatEndsAfterItsTargetWasForgottenLeavesNothing(t *testing.T) {
	budget := NewBudget(BudgetOptions{QPS: 1, Burst: 2, Concurrency: 32})
	turn, _ := budget.Take(ago(1, "", 0), noon)
	budget.Forget(lb(1))
	turn.End(true, nil, noon.Add(time.Second))
	if n := len(budget.queues); n != 0 {
		t.Errorf("%d accounts are left", n)
	}
}

func TestAPermitThatIsGivenUpUnusedSpendsNoToken(t *testing.T) {
	for name, leave := range map[string]func(*Budget, Target){"suspended": (*Budget).Leave, "deleted": (*Budget).Forget} {
		t.Run(name, func(t *testing.T) {
			budget := NewBudget(BudgetOptions{QPS: 1, Burst: 1, Concurrency: 32})
			budget.Take(ago(9, "", 0), noon)
			budget.Take(ago(1, "", time.Minute), noon)
			at := noon.Add(time.Second)
			if turn, _ := budget.Take(ago(2, "", 0), at); turn != nil {
				t.Fatal("the permit is for the one that waits longest")
			}
			leave(budget, lb(1))
			if turn, _ := budget.Take(ago(2, "", 0), at); turn == nil {
				t.Error("the next one did not get the permit")
			}
		})
	}
}

// Reading four pages is four requests, as the API counts them.
func TestFurtherRequestsOfAPermitAreCharged(t *testing.T) {
	for name, err := range map[string]error{"answered": nil, "throttled": &Error{Kind: Throttled}} {
		t.Run(name, func(t *testing.T) {
			budget := NewBudget(BudgetOptions{QPS: 1, Burst: 1, Concurrency: 32})
			turn, _ := budget.Take(ago(1, listenersAction, 0), noon)
			turn.Charge(-1) // of a call that got no answer
			turn.Charge(3)
			turn.End(true, err, noon)
			next, again := budget.Take(ago(2, "", 0), noon)
			wait := 4 * time.Second
			if err != nil { // at half of the rate
				wait = 8 * time.Second
			}
			if next != nil || again.Sub(noon) < wait-2*time.Second || again.Sub(noon) > wait {
				t.Errorf("the next permit is due after %s, want about %s", again.Sub(noon), wait)
			}
		})
	}
}
