// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestRefusedListIsRetriedAfterADayOrWithNewCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		account alicloud.Account
		renewed bool
	}{"the operator's own identity, renewed": {alicloud.Account{}, false}, "another Secret": {secretAccount, true}} {
		now := newClock()
		target := alicloud.Target{Account: test.account, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"}
		var s listenerStore
		s.add(target, now.Now(), false)
		s.start(target, now.Now())
		if !s.refused(target, "1", now.Now(), now.Now().Add(24*time.Hour)) {
			t.Errorf("%s: the first refusal is not new", name)
		}
		equal(t, name+": wanted after a refusal", s.wanted(target, now.Now(), "1", now.Now()), false)
		equal(t, name+": wanted with other credentials", s.wanted(target, time.Time{}, "2", now.Now()), test.renewed)
		now.advance(23 * time.Hour)
		equal(t, name+": wanted on the same day", s.wanted(target, now.Now(), "1", now.Now()), false)
		now.advance(2 * time.Hour)
		equal(t, name+": wanted on the next day", s.wanted(target, time.Time{}, "1", now.Now()), true)
		if s.refused(target, "1", now.Now(), now.Now().Add(24*time.Hour)) {
			t.Errorf("%s: the second refusal is new", name)
		}
	}
}

// TestBatchAmongManyLoadBalancers lists the oldest ones first, without a copy of all of them.
func TestBatchAmongManyLoadBalancers(t *testing.T) {
	const n = 10_000
	s, now := &listenerStore{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	targets := make([]alicloud.Target, n)
	for i := range targets {
		targets[i] = alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%05d", i)}
		s.add(targets[i], now.Add(-time.Duration(i/2)*time.Second), false) // two of each age
	}
	batch := s.start(targets[0], now)
	equal(t, "the batch", strings.Join(batch, " "), "lb-00000 lb-09998 lb-09999 lb-09996 lb-09997 lb-09994 lb-09995 lb-09992 lb-09993 lb-09990")
	equal(t, "the next one", s.start(targets[1], now)[1], "lb-09991")
	s.release(targets[0], batch)
	allocations := testing.AllocsPerRun(10, func() { s.release(targets[0], s.start(targets[0], now)) })
	if allocations > 3 {
		t.Errorf("a batch allocates %.0f times, more than its own slices", allocations)
	}
}

func TestDetailsLapseAfterFifteenMinutesOfFailures(t *testing.T) {
	now, target := newClock(), alicloud.Target{LoadBalancerID: "lb-1"}
	var s listenerStore
	s.add(target, now.Now(), false)
	batch := s.start(target, now.Now())
	s.listed(target, batch, &alicloud.ListenerList{At: now.Now(), Listeners: map[string][]alicloud.Listener{"lb-1": {listener80}}})
	now.advance(time.Hour) // it is observed once an hour
	if details, lapsed := s.of(target, now.Now()); details == nil || lapsed {
		t.Error("details lapse without a failure")
	}
	s.failed(target, s.start(target, now.Now()), now.Now())
	now.advance(14 * time.Minute)
	if details, lapsed := s.of(target, now.Now()); details == nil || lapsed {
		t.Error("details lapse after 14 minutes")
	}
	now.advance(time.Minute)
	if details, lapsed := s.of(target, now.Now()); details != nil || !lapsed {
		t.Error("details are kept after 15 minutes")
	}
}

// listFleet lists the listeners of n load balancers of an account when they are
// due, for a time during which each is reconciled every 30 seconds.
func listFleet(t *testing.T, n int, now *clock, d *ListenerDetails, during time.Duration) {
	t.Helper()
	targets := make([]alicloud.Target, n)
	for i := range targets {
		targets[i] = alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
		d.add(targets[i], false)
	}
	for until := now.Now().Add(during); now.Now().Before(until); now.advance(30 * time.Second / time.Duration(n)) {
		target := targets[int(now.Now().UnixNano()/int64(30*time.Second/time.Duration(n)))%n]
		if d.wanted(target, time.Time{}, "1") {
			for retryAt := d.list(t.Context(), target); !retryAt.IsZero() && !retryAt.After(now.Now()); {
				retryAt = d.list(t.Context(), target)
			}
		}
	}
}

func newListFleet(t *testing.T) (*fakeListeners, *clock, *ListenerDetails) {
	t.Helper()
	test := newReconcileTest(t, newObject())
	return test.withListenersAPI(listener80), test.clock, test.Details
}

func TestHundredLoadBalancersAreListedInBatchesOfTen(t *testing.T) {
	api, now, d := newListFleet(t)
	listFleet(t, 100, now, d, time.Minute)
	if n := len(api.requests); n > 12 {
		t.Errorf("%d calls in the first minute", n)
	}
	for range 6 {
		before := len(api.requests)
		listFleet(t, 100, now, d, detailsInterval)
		if n := len(api.requests) - before; n > 10 {
			t.Errorf("%d calls in five minutes", n)
		}
	}
	for i := range 100 {
		details, _ := d.of(alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)})
		if details == nil || now.Now().Sub(details.At) > detailsInterval+time.Minute {
			t.Errorf("lb-%d: %+v", i, details)
		}
	}
}

func TestRefusedLoadBalancersDoNotAffectOthers(t *testing.T) {
	api, now, d := newListFleet(t)
	for _, i := range []int{3, 50, 51, 99} {
		api.refused[fmt.Sprintf("lb-%d", i)] = true
	}
	listFleet(t, 100, now, d, 15*time.Minute)
	for i := range 100 {
		id := fmt.Sprintf("lb-%d", i)
		details, lapsed := d.of(alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: id})
		switch {
		case api.refused[id] && details != nil:
			t.Errorf("%s was refused, and has details", id)
		case !api.refused[id] && (lapsed || details == nil || now.Now().Sub(details.At) > detailsInterval+time.Minute):
			t.Errorf("%s: %+v", id, details)
		}
	}
	before := len(api.requests)
	listFleet(t, 100, now, d, time.Hour)
	for _, request := range api.requests[before:] {
		if slices.ContainsFunc(request.LoadBalancerIDs, func(id string) bool { return api.refused[id] }) {
			t.Fatalf("a refused load balancer is listed again: %v", request.LoadBalancerIDs)
		}
	}
	if n := len(api.requests) - before; n > 12*10 {
		t.Errorf("%d calls in an hour", n)
	}
}

// The API refuses a whole batch while one of its load balancers has a pending change.
func TestBusyLoadBalancerDoesNotAffectOthers(t *testing.T) {
	api, now, d := newListFleet(t)
	api.busy["lb-5"] = true
	listFleet(t, 20, now, d, 30*time.Minute)
	for i := range 20 {
		id := fmt.Sprintf("lb-%d", i)
		details, lapsed := d.of(alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: id})
		if !api.busy[id] && (lapsed || details == nil || now.Now().Sub(details.At) > detailsInterval+time.Minute) {
			t.Errorf("%s: %+v", id, details)
		}
	}
	before := len(api.requests)
	listFleet(t, 20, now, d, time.Hour)
	if n := len(api.requests) - before; n > 12*4 { // two batches, and the busy one
		t.Errorf("%d calls in an hour", n)
	}
	api.busy = nil
	listFleet(t, 20, now, d, 2*detailsInterval)
	if details, _ := d.of(alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-5"}); details == nil {
		t.Error("it is not listed after the change")
	}
}

func TestFailingAPIHasBackoffForEachBatch(t *testing.T) {
	api, now, d := newListFleet(t)
	api.failure = &alicloud.Error{Kind: alicloud.ServiceError, Code: "InternalError", Message: "m"}
	listFleet(t, 100, now, d, 10*time.Minute) // the backoff reaches its maximum
	before := len(api.requests)
	listFleet(t, 100, now, d, time.Hour)
	if n := len(api.requests) - before; n > 12*11 {
		t.Errorf("%d calls in an hour", n)
	}
}

func TestWithoutPermissionEachLoadBalancerIsListedOnceADay(t *testing.T) {
	api, now, d := newListFleet(t)
	for i := range 100 {
		api.refused[fmt.Sprintf("lb-%d", i)] = true
	}
	listFleet(t, 100, now, d, 20*time.Hour)
	if n := len(api.requests); n > 110 {
		t.Errorf("%d calls in 20 hours", n)
	}
}

func TestForgottenTargetIsNotListed(t *testing.T) {
	api, now, d := newListFleet(t)
	listFleet(t, 10, now, d, time.Minute)
	forgotten := alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-0"}
	d.forget(forgotten)
	if d.wanted(forgotten, now.Now(), "1") {
		t.Error("it is still wanted")
	}
	now.advance(detailsInterval)
	d.list(t.Context(), alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"})
	if last := api.requests[len(api.requests)-1].LoadBalancerIDs; slices.Contains(last, "lb-0") || len(last) != 9 {
		t.Errorf("listed %v", last)
	}
}
