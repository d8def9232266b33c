// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/yaml"
)

// FuzzConfig verifies that a file is read as written, or refused in one line that quotes no secret.
func FuzzConfig(f *testing.F) {
	for _, config := range []string{
		"", "loadBalancers: []", "accounts: [{accessKeyId: a, accessKeySecret: b, qps: 1e309}]", "loadBalancers: [{loadBalancerId: lb, regionId: cn-x, backends: []}]",
		"accounts:\n- accessKeyId: a\n  accessKeySecret: &s x\n  securityToken: *s\n", "a: &a [*a, *a]", "---\nloadBalancers: []\n---\n", "\xff", "{\"loadBalancers\": null}",
		"loadBalancers: [{loadBalancerId: lb, regionId: cn-x, backends: [{serverId: i, listenerPort: 0x1bb, port: 1_000, serverIp: '::1%eth0'}]}]",
		"accounts: [{accessKeyId: a, accessKeySecret: yes}]", "accounts: [{accessKeyId: a, accessKeySecret: !!binary aGk=}]", "? {a: b}\n: c", "<<: {loadBalancers: []}",
		"accounts: [{accessKeyId: a, accessKeySecret: b, allowListeners: false}]",
		"loadBalancers: [{loadBalancerId: lb, regionId: cn-x, backends: [], listeners: [{listenerPort: 80, listenerProtocol: http, status: stopped, healthCheck: 'off', forwardPort: 443}]}]",
		"loadBalancers: [{loadBalancerId: lb, regionId: cn-x, backends: [], listeners: []}]",
	} {
		f.Add([]byte(config))
	}
	f.Add([]byte(contractFile))
	f.Add([]byte(groupsFile))
	f.Add([]byte("nlb: {serverGroups: [{serverGroupId: sgp, regionId: cn-x, healthCheck: 'off', servers: [{serverIp: ::1, weight: 0, port: 1}]}]}"))
	f.Add([]byte("alb: {loadBalancers: [{loadBalancerId: alb-1, regionId: cn-x, listeners: []}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := ParseConfig(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		config = normal(config)
		again, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseConfig(again)
		if nothing := reflect.DeepEqual(config, normal(Config{})); nothing {
			return // which a file has to say in words
		}
		if err != nil || !reflect.DeepEqual(normal(back), config) {
			t.Fatalf("%+v\nis written as\n%s\nand read as %+v, %v", config, again, back, err)
		}
		New(config, Options{}).Close()

		const secret = "b2Zm-the-secret-of-the-file"
		_, err = ParseConfig([]byte("accounts:\n- accessKeyId: k\n  accessKeySecret: " + secret + "\n  " + string(data)))
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("%q quotes the secret", err)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); text == "" || strings.ContainsFunc(text, unicode.IsControl) {
		t.Fatalf("%q is not one line", text)
	}
}

// normal has empty lists where they are written, and none where they are not.
func normal(c Config) Config {
	for i := range c.Accounts {
		if len(c.Accounts[i].Allow) == 0 {
			c.Accounts[i].Allow = nil
		}
	}
	if len(c.LoadBalancers) == 0 {
		c.LoadBalancers = nil
	}
	for _, p := range []*ProductConfig{&c.NLB, &c.ALB} {
		normalGroups(p)
	}
	for i := range c.LoadBalancers {
		if len(c.LoadBalancers[i].Backends) == 0 {
			c.LoadBalancers[i].Backends = []Backend{} // which is to be written
		}
		if len(c.LoadBalancers[i].Listeners) == 0 {
			c.LoadBalancers[i].Listeners = nil
		}
	}
	return c
}

// normalGroups is normal for NLB or ALB.
func normalGroups(c *ProductConfig) {
	if len(c.LoadBalancers) == 0 {
		c.LoadBalancers = nil
	}
	if len(c.ServerGroups) == 0 {
		c.ServerGroups = nil
	}
	for i := range c.ServerGroups {
		c.ServerGroups[i].Servers = append([]GroupServer{}, c.ServerGroups[i].Servers...) // which are to be written
	}
	for i := range c.LoadBalancers {
		c.LoadBalancers[i].Listeners = append([]GroupListener{}, c.LoadBalancers[i].Listeners...)
		for j := range c.LoadBalancers[i].Listeners {
			normalRules(&c.LoadBalancers[i].Listeners[j])
		}
	}
}

func normalRules(l *GroupListener) {
	if len(l.Rules) == 0 {
		l.Rules = nil
	}
	for i := range l.Rules {
		if len(l.Rules[i].ServerGroupIDs) == 0 {
			l.Rules[i].ServerGroupIDs = nil
		}
		if len(l.Rules[i].MirrorServerGroupIDs) == 0 {
			l.Rules[i].MirrorServerGroupIDs = nil
		}
	}
}
