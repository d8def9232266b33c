// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// fakeListeners lists the same listeners for every load balancer, and records the requests.
type fakeListeners struct {
	clock    *clock
	requests []alicloud.ListenersRequest
	listed   []alicloud.Listener
	// refused are load balancers that the identity may not list.
	refused map[string]bool
	// busy are load balancers with a pending change.
	busy    map[string]bool
	failure error
}

func (f *fakeListeners) DescribeLoadBalancerListeners(_ context.Context, request alicloud.ListenersRequest) (*alicloud.ListenerList, error) {
	at := f.clock.Now()
	f.requests = append(f.requests, request)
	if f.failure != nil {
		return nil, f.failure
	}
	list := &alicloud.ListenerList{RequestID: "r", At: at, Calls: 1, Listeners: map[string][]alicloud.Listener{}}
	for _, id := range request.LoadBalancerIDs {
		if f.refused[id] {
			return nil, &alicloud.Error{Kind: alicloud.Forbidden, Code: "Forbidden.RAM", Message: "m"}
		}
		if f.busy[id] {
			return nil, &alicloud.Error{Kind: alicloud.ServiceError, Code: "OperationBusy", Message: "m"}
		}
		list.Listeners[id] = f.listed
	}
	return list, nil
}

var (
	listener443 = alicloud.Listener{Port: 443, Protocol: "https", Status: "running", HealthCheck: "on"}
	listener80  = alicloud.Listener{Port: 80, Protocol: "tcp", Status: "running", HealthCheck: "on"}
)

// withListenersAPI gives the reconciler an API that lists these listeners.
func (t *reconcileTest) withListenersAPI(listed ...alicloud.Listener) *fakeListeners {
	api := &fakeListeners{clock: t.clock, listed: listed, refused: map[string]bool{}, busy: map[string]bool{}}
	t.Details = &ListenerDetails{API: api, Credentials: t.Credentials, Limiter: t.Limiter, Now: t.clock.Now}
	return api
}

// respondWith has the API return one normal backend for each of the ports.
func (t *reconcileTest) respondWith(ports ...int32) {
	t.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
		observation := &alicloud.Observation{RequestID: "r", Scope: request.Scope, At: t.clock.Now()}
		for _, port := range ports {
			observation.Backends = append(observation.Backends, alicloud.Backend{
				ServerID: "i-1", ListenerPort: port, ListenerProtocol: map[int32]string{80: "tcp", 443: "https"}[port], Port: 8443, ServerHealthStatus: "normal",
			})
		}
		return observation, nil
	}
}

func withListeners(ports ...int32) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		healthy(o)
		o.Status.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: o.Spec.LoadBalancerID, RegionID: o.Spec.RegionID}
		o.Status.Summary = &v1alpha1.Summary{Listeners: int32(len(ports)), Counts: v1alpha1.Counts{Backends: int32(len(ports)), Normal: int32(len(ports))}}
		for _, port := range ports {
			o.Status.Listeners = append(o.Status.Listeners, v1alpha1.ListenerStatus{
				Port: port, Protocol: map[int32]string{80: "tcp", 443: "https"}[port], Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1},
			})
		}
	}
}

func (t *reconcileTest) expectPatch(parts ...string) {
	t.Helper()
	if len(t.cluster.patches) == 0 {
		t.Fatal("nothing was written")
	}
	patch := t.cluster.patches[len(t.cluster.patches)-1]
	for _, part := range parts {
		if !strings.Contains(patch, part) {
			t.Errorf("the patch lacks %s: %s", part, patch)
		}
	}
}

func TestFirstVerdictIncludesEmptyListeners(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	api := test.withListenersAPI(listener80, listener443)
	test.respondWith(80)
	test.step()
	equal(t, "the number of lists", len(api.requests), 1)
	equal(t, "the number of writes", test.cluster.writes, 1)
	test.expectPatch(`"reason":"NoBackends"`, "listener 443/https has no backends")
}

func TestListenerWithoutBackendsIsListedAtOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(withListeners(80, 443), observedAt(start)))
	api := test.withListenersAPI(listener80, listener443)
	test.respondWith(80)
	test.clock.advance(test.step())
	test.step()
	equal(t, "the number of lists", len(api.requests), 1)
	test.expectPatch(`"reason":"NoBackends"`)
	if strings.Contains(strings.Join(test.cluster.patches, ""), v1alpha1.ReasonListenerMissing) {
		t.Error("a patch has ListenerMissing")
	}
}

// A list from before the observation does not explain what the observation lacks.
func TestOlderListDoesNotExplainMissingListener(t *testing.T) {
	test := newReconcileTest(t, newObject(withListeners(80, 443), observedAt(start)))
	api := test.withListenersAPI(listener80, listener443)
	test.respondWith(80, 443)
	test.Details.add(test.target, false)
	test.Details.list(t.Context(), test.target)
	api.failure = &alicloud.Error{Kind: alicloud.ServiceError, Message: "m"}
	test.respondWith(80)
	test.clock.advance(test.step())
	test.step()
	test.expectPatch(`"reason":"ListenerMissing"`)
}

func TestRequestListsListenersAgain(t *testing.T) {
	test := newReconcileTest(t, newObject(withListeners(80), observedAt(start)))
	api := test.withListenersAPI(listener80)
	test.respondWith(80)
	test.Details.add(test.target, false)
	test.Details.list(t.Context(), test.target)
	requested("now")(&test.cluster.objects[0])
	api.listed = []alicloud.Listener{listener80, listener443}
	test.step()
	equal(t, "the number of lists", len(api.requests), 2)
	test.expectPatch(`"reason":"NoBackends"`, `lastHandledObserveRequest`)
}

// The backoff does not apply to a list that a request needs.
func TestRequestListsListenersAgainAfterFailure(t *testing.T) {
	test := newReconcileTest(t, newObject(withListeners(80), observedAt(start)))
	api := test.withListenersAPI(listener80)
	test.respondWith(80)
	test.Details.add(test.target, false)
	api.failure = &alicloud.Error{Kind: alicloud.Throttled, Message: "m"}
	test.Details.list(t.Context(), test.target)
	test.clock.advance(time.Second)
	api.failure, api.listed = nil, []alicloud.Listener{listener80, listener443}
	requested("now")(&test.cluster.objects[0])
	test.step()
	equal(t, "the number of lists", len(api.requests), 2)
	test.expectPatch(`"reason":"NoBackends"`, `lastHandledObserveRequest`)
}

func TestObservationWaitsForListPermitUpToFourSeconds(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.withListenersAPI(listener80)
	test.respondWith(80)
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.01, Burst: 1, Concurrency: 32}) // one call
	test.Details.Limiter = test.Limiter
	wait := test.step()
	if len(test.api.requests) != 1 || test.cluster.writes != 1 {
		t.Fatalf("%d calls, %d writes, requeued after %s", len(test.api.requests), test.cluster.writes, wait)
	}

	test = newReconcileTest(t, newObject(fresh))
	test.withListenersAPI(listener80, listener443)
	test.respondWith(80)
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.5, Burst: 1, Concurrency: 32})
	test.Details.Limiter = test.Limiter
	wait = test.step()
	equal(t, "the number of writes", test.cluster.writes, 0)
	if wait > 2*time.Second {
		t.Fatalf("requeued after %s", wait)
	}
	test.clock.advance(wait)
	test.step()
	equal(t, "the number of calls", len(test.api.requests), 1)
	test.expectPatch(`"reason":"NoBackends"`)
}

func TestFailedListDoesNotDelayObservation(t *testing.T) {
	for name, failure := range map[string]error{
		"forbidden": &alicloud.Error{Kind: alicloud.Forbidden, Message: "m"}, "throttled": &alicloud.Error{Kind: alicloud.Throttled, Message: "m"},
		"unreachable": &alicloud.Error{Kind: alicloud.EndpointUnreachable, Message: "m"}, "cancelled": context.DeadlineExceeded, "other": errors.New("x"),
	} {
		test := newReconcileTest(t, newObject(fresh))
		test.withListenersAPI().failure = failure
		test.respondWith(80)
		test.step()
		if test.cluster.writes != 1 {
			t.Errorf("%s: %d writes", name, test.cluster.writes)
		}
	}
}

func TestFailureAfterRefusalHasBackoff(t *testing.T) {
	test := newReconcileTest(t, newObject(every(30*time.Second), withListeners(80), observedAt(start)))
	api := test.withListenersAPI(listener80)
	api.failure = &alicloud.Error{Kind: alicloud.Forbidden, Code: "Forbidden.RAM", Message: "m"}
	test.respondWith(80)
	test.waits(20)
	equal(t, "calls on the first day", len(api.requests), 1)
	test.clock.advance(25 * time.Hour)
	api.failure = &alicloud.Error{Kind: alicloud.Throttled, Message: "m"}
	before := len(api.requests)
	test.waits(20) // ten minutes
	if n := len(api.requests) - before; n > 6 {
		t.Errorf("%d lists in ten minutes, with a backoff it is 5", n)
	}
}

func TestTransientRefusalIsRetriedWithinAnHour(t *testing.T) {
	for _, failure := range []*alicloud.Error{
		{Kind: alicloud.InvalidRequest, Code: "OperationDenied", Message: "m"},
		{Kind: alicloud.LoadBalancerNotFound, Code: "InvalidLoadBalancerId.NotFound", Message: "m"},
	} {
		test := newReconcileTest(t, newObject(every(30*time.Second), withListeners(80), observedAt(start)))
		api := test.withListenersAPI(listener80, listener443)
		api.failure = failure
		test.respondWith(80)
		test.waits(12)
		api.failure = nil
		test.waits(120) // an hour
		if details, _ := test.Details.of(test.target); details == nil {
			t.Errorf("%s: no details an hour later, %d lists", failure.Code, len(api.requests))
		}
	}
}

func TestSuspendedTargetIsNotListed(t *testing.T) {
	test := newReconcileTest(t, newObject(every(30*time.Second), withListeners(80), observedAt(start)))
	api := test.withListenersAPI(listener80)
	test.respondWith(80)
	other := newObject(withListeners(80), observedAt(start), func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.UID, o.Name = "lb-other", "uid-other", "other"
		o.Status.ObservedTarget.LoadBalancerID = "lb-other"
	})
	target, _ := TargetOf(&other)
	objects := test.cluster.objects
	test.cluster.objects = []v1alpha1.LoadBalancerHealth{other}
	if _, err := test.Reconcile(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	other.Spec.Suspend, other.Generation = true, 2
	test.cluster.objects = []v1alpha1.LoadBalancerHealth{other}
	if _, err := test.Reconcile(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	test.cluster.objects = objects
	test.waits(40)
	for _, request := range api.requests {
		if strings.Contains(strings.Join(request.LoadBalancerIDs, " "), "lb-other") {
			t.Fatalf("a suspended load balancer is listed: %v", request.LoadBalancerIDs)
		}
	}
}

func TestUnwritableObjectDoesNotRepeatLists(t *testing.T) {
	other := newObject(every(30*time.Second), withListeners(80, 443), observedAt(start), func(o *v1alpha1.LoadBalancerHealth) {
		o.Namespace, o.UID = "hanging", "uid-hanging"
	})
	test := newReconcileTest(t, newObject(every(30*time.Second), withListeners(80), observedAt(start)), other)
	test.cluster.hanging = []string{"hanging"}
	api := test.withListenersAPI(listener80)
	test.respondWith(80)
	calls := 0
	for range 400 {
		n := len(test.api.requests)
		result, err := test.Reconcile(t.Context(), test.target)
		wait := result.RequeueAfter
		if err != nil {
			wait = 30 * time.Second
		}
		calls += len(test.api.requests) - n
		test.clock.advance(wait)
		if test.clock.Now().Sub(start) > 10*time.Minute {
			break
		}
	}
	t.Logf("%d observations, %d lists", calls, len(api.requests))
	if len(api.requests) > 4 {
		t.Errorf("%d lists in ten minutes", len(api.requests))
	}
}

func TestListenersAreListedSoonAfterObservationWithoutThem(t *testing.T) {
	test := newReconcileTest(t, newObject(every(30*time.Second), withListeners(80, 443), observedAt(start)))
	api := test.withListenersAPI(listener80, listener443)
	test.respondWith(80, 443)
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.2, Burst: 1, Concurrency: 32}) // a permit every five seconds
	test.Details.Limiter = ratelimit.New(ratelimit.Options{QPS: 100, Burst: 100, Concurrency: 32})
	test.Details.add(test.target, false)
	test.Details.list(t.Context(), test.target)
	test.Details.Limiter = test.Limiter
	equal(t, "lists", len(api.requests), 1)
	test.respondWith(80)
	from := test.clock.Now()
	for len(api.requests) == 1 && test.clock.Now().Sub(from) < 10*time.Minute {
		writes := test.cluster.writes
		wait := test.step()
		if test.cluster.writes > writes {
			withListeners(80)(&test.cluster.objects[0]) // the stored status: 443 has no backends
			o := &test.cluster.objects[0]
			o.Status.Listeners = []v1alpha1.ListenerStatus{
				{Port: 80, Protocol: "tcp", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}},
				{Port: 443, Protocol: "https", Health: v1alpha1.Unknown},
			}
		}
		test.clock.advance(wait)
	}
	if delay := test.clock.Now().Sub(from); delay > 90*time.Second {
		t.Errorf("listed after %s, and missing until then", delay)
	}
}

func TestWaitingObservationIsEvaluatedBeforeNextAttempt(t *testing.T) {
	other := newObject(every(time.Hour), withListeners(80), observedAt(start), func(o *v1alpha1.LoadBalancerHealth) { o.Name, o.UID = "other", "uid-other" })
	test := newReconcileTest(t, newObject(every(time.Hour), withListeners(80), observedAt(start), requested("a")), other)
	test.withListenersAPI(listener80)
	test.respondWith(80)
	test.Details.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.3, Burst: 1, Concurrency: 32})
	permit, _ := test.Details.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(test.target), Item: test.target.LoadBalancerID, Action: "x"}, test.clock.Now()) // the burst
	permit.Release(ratelimit.Result{Called: true}, test.clock.Now())
	test.step()
	equal(t, "calls", len(test.api.requests), 1)
	equal(t, "writes while it waits", test.cluster.writes, 0)
	requested("b")(&test.cluster.objects[1])
	test.failWith(&alicloud.Error{Kind: alicloud.EndpointUnreachable, Message: "m"})
	test.clock.advance(time.Second)
	test.step()
	for _, patch := range test.cluster.patches {
		if strings.Contains(patch, `lastAttemptedObserveRequest","value":"a"`) {
			t.Errorf("request a was handled, and is written as failed: %s", patch)
		}
	}
}

func TestMixedProtocolsDoNotRepeatLists(t *testing.T) {
	for name, rows := range map[string][]alicloud.Backend{
		"mixed protocols": {{ServerID: "i-1", ListenerPort: 443, ServerHealthStatus: "normal"}, {ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", ServerHealthStatus: "normal"}},
	} {
		test := newReconcileTest(t, newObject(every(30*time.Second), observedAt(start), func(o *v1alpha1.LoadBalancerHealth) {
			withListeners(443)(o)
			o.Status.Listeners = []v1alpha1.ListenerStatus{
				{Port: 443, Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}},
				{Port: 443, Protocol: "https", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}},
			}
		}))
		api := test.withListenersAPI(listener443)
		test.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
			return &alicloud.Observation{RequestID: "r", Scope: request.Scope, At: test.clock.Now(), Backends: rows}, nil
		}
		test.waits(20)
		if n := len(api.requests); n > 4 {
			t.Errorf("%s: %d lists in ten minutes", name, n)
		}
	}
}

func TestOneFailedListDoesNotLapseWithLongInterval(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), withListeners(80), observedAt(start), func(o *v1alpha1.LoadBalancerHealth) {
		o.Status.Listeners = append(o.Status.Listeners, v1alpha1.ListenerStatus{Port: 443, Protocol: "https", Health: v1alpha1.Unhealthy, State: v1alpha1.ListenerRunning})
		o.Status.Listeners[0].State = v1alpha1.ListenerRunning
	}))
	api := test.withListenersAPI(listener80, listener443)
	test.respondWith(80)
	api.failure = &alicloud.Error{Kind: alicloud.ServiceError, Message: "m"}
	test.waits(1) // one failed list
	api.failure = nil
	equal(t, "lists", len(api.requests), 1)
	n := len(test.cluster.patches)
	test.waits(1)
	for _, patch := range test.cluster.patches[n:] {
		if strings.Contains(patch, v1alpha1.ReasonListenerMissing) {
			t.Errorf("%.300s", patch)
		}
	}
	for _, recorded := range test.recorder.recorded {
		if recorded.reason == v1alpha1.EventListenerMissing {
			t.Error(recorded.note)
		}
	}
}
