// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// echoingBodies are responses that repeat the request.
var echoingBodies = append([]string{
	rows(`{"ServerId":"$KEY","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"i-1","ServerIp":"x$TOKEN","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"i-1","Type":"$ESCAPED","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"$SIGNATURE","ServerHealthStatus":"normal"}`),
}, alicloudtest.EchoingRefusals...)

// FuzzReadHealth responds to a call of the real SDK.
func FuzzReadHealth(f *testing.F) {
	example, err := os.ReadFile("testdata/describe-health-status.json")
	if err != nil {
		f.Fatal(err)
	}
	const jsonType = "application/json;charset=utf-8"
	f.Add(uint16(200), jsonType, "", example)
	for _, body := range append([]string{
		"", "{}", "null", "[]", alicloudtest.OneRow, alicloudtest.NoRows, rows("null"), rows(`{"ServerId":" ","ServerHealthStatus":"\u0000"}`), rows(`{"ServerId":1e9,"ServerHealthStatus":true,"Port":"1.5"}`),
		rows(`{"ServerId":"i-1","ServerHealthStatus":"normal"}`, `{"ServerId":"$KEY","Port":"http"}`, `[]`), rows(`{"ServerId":"i-1","ServerHealthStatus":"normal"}`, `{"Port":-520}`),
		`{"RequestId":"1","BackendServers":{"BackendServer":[{}]},"BackendServers":null}`, alicloudtest.ErrorDocument("Throttling", alicloudtest.Secret), `{"Code":1}`, `{"Code":"x","Message":{}}`,
	}, echoingBodies...) {
		f.Add(uint16(200), jsonType, "", []byte(body))
		f.Add(uint16(400), "text/xml", "3", []byte(body))
		f.Add(uint16(503), "", "Wed, 21 Oct 2099 07:28:00 GMT", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, contentType, retryAfter string, body []byte) {
		echo := &alicloudtest.Echo{Body: body}
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			r := alicloudtest.Response(request, 200+int(status)%400, echo.Fill(request))
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Retry-After", retryAfter)
			return r, nil
		})
		observation, err := client.DescribeHealthStatus(t.Context(), aRequest())
		check(t, echo, observation, err)
	})
}

// FuzzReadListeners responds to every call for a page with the same document.
func FuzzReadListeners(f *testing.F) {
	for _, document := range []string{
		"", "{}", "null", alicloudtest.OneRow, page(""), page("again"), page("", "null"), page("", listener(alicloudtest.LoadBalancer, 80, "HTTP", `"HTTPListenerConfig":{"HealthCheck":"off","ListenerForward":true}`)),
		page("$TOKEN", listener("lb-other", 80, "$KEY")), page("", listener(alicloudtest.LoadBalancer, 443, "$SIGNATURE"), listener(alicloudtest.LoadBalancer, 443, "x$ESCAPED")),
		alicloudtest.ErrorDocument("Forbidden.RAM", "$KEY may not $URL"), `{"RequestId":"$KEY","Listeners":[]}`, `{"RequestId":"1","Listeners":[{"LoadBalancerId":1,"ListenerPort":"1.5","Tags":{}}]}`,
	} {
		f.Add(uint16(0), []byte(document))
		f.Add(uint16(203), []byte(document))
	}
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		echo := &alicloudtest.Echo{Body: body}
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			return alicloudtest.Response(request, 200+int(status)%400, echo.Fill(request)), nil
		})
		list, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(alicloudtest.LoadBalancer, "lb-2"))
		if err != nil {
			check(t, echo, nil, err)
			return
		}
		if !requestID.MatchString(list.RequestID) || list.Calls != 1 || len(list.Listeners) != 2 {
			t.Errorf("got %+v", list)
		}
		for _, l := range slices.Concat(list.Listeners[alicloudtest.LoadBalancer], list.Listeners["lb-2"]) {
			if l.Port < 1 || !isPort(int(l.Port)) || l.HealthCheck != "" && l.HealthCheck != "on" && l.HealthCheck != "off" {
				t.Errorf("the listener %+v", l)
			}
			alicloudtest.VerifyField(t, l.Protocol)
			alicloudtest.VerifyField(t, l.Status)
		}
	})
}

// check demands a failure fit for conditions, or an observation fit for a status.
func check(t *testing.T, echo *alicloudtest.Echo, observation *alicloud.Observation, err error) {
	t.Helper()
	signature := echo.Signature()
	if err != nil {
		failed := failure(t, err)
		if observation != nil {
			t.Errorf("a failed call returned the observation %+v", observation)
		}
		if signature != "" {
			alicloudtest.VerifySecretless(t, failed, signature)
		}
		return
	}
	checkObservation(t, observation)
	if signature != "" && strings.Contains(fmt.Sprint(observation.Backends), signature) {
		t.Errorf("an observation with the signature: %+v", observation.Backends)
	}
}

func checkObservation(t *testing.T, observation *alicloud.Observation) {
	t.Helper()
	if !requestID.MatchString(observation.RequestID) {
		t.Errorf("an observation with the RequestID %q", observation.RequestID)
	}
	anonymous := 0
	for _, backend := range observation.Backends {
		if backend.ServerID == "" {
			anonymous++
		}
		if backend.ServerHealthStatus == "" || backend.ServerID == "" && backend.ServerHealthStatus != statusUnknown || !isPort(int(backend.Port)) || !isPort(int(backend.ListenerPort)) {
			t.Errorf("an observation with the row %+v", backend)
		}
		for _, field := range []string{observation.RequestID, backend.ServerID, backend.ServerIP, backend.EniHost, backend.Type, backend.ListenerProtocol, backend.ServerHealthStatus} {
			alicloudtest.VerifyField(t, field)
		}
	}
	if rows := len(observation.Backends); anonymous > observation.OddRows || rows > 0 && observation.OddRows >= rows {
		t.Errorf("%d odd rows of %d, %d of them without a server", observation.OddRows, rows, anonymous)
	}
}

const maxField = 128

var requestID = regexp.MustCompile(`^[0-9A-Za-z._:-]{1,128}$`)
