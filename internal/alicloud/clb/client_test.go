// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func TestHealthCallHasLoadBalancerAndScope(t *testing.T) {
	for name, test := range map[string]struct {
		scope alicloud.Scope
		want  map[string]string
	}{
		"every listener":        {alicloud.Scope{}, map[string]string{}},
		"a port":                {alicloud.Scope{ListenerPort: 443}, map[string]string{"ListenerPort": "443"}},
		"a protocol":            {alicloud.Scope{ListenerProtocol: "udp"}, map[string]string{"ListenerProtocol": "udp"}},
		"a port and a protocol": {alicloud.Scope{ListenerPort: 65535, ListenerProtocol: "tcp"}, map[string]string{"ListenerPort": "65535", "ListenerProtocol": "tcp"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got url.Values
			client := clientOver(func(r *http.Request) (*http.Response, error) {
				got = r.URL.Query()
				return alicloudtest.Response(r, http.StatusOK, alicloudtest.OneRow), nil
			})
			request := aRequest()
			request.Scope = test.scope
			observation, err := client.DescribeHealthStatus(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if observation.Scope != test.scope || time.Since(observation.At) > alicloudtest.Patience {
				t.Errorf("an observation of scope %+v at %s", observation.Scope, observation.At)
			}
			alicloudtest.VerifySigned(t, got, alicloudtest.KeyID, alicloudtest.Secret)
			test.want["Action"], test.want["LoadBalancerId"], test.want["SecurityToken"] = "DescribeHealthStatus", alicloudtest.LoadBalancer, alicloudtest.Token
			for _, name := range alicloudtest.SignedParameters {
				got.Del(name)
			}
			if len(got) != len(test.want) {
				t.Errorf("parameters %v, want %v", got, test.want)
			}
			for name, want := range test.want {
				if got.Get(name) != want {
					t.Errorf("%s = %q, want %q", name, got.Get(name), want)
				}
			}
		})
	}
}

func TestRefusalOfAPortMentionsIt(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		port int32
		want []string
	}{
		"a port":          {"ListenerNotFound", 443, []string{"no listener with a health check on port 443", "spec.listenerPort"}},
		"a port, by case": {"checkedlistenernotfound", 80, []string{"port 80"}},
		"every port":      {"ListenerNotFound", 0, []string{"the load balancer has no listener with a health check: add one"}},
		"another code":    {"InvalidParameter", 443, []string{"check spec.loadBalancerId, spec.regionId, spec.listenerPort and spec.listenerProtocol"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := aRequest()
			request.Scope.ListenerPort = test.port
			failed := callAndFail(t, clientOver(alicloudtest.Respond(http.StatusBadRequest, alicloudtest.ErrorDocument(test.code, ""))), request)
			for _, want := range test.want {
				if !strings.Contains(failed.Message, want) {
					t.Errorf("%q does not say %q", failed.Message, want)
				}
			}
		})
	}
}
