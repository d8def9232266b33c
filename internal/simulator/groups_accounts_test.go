// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"testing"
)

// allow lists load balancers and server groups; each product refuses in its own words.
func TestAccountsReadWhatTheyMay(t *testing.T) {
	cfg := groupsConfig()
	cfg.Accounts = append(cfg.Accounts, Account{AccessKeyID: "LTAIgroups", AccessKeySecret: "groups-secret", Allow: []string{"nlb-web", "sgp-o*", "alb-*"}})
	clock := newClock()
	_, base := start(t, cfg, Options{Now: clock.Now})
	for _, tc := range []struct {
		version string
		params  map[string]string
		status  int
		code    string
	}{
		{"2022-04-30", map[string]string{"Action": ActionListenerHealth, "ListenerId": "lsn-web-tcp@80"}, 200, ""},
		{"2022-04-30", map[string]string{"Action": ActionListenerHealth, "ListenerId": "lsn-other-tcp@80"}, 403, "Forbidden.NoPermission"},
		{"2022-04-30", map[string]string{"Action": ActionBalancer, "LoadBalancerId": "nlb-other"}, 403, "Forbidden.NoPermission"},
		{"2022-04-30", map[string]string{"Action": ActionListServers, "ServerGroupId": "sgp-off"}, 200, ""},
		{"2022-04-30", map[string]string{"Action": ActionListServers, "ServerGroupId": "sgp-web"}, 403, "Forbidden.NoPermission"},
		{"2022-04-30", map[string]string{"Action": ActionListGroups, "ServerGroupIds.1": "sgp-off"}, 200, ""},
		{"2022-04-30", map[string]string{"Action": ActionListGroups, "ServerGroupIds.1": "sgp-off", "ServerGroupIds.2": "sgp-web"}, 403, "Forbidden.NoPermission"},
		{"2022-04-30", map[string]string{"Action": ActionListGroups}, 403, "Forbidden.NoPermission"}, // of all
		{"2022-04-30", map[string]string{"Action": ActionListListeners, "LoadBalancerIds.1": "nlb-web"}, 200, ""},
		{"2022-04-30", map[string]string{"Action": ActionListListeners, "ListenerIds.1": "lsn-other-tcp@80"}, 403, "Forbidden.NoPermission"},
		{"2020-06-16", map[string]string{"Action": ActionListenerHealth, "ListenerId": "lsn-web-https-443"}, 200, ""},
		{"2020-06-16", map[string]string{"Action": ActionListServers, "ServerGroupId": "sgp-shop"}, 400, "Forbidden.ServerGroup"},
		{"2020-06-16", map[string]string{"Action": ActionListListeners}, 400, "Forbidden.LoadBalancer"},
		{"2020-06-16", map[string]string{"Action": ActionListRules}, 400, "Forbidden.LoadBalancer"},
	} {
		params := callParams(clock.Now(), tc.params)
		params["Version"], params["AccessKeyId"] = tc.version, "LTAIgroups"
		if tc.params["LoadBalancerId"] == "" {
			delete(params, "LoadBalancerId")
		}
		wantCode(t, call(t, base, http.MethodPost, "groups-secret", params), tc.status, tc.code)
	}
}

// Each product throttles for itself: they have endpoints of their own.
func TestProductsThrottleForThemselves(t *testing.T) {
	clock := newClock()
	_, base := start(t, groupsConfig(), Options{Now: clock.Now})
	send := func(version, action string) string {
		overrides := map[string]string{"Version": version, "Action": action, "AccessKeyId": "LTAIslow"}
		return call(t, base, http.MethodPost, "slow-secret", callParams(clock.Now(), overrides)).Code
	}
	for range 3 {
		send("2022-04-30", ActionListListeners)
	}
	for _, tc := range []struct{ version, action, code string }{
		{"2022-04-30", ActionListListeners, "Throttling.User"},
		{"2020-06-16", ActionListListeners, ""},
		{clbVersion, ActionHealthStatus, ""},
	} {
		if got := send(tc.version, tc.action); got != tc.code {
			t.Errorf("%s: got %q, want %q", tc.version, got, tc.code)
		}
	}
}
