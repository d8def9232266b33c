// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const listenersAction = "DescribeLoadBalancerListeners"

// ago is a claim for a target that was asked about so long before noon.
func ago(n int, action string, age time.Duration) Claim {
	return Claim{Target: lb(n), Action: action, Since: noon.Add(-age)}
}

// firstServed lets the claims wait behind a spent burst, asks again for all of
// them each time a permit is due, and returns the claims in the order of their permits.
func firstServed(t *testing.T, budget *Limiter, claims ...Claim) []Claim {
	t.Helper()
	if turn, _ := budget.Reserve(Claim{Target: lb(999)}, noon); turn == nil {
		t.Fatal("the burst is spent already")
	} else {
		turn.Release(true, nil, noon)
	}
	for _, claim := range claims {
		if turn, _ := budget.Reserve(claim, noon); turn != nil {
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
			if turn, _ := budget.Reserve(claim, now); turn != nil {
				turn.Release(true, nil, now)
				served = append(served, claim)
				claims[i] = Claim{}
			}
		}
	}
	return served
}

func TestEachActionOfATargetIsQueuedByItself(t *testing.T) {
	budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
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
	budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	details := ago(1, listenersAction, time.Minute)
	details.Urgent = true
	served := firstServed(t, budget, details, ago(2, "", 2*time.Minute))
	if len(served) != 2 || served[0].Action != "" {
		t.Errorf("served %+v, want the health call that waits longer first", served)
	}
}

func TestCancelIsOfOneActionAndLeaveOfAll(t *testing.T) {
	for name, step := range map[string]struct {
		leave func(*Limiter)
		want  string // the actions of lb-0001 that are still queued
	}{
		"Cancel":                {func(l *Limiter) { l.Cancel(ago(1, listenersAction, 0)) }, "health"},
		"Cancel of the default": {func(l *Limiter) { l.Cancel(ago(1, "", 0)) }, "listeners"},
		"Leave":                 {func(l *Limiter) { l.CancelAll(lb(1)) }, ""},
		"Forget":                {func(l *Limiter) { l.Forget(lb(1)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			for _, claim := range []Claim{ago(9, "", 0), ago(1, "", 0), ago(1, listenersAction, 0), ago(2, "", 0)} {
				budget.Reserve(claim, noon)
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
	budget := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
	turn, _ := budget.Reserve(ago(1, listenersAction, 0), noon)
	budget.CancelAll(lb(1))
	budget.Cancel(ago(1, listenersAction, 0))
	if calls := len(budget.queues[keyOf(lb(1))].calls); turn == nil || calls != 1 {
		t.Errorf("%d calls are under way", calls)
	}
	turn.Release(true, nil, noon)
	if calls := len(budget.queues[keyOf(lb(1))].calls); calls != 0 {
		t.Errorf("%d calls are under way", calls)
	}
}

// Its account may be gone by then, and must not come back by that.
func TestAPermitThatEndsAfterItsTargetWasForgottenLeavesNothing(t *testing.T) {
	budget := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
	turn, _ := budget.Reserve(ago(1, "", 0), noon)
	budget.Forget(lb(1))
	turn.Release(true, nil, noon.Add(time.Second))
	if n := len(budget.queues); n != 0 {
		t.Errorf("%d accounts are left", n)
	}
}

func TestAPermitThatIsGivenUpUnusedSpendsNoToken(t *testing.T) {
	for name, leave := range map[string]func(*Limiter, alicloud.Target){"suspended": (*Limiter).CancelAll, "deleted": (*Limiter).Forget} {
		t.Run(name, func(t *testing.T) {
			budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			budget.Reserve(ago(9, "", 0), noon)
			budget.Reserve(ago(1, "", time.Minute), noon)
			at := noon.Add(time.Second)
			if turn, _ := budget.Reserve(ago(2, "", 0), at); turn != nil {
				t.Fatal("the permit is for the one that waits longest")
			}
			leave(budget, lb(1))
			if turn, _ := budget.Reserve(ago(2, "", 0), at); turn == nil {
				t.Error("the next one did not get the permit")
			}
		})
	}
}

// Reading four pages is four requests, as the API counts them.
func TestFurtherRequestsOfAPermitAreCharged(t *testing.T) {
	for name, err := range map[string]error{"answered": nil, "throttled": &alicloud.Error{Kind: alicloud.Throttled}} {
		t.Run(name, func(t *testing.T) {
			budget := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			turn, _ := budget.Reserve(ago(1, listenersAction, 0), noon)
			turn.Charge(-1) // of a call that got no answer
			turn.Charge(3)
			turn.Release(true, err, noon)
			next, again := budget.Reserve(ago(2, "", 0), noon)
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
