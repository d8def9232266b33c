// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// endlessCredentials returns another version at each lookup.
type endlessCredentials struct{ lookups int }

func (e *endlessCredentials) Credentials(context.Context, alicloud.Account) (alicloud.Credentials, error) {
	e.lookups++
	return alicloud.Credentials{AccessKeyID: "id", AccessKeySecret: "s", Version: strconv.Itoa(e.lookups)}, nil
}

func (*endlessCredentials) Refused(alicloud.Account, alicloud.Credentials) {}

func TestRenewedCredentialsAreUsedOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.Credentials = &endlessCredentials{}
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidCredentials, Message: "m"})
	test.step()
	test.expectCalls(2)
}

func TestTooManyListenersObservesEveryPortFromThenOn(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, onPort(443)))
	respond := test.api.respond
	test.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
		if request.Scope.ListenerPort != 0 {
			return nil, &alicloud.Error{Kind: alicloud.InvalidRequest, Code: "TooManyListeners", Message: "m"}
		}
		return respond(request)
	}
	test.step()
	test.expectCalls(2)
	test.cluster.objects[0].Status.ObservedGeneration = test.cluster.objects[0].Generation
	test.waits(2)
	test.expectCalls(4)
	for _, request := range test.api.requests[1:] {
		if request.Scope.ListenerPort != 0 {
			t.Errorf("observed port %d again", request.Scope.ListenerPort)
		}
	}
}

func TestCredentialsAtFaultAreRecheckedEveryFifteenSeconds(t *testing.T) {
	state := &targetState{failures: failureHistory{last: &alicloud.Error{Kind: alicloud.CredentialsNotFound}}, credentials: credentialState{checkedAt: start}}
	equal(t, "the next lookup", state.recheckAt(), start.Add(15*time.Second))
	state.failures.last.Kind = alicloud.Throttled
	equal(t, "the next lookup after another failure", state.recheckAt(), time.Time{})
}

func TestNewFaultOfCredentialsIsAnAttempt(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, withSecret))
	test.step()
	equal(t, "the failure", test.targets.get(test.target).failures.last.Message,
		"Secret prod/slb-reader does not exist: create it with the keys accessKeyId and accessKeySecret, or correct spec.credentials.secretRef.name")
	test.cluster.objects[0] = newObject(withSecret, stalled)
	test.cluster.secret = newSecret("1", map[string]string{"accessKeyId": "LTAIa"})
	test.clock.advance(test.step())
	test.step()
	equal(t, "the failure", test.targets.get(test.target).failures.last.Message, "Secret prod/slb-reader has no value for the key accessKeySecret: add it")
	test.expectCalls(0)
}

// The operator may read a Secret just before the user fixes it. The recheck must
// not find it still fresh.
func TestFixedSecretIsUsedWithinHalfAMinute(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, withSecret))
	test.cluster.secret = newSecret("1", keyPair("LTAIwrong"))
	respond := test.api.respond
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidCredentials, Message: "m"})
	wait := test.step()
	test.expectCalls(1)

	test.cluster.objects[0] = newObject(withSecret, stalled)
	test.cluster.secret = newSecret("2", keyPair("LTAIright"))
	test.api.respond = respond
	fixedAt := test.clock.Now()
	for len(test.api.requests) == 1 && test.clock.Now().Sub(fixedAt) < time.Hour {
		test.clock.advance(wait)
		wait = test.step()
	}
	if after := test.clock.Now().Sub(fixedAt); after > 31*time.Second {
		t.Errorf("used after %s", after)
	}
	equal(t, "the key", test.api.requests[1].Credentials.AccessKeyID, "LTAIright")
}

// STS may hang: rechecks must not block every worker, as calls must not.
func TestCredentialsRecheckNeedsAPermit(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, withSecret))
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 100, Burst: 100, Concurrency: 1})
	test.step()
	test.cluster.objects[0] = newObject(withSecret, stalled)
	equal(t, "the number of lookups", test.cluster.gets, 1)

	other := test.target
	other.LoadBalancerID = "lb-other"
	permit, _ := test.Limiter.Reserve(ratelimit.Claim{Bucket: bucketOf(other), Item: other.LoadBalancerID}, test.clock.Now())
	for range 3 {
		test.clock.advance(credentialsRecheck)
		test.step()
	}
	equal(t, "the number of lookups without a permit", test.cluster.gets, 1)
	permit.Release(ratelimit.Result{Called: true}, test.clock.Now())
	test.clock.advance(credentialsRecheck)
	test.step()
	equal(t, "the number of lookups", test.cluster.gets, 2)
	test.expectCalls(0)
}

// failingSTS returns a token until the API refuses it, and then fails.
type failingSTS struct {
	refused bool
	failure error
}

func (f *failingSTS) Credentials(context.Context, alicloud.Account) (alicloud.Credentials, error) {
	if f.refused {
		return alicloud.Credentials{}, f.failure
	}
	return alicloud.Credentials{AccessKeyID: "STS.a", AccessKeySecret: "s", SecurityToken: "t", Version: "1"}, nil
}

func (f *failingSTS) Refused(alicloud.Account, alicloud.Credentials) { f.refused = true }

func TestTokenExpiryWhileSTSIsDownDoesNotStall(t *testing.T) {
	down := &alicloud.Error{Kind: alicloud.EndpointUnreachable, Message: "the operator's own credentials (RRSA): sts.aliyuncs.com: no response"}
	test := newReconcileTest(t, newObject(fresh))
	sts := &failingSTS{failure: down}
	test.Credentials = sts
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidCredentials, Code: "InvalidSecurityToken.Expired", Message: "m"})
	wait := test.step()
	equal(t, "the failure", test.targets.get(test.target).failures.last, down)
	test.expectCalls(1)
	if strings.Contains(test.cluster.patches[0], v1alpha1.ConditionStalled) || !strings.Contains(test.cluster.patches[0], "EndpointUnreachable") {
		t.Error(test.cluster.patches[0])
	}
	if wait > 2*time.Minute {
		t.Errorf("requeued after %s", wait)
	}

	// A lookup that fails because of the credentials is repeated, but makes no call.
	refused := &alicloud.Error{Kind: alicloud.CredentialsNotFound, Message: "the operator's own credentials (RRSA): refused with EntityNotExist.Role"}
	*sts = failingSTS{failure: refused}
	test.clock.advance(wait)
	test.cluster.objects[0] = newObject()
	test.step()
	equal(t, "the failure", test.targets.get(test.target).failures.last, refused)
	test.expectCalls(2)
	test.cluster.objects[0] = newObject(stalled)
	for range 5 {
		test.clock.advance(credentialsRecheck)
		test.step()
	}
	test.expectCalls(2)
	equal(t, "the failure", test.targets.get(test.target).failures.last, refused)
}
