// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const (
	bareNLB = "/?Version=2022-04-30&Format=JSON&Action="
	bareALB = "/?Version=2020-06-16&Format=JSON&Action="
)

// openGroups is groupsConfig without accounts: bare URLs do.
func openGroups() Config {
	cfg := groupsConfig()
	cfg.Accounts = nil
	return cfg
}

var requestIDs = regexp.MustCompile(`"RequestId":"[0-9A-F-]{36}"`)

// body fetches a URL and returns its body without the RequestId.
func body(t *testing.T, url string, status int) string {
	t.Helper()
	got, err := fetch(t, url)
	if err != nil || got.status != status {
		t.Fatalf("%s: got %d %s, %v", url, got.status, got.body, err)
	}
	return requestIDs.ReplaceAllString(string(got.body), "")
}

// Each response is that of the vendor's documentation, with the fields that a product lacks absent.
func TestResponsesOfNLBAndALBHaveTheVendorsShape(t *testing.T) {
	_, base := start(t, openGroups(), Options{})
	const reason = `"Status":"Unhealthy","Reason":{"ReasonCode":"CONNECT_TIMEOUT"}`
	for query, want := range map[string]string{
		bareNLB + "GetListenerHealthStatus&ListenerId=lsn-web-tcp%4080": `{,"TotalCount":2,"MaxResults":20,"ListenerHealthStatus":[{"ListenerId":"lsn-web-tcp@80","ListenerPort":80,"ListenerProtocol":"TCP",` +
			`"ServerGroupInfos":[{"ServerGroupId":"sgp-web","HeathCheckEnabled":true,"NonNormalServers":[{"ServerId":"eni-3","ServerIp":"10.0.0.3","Port":8080,"Status":"Initial"},` +
			`{"ServerId":"i-2","ServerIp":"10.0.0.2","Port":8080,` + reason + `}]}]}]}`,
		bareNLB + "GetListenerHealthStatus&ListenerId=lsn-range%400": `{,"TotalCount":1,"MaxResults":20,"ListenerHealthStatus":[{"ListenerId":"lsn-range@0","ListenerPort":0,"ListenerProtocol":"UDP",` +
			`"ServerGroupInfos":[{"ServerGroupId":"sgp-off","HeathCheckEnabled":false,"NonNormalServers":[{"ServerIp":"10.1.0.1","Port":53,"Status":"Unavailable"}]}]}]}`,
		bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-https-443": `{,"ListenerHealthStatus":[{"ListenerId":"lsn-web-https-443","ListenerPort":443,"ListenerProtocol":"https",` +
			`"ServerGroupInfos":[{"ServerGroupId":"sgp-default","HealthCheckEnabled":"on","ActionType":"ForwardGroup","NonNormalServers":[]}]}]}`,
		bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-quic-443&IncludeRule=true": `{,"ListenerHealthStatus":[{"ListenerId":"lsn-web-quic-443","ListenerPort":443,"ListenerProtocol":"quic",` +
			`"ServerGroupInfos":[{"ServerGroupId":"sgp-default","HealthCheckEnabled":"on","ActionType":"ForwardGroup","NonNormalServers":[]}]}],"RuleHealthStatus":[]}`,
		bareNLB + "ListListeners&ListenerProtocol=TCPSSL": `{,"TotalCount":1,"MaxResults":20,"Listeners":[{"RegionId":"cn-hangzhou","LoadBalancerId":"nlb-web","ListenerId":"lsn-web-tcpssl@443",` +
			`"ListenerProtocol":"TCPSSL","ListenerPort":443,"ListenerStatus":"Stopped","ServerGroupId":"sgp-web"}]}`,
		bareNLB + "ListListeners&ListenerIds.1=lsn-range%400": `{,"TotalCount":1,"MaxResults":20,"Listeners":[{"RegionId":"cn-hangzhou","LoadBalancerId":"nlb-web","ListenerId":"lsn-range@0",` +
			`"ListenerProtocol":"UDP","ListenerPort":0,"StartPort":"6000","EndPort":"6010","ListenerStatus":"Running","ServerGroupId":"sgp-off"}]}`,
		bareNLB + "ListListeners&LoadBalancerIds.1=nlb-none": `{,"TotalCount":0,"MaxResults":20,"Listeners":[]}`,
		bareNLB + "ListServerGroupServers&ServerGroupId=sgp-off": `{,"TotalCount":1,"MaxResults":20,"Servers":[{"ServerGroupId":"sgp-off","ServerIp":"10.1.0.1","ServerType":"Ip","Port":53,` +
			`"Weight":100,"Status":"Available"}]}`,
		bareALB + "ListServerGroups&ServerGroupIds.7=sgp-mirror": `{,"TotalCount":1,"MaxResults":20,"ServerGroups":[{"ServerGroupId":"sgp-mirror","ServerGroupName":"sgp-mirror","ServerGroupType":"Fc",` +
			`"ServerGroupStatus":"Available","ServerCount":1,"RelatedLoadBalancerIds":["alb-web"],"HealthCheckConfig":{"HealthCheckEnabled":false}}]}`,
	} {
		if got := body(t, base+query, http.StatusOK); got != want {
			t.Errorf("%s: got\n%s, want\n%s", query, got, want)
		}
	}
}

func TestOnlyServersThatAreNotNormalAreNamed(t *testing.T) {
	for _, tc := range []struct {
		fact        string
		healthCheck string
		server      GroupServer
		nlb, alb    string
	}{
		{"a normal server is absent", "on", GroupServer{}, "", ""},
		{"an unhealthy one has a reason", "on", GroupServer{HealthStatus: HealthUnhealthy, ReasonCode: "CONNECT_FAILED"}, "Unhealthy CONNECT_FAILED", "Unhealthy CONNECT_FAILED"},
		{"an unhealthy one may lack a reason", "on", GroupServer{HealthStatus: HealthUnhealthy}, "Unhealthy", "Unhealthy"},
		{"one without a result is Initial", "on", GroupServer{HealthStatus: HealthInitial}, "Initial", "Initial"},
		{"NLB does not report weight 0", "on", GroupServer{Weight: new(0)}, "", "Unused"},
		{"the older NLB does", "on", GroupServer{Weight: new(0), HealthStatus: HealthUnused}, "Unused", "Unused"},
		{"without checks every server is Unavailable", "off", GroupServer{HealthStatus: HealthUnhealthy, ReasonCode: "CONNECT_FAILED"}, "Unavailable", "Unavailable"},
		{"also one with weight 0", "off", GroupServer{Weight: new(0)}, "Unavailable", "Unavailable"},
		{"one that is being added may be absent", "on", GroupServer{Status: ServerAdding}, "", ""},
		{"one that is being removed may be named", "on", GroupServer{Status: ServerRemoving, HealthStatus: HealthUnhealthy}, "Unhealthy", "Unhealthy"},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			for product, want := range map[string]string{ProductNLB: tc.nlb, ProductALB: tc.alb} {
				tc.server.ServerID = "i-1"
				group := ServerGroup{ServerGroupID: "sgp-1", RegionID: "cn-x", HealthCheck: tc.healthCheck, Servers: []GroupServer{tc.server}}
				got := ""
				for _, s := range newProductState(product).notNormal(group.complete()) {
					got = s.Status
					if s.Reason != nil {
						got += " " + s.Reason.ReasonCode
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", product, got, want)
				}
			}
		})
	}
}

// A group that two listeners, or a listener and a rule, forward to has one health in all of them.
func TestServerGroupsAreShared(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	if n, err := sim.NLB().SetServers("sgp-web", ServerSelector{ServerID: "i-1"}, ServerPatch{HealthStatus: HealthUnhealthy}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, listener := range []string{"lsn-web-tcp%4080", "lsn-web-tcpssl%40443", "lsn-other-tcp%4080"} {
		if got := body(t, base+bareNLB+"GetListenerHealthStatus&ListenerId="+listener, http.StatusOK); !strings.Contains(got, `{"ServerId":"i-1","ServerIp":"10.0.0.1","Port":8080,"Status":"Unhealthy"}`) {
			t.Errorf("%s: got %s", listener, got)
		}
	}
	if n, err := sim.ALB().SetServers("sgp-default", ServerSelector{}, ServerPatch{HealthStatus: HealthInitial}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got := body(t, base+bareALB+"GetListenerHealthStatus&ListenerId=lsn-web-https-443&IncludeRule=true", http.StatusOK)
	if n := strings.Count(got, `"Status":"Initial"`); n != 2 { // the listener's, and that of rule-cart
		t.Errorf("%d times in %s", n, got)
	}
}

// A listener that is removed between two calls is not found by the next, and a load balancer without listeners exists.
func TestRemovedListener(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	const health = "GetListenerHealthStatus&ListenerId=lsn-web-tcp%4080"
	body(t, base+bareNLB+health, http.StatusOK)
	if n, err := sim.NLB().RemoveListeners("nlb-web", GroupListenerSelector{}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if got := body(t, base+bareNLB+health, http.StatusNotFound); !strings.Contains(got, `"Code":"ResourceNotFound.listener"`) {
		t.Errorf("got %s", got)
	}
	if got := body(t, base+bareNLB+"ListListeners&LoadBalancerIds.1=nlb-web", http.StatusOK); !strings.Contains(got, `"Listeners":[]`) {
		t.Errorf("got %s", got)
	}
	if got := body(t, base+bareNLB+"GetLoadBalancerAttribute&LoadBalancerId=nlb-web", http.StatusOK); !strings.Contains(got, `"LoadBalancerId":"nlb-web"`) {
		t.Errorf("got %s", got)
	}
	if got := body(t, base+bareNLB+"ListServerGroups&ServerGroupIds.1=sgp-web", http.StatusOK); !strings.Contains(got, `"RelatedLoadBalancerIds":["nlb-other"]`) {
		t.Errorf("got %s", got)
	}
}

func TestInvalidRequestsOfNLBAndALB(t *testing.T) {
	_, base := start(t, openGroups(), Options{})
	tooMany := func(name string) (query string) {
		for i := range maxGroupIDs + 1 {
			query += fmt.Sprintf("&%s.%d=x-%d", name, i+1, i)
		}
		return query
	}
	for _, tc := range []struct {
		url    string
		status int
		code   string
	}{
		{bareNLB + "DescribeHealthStatus&LoadBalancerId=nlb-web", 404, "InvalidAction.NotFound"}, // of CLB
		{bareNLB + "ListRules", 404, "InvalidAction.NotFound"},                                   // of ALB
		{"/?Version=2014-05-15&Format=JSON&Action=ListListeners", 404, "InvalidAction.NotFound"}, // of NLB and ALB
		{"/?Version=2024-04-15&Format=JSON&Action=ListListeners", 400, "InvalidVersion"},         // of GWLB
		{bareNLB + "GetListenerHealthStatus", 400, "MissingListenerId"},
		{bareALB + "GetListenerHealthStatus", 400, "MissingListenerId"},
		{bareALB + "GetListenerHealthStatus&ListenerId=rule-shop", 404, "ResourceNotFound.Listener"},
		{bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-https-443&RegionId=cn-beijing", 404, "ResourceNotFound.Listener"},
		{bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-https-443&IncludeRule=yes", 400, "IllegalParam.IncludeRule"},
		{bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-https-443&MaxResults=31", 400, "IllegalParam.MaxResults"},
		{bareNLB + "GetListenerHealthStatus&ListenerId=lsn-web-tcp%4080&MaxResults=101", 400, "IllegalParam.MaxResults"},
		{bareNLB + "GetListenerHealthStatus&ListenerId=lsn-web-tcp%4080&NextToken=c2dwLXdlYg", 400, "IllegalParam.NextToken"}, // of another action
		{bareNLB + "GetLoadBalancerAttribute", 400, "MissingLoadBalancerId"},
		{bareNLB + "ListServerGroupServers", 400, "MissingServerGroupId"},
		{bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web&RegionId=cn-beijing", 404, "ResourceNotFound.serverGroup"},
		{bareNLB + "ListServerGroupServers&ServerGroupId=sgp-default", 404, "ResourceNotFound.serverGroup"}, // of ALB
		{bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web" + tooMany("ServerIds"), 400, "IllegalParam.ServerIds"},
		{bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web" + tooMany("ServerIps"), 400, "IllegalParam.ServerIps"},
		{bareNLB + "ListListeners&ListenerProtocol=HTTP", 400, "IllegalParam.ListenerProtocol"},
		{bareALB + "ListListeners&ListenerProtocol=https", 400, "IllegalParam.ListenerProtocol"},
		{bareALB + "ListListeners" + tooMany("LoadBalancerIds"), 400, "IllegalParam.LoadBalancerIds"},
		{bareALB + "ListListeners" + tooMany("ListenerIds"), 400, "IllegalParam.ListenerIds"},
		{bareALB + "ListServerGroups" + tooMany("ServerGroupIds"), 400, "IllegalParam.ServerGroupIds"},
		{bareALB + "ListRules" + tooMany("RuleIds"), 400, "IllegalParam.RuleIds"},
		{bareALB + "ListRules" + tooMany("ListenerIds"), 400, "IllegalParam.ListenerIds"},
		{bareALB + "ListRules" + tooMany("LoadBalancerIds"), 400, "IllegalParam.LoadBalancerIds"},
		{bareALB + "ListServerGroups&MaxResults=101", 400, "IllegalParam.MaxResults"},
	} {
		wantCode(t, do(t, newRequest(t, http.MethodGet, base+tc.url, "")), tc.status, tc.code)
	}
}

func TestFiltersOfLists(t *testing.T) {
	_, base := start(t, openGroups(), Options{})
	for query, want := range map[string][]string{
		bareNLB + "ListListeners":                           {"lsn-other-tcp@80", "lsn-range@0", "lsn-web-tcp@80", "lsn-web-tcpssl@443"},
		bareNLB + "ListListeners&RegionId=cn-beijing":       {},
		bareNLB + "ListListeners&LoadBalancerIds.2=nlb-far": {},
		bareNLB + "ListListeners&LoadBalancerIds.1=nlb-web&LoadBalancerIds.2=nlb-web&ListenerProtocol=TCP": {"lsn-web-tcp@80"},
		bareNLB + "ListListeners&LoadBalancerIds.1=nlb-other&ListenerIds.1=lsn-web-tcp%4080":               {},
		bareNLB + "ListListeners&ListenerIds.1=lsn-none":                                                   {},
		bareALB + "ListListeners&ListenerIds.1=lsn-web-quic-443":                                           {"lsn-web-quic-443"},
		bareALB + "ListRules":                    {"rule-cart", "rule-old", "rule-shop"},
		bareALB + "ListRules&RuleIds.1=rule-old": {"rule-old"},
		bareALB + "ListRules&LoadBalancerIds.1=alb-web&ListenerIds.1=lsn-web-quic-443":                     {},
		bareALB + "ListServerGroups&RegionId=cn-hangzhou":                                                  {"sgp-default", "sgp-mirror", "sgp-shop"},
		bareALB + "ListServerGroups&RegionId=cn-beijing":                                                   {},
		bareALB + "ListServerGroupServers&ServerGroupId=sgp-shop&ServerIds.1=i-3":                          {"i-3"},
		bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web&ServerIps.1=10.0.0.2&ServerIps.2=10.0.0.1": {"i-1", "i-2"},
	} {
		got := listed(t, base+query)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

// A rule may forward to a group and mirror requests to it, too.
func TestForwardedAndMirroredGroup(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	both := GroupLoadBalancer{LoadBalancerID: "alb-both", RegionID: "cn-hangzhou", Listeners: []GroupListener{
		{ListenerPort: 80, ListenerProtocol: "HTTP", ServerGroupIDs: []string{"sgp-default"}, Rules: []Rule{
			{RuleID: "rule-both", ServerGroupIDs: []string{"sgp-shop"}, MirrorServerGroupIDs: []string{"sgp-shop"}},
		}},
	}}
	if _, err := sim.ALB().PutLoadBalancer(both); err != nil {
		t.Fatal(err)
	}
	page := list(t, base+bareALB+"GetListenerHealthStatus&ListenerId=lsn-both-http-80&IncludeRule=true")
	infos := page.RuleHealthStatus[0].ServerGroupInfos
	if len(infos) != 2 || infos[0].ActionType != actionForward || infos[1].ActionType != actionMirror || len(infos[0].NonNormalServers) != 2 || len(infos[1].NonNormalServers) != 2 {
		t.Errorf("got %+v", infos)
	}
}
