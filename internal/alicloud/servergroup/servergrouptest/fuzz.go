// SPDX-License-Identifier: Apache-2.0

// Package servergrouptest has what the tests of the products with server groups share.
package servergrouptest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

// Permitted is a servergroup.Permit that allows every call.
func Permitted(context.Context, string) (func(error), error) { return func(error) {}, nil }

// FuzzObserve observes with the real SDK, where the responses to one action have
// any body. documents are the responses of a load balancer with one listener, by
// action.
func FuzzObserve(f *testing.F, id string, documents map[string]string, newObserver func(*alicloud.Caller) *servergroup.Observer) {
	f.Helper()
	for action, document := range documents {
		f.Add(action, uint16(200), []byte(document))
		for from, to := range map[string]string{
			`"R-1"`: `"R-1","NextToken":"again"`, `"R-1",`: `"R-1","Code":"OK","Success":true,`, "i-1": "$KEY", "10.0.0.1": "$TOKEN", "Unhealthy": "$SIGNATURE",
			"sgp-1": "sgp-2", "[{": "[null,{", ":80": `:"80"`, ":2": ":-1", "CONNECT_FAILED": "\\u202e$ESCAPED", `"Running"`: `{}`, "lsn-1": "", `"NonNormalServers":[`: `"Servers":[`,
		} {
			f.Add(action, uint16(200), []byte(strings.ReplaceAll(document, from, to)))
		}
		for _, body := range append([]string{"", "{}", "null", "[]", `{"RequestId":"R-1"}`}, alicloudtest.EchoingRefusals...) {
			f.Add(action, uint16(200), []byte(body))
			f.Add(action, uint16(400), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, action string, status uint16, body []byte) {
		echo := &alicloudtest.Echo{Body: body}
		calls := 0
		caller, err := alicloud.NewCaller(alicloud.CallerOptions{Timeout: alicloudtest.Patience, Transport: alicloudtest.RoundTripper(func(request *http.Request) (*http.Response, error) {
			calls++
			if got := request.URL.Query().Get("Action"); got != action {
				return alicloudtest.Response(request, http.StatusOK, documents[got]), nil
			}
			return alicloudtest.Response(request, 200+int(status)%400, echo.Fill(request)), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		request := servergroup.Request{Request: alicloud.Request{
			Target:      alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: id},
			Credentials: alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token},
		}}
		var state servergroup.State
		for range 2 {
			observation, err := newObserver(caller).Observe(t.Context(), &request, &state, Permitted)
			check(t, observation, err, echo)
		}
		if calls > 100 {
			t.Errorf("%d calls", calls)
		}
	})
}

// check demands a failure fit for conditions, or an observation fit for a status.
func check(t *testing.T, observation *alicloud.Observation, err error, echo *alicloudtest.Echo) {
	t.Helper()
	if err != nil {
		failure, ok := errors.AsType[*alicloud.Error](err)
		if !ok || observation != nil {
			t.Fatalf("got %v, %v", observation, err)
		}
		alicloudtest.VerifyPresentable(t, failure)
		return
	}
	if len(observation.Groups.Rows) != len(observation.Backends) {
		t.Fatalf("%d rows of %d backends", len(observation.Groups.Rows), len(observation.Backends))
	}
	for i, b := range observation.Backends {
		extra := observation.Group(i)
		if b.ServerID == "" || b.ServerHealthStatus == "" || b.ListenerPort == 0 || b.Port < 0 || extra.ServerGroupID == "" {
			t.Errorf("the row %+v, %+v", b, extra)
		}
		for _, field := range []string{observation.RequestID, b.ServerID, b.ServerIP, b.Type, b.ListenerProtocol, b.ServerHealthStatus, extra.ServerGroupID} {
			alicloudtest.VerifyField(t, field)
			if signature := echo.Signature(); signature != "" && strings.Contains(field+extra.Reason, signature) {
				t.Errorf("the signature in %+v, %+v", b, extra)
			}
		}
	}
}
