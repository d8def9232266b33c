// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/alb"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nlb"
)

// groupsConfig has the accounts of testConfig, an NLB and an ALB instance with a server of each sort, and server groups
// that several listeners and load balancers share.
func groupsConfig() Config {
	cfg := testConfig()
	cfg.NLB = ProductConfig{
		LoadBalancers: []GroupLoadBalancer{
			{LoadBalancerID: "nlb-web", RegionID: "cn-hangzhou", Listeners: []GroupListener{
				{ListenerPort: 80, ListenerProtocol: "TCP", ServerGroupIDs: []string{"sgp-web"}},
				{ListenerPort: 443, ListenerProtocol: "TCPSSL", ServerGroupIDs: []string{"sgp-web"}, ListenerStatus: GroupListenerStopped},
				{StartPort: 6000, EndPort: 6010, ListenerProtocol: "UDP", ServerGroupIDs: []string{"sgp-off"}, ListenerID: "lsn-range@0"},
			}},
			{LoadBalancerID: "nlb-other", RegionID: "cn-hangzhou", Listeners: []GroupListener{
				{ListenerPort: 80, ListenerProtocol: "TCP", ServerGroupIDs: []string{"sgp-web"}},
			}},
			{LoadBalancerID: "nlb-far", RegionID: "cn-beijing", Listeners: []GroupListener{}},
		},
		ServerGroups: []ServerGroup{
			{ServerGroupID: "sgp-web", RegionID: "cn-hangzhou", Servers: []GroupServer{
				{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 8080},
				{ServerID: "i-2", ServerIP: "10.0.0.2", Port: 8080, HealthStatus: HealthUnhealthy, ReasonCode: "CONNECT_TIMEOUT"},
				{ServerID: "eni-3", ServerIP: "10.0.0.3", ServerType: "Eni", Port: 8080, HealthStatus: HealthInitial, Status: ServerAdding},
				{ServerID: "i-4", ServerIP: "10.0.0.4", Port: 8080, Weight: new(0)},
			}},
			{ServerGroupID: "sgp-off", RegionID: "cn-hangzhou", ServerGroupType: "Ip", HealthCheck: HealthCheckOff, Servers: []GroupServer{
				{ServerIP: "10.1.0.1", ServerType: "Ip", Port: 53},
			}},
		},
	}
	cfg.ALB = ProductConfig{
		LoadBalancers: []GroupLoadBalancer{{LoadBalancerID: "alb-web", RegionID: "cn-hangzhou", Listeners: []GroupListener{
			{ListenerPort: 443, ListenerProtocol: "HTTPS", ServerGroupIDs: []string{"sgp-default"}, Rules: []Rule{
				{RuleID: "rule-shop", ServerGroupIDs: []string{"sgp-shop"}, MirrorServerGroupIDs: []string{"sgp-mirror"}},
				{RuleID: "rule-cart", ServerGroupIDs: []string{"sgp-shop", "sgp-default"}},
				{RuleID: "rule-old"},
			}},
			{ListenerPort: 443, ListenerProtocol: "QUIC", ServerGroupIDs: []string{"sgp-default"}},
		}}},
		ServerGroups: []ServerGroup{
			{ServerGroupID: "sgp-default", RegionID: "cn-hangzhou", Servers: []GroupServer{{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 8080}}},
			{ServerGroupID: "sgp-mirror", RegionID: "cn-hangzhou", HealthCheck: HealthCheckOff, ServerGroupType: "Fc", Servers: []GroupServer{
				{ServerID: "acs:fc:cn-hangzhou:1:services/a.LATEST/functions/b", ServerType: "Fc"},
			}},
			{ServerGroupID: "sgp-shop", RegionID: "cn-hangzhou", Servers: []GroupServer{
				{ServerID: "i-2", ServerIP: "10.0.0.2", Port: 90, HealthStatus: HealthUnhealthy, ReasonCode: "RESPONSE_MISMATCH", ActualResponse: "302", ExpectedResponse: "HTTP_2xx"},
				{ServerID: "i-3", ServerIP: "10.0.0.3", Port: 90, Weight: new(0)},
				{ServerID: "i-4", ServerIP: "10.0.0.4", Port: 90, Status: ServerRemoving},
			}},
		},
	}
	return cfg
}

// formats and methods that the Go SDK may use.
func forEachEncoding(t *testing.T, test func(t *testing.T, server *httptest.Server, format, method string)) {
	t.Helper()
	for _, format := range []string{"JSON", "XML"} {
		for _, method := range []string{requests.GET, requests.POST} {
			t.Run(format+" "+method, func(t *testing.T) {
				server := httptest.NewServer(New(groupsConfig(), Options{}))
				defer server.Close()
				test(t, server, format, method)
			})
		}
	}
}

func nlbClient(t *testing.T, server *httptest.Server) *nlb.Client {
	t.Helper()
	client := &nlb.Client{}
	initClient(t, &client.Client, server, credentials.NewAccessKeyCredential(testKey, testSecret))
	return client
}

func albClient(t *testing.T, server *httptest.Server) *alb.Client {
	t.Helper()
	client := &alb.Client{}
	initClient(t, &client.Client, server, credentials.NewAccessKeyCredential(testKey, testSecret))
	return client
}

// The SDK sends the parameters of ListServerGroups and ListServerGroupServers of NLB in a form body, which is signed.
func TestOfficialGoClientOfNLB(t *testing.T) {
	forEachEncoding(t, func(t *testing.T, server *httptest.Server, format, method string) {
		client := nlbClient(t, server)
		listeners := nlb.CreateListListenersRequest()
		listeners.AcceptFormat, listeners.Method, listeners.LoadBalancerIds = format, method, &[]string{"nlb-web", "nlb-none", "nlb-far"}
		listed, err := client.ListListeners(listeners)
		if err != nil || listed.TotalCount != 3 || listed.MaxResults != 20 || listed.NextToken != "" || len(listed.Listeners) != 3 {
			t.Fatalf("got %+v, %v", listed, err)
		}
		if l := listed.Listeners[0]; l.ListenerId != "lsn-range@0" || l.ListenerPort != 0 || l.StartPort != "6000" || l.EndPort != "6010" || l.ServerGroupId != "sgp-off" {
			t.Errorf("got %+v", l)
		}
		if l := listed.Listeners[1]; l.ListenerId != "lsn-web-tcp@80" || l.LoadBalancerId != "nlb-web" || l.ListenerProtocol != "TCP" || l.ListenerStatus != "Running" || l.StartPort != "" {
			t.Errorf("got %+v", l)
		}

		groups := nlb.CreateListServerGroupsRequest()
		groups.AcceptFormat, groups.ServerGroupIds = format, &[]string{"sgp-web", "sgp-off", "sgp-none"}
		found, err := client.ListServerGroups(groups)
		if err != nil || len(found.ServerGroups) != 2 {
			t.Fatalf("got %+v, %v", found, err)
		}
		if off, web := found.ServerGroups[0], found.ServerGroups[1]; off.HealthCheck.HealthCheckEnabled || off.ServerGroupType != "Ip" || web.ServerCount != 4 ||
			!web.HealthCheck.HealthCheckEnabled || web.ServerGroupStatus != "Available" || !reflect.DeepEqual(web.RelatedLoadBalancerIds, []string{"nlb-other", "nlb-web"}) {
			t.Errorf("got %+v", found.ServerGroups)
		}

		servers := nlb.CreateListServerGroupServersRequest()
		servers.AcceptFormat, servers.ServerGroupId, servers.MaxResults = format, "sgp-web", requests.NewInteger(3)
		first, err := client.ListServerGroupServers(servers)
		if err != nil || first.TotalCount != 4 || len(first.Servers) != 3 || first.NextToken == "" {
			t.Fatalf("got %+v, %v", first, err)
		}
		servers.NextToken = first.NextToken
		last, err := client.ListServerGroupServers(servers)
		if err != nil || len(last.Servers) != 1 || last.Servers[0].ServerId != "i-4" || last.Servers[0].Weight != 0 || last.NextToken != "" {
			t.Fatalf("got %+v, %v", last, err)
		}
		if s := first.Servers[0]; s.ServerId != "eni-3" || s.ServerType != "Eni" || s.Status != "Adding" || s.Weight != 100 || s.Port != 8080 || s.ServerGroupId != "sgp-web" {
			t.Errorf("got %+v", s)
		}
	})
}

func TestOfficialGoClientOfNLBReadsHealth(t *testing.T) {
	forEachEncoding(t, func(t *testing.T, server *httptest.Server, format, method string) {
		request := nlb.CreateGetListenerHealthStatusRequest()
		request.AcceptFormat, request.Method, request.ListenerId = format, method, "lsn-web-tcp@80"
		health, err := nlbClient(t, server).GetListenerHealthStatus(request)
		if err != nil || health.RequestId == "" || len(health.ListenerHealthStatus) != 1 || health.Code != "" {
			t.Fatalf("got %+v, %v", health, err)
		}
		l := health.ListenerHealthStatus[0]
		if l.ListenerId != "lsn-web-tcp@80" || l.ListenerPort != 80 || l.ListenerProtocol != "TCP" || len(l.ServerGroupInfos) != 1 {
			t.Fatalf("got %+v", l)
		}
		group := l.ServerGroupInfos[0]
		if !group.HeathCheckEnabled || group.ServerGroupId != "sgp-web" || len(group.NonNormalServers) != 2 {
			t.Fatalf("got %+v", group)
		}
		if s := group.NonNormalServers[1]; s.ServerId != "i-2" || s.Status != "Unhealthy" || s.Reason.ReasonCode != "CONNECT_TIMEOUT" || s.Port != 8080 || s.ServerIp != "10.0.0.2" {
			t.Errorf("got %+v", s)
		}
	})
}

func TestOfficialGoClientOfALB(t *testing.T) {
	forEachEncoding(t, func(t *testing.T, server *httptest.Server, format, method string) {
		client := albClient(t, server)
		listeners := alb.CreateListListenersRequest()
		listeners.AcceptFormat, listeners.Method, listeners.LoadBalancerIds = format, method, &[]string{"alb-web"}
		listed, err := client.ListListeners(listeners)
		if err != nil || len(listed.Listeners) != 2 {
			t.Fatalf("got %+v, %v", listed, err)
		}
		if l := listed.Listeners[0]; l.ListenerId != "lsn-web-https-443" || l.ListenerProtocol != "HTTPS" || l.ListenerStatus != "Running" ||
			l.DefaultActions[0].Type != "ForwardGroup" || l.DefaultActions[0].ForwardGroupConfig.ServerGroupTuples[0].ServerGroupId != "sgp-default" {
			t.Errorf("got %+v", l)
		}

		groups := alb.CreateListServerGroupsRequest()
		groups.AcceptFormat, groups.Method, groups.ServerGroupIds = format, method, &[]string{"sgp-shop", "sgp-mirror"}
		found, err := client.ListServerGroups(groups)
		if err != nil || len(found.ServerGroups) != 2 || found.ServerGroups[0].HealthCheckConfig.HealthCheckEnabled || !found.ServerGroups[1].HealthCheckConfig.HealthCheckEnabled ||
			found.ServerGroups[1].ServerCount != 3 || !slices.Equal(found.ServerGroups[1].RelatedLoadBalancerIds, []string{"alb-web"}) {
			t.Errorf("got %+v, %v", found, err)
		}

		servers := alb.CreateListServerGroupServersRequest()
		servers.AcceptFormat, servers.Method, servers.ServerGroupId = format, method, "sgp-shop"
		all, err := client.ListServerGroupServers(servers)
		if err != nil || len(all.Servers) != 3 || all.Servers[1].Weight != 0 || all.Servers[2].Status != "Removing" {
			t.Errorf("got %+v, %v", all, err)
		}

		rules := alb.CreateListRulesRequest()
		rules.AcceptFormat, rules.Method, rules.ListenerIds = format, method, &[]string{"lsn-web-https-443"}
		ruled, err := client.ListRules(rules)
		if err != nil || len(ruled.Rules) != 3 {
			t.Fatalf("got %+v, %v", ruled, err)
		}
		cart, old, shop := ruled.Rules[0], ruled.Rules[1], ruled.Rules[2]
		if cart.RuleId != "rule-cart" || len(cart.RuleActions[0].ForwardGroupConfig.ServerGroupTuples) != 2 || old.RuleActions[0].Type != "Redirect" ||
			shop.RuleActions[0].TrafficMirrorConfig.MirrorGroupConfig.ServerGroupTuples[0].ServerGroupId != "sgp-mirror" || shop.RuleActions[1].Type != "ForwardGroup" {
			t.Errorf("got %+v", ruled.Rules)
		}
	})
}

func TestOfficialGoClientOfALBReadsHealth(t *testing.T) {
	forEachEncoding(t, func(t *testing.T, server *httptest.Server, format, method string) {
		request := alb.CreateGetListenerHealthStatusRequest()
		request.AcceptFormat, request.Method, request.ListenerId, request.IncludeRule = format, method, "lsn-web-https-443", "true"
		health, err := albClient(t, server).GetListenerHealthStatus(request)
		if err != nil || len(health.ListenerHealthStatus) != 1 || len(health.RuleHealthStatus) != 2 || health.NextToken != "" {
			t.Fatalf("got %+v, %v", health, err)
		}
		if l := health.ListenerHealthStatus[0]; l.ListenerProtocol != "https" || len(l.ServerGroupInfos) != 1 || l.ServerGroupInfos[0].HealthCheckEnabled != "on" || len(l.ServerGroupInfos[0].NonNormalServers) != 0 {
			t.Errorf("got %+v", l)
		}
		shop := health.RuleHealthStatus[1]
		if shop.RuleId != "rule-shop" || len(shop.ServerGroupInfos) != 2 {
			t.Fatalf("got %+v", shop)
		}
		forwarded, mirrored := shop.ServerGroupInfos[0], shop.ServerGroupInfos[1]
		if mirrored.ActionType != "TrafficMirror" || mirrored.HealthCheckEnabled != "off" || mirrored.NonNormalServers[0].Status != "Unavailable" || mirrored.NonNormalServers[0].Port != 0 {
			t.Errorf("got %+v", mirrored)
		}
		if s := forwarded.NonNormalServers[0]; forwarded.ActionType != "ForwardGroup" || s.ServerId != "i-2" || s.Reason.ReasonCode != "RESPONSE_MISMATCH" || s.Reason.ActualResponse != "302" || s.Reason.ExpectedResponse != "HTTP_2xx" {
			t.Errorf("got %+v", forwarded)
		}
		if s := forwarded.NonNormalServers[1]; len(forwarded.NonNormalServers) != 2 || s.ServerId != "i-3" || s.Status != "Unused" || s.Reason.ReasonCode != "" {
			t.Errorf("got %+v", forwarded)
		}
	})
}

// NLB writes the resource of an error with a small letter, ALB with a capital one.
func TestOfficialGoClientsReadErrors(t *testing.T) {
	server := httptest.NewServer(New(groupsConfig(), Options{}))
	defer server.Close()
	nlbHealth, albHealth := nlb.CreateGetListenerHealthStatusRequest(), alb.CreateGetListenerHealthStatusRequest()
	nlbHealth.ListenerId, albHealth.ListenerId = "lsn-none@80", "lsn-none"
	nlbServers, albServers := nlb.CreateListServerGroupServersRequest(), alb.CreateListServerGroupServersRequest()
	nlbServers.ServerGroupId, albServers.ServerGroupId = "sgp-none", "sgp-none"
	nlbBalancer, albBalancer := nlb.CreateGetLoadBalancerAttributeRequest(), alb.CreateGetLoadBalancerAttributeRequest()
	nlbBalancer.LoadBalancerId, albBalancer.LoadBalancerId = "nlb-none", "alb-none"
	_, nlbHealthErr := nlbClient(t, server).GetListenerHealthStatus(nlbHealth)
	_, nlbServersErr := nlbClient(t, server).ListServerGroupServers(nlbServers)
	_, nlbBalancerErr := nlbClient(t, server).GetLoadBalancerAttribute(nlbBalancer)
	_, albHealthErr := albClient(t, server).GetListenerHealthStatus(albHealth)
	_, albServersErr := albClient(t, server).ListServerGroupServers(albServers)
	_, albBalancerErr := albClient(t, server).GetLoadBalancerAttribute(albBalancer)
	for code, err := range map[string]error{
		"ResourceNotFound.listener": nlbHealthErr, "ResourceNotFound.serverGroup": nlbServersErr, "ResourceNotFound.loadBalancer": nlbBalancerErr,
		"ResourceNotFound.Listener": albHealthErr, "ResourceNotFound.ServerGroup": albServersErr, "ResourceNotFound.LoadBalancer": albBalancerErr,
	} {
		if got, ok := errors.AsType[*sdkerrors.ServerError](err); !ok || got.ErrorCode() != code || got.HttpStatus() != http.StatusNotFound || got.RequestId() == "" {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

func TestOfficialGoClientsReadLoadBalancers(t *testing.T) {
	server := httptest.NewServer(New(groupsConfig(), Options{}))
	defer server.Close()
	request, other := nlb.CreateGetLoadBalancerAttributeRequest(), alb.CreateGetLoadBalancerAttributeRequest()
	request.LoadBalancerId, other.LoadBalancerId = "nlb-web", "alb-web"
	first, err := nlbClient(t, server).GetLoadBalancerAttribute(request)
	if err != nil || first.DNSName != "nlb-web.cn-hangzhou.nlb.aliyuncs.com" || first.LoadBalancerStatus != "Active" || first.LoadBalancerBusinessStatus != "Normal" {
		t.Errorf("got %+v, %v", first, err)
	}
	second, err := albClient(t, server).GetLoadBalancerAttribute(other)
	if err != nil || second.DNSName != "alb-web.cn-hangzhou.alb.aliyuncs.com" || second.LoadBalancerBussinessStatus != "Normal" {
		t.Errorf("got %+v, %v", second, err)
	}
}
