// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"slices"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func turns(budget *Budget, target Target, now time.Time, count int) []time.Duration {
	waits := make([]time.Duration, count)
	for i := range waits {
		waits[i] = budget.Reserve(target, now).Sub(now)
	}
	return waits
}

func TestTurnsComeAtOnceUpToTheBurstAndThenAtTheRate(t *testing.T) {
	budget := NewBudget(10, 3)
	const tenth = 100 * time.Millisecond
	for _, step := range []struct {
		at   time.Duration
		want []time.Duration
	}{
		{0, []time.Duration{0, 0, 0, tenth, 2 * tenth}},
		{tenth, []time.Duration{2 * tenth}},
		{4 * tenth, []time.Duration{0, tenth}},
		{time.Hour, []time.Duration{0, 0, 0, tenth}},
	} {
		if got := turns(budget, Target{RegionID: testRegion}, noon.Add(step.at), len(step.want)); !slices.Equal(got, step.want) {
			t.Errorf("after %s: waits %v, want %v", step.at, got, step.want)
		}
	}
}

func TestARateBelowOneASecondIsKept(t *testing.T) {
	got := turns(NewBudget(0.5, 1), Target{RegionID: testRegion}, noon, 3)
	if want := []time.Duration{0, 2 * time.Second, 4 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestAccountsAndRegionsHaveBudgetsOfTheirOwnAndLoadBalancersShare(t *testing.T) {
	budget := NewBudget(1, 1)
	reserve := func(namespace, name, region, loadBalancer string) time.Duration {
		target := Target{Account: Account{Namespace: namespace, Name: name}, RegionID: region, LoadBalancerID: loadBalancer}
		return budget.Reserve(target, noon).Sub(noon)
	}
	for _, step := range []struct {
		namespace, name, region, loadBalancer string
		want                                  time.Duration
	}{
		{"", "", "cn-hangzhou", "lb-1", 0},
		{"", "", "cn-hangzhou", "lb-2", time.Second},
		{"", "", "cn-beijing", "lb-1", 0},
		{"prod", "key", "cn-hangzhou", "lb-1", 0},
		{"test", "key", "cn-hangzhou", "lb-1", 0},
		{"prod", "other", "cn-hangzhou", "lb-1", 0},
		{"prod", "key", "cn-hangzhou", "lb-3", time.Second},
		{"", "", "cn-hangzhou", "lb-1", 2 * time.Second},
	} {
		if got := reserve(step.namespace, step.name, step.region, step.loadBalancer); got != step.want {
			t.Errorf("%+v: waits %s", step, got)
		}
	}
}

func TestTurnsTakenSideBySideAreAllDifferent(t *testing.T) {
	const callers, each = 16, 50
	budget := NewBudget(10, 1)
	var mu sync.Mutex
	taken := map[time.Duration]bool{}
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for _, wait := range turns(budget, Target{RegionID: testRegion}, noon, each) {
				mu.Lock()
				taken[wait.Round(time.Millisecond)] = true
				mu.Unlock()
			}
			budget.Allowed(func(Account, string, float64) {})
		})
	}
	group.Wait()
	for i := range callers * each {
		if at := time.Duration(i) * 100 * time.Millisecond; !taken[at] {
			t.Fatalf("no turn at %s", at)
		}
	}
}
