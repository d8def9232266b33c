// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// reconcileTest reconciles one target with a fake clock.
type reconcileTest struct {
	*testing.T
	*Reconciler
	target   alicloud.Target
	cluster  *fakeCluster
	api      *fakeAPI
	clock    *clock
	recorder *fakeRecorder
}

func newReconcileTest(t *testing.T, objects ...v1alpha1.LoadBalancerHealth) *reconcileTest {
	t.Helper()
	test := &reconcileTest{T: t, cluster: &fakeCluster{objects: objects}, api: &fakeAPI{}, clock: newClock()}
	test.target, _ = TargetOf(&objects[0])
	test.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
		return &alicloud.Observation{RequestID: "r", Scope: request.Scope, At: test.clock.Now(), Backends: []alicloud.Backend{
			{ServerID: "i-1", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"},
		}}, nil
	}
	test.Reconciler, test.recorder = newReconciler(test.cluster, test.api, test.clock)
	return test
}

func (t *reconcileTest) failWith(failure *alicloud.Error) {
	t.api.respond = func(alicloud.Request) (*alicloud.Observation, error) { return nil, failure }
}

// step reconciles, and returns after what time the target is requeued; 0: never.
func (t *reconcileTest) step() time.Duration {
	t.Helper()
	result, err := t.Reconcile(t.Context(), t.target)
	if err != nil {
		t.Fatal(err)
	}
	return result.RequeueAfter
}

// stepWithError reconciles, and requires an error.
func (t *reconcileTest) stepWithError() {
	t.Helper()
	if result, err := t.Reconcile(t.Context(), t.target); err == nil {
		t.Fatalf("no error, but %+v", result)
	}
}

func (t *reconcileTest) expectCalls(n int) {
	t.Helper()
	equal(t.T, "the number of calls", len(t.api.requests), n)
}

func fresh(o *v1alpha1.LoadBalancerHealth) {
	o.Status = v1alpha1.LoadBalancerHealthStatus{ObservedGeneration: -1}
}

func withSecret(o *v1alpha1.LoadBalancerHealth) {
	o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secretAccount.Name}}
}

func TestObservedTargetWaitsForItsSlotAfterStart(t *testing.T) {
	test := newReconcileTest(t, newObject(observedAt(start.Add(-time.Minute))))
	wait := test.step()
	test.expectCalls(0)
	if wait <= 0 || wait > time.Minute {
		t.Fatalf("requeued after %s", wait)
	}
	test.clock.advance(wait)
	test.step()
	test.expectCalls(1)
}

// Otherwise a whole fleet would be due at once, with a lag as long as the standby.
func TestObservedTargetWaitsForItsSlotAfterLongStandby(t *testing.T) {
	test := newReconcileTest(t, newObject(observedAt(start.Add(10*time.Hour-time.Second))))
	test.begin = sync.Once{} // no worker has started
	test.clock.advance(10 * time.Hour)
	wait := test.step()
	test.expectCalls(0)
	if wait <= 0 || wait > time.Minute {
		t.Fatalf("requeued after %s", wait)
	}
}

// Another shard had the target before, or a backup restored it: its slot does not
// depend on when the process started.
func TestTargetNewToProcessIsObservedInItsSlot(t *testing.T) {
	const up = 10 * time.Hour
	test := newReconcileTest(t, newObject(observedAt(start.Add(up-10*time.Second))))
	lags := &recordedLags{}
	test.Metrics = lags
	test.clock.advance(up)
	wait := test.step()
	test.expectCalls(0)
	if wait <= 0 || wait > time.Minute {
		t.Fatalf("requeued after %s", wait)
	}
	test.clock.advance(wait)
	test.step()
	test.expectCalls(1)
	if len(lags.all) != 1 || lags.all[0] > time.Second {
		t.Errorf("lags %v", lags.all)
	}
}

type recordedLags struct {
	noMetrics
	all []time.Duration
}

func (r *recordedLags) ObservationStarted(lag time.Duration) { r.all = append(r.all, lag) }

func TestEarlyReconcileDoesNotObserve(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	wait := test.step()
	test.expectCalls(1)
	test.cluster.objects[0] = newObject(observedAt(test.clock.Now()))
	for range 10 {
		test.clock.advance(wait / 11)
		test.step()
	}
	test.expectCalls(1)
}

func TestTargetWithoutPermitIsRequeued(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.1, Burst: 1, Concurrency: 1})
	other := alicloud.Target{RegionID: test.target.RegionID, LoadBalancerID: "lb-other"}
	reserve := func() time.Duration {
		permit, requeueAt := test.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(other), Item: other.LoadBalancerID}, test.clock.Now())
		if permit == nil {
			return requeueAt.Sub(test.clock.Now())
		}
		permit.Release(ratelimit.Result{Called: true}, test.clock.Now())
		return 0
	}
	equal(t, "the delay of the first permit", reserve(), 0)
	test.clock.advance(test.step()) // until the status reports Pending
	wait := test.step()
	test.expectCalls(0)
	if wait < 7*time.Second || wait > 8*time.Second {
		t.Fatalf("requeued after %s", wait)
	}
	test.clock.advance(3 * time.Second)
	test.step()
	test.expectCalls(0)
	test.clock.advance(6 * time.Second)
	test.step()
	test.expectCalls(1)
	if next := reserve(); next < 8*time.Second || next > 10*time.Second {
		t.Errorf("the next permit is available in %s: one call used more than one", next)
	}
}

func TestRecentObservationServesNewObjectsOnly(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.step()
	for range 2 { // two more are created, one after the other
		test.cluster.objects = append(test.cluster.objects, newObject(fresh))
		test.step()
	}
	test.expectCalls(1)

	for i := range test.cluster.objects {
		test.cluster.objects[i] = newObject(observedAt(test.clock.Now()))
	}
	test.clock.advance(test.step())
	test.step()
	test.expectCalls(2)
	equal(t, "the number of recent observations", len(test.recent.byTarget), 0)
}

// An overdue recheck of the credentials must not requeue the target: the recheck
// would stay overdue, and repeat a thousand times a second until the permit.
func TestQueuedTargetIsRequeuedForItsPermitOnly(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.001, Burst: 1, Concurrency: 1}) // one call in 1000 s
	test.failWith(&alicloud.Error{Kind: alicloud.Forbidden, Message: "m"})
	test.step()
	test.cluster.objects[0] = newObject(stalled)
	steps := 0
	for ; len(test.api.requests) == 1 && steps < 100; steps++ {
		test.clock.advance(test.step())
	}
	test.expectCalls(2)
	if steps > 25 { // every 15 s until it is due after 5 min, and then for its permit
		t.Errorf("reconciled %d times", steps)
	}
}

func TestStoppingProcessReportsNoFailure(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	ctx, cancel := context.WithCancel(t.Context())
	test.api.respond = func(alicloud.Request) (*alicloud.Observation, error) {
		cancel()
		return nil, ctx.Err()
	}
	if _, err := test.Reconcile(ctx, test.target); err != nil {
		t.Error(err)
	}
	equal(t, "the number of writes", test.cluster.writes, 0)
	equal(t, "the number of events", len(test.recorder.recorded), 0)
}

func TestTargetWithoutObjectsIsForgotten(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.step()
	test.cluster.objects = nil
	equal(t, "the wait", test.step(), 0)
	if _, found := test.targets.byTarget.Load(test.target); found || len(test.recent.byTarget) > 0 {
		t.Error("its state is kept")
	}
	test.expectCalls(1)
}

func TestSuspendedTargetIsNotRequeued(t *testing.T) {
	test := newReconcileTest(t, newObject(suspended))
	equal(t, "the wait", test.step(), 0)
	test.expectCalls(0)
}

func healthy(o *v1alpha1.LoadBalancerHealth) {
	o.Status.Summary = &v1alpha1.Summary{Listeners: 1, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}}
	o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllBackendsNormal}}
}

// The API server cannot decrypt the Secret, and this process never read it.
func TestVerdictBecomesStaleWhileSecretCannotBeRead(t *testing.T) {
	test := newReconcileTest(t, newObject(withSecret, healthy, observedAt(start.Add(-time.Hour))))
	test.cluster.getErr = errors.New("the key management service is down")
	test.clock.advance(test.step())
	for test.cluster.writes == 0 && test.clock.Now().Sub(start) < time.Hour {
		test.stepWithError()
		test.clock.advance(time.Second)
	}
	if after := test.clock.Now().Sub(start); after < 3*time.Minute || after > 3*time.Minute+2*time.Second {
		t.Fatalf("the verdict is not stale before %s, at an interval of a minute", after)
	}
	if !strings.Contains(test.cluster.patches[0], v1alpha1.ReasonObservationStale) {
		t.Error(test.cluster.patches[0])
	}
	test.expectCalls(0)
}

func TestTargetIsRequeuedWhenVerdictBecomesStale(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), healthy))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m", RetryAfter: 1000 * time.Hour})
	test.clock.advance(test.step())
	wait := test.step()
	test.expectCalls(1)
	if wait > 3*time.Hour {
		t.Errorf("requeued after %s, long after the verdict is stale", wait)
	}
}

// The interval may be an hour: a request that failed has its own backoff, from
// its first attempt on.
func TestUnhandledRequestIsRequeuedSoon(t *testing.T) {
	test := newReconcileTest(t, newObject(every(time.Hour), observedAt(start), requested("now")))
	respond := test.api.respond
	test.failWith(&alicloud.Error{Kind: alicloud.ServiceError, Message: "failed"})
	for calls, want := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		wait := test.step()
		test.expectCalls(calls + 1)
		if wait > want || wait < want-time.Second {
			t.Fatalf("after %d attempts it is requeued after %s, not %s", calls+1, wait, want)
		}
		test.cluster.objects[0].Status.LastAttemptedObserveRequest = "now"
		test.clock.advance(wait)
	}
	test.api.respond = respond
	if wait := test.step(); wait < 25*time.Minute {
		t.Errorf("after the success it is requeued after %s", wait)
	}
	// An earlier value is requested again after another one was handled, too soon
	// for a call.
	requested("another")(&test.cluster.objects[0])
	test.step()
	test.cluster.objects[0].Status.LastHandledObserveRequest = "another"
	requested("now")(&test.cluster.objects[0])
	if wait := test.step(); wait > 5*time.Second {
		t.Errorf("the earlier value is requeued after %s", wait)
	}
}

// An older schema accepted such a region. Its host name would be that of a bucket.
func TestInvalidStoredRegionStallsWithoutCall(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.RegionID = "oss-cn-hangzhou" }))
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Timeout: time.Second, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	test.API = clb.NewClient(caller)
	test.step()
	failure := test.targets.get(test.target).failures.last
	if failure == nil || failure.Kind != alicloud.InvalidRequest || !failure.Local || !strings.Contains(failure.Message, "spec.regionId") {
		t.Fatalf("got %#v", failure)
	}
	equal(t, "the number of writes", test.cluster.writes, 1)
	for _, want := range []string{`"type":"Stalled","status":"True"`, `"reason":"InvalidRequest"`} {
		if !strings.Contains(test.cluster.patches[0], want) {
			t.Errorf("%s lacks %s", test.cluster.patches[0], want)
		}
	}
}

func TestBrieflyQueuedFirstObservationCostsOneWrite(t *testing.T) {
	for qps, writes := range map[float64]int{5: 1, 0.2: 2} {
		test := newReconcileTest(t, newObject(fresh))
		test.Limiter = ratelimit.New(ratelimit.Options{QPS: qps, Burst: 1, Concurrency: 32})
		other := alicloud.Target{RegionID: test.target.RegionID, LoadBalancerID: "lb-other"}
		permit, _ := test.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(other), Item: other.LoadBalancerID}, test.clock.Now())
		permit.Release(ratelimit.Result{Called: true}, test.clock.Now())
		for len(test.api.requests) == 0 {
			test.clock.advance(test.step())
		}
		equal(t, "the number of writes", test.cluster.writes, writes)
	}
}
