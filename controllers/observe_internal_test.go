// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
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
