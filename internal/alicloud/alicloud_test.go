// SPDX-License-Identifier: Apache-2.0

package alicloud

import "testing"

func TestTargetString(t *testing.T) {
	for want, target := range map[string]Target{
		"default/cn-hangzhou/lb-1":  {RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"},
		"prod/key/cn-hangzhou/lb-1": {Account: Account{Namespace: "prod", Name: "key"}, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"},
	} {
		if got := target.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestScopeCovers(t *testing.T) {
	all, port, tcp, both := Scope{}, Scope{ListenerPort: 53}, Scope{ListenerProtocol: "tcp"}, Scope{ListenerPort: 53, ListenerProtocol: "tcp"}
	for _, test := range []struct {
		scope  Scope
		covers []Scope
		not    []Scope
	}{
		{all, []Scope{all, port, tcp, both}, nil},
		{port, []Scope{port, both}, []Scope{all, tcp, {ListenerPort: 54}}},
		{tcp, []Scope{tcp, both}, []Scope{all, port, {ListenerProtocol: "udp"}}},
		{both, []Scope{both}, []Scope{all, port, tcp, {ListenerPort: 53, ListenerProtocol: "udp"}}},
	} {
		for _, other := range test.covers {
			if !test.scope.Covers(other) {
				t.Errorf("%+v does not cover %+v", test.scope, other)
			}
		}
		for _, other := range test.not {
			if test.scope.Covers(other) {
				t.Errorf("%+v covers %+v", test.scope, other)
			}
		}
	}
}

func TestScopeIncludes(t *testing.T) {
	scope := Scope{ListenerPort: 53, ListenerProtocol: "tcp"}
	for backend, want := range map[Backend]bool{
		{}:                 true,
		{ListenerPort: 53}: true,
		{ListenerPort: 53, ListenerProtocol: "tcp"}: true,
		{ListenerProtocol: "tcp"}:                   true,
		{ListenerProtocol: "TCP"}:                   true,
		{ListenerProtocol: "UDP"}:                   false,
		{ListenerPort: 53, ListenerProtocol: "udp"}: false,
		{ListenerPort: 54, ListenerProtocol: "tcp"}: false,
		{ListenerProtocol: "udp"}:                   false,
		{ListenerPort: 54}:                          false,
	} {
		if got := scope.Includes(backend); got != want {
			t.Errorf("%+v: %t", backend, got)
		}
		if !(Scope{}).Includes(backend) {
			t.Errorf("every listener omits %+v", backend)
		}
	}
}
