// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"errors"
	"strings"
	"testing"
)

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

func TestProductFollowsFromTheID(t *testing.T) {
	for id, want := range map[string]string{
		"lb-bp1qjwo61pqz3ahltv0mw":        ProductCLB,
		"139a00604ad-cn-east-hangzhou-01": ProductCLB,
		"nlb-z7eo2kjb3c4pv9dmq1":          ProductNLB,
		"alb-z7eo2kjb3c4pv9dmq1":          ProductALB,
		"lb-nlb-1":                        ProductCLB,
		"nlb":                             ProductCLB,
		"":                                ProductCLB,
	} {
		if got := (Target{LoadBalancerID: id}).Product(); got != want {
			t.Errorf("%q: got %s, want %s", id, got, want)
		}
	}
}

func TestGatewayLoadBalancerIsRefusedBeforeACall(t *testing.T) {
	request := aRequest()
	request.Target.LoadBalancerID = "gwlb-1"
	client := newTestClient(t, "http://127.0.0.1:1")
	_, err := client.DescribeHealthStatus(t.Context(), request)
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != InvalidRequest || !failed.Local || !strings.Contains(failed.Message, "Gateway Load Balancer") {
		t.Errorf("got %v", err)
	}
}

func TestListenerWithARangeIsInTheScopeOfItsPorts(t *testing.T) {
	observation := &Observation{
		Backends: []Backend{{ListenerPort: 80, ListenerProtocol: "tcp"}, {ListenerPort: 9000, ListenerProtocol: "udp"}},
		Groups: &Groups{Rows: make([]GroupRow, 2), Listeners: []GroupListener{
			{Listener: Listener{Port: 80, Protocol: "tcp"}, EndPort: 80}, {Listener: Listener{Port: 9000, Protocol: "udp"}, EndPort: 9100},
		}},
	}
	for scope, want := range map[Scope][2]bool{
		{}:                   {true, true},
		{ListenerPort: 80}:   {true, false},
		{ListenerPort: 9000}: {false, true},
		{ListenerPort: 9100}: {false, true},
		{ListenerPort: 9101}: {false, false},
		{ListenerPort: 9050, ListenerProtocol: "tcp"}: {false, false},
		{ListenerProtocol: "UDP"}:                     {false, true},
	} {
		for row, in := range want {
			if got := observation.InScope(scope, row); got != in {
				t.Errorf("row %d in %+v is %t", row, scope, got)
			}
		}
	}
	if clb := (&Observation{Backends: []Backend{{ListenerPort: 80}}}); !clb.InScope(Scope{ListenerPort: 80}, 0) || clb.InScope(Scope{ListenerPort: 81}, 0) || clb.Group(0) != (GroupRow{}) {
		t.Error("an observation of CLB has a server group")
	}
}
