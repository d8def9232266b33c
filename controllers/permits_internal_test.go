// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

func named(namespace, name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Namespace, o.Name, o.UID = namespace, name, types.UID(namespace+"/"+name)
	}
}

func createdAt(at time.Time) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.CreationTimestamp, o.Status = metav1.Time{Time: at}, v1alpha1.LoadBalancerHealthStatus{ObservedGeneration: -1}
	}
}

func TestUrgentClaimRequester(t *testing.T) {
	ago := func(age time.Duration) func(*v1alpha1.LoadBalancerHealth) { return observedAt(start.Add(-age)) }
	type list = []v1alpha1.LoadBalancerHealth
	for name, test := range map[string]struct {
		objects list
		want    ratelimit.Requester
	}{
		"the only object":                 {list{newObject(requested("1"))}, ratelimit.Requester{Namespace: "prod", Name: "web"}},
		"not an object without a request": {list{newObject(named("a", "old"), ago(time.Hour)), newObject(named("b", "new"), requested("1"))}, ratelimit.Requester{Namespace: "b", Name: "new"}},
		"the oldest observation": {list{
			newObject(named("a", "young"), requested("1"), ago(time.Minute)), newObject(named("b", "old"), requested("2"), ago(time.Hour)),
		}, ratelimit.Requester{Namespace: "b", Name: "old"}},
		"a new object by its creation": {list{
			newObject(named("a", "new"), createdAt(start.Add(-time.Minute))), newObject(named("b", "old"), edited, ago(time.Hour)),
		}, ratelimit.Requester{Namespace: "b", Name: "old"}},
		"a new object waiting longer": {list{
			newObject(named("a", "edited"), edited, ago(time.Minute)), newObject(named("b", "new"), createdAt(start.Add(-time.Hour))),
		}, ratelimit.Requester{Namespace: "b", Name: "new"}},
		"not a suspended object": {list{newObject(named("a", "off"), requested("1"), suspended, ago(time.Hour)), newObject(named("b", "on"), requested("1"))}, ratelimit.Requester{Namespace: "b", Name: "on"}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in either order
				state := &targetState{}
				rec := planned(state, nil, test.objects...)
				claim := claimFor(rec, start)
				equal(t, "being urgent", claim.Urgent, true)
				equal(t, "the requester", claim.Requester, test.want)
				test.objects = list{test.objects[len(test.objects)-1], test.objects[0]}[:len(test.objects)]
			}
		})
	}
}

func TestUrgentClaimRequesterIsStable(t *testing.T) {
	a, b := newObject(named("a", "web"), requested("1")), newObject(named("a", "api"), requested("1"))
	for _, objects := range [][]v1alpha1.LoadBalancerHealth{{a, b}, {b, a}} {
		state := &targetState{}
		rec := planned(state, nil, objects...)
		equal(t, "the requester", claimFor(rec, start).Requester, ratelimit.Requester{Namespace: "a", Name: "api"})
	}
}

func TestClaimIsDueFromItsSlotOn(t *testing.T) {
	state := &targetState{attemptedAt: start}
	rec := planned(state, nil, newObject(requested("1")))
	for _, step := range []struct {
		at  time.Time
		due bool
	}{{rec.plan.dueAt.Add(-1), false}, {rec.plan.dueAt, true}, {rec.plan.dueAt.Add(time.Hour), true}} {
		claim := claimFor(rec, step.at)
		equal(t, "being due", claim.Due, step.due)
		equal(t, "the last attempt", claim.Since, start)
	}
	routine := planned(state, nil, newObject())
	equal(t, "a routine claim", claimFor(routine, rec.plan.dueAt), ratelimit.Claim{Bucket: bucketOf(testTarget), Item: testTarget.LoadBalancerID, Due: true, Since: start})
}

// When only the credentials changed, no object requests an observation.
func TestClaimForNewCredentialsHasRequester(t *testing.T) {
	state := &targetState{attemptedAt: start}
	rec := planned(state, nil, newObject())
	rec.plan.urgent = true
	equal(t, "the requester", claimFor(rec, start).Requester, ratelimit.Requester{Namespace: "prod", Name: "web"})
}

func TestFailedCredentialsUseNoToken(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, withSecret))
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.001, Burst: 1, Concurrency: 32}) // one token in 1000 s
	test.step()
	test.expectCalls(0)
	test.cluster.objects[0] = newObject(withSecret, stalled)
	for range 5 { // each reads the credentials again
		test.clock.advance(credentialsRecheck)
		test.step()
	}
	equal(t, "the number of reads of the Secret", test.cluster.gets, 6)

	test.cluster.secret = newSecret("1", keyPair("LTAIa"))
	test.clock.advance(credentialsRecheck)
	test.step()
	test.expectCalls(1) // with the unused token
}

func TestTargetsOfOneAccountAndRegionShareABucket(t *testing.T) {
	target := alicloud.Target{Account: alicloud.Account{Namespace: "prod", Name: "key"}, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"}
	want := ratelimit.Bucket{Namespace: "prod", Account: "prod/key", Region: "cn-hangzhou", Product: "clb"}
	equal(t, "the bucket", bucketOf(target), want)
	target.LoadBalancerID = "lb-2"
	equal(t, "the bucket of another load balancer", bucketOf(target), want)
	target.Account = alicloud.Account{}
	equal(t, "the bucket of the operator's own account", bucketOf(target), ratelimit.Bucket{Account: "default", Region: "cn-hangzhou", Product: "clb"})
}

func TestOnlyAThrottledCallSlowsTheLimiter(t *testing.T) {
	throttled := &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: time.Second}
	for name, test := range map[string]struct {
		called bool
		err    error
		want   ratelimit.Result
	}{
		"success":              {true, nil, ratelimit.Result{Called: true}},
		"throttled":            {true, throttled, ratelimit.Result{Called: true, Throttled: true, RetryAfter: time.Second}},
		"throttled, wrapped":   {true, fmt.Errorf("page 2: %w", throttled), ratelimit.Result{Called: true, Throttled: true, RetryAfter: time.Second}},
		"another failure":      {true, &alicloud.Error{Kind: alicloud.ServiceError, RetryAfter: time.Second}, ratelimit.Result{Called: true}},
		"no failure of SLB":    {true, errors.New("canceled"), ratelimit.Result{Called: true}},
		"no credentials found": {false, &alicloud.Error{Kind: alicloud.CredentialsNotFound}, ratelimit.Result{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "the result", resultOf(test.called, test.err), test.want) })
	}
}

// An API that throttles the calls of one product must not delay those of another.
func TestEachProductHasABucket(t *testing.T) {
	for id, product := range map[string]string{"lb-1": "clb", "nlb-1": "nlb", "alb-1": "alb"} {
		target := alicloud.Target{Account: alicloud.Account{Namespace: "shop", Name: "key"}, RegionID: "cn-hangzhou", LoadBalancerID: id}
		want := ratelimit.Bucket{Namespace: "shop", Account: "shop/key", Region: "cn-hangzhou", Product: product}
		if got := bucketOf(target); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
