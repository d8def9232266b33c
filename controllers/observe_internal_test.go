// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// endlessCredentials are others at each look, and refused at each call.
type endlessCredentials struct{ looks int }

func (e *endlessCredentials) Credentials(context.Context, alicloud.Account) (alicloud.Credentials, error) {
	e.looks++
	return alicloud.Credentials{AccessKeyID: "id", AccessKeySecret: "s", Version: strconv.Itoa(e.looks)}, nil
}

func (*endlessCredentials) Refused(alicloud.Account, alicloud.Credentials) {}

func TestRenewedCredentialsAreTriedOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.Credentials = &endlessCredentials{}
	test.failWith(&alicloud.Error{Kind: alicloud.InvalidCredentials, Message: "m"})
	test.step()
	test.expectCalls(2)
}

func TestAfterTooManyListenersEveryPortIsAskedAboutForGood(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, onPort(443)))
	answer := test.api.answer
	test.api.answer = func(request alicloud.Request) (*alicloud.Observation, error) {
		if request.Scope.ListenerPort != 0 {
			return nil, &alicloud.Error{Kind: alicloud.InvalidRequest, Code: "TooManyListeners", Message: "m"}
		}
		return answer(request)
	}
	test.step()
	test.expectCalls(2)
	test.cluster.objects[0].Status.ObservedGeneration = test.cluster.objects[0].Generation
	test.waits(2)
	test.expectCalls(4)
	for _, request := range test.api.requests[1:] {
		if request.Scope.ListenerPort != 0 {
			t.Errorf("asked about port %d again", request.Scope.ListenerPort)
		}
	}
}

func TestCredentialsAtFaultAreLookedUpEveryFifteenSeconds(t *testing.T) {
	state := &targetState{failures: failureHistory{last: &alicloud.Error{Kind: alicloud.CredentialsNotFound}}, credentials: credentialState{checkedAt: start}}
	equal(t, "the next lookup", state.recheckAt(), start.Add(15*time.Second))
	state.failures.last.Kind = alicloud.Throttled
	equal(t, "the next lookup after another failure", state.recheckAt(), time.Time{})
}
