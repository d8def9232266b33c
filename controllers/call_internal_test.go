// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// fakeGroups makes the given number of calls for an observation, each with a permit.
type fakeGroups struct {
	clock *clock
	calls int
	// made are those of the observation that has not ended, and requests the
	// requests of each attempt.
	made     int
	requests []servergroup.Request
	// fail is the result of the next call.
	fail error
}

func (f *fakeGroups) Observe(ctx context.Context, request *servergroup.Request, _ *servergroup.State, permit servergroup.Permit) (*alicloud.Observation, error) {
	f.requests = append(f.requests, *request)
	for f.made < f.calls {
		release, err := permit(ctx, "GetListenerHealthStatus")
		if err != nil {
			return nil, err
		}
		err = f.fail
		f.fail = nil
		release(err)
		if err != nil {
			return nil, err
		}
		f.made++
	}
	f.made = 0
	return &alicloud.Observation{
		RequestID: "r", Scope: request.Scope, RequestedAt: f.clock.Now(), At: f.clock.Now(),
		Backends: []alicloud.Backend{{ServerID: "i-1", ListenerPort: 80, ListenerProtocol: "tcp", Port: 8080, ServerHealthStatus: "normal"}},
		Groups: &alicloud.Groups{
			Listeners: []alicloud.GroupListener{{Listener: listener80, EndPort: 80, ServerGroupID: "sgp-1"}},
			Rows:      []alicloud.GroupRow{{ServerGroupID: "sgp-1"}},
		},
	}, nil
}

func onNLB(o *v1alpha1.LoadBalancerHealth) {
	o.Spec.LoadBalancerID = "nlb-1"
	o.Status.ObservedTarget.LoadBalancerID = "nlb-1"
}

// newGroupsTest returns a test with an NLB instance that is due and takes so many
// calls, with a burst of permits.
func newGroupsTest(t *testing.T, calls, burst int, edits ...func(*v1alpha1.LoadBalancerHealth)) (*reconcileTest, *fakeGroups) {
	t.Helper()
	test := newReconcileTest(t, newObject(append(edits, onNLB)...))
	api := &fakeGroups{clock: test.clock, calls: calls}
	test.ServerGroups = map[string]ServerGroupsAPI{alicloud.ProductNLB: api}
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 1, Burst: burst, Concurrency: 32})
	test.clock.advance(test.step()) // until it is due
	return test, api
}

func TestEachCallOfAnObservationTakesAPermit(t *testing.T) {
	test, api := newGroupsTest(t, 4, 2)
	requeueAfter := test.step()
	equal(t, "the number of calls with two permits", api.made, 2)
	equal(t, "the number of writes without an observation", test.cluster.writes, 0)
	equal(t, "the target waits for its next permit", requeueAfter > 0 && requeueAfter <= 1100*time.Millisecond, true)
	test.clock.advance(requeueAfter)
	requeueAfter = test.step()
	equal(t, "the number of calls after a second", api.made, 3)
	test.clock.advance(requeueAfter)
	test.step()
	equal(t, "the number of calls of the next observation", api.made, 0)
	equal(t, "the number of writes", test.cluster.writes, 1)
	equal(t, "the number of calls of CLB", len(test.api.requests), 0)
	test.expectPatch(`"serverGroupId":"sgp-1"`)
}

func TestObservationThatBeganIsTheFirstInTheQueue(t *testing.T) {
	test, _ := newGroupsTest(t, 3, 1)
	requeueAfter := test.step()
	// A target whose last observation is more recent claims a permit, too.
	other := ratelimit.Claim{Bucket: bucketOf(test.target), Item: "nlb-2", Since: start.Add(time.Minute)}
	test.Limiter.Reserve(other, test.clock.Now())
	for range 2 {
		test.clock.advance(requeueAfter)
		requeueAfter = test.step()
	}
	equal(t, "the number of writes", test.cluster.writes, 1)
}

func TestFailedCallEndsTheAttempt(t *testing.T) {
	test, api := newGroupsTest(t, 3, 10)
	api.made, api.fail = 2, &alicloud.Error{Kind: alicloud.Throttled, Code: "Throttling.User", Message: "m"}
	test.step()
	test.expectPatch(`"reason":"Throttled"`)
	test.clock.advance(time.Minute)
	test.step()
	test.expectPatch(`"reason":"ObservationSucceeded"`)
}

func TestPermitIsReleasedWithoutACall(t *testing.T) {
	test, api := newGroupsTest(t, 1, 1, func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "slb-reader"}}
	})
	test.step()
	equal(t, "the number of attempts without credentials", len(api.requests), 0)
	test.expectPatch(`"reason":"CredentialsNotFound"`)
	permit, _ := test.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(test.target), Item: "nlb-2"}, test.clock.Now())
	equal(t, "another target gets the permit", permit != nil, true)
}

func TestRequestedObservationUsesNoOlderLists(t *testing.T) {
	test, api := newGroupsTest(t, 3, 1)
	test.step()
	equal(t, "the age of lists without a request", api.requests[0].Since, time.Time{})
	requested("now")(&test.cluster.objects[0]) // in the middle of an observation
	seenAt := test.clock.Now()
	for range 2 {
		test.clock.advance(1500 * time.Millisecond)
		test.step()
	}
	first, last := api.requests[1].Since, api.requests[len(api.requests)-1].Since
	equal(t, "lists are newer than the request", first.After(seenAt), true)
	equal(t, "the age of lists of a further attempt", last, first)
	test.expectPatch(`"path":"/status/lastHandledObserveRequest","value":"now"`)
}

func TestListenersOfServerGroupsAreNotListed(t *testing.T) {
	test, _ := newGroupsTest(t, 1, 10)
	listeners := test.withListenersAPI(listener443)
	for range 6 {
		test.clock.advance(time.Minute)
		test.step()
	}
	equal(t, "the number of lists", len(listeners.requests), 0)
}

func TestWorkerThatStopsKeepsNothing(t *testing.T) {
	test, api := newGroupsTest(t, 1, 10)
	api.fail = errors.New("the caller gave up")
	test.stepWithError()
	equal(t, "the number of writes", test.cluster.writes, 0)
}
