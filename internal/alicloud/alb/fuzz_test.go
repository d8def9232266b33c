// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

// documents are the responses for a load balancer with one listener, by action.
var documents = map[string]string{
	servergroup.ActionListeners:    `{"RequestId":"R-1","Listeners":[{"LoadBalancerId":"alb-1","ListenerId":"lsn-1","ListenerPort":80,"ListenerProtocol":"HTTP","ListenerStatus":"Running","DefaultActions":[{"Type":"ForwardGroup","ForwardGroupConfig":{"ServerGroupTuples":[{"ServerGroupId":"sgp-1"}]}}]}]}`,
	servergroup.ActionLoadBalancer: `{"RequestId":"R-1","LoadBalancerId":"alb-1"}`,
	servergroup.ActionGroups:       `{"RequestId":"R-1","ServerGroups":[{"ServerGroupId":"sgp-1","ServerCount":2}]}`,
	servergroup.ActionMembers:      `{"RequestId":"R-1","Servers":[{"ServerId":"i-1","ServerIp":"10.0.0.1","Port":80,"Weight":100,"ServerType":"Ecs","Status":"Available"},{"ServerId":"i-2","Port":80}]}`,
	servergroup.ActionHealth:       `{"RequestId":"R-1","ListenerHealthStatus":[{"ServerGroupInfos":[{"ServerGroupId":"sgp-1","HealthCheckEnabled":"on","NonNormalServers":[{"ServerId":"i-1","Port":80,"Status":"Unhealthy","Reason":{"ReasonCode":"CONNECT_FAILED"}}]}]}],"RuleHealthStatus":[{"RuleId":"rule-1","ServerGroupInfos":[{"ServerGroupId":"sgp-1","HealthCheckEnabled":"on","NonNormalServers":[]}]}]}`,
}

// FuzzObserve observes with the real SDK, where the responses to one action have
// any body.
func FuzzObserve(f *testing.F) {
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
			if asked := request.URL.Query().Get("Action"); asked != action {
				return alicloudtest.Response(request, http.StatusOK, documents[asked]), nil
			}
			return alicloudtest.Response(request, 200+int(status)%400, echo.Fill(request)), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		request := servergroup.Request{Request: alicloud.Request{
			Target:      alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: "alb-1"},
			Credentials: alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token},
		}}
		var state servergroup.State
		for range 2 {
			observation, err := NewClient(caller).Observe(t.Context(), &request, &state, permitted)
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
