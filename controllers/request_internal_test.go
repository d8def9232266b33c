// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// cachedStatus is the status of the first object in the cache, to edit.
func (t *reconcileTest) cachedStatus() *v1alpha1.LoadBalancerHealthStatus {
	return &t.cluster.objects[0].Status
}

func attempted(value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		requested(value)(o)
		o.Status.LastAttemptedObserveRequest = value
	}
}

// waits reconciles until the next n calls, and returns the delay of each.
func (t *reconcileTest) waits(n int) []time.Duration {
	t.Helper()
	var waits []time.Duration
	for range n {
		calls, since := len(t.api.requests), t.clock.Now()
		for {
			wait := t.step()
			if len(t.api.requests) > calls {
				break
			}
			t.clock.advance(wait)
			if t.clock.Now().Sub(since) > 2*time.Hour {
				t.Fatalf("no call, after %v", waits)
			}
		}
		waits = append(waits, t.clock.Now().Sub(since).Truncate(time.Millisecond)) // the clock advances when it is read
	}
	return waits
}

func TestRequestBackoffDoublesFromFiveSeconds(t *testing.T) {
	for interval, want := range map[time.Duration][]time.Duration{
		time.Hour:       {5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute},
		8 * time.Second: {5 * time.Second, 8 * time.Second, 8 * time.Second},
		5 * time.Second: {5 * time.Second, 5 * time.Second},
	} {
		test := newReconcileTest(t, newObject(every(interval), healthy, observedAt(start), requested("now")))
		test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
		test.step()
		test.expectCalls(1)
		test.cachedStatus().LastAttemptedObserveRequest = "now"
		for i, got := range test.waits(len(want)) {
			// A slot of the interval may be earlier.
			if got > want[i] || interval == time.Hour && got != want[i] {
				t.Errorf("interval %s: retry %d after %s, not %s", interval, i+1, got, want[i])
			}
		}
	}
}

func TestNewRequestIsAttemptedAtOnceWithNewBackoff(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), healthy, observedAt(start), requested("first")))
	test.failWith(&alicloud.Error{Kind: alicloud.EndpointUnreachable, Message: "m"})
	test.step()
	test.waits(3)
	requested("second")(&test.cluster.objects[0])
	test.step()
	test.expectCalls(5)
	if waits := test.waits(1); waits[0] != 5*time.Second {
		t.Errorf("retried after %s", waits[0])
	}
}

func TestStalledRequestIsRetriedAtStalledInterval(t *testing.T) {
	test := newReconcileTest(t, newObject(stalled, attempted("now"), observedAt(start)))
	test.failWith(&alicloud.Error{Kind: alicloud.Forbidden, Message: "m"})
	test.clock.advance(test.step())
	test.step()
	test.expectCalls(1) // its slot after the start, not at once
	if waits := test.waits(1); waits[0] != 5*time.Minute {
		t.Errorf("retried after %s", waits[0])
	}
}

func TestRequestRetryHonorsRetryAfter(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), healthy, observedAt(start), requested("now")))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m", RetryAfter: 17 * time.Second})
	test.step()
	if waits := test.waits(1); waits[0] < 17*time.Second {
		t.Errorf("retried after %s", waits[0])
	}
}

func TestRefusedCallIsRepeatedEveryHalfMinuteUntilStalled(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), healthy, observedAt(start), fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidRequest, Code: "OperationDenied", Message: "m"})
	test.step()
	waits := test.waits(2)
	if !slices.Equal(waits, []time.Duration{30 * time.Second, 30 * time.Second}) {
		t.Errorf("repeated after %v", waits)
	}
	if last := test.cluster.patches[len(test.cluster.patches)-1]; !strings.Contains(last, "Stalled") {
		t.Errorf("three failures over a minute do not stall: %s", last)
	}
	for _, patch := range test.cluster.patches[:len(test.cluster.patches)-1] {
		if strings.Contains(patch, "Stalled") {
			t.Errorf("it stalls before the third failure: %s", patch)
		}
	}
}

func TestLocalFailureStallsAtOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), healthy, observedAt(start), fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "m"})
	test.step()
	if !strings.Contains(test.cluster.patches[0], "Stalled") {
		t.Error(test.cluster.patches[0])
	}
}

func TestNewLeaderRetriesRequestWithinAMinute(t *testing.T) {
	worst := time.Duration(0)
	for i := range 20 {
		test := newReconcileTest(t, newObject(every(time.Hour), healthy, attempted("now"), observedAt(start.Add(-10*time.Minute)), func(o *v1alpha1.LoadBalancerHealth) {
			o.Spec.LoadBalancerID = fmt.Sprintf("lb-%d", i)
			o.Status.ObservedTarget.LoadBalancerID = o.Spec.LoadBalancerID
		}))
		wait := test.waits(1)[0]
		worst = max(worst, wait)
	}
	if worst > time.Minute {
		t.Errorf("the new leader makes its first attempt after %s", worst)
	}
}

// The backoff of another object on the load balancer may be long.
func TestEachRequestHasItsOwnBackoff(t *testing.T) {
	other := newObject(every(time.Hour), healthy, observedAt(start), func(o *v1alpha1.LoadBalancerHealth) { o.Name, o.UID = "other", "uid-other" })
	test := newReconcileTest(t, newObject(every(time.Hour), healthy, observedAt(start), requested("old")), other)
	test.failWith(&alicloud.Error{Kind: alicloud.EndpointUnreachable, Message: "m"})
	test.step()
	test.waits(6)
	requested("new")(&test.cluster.objects[1])
	calls := len(test.api.requests)
	test.step()
	equal(t, "calls at once", len(test.api.requests), calls+1)
	if waits := test.waits(1); waits[0] > 5*time.Second {
		t.Errorf("the new request is retried after %s", waits[0])
	}
}

func TestRefusalOfAnotherPortRestartsCount(t *testing.T) {
	test := newReconcileTest(t, newObject(every(30*time.Second), fresh, onPort(999)))
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidRequest, Code: "ListenerNotFound", Message: "m"})
	test.waits(4)
	o := &test.cluster.objects[0]
	onPort(443)(o)
	o.Generation++
	n := len(test.cluster.patches)
	test.step()
	if len(test.cluster.patches) > n && strings.Contains(test.cluster.patches[len(test.cluster.patches)-1], "Stalled") {
		t.Errorf("port 443 was refused once: %s", test.cluster.patches[len(test.cluster.patches)-1])
	}
}
