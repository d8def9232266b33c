// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/nlb"
)

const (
	nlbHealth  = bareNLB + "GetListenerHealthStatus&RegionId=cn-hangzhou&ListenerId=lsn-web-tcp%4080"
	nlbServers = bareNLB + "ListServerGroupServers&RegionId=cn-hangzhou&ServerGroupId=sgp-web"
	nlbLists   = bareNLB + "ListListeners&RegionId=cn-hangzhou&LoadBalancerIds.1=nlb-web&LoadBalancerIds.2=nlb-none"
	albHealth  = bareALB + "GetListenerHealthStatus&RegionId=cn-hangzhou&ListenerId=lsn-web-https-443"
	albRules   = bareALB + "ListRules&RuleIds.1=rule-shop"
)

// A rule applies to the calls of its product, action, load balancer, listener and server group.
func TestFaultSelectorsOfNLBAndALB(t *testing.T) {
	urls := []string{nlbHealth, nlbServers, nlbLists, albHealth, albRules, bareCall + "JSON"}
	for _, tc := range []struct {
		name string
		rule Fault
		want string // which of the urls, by number
	}{
		{"all", Fault{}, "012345"},
		{"product", Fault{Product: ProductNLB}, "012"},
		{"another product", Fault{Product: ProductCLB}, "5"},
		{"action of two products", Fault{Action: ActionListenerHealth}, "03"},
		{"product and action", Fault{Product: ProductALB, Action: ActionListenerHealth}, "3"},
		{"a load balancer by its listener, server group and id", Fault{LoadBalancerID: "nlb-web"}, "012"},
		{"one that shares the server group", Fault{LoadBalancerID: "nlb-other"}, "1"},
		{"one that does not exist", Fault{LoadBalancerID: "nlb-none"}, "2"},
		{"a load balancer by its rule", Fault{LoadBalancerID: "alb-web"}, "34"},
		{"a load balancer of CLB", Fault{LoadBalancerID: "lb-demo"}, "5"},
		{"listener", Fault{ListenerID: "lsn-web-tcp@80"}, "0"},
		{"server group", Fault{ServerGroupID: "sgp-web"}, "1"},
		{"region", Fault{RegionID: "cn-hangzhou"}, "01235"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim, base := start(t, openGroups(), Options{})
			tc.rule.Kind = FaultThrottle
			setFaults(t, sim, tc.rule)
			got := ""
			for i, url := range urls {
				if reply := do(t, newRequest(t, http.MethodGet, base+url, "")); reply.Code == "Throttling.User" {
					got += string(rune('0' + i))
				}
			}
			if got != tc.want {
				t.Errorf("calls %s fail, want %s", got, tc.want)
			}
		})
	}
}

func TestFaultRulesOfNLBAndALBAreChecked(t *testing.T) {
	sim, _ := start(t, openGroups(), Options{})
	for _, tc := range []struct {
		rule Fault
		want string
	}{
		{Fault{Kind: FaultHang, Product: "gwlb"}, `product: "gwlb" is not known: write one of clb, nlb, alb`},
		{Fault{Kind: FaultHang, Product: ProductNLB, Action: ActionListRules}, `action: "ListRules" is not known: write one of GetListenerHealthStatus, GetLoadBalancerAttribute, ListListeners, ListServerGroupServers, ListServerGroups`},
		{Fault{Kind: FaultHang, Product: ProductCLB, ListenerID: "lsn-1"}, "product: calls of clb name no listenerId"},
		{Fault{Kind: FaultHang, ListenerID: "lsn*"}, `listenerId: "lsn*" is no listener id`},
		{Fault{Kind: FaultHang, ServerGroupID: "sgp@1"}, `serverGroupId: "sgp@1" is no id`},
		{Fault{Kind: FaultHang, Fields: []string{"Weight"}}, "fields: means nothing for kind hang"},
		{Fault{Kind: FaultOmit}, "fields: missing"},
		{Fault{Kind: FaultOmit, Fields: []string{"a b"}}, `fields[0]: "a b" is no field`},
		{Fault{Kind: FaultSuccess}, `product: "": kind success is of NLB: write nlb`},
		{Fault{Kind: FaultSuccess, Product: ProductNLB, HTTPStatus: 500}, "httpStatus: means nothing for kind success"},
	} {
		if err := sim.SetFaults([]Fault{tc.rule}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %s", tc.rule, err, tc.want)
		}
	}
}

// An absent field is not false: the SDK does not distinguish them, so a client has to read the raw document.
func TestFaultOmitsFields(t *testing.T) {
	for _, format := range []string{"JSON", "XML"} {
		sim, base := start(t, openGroups(), Options{})
		setFaults(t, sim, Fault{Kind: FaultOmit, Fields: []string{"HeathCheckEnabled", "Reason"}})
		got, err := fetch(t, base+strings.Replace(nlbHealth, "JSON", format, 1))
		text := string(got.body)
		if err != nil || got.status != http.StatusOK || strings.Contains(text, "HeathCheckEnabled") || strings.Contains(text, "Reason") ||
			!strings.Contains(text, "sgp-web") || !strings.Contains(text, "10.0.0.2") || !strings.Contains(text, "RequestId") {
			t.Errorf("got %d %s, %v", got.status, text, err)
		}
		if format == "XML" {
			var parsed nlbHealthResponse
			if err := xml.Unmarshal(got.body, &parsed); err != nil || len(parsed.ListenerHealthStatus[0].ServerGroupInfos[0].NonNormalServers) != 2 {
				t.Errorf("%v in %s", err, text)
			}
		}
		if calls := sim.Calls(); calls[0].Outcome != "OK" || calls[0].Fault != FaultOmit {
			t.Errorf("recorded %+v", calls[0])
		}
	}
}

// NLB may answer with Success and Code; an error document has neither Success nor this Code.
func TestFaultSuccessOfNLB(t *testing.T) {
	forEachEncoding(t, func(t *testing.T, server *httptest.Server, format, method string) {
		sim, _ := server.Config.Handler.(*Server)
		setFaults(t, sim, Fault{Kind: FaultSuccess, Product: ProductNLB, Code: "200", Message: "The operation was successful."})
		request := nlb.CreateGetListenerHealthStatusRequest()
		request.AcceptFormat, request.Method, request.ListenerId = format, method, "lsn-web-tcp@80"
		got, err := nlbClient(t, server).GetListenerHealthStatus(request)
		if err != nil || !got.Success || got.Code != "200" || got.Message != "The operation was successful." || got.HttpStatusCode != 200 ||
			len(got.ListenerHealthStatus) != 1 || got.RequestId == "" {
			t.Errorf("got %+v, %v", got, err)
		}
		request.ListenerId = "lsn-none"
		if _, err := nlbClient(t, server).GetListenerHealthStatus(request); err == nil || strings.Contains(err.Error(), "Success") {
			t.Errorf("got %v", err)
		}
	})
}

// The report counts by product, because two products have actions of the same name, and by load balancer where a call
// concerns one.
func TestCallsOfNLBAndALB(t *testing.T) {
	_, base := start(t, openGroups(), Options{})
	for _, url := range []string{nlbHealth, nlbHealth, nlbServers, nlbLists, albHealth, albRules, bareCall + "JSON", bareNLB + "GetListenerHealthStatus&ListenerId=lsn-none"} {
		do(t, newRequest(t, http.MethodGet, base+url, ""))
	}
	runSteps(t, base, []adminStep{
		{"GET", "/calls?limit=1", "", 200, `"byLoadBalancer":{"alb-web":2,"lb-demo":1,"nlb-web":2}`},
		{"GET", "/calls?limit=1", "", 200, `"byProduct":{"alb":{"GetListenerHealthStatus":1,"ListRules":1},"clb":{"DescribeHealthStatus":1},` +
			`"nlb":{"GetListenerHealthStatus":3,"ListListeners":1,"ListServerGroupServers":1}}`},
		{"GET", "/calls?limit=1", "", 200, `"byAction":{"DescribeHealthStatus":1,"GetListenerHealthStatus":4,`},
		{"GET", "/calls?product=alb&action=GetListenerHealthStatus", "", 200, `"calls":[{"action":"GetListenerHealthStatus","listenerId":"lsn-web-https-443","loadBalancerId":"alb-web","method":"GET","outcome":"OK","product":"alb"`},
		{"GET", "/calls?loadBalancerId=nlb-other", "", 200, `"calls":[{"action":"ListServerGroupServers","loadBalancerIds":["nlb-other","nlb-web"],"method":"GET","outcome":"OK","product":"nlb",`},
		{"GET", "/calls?loadBalancerId=nlb-none", "", 200, `"calls":[{"action":"ListListeners","loadBalancerIds":["nlb-none","nlb-web"],`},
		{"GET", "/calls?limit=1", "", 200, `"outcome":"ResourceNotFound.listener","product":"nlb"`},
	})
}
