// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"strings"
	"testing"
)

func TestListenerFilter(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	for _, tc := range []struct {
		port, protocol, servers string
	}{
		{"", "", "i-1 i-2 eni-3 i-4 i-4"},
		{"443", "", "i-1 i-2"},
		{"443", "https", "i-1 i-2"},
		{"443", "tcp", ""},
		{"53", "udp", "i-4"},
		{"80", "", "eni-3"},
		{"80", "http", "eni-3"},
		{"", "tcp", "eni-3 i-4"},
		{"9", "", ""},
	} {
		t.Run(tc.port+" "+tc.protocol, func(t *testing.T) {
			overrides := map[string]string{"ListenerPort": tc.port, "ListenerProtocol": tc.protocol}
			got := call(t, base, http.MethodPost, testSecret, callParams(clock.Now(), overrides))
			wantCode(t, got, http.StatusOK, "")
			var servers []string
			for _, r := range got.BackendServers.BackendServer {
				servers = append(servers, r.ServerID)
			}
			if strings.Join(servers, " ") != tc.servers {
				t.Errorf("got %v, want %s", servers, tc.servers)
			}
		})
	}
}

func TestResponseOmitsUnconfiguredFields(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	for _, tc := range []struct{ id, format, want string }{
		{"lb-empty", "JSON", `"BackendServers":{"BackendServer":[]}}`},
		{"lb-empty", "XML", `<BackendServers></BackendServers></DescribeHealthStatusResponse>`},
		{"lb-bare", "JSON", `"BackendServers":{"BackendServer":[{"ServerId":"vm-233","ServerHealthStatus":"normal"}]}}`},
		{"lb-bare", "XML", `<BackendServers><BackendServer><ServerId>vm-233</ServerId><ServerHealthStatus>normal</ServerHealthStatus></BackendServer></BackendServers></DescribeHealthStatusResponse>`},
	} {
		overrides := map[string]string{"LoadBalancerId": tc.id, "Format": tc.format}
		got := call(t, base, http.MethodGet, testSecret, callParams(clock.Now(), overrides))
		if !strings.HasSuffix(string(got.body), tc.want) {
			t.Errorf("%s %s: got %s", tc.id, tc.format, got.body)
		}
	}
}
