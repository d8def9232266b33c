// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const contractFile = `accounts:
- {accessKeyId: LTAIexample, accessKeySecret: example-secret}
loadBalancers:
- loadBalancerId: lb-demo
  regionId: cn-hangzhou
  backends:
  - {serverId: i-1, serverIp: 10.0.0.1, type: ecs, listenerPort: 443, listenerProtocol: https, port: 8443, serverHealthStatus: normal}
`

func TestLoadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, file, contractFile)
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Backend{"i-1", "10.0.0.1", "", "ecs", 443, "https", 8443, "normal"}
	if len(cfg.Accounts) != 1 || len(cfg.LoadBalancers) != 1 || cfg.LoadBalancers[0].Backends[0] != want {
		t.Errorf("got %+v", cfg)
	}
	if _, err := LoadConfig(file + ".missing"); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
	writeFile(t, file, "accounts: 1")
	if _, err := LoadConfig(file); err == nil || !strings.HasPrefix(err.Error(), file+": accounts: ") {
		t.Errorf("got %v", err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigWithoutLoadBalancers(t *testing.T) {
	for _, text := range []string{"loadBalancers: []", "# head\n---\nloadBalancers: []\n"} {
		if _, err := ParseConfig([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEmptyConfigIsRefused(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null", "{}"} {
		if _, err := ParseConfig([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "the document is empty: write accounts or loadBalancers") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	lb := func(fields string) string {
		return "loadBalancers:\n- {loadBalancerId: lb-1, regionId: cn-a, " + fields + "}\n"
	}
	account := func(fields string) string {
		return "accounts: [{accessKeyId: k0, accessKeySecret: s}, {accessKeyId: k, accessKeySecret: s, " + fields + "}]"
	}
	backend := func(fields string) string { return lb("backends: [{serverId: i-1}, {serverId: i-2, " + fields + "}]") }
	for _, tc := range []struct{ name, text, want string }{
		{"no YAML", "loadBalancers: [", "not valid YAML: line 1: did not find expected node content"},
		{"second document", "accounts: []\n---\nloadBalancers: []", "a second YAML document follows ---"},
		{"doubled key", "accounts: []\naccounts: []", `not valid YAML: unmarshal errors: line 2: key "accounts" already set`},
		{"no object", "- 1", "the document: got array, want struct"},
		{"unknown field", "account: []", `unknown field "account"`},
		{"wrong case", "Accounts: []", `unknown field "Accounts"`},
		{"unknown field below", backend("prt: 1"), `unknown field "loadBalancers[0].backends[1].prt"`},
		{"text for a number", backend(`port: "80"`), "loadBalancers.backends.port: got string, want int"},
		{"number for a text", "accounts: [{accessKeyId: 1, accessKeySecret: s}]", "accounts.accessKeyId: got number, want string"},
		{"port too high", backend("port: 65536"), "loadBalancers[0].backends[1].port: 65536 is no port: write 1 to 65535"},
		{"port below 0", backend("listenerPort: -1"), "loadBalancers[0].backends[1].listenerPort: -1 is no port"},
		{"broken port", backend("port: 1.5"), "loadBalancers.backends.port: got number, want int"},
		{"huge port", backend("port: 1e30"), "loadBalancers.backends.port: got number, want int"},
		{"object for a list", "loadBalancers: {a: 1}", "loadBalancers: got object, want slice"},
		{"word for a number", account("qps: fast"), "accounts.qps: got string, want float64"},
		{"word for a text", "loadBalancers: [{loadBalancerId: true}]", "loadBalancers.loadBalancerId: got bool, want string"},
		{"nothing for accounts", "accounts:\nloadBalancers: []", "accounts: null: write a value, or omit it"},
		{"nothing for load balancers", "loadBalancers:", "loadBalancers: null: write a value, or omit it"},
		{"no accounts", "accounts: []", "accounts: the list is empty: write an account, or omit it to accept any key"},
		{"port 0", backend("listenerPort: 0"), "loadBalancers[0].backends[1].listenerPort: 0 is too low: write a number above 0, or omit it"},
		{"empty address", backend(`serverIp: ""`), "loadBalancers[0].backends[1].serverIp: empty: write a value, or omit it"},
		{"qps 0", account("qps: 0"), "accounts[1].qps: 0 is too low: write a number above 0, or omit it"},
		{"burst 0", account("qps: 1, burst: 0"), "accounts[1].burst: 0 is too low"},
		{"empty token", account(`securityToken: ""`), "accounts[1].securityToken: empty: write a value, or omit it"},
		{"nothing for allow", account("allow: null"), "accounts[1].allow: null: write a value, or omit it"},
		{"key id", "accounts: [{accessKeyId: 'k*', accessKeySecret: s}]", `accounts[0].accessKeyId: "k*" is no key id: write 1 to 128 letters, digits, ., - or _`},
		{"status", backend("serverHealthStatus: broken"), `loadBalancers[0].backends[1].serverHealthStatus: "broken" is not known: write one of normal, abnormal, unavailable`},
		{"type", backend("type: eci"), `loadBalancers[0].backends[1].type: "eci" is not known: write one of ecs, eni`},
		{"protocol", backend("listenerProtocol: HTTPS"), `loadBalancers[0].backends[1].listenerProtocol: "HTTPS" is not known: write one of tcp, udp, http, https`},
		{"address", backend("serverIp: 10.0.0"), `loadBalancers[0].backends[1].serverIp: "10.0.0" is no IP address`},
		{"no server", lb("backends: [{port: 1}]"), "loadBalancers[0].backends[0].serverId: missing"},
		{"server twice", lb("backends: [{serverId: a}, {serverId: a}]"), `loadBalancers[0].backends[1].serverId: "a" stands twice`},
		{"id", "loadBalancers: [{loadBalancerId: lb/1, regionId: cn-a}]", `loadBalancers[0].loadBalancerId: "lb/1" is no id`},
		{"region", "loadBalancers: [{loadBalancerId: lb-1, regionId: Hangzhou}]", `loadBalancers[0].regionId: "Hangzhou" is no region`},
		{"id twice", lb("backends: []") + "- {loadBalancerId: lb-1, regionId: cn-b}", `loadBalancers[1].loadBalancerId: "lb-1" stands twice`},
		{"no key", "accounts: [{accessKeySecret: s}]", "accounts[0].accessKeyId: missing"},
		{"no secret", "accounts: [{accessKeyId: k}]", "accounts[0].accessKeySecret: missing"},
		{"key twice", "accounts: [{accessKeyId: k, accessKeySecret: s}, {accessKeyId: k, accessKeySecret: s}]", `accounts[1].accessKeyId: "k" stands twice`},
		{"qps", "accounts: [{accessKeyId: k, accessKeySecret: s, qps: -1}]", "accounts[0].qps: -1 is below 0"},
		{"burst alone", "accounts: [{accessKeyId: k, accessKeySecret: s, burst: 1}]", "accounts[0].burst: 1 makes no sense here"},
		{"pattern", account("allow: [lb-1, 'lb-?']"), `accounts[1].allow[1]: "lb-?" is no pattern: write a load balancer id, with * for any characters`},
		{"empty pattern", account("allow: ['']"), `accounts[1].allow[0]: empty: write a value, or omit it`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
