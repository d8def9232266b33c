// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

const bareList = "/?Action=DescribeLoadBalancerListeners&Version=2014-05-15&Format=JSON&RegionId=cn-hangzhou"

func forbidden() *bool { return new(bool) }

// listenersConfig has a listener of each sort.
func listenersConfig() Config {
	cfg := testConfig()
	cfg.Accounts = append(cfg.Accounts, Account{AccessKeyID: "LTAIhealth", AccessKeySecret: "health-secret", AllowListeners: forbidden()})
	cfg.LoadBalancers = append(cfg.LoadBalancers,
		LoadBalancer{LoadBalancerID: "lb-web-1", RegionID: "cn-hangzhou", Listeners: []Listener{
			{ListenerPort: 80, ListenerProtocol: "http", ForwardPort: 443},
			{ListenerPort: 443, ListenerProtocol: "https", HealthCheck: HealthCheckOff},
			{ListenerPort: 53, ListenerProtocol: "udp", HealthCheck: HealthCheckOff, Status: ListenerStopped},
			{ListenerPort: 53, ListenerProtocol: "tcp"},
		}},
		LoadBalancer{LoadBalancerID: "lb-far", RegionID: "cn-beijing", Backends: []Backend{{ServerID: "i-1", ListenerPort: 80, ListenerProtocol: "http"}}})
	return cfg
}

// seen is a listener as the SDK read it.
type seen struct {
	id               string
	port             int
	protocol, status string
	check, forward   string
}

func readAll(rows []slb.ListenerInDescribeLoadBalancerListeners) []seen {
	all := make([]seen, 0, len(rows))
	for _, l := range rows {
		check := l.HTTPListenerConfig.HealthCheck + l.HTTPSListenerConfig.HealthCheck + l.TCPListenerConfig.HealthCheckSwitch + l.UDPListenerConfig.HealthCheckSwitch
		all = append(all, seen{l.LoadBalancerId, l.ListenerPort, l.ListenerProtocol, l.Status, check, l.HTTPListenerConfig.ListenerForward})
	}
	return all
}

func listenersRequest(format, method string, ids ...string) *slb.DescribeLoadBalancerListenersRequest {
	request := slb.CreateDescribeLoadBalancerListenersRequest()
	request.LoadBalancerId, request.AcceptFormat, request.Method = &ids, format, method
	return request
}

func TestOfficialGoClientListsListeners(t *testing.T) {
	want := []seen{
		{"lb-demo", 53, "tcp", "running", "on", ""}, // those of the backends
		{"lb-demo", 53, "udp", "running", "on", ""},
		{"lb-demo", 80, "tcp", "running", "on", ""}, // of a row without a protocol
		{"lb-demo", 443, "https", "running", "on", ""},
		{"lb-web-1", 53, "tcp", "running", "on", ""},
		{"lb-web-1", 53, "udp", "stopped", "off", ""},
		{"lb-web-1", 80, "http", "running", "on", "on"},
		{"lb-web-1", 443, "https", "running", "off", ""},
	}
	server := httptest.NewServer(New(listenersConfig(), Options{}))
	defer server.Close()
	client := sdkClient(t, server, credentials.NewAccessKeyCredential(testKey, testSecret))
	for _, format := range []string{"JSON", "XML"} {
		for _, method := range []string{requests.GET, requests.POST} {
			response, err := client.DescribeLoadBalancerListeners(listenersRequest(format, method, "lb-web-1", "lb-far", "lb-demo", "lb-none", "lb-bare"))
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(response.Listeners); !reflect.DeepEqual(got, want) || response.RequestId == "" || response.TotalCount != 8 || response.MaxResults != 20 || response.NextToken != "" {
				t.Errorf("%s %s: got %v in %+v", format, method, got, response)
			}
		}
	}
}

func TestListenersHavePages(t *testing.T) {
	server := httptest.NewServer(New(listenersConfig(), Options{}))
	defer server.Close()
	for size := 1; size <= 9; size++ {
		client := sdkClient(t, server, credentials.NewAccessKeyCredential(testKey, testSecret))
		request := listenersRequest("JSON", requests.POST, "lb-demo", "lb-web-1")
		request.MaxResults = requests.NewInteger(size)
		var ports []string
		pages := 0
		for more := true; more && pages < 9; pages++ {
			response, err := client.DescribeLoadBalancerListeners(request)
			if err != nil || len(response.Listeners) > size || response.MaxResults != size {
				t.Fatalf("got %+v, %v", response, err)
			}
			for _, l := range response.Listeners {
				ports = append(ports, fmt.Sprint(l.LoadBalancerId, l.ListenerPort, l.ListenerProtocol))
			}
			request.NextToken, more = response.NextToken, response.NextToken != ""
		}
		if len(ports) != 8 || len(slices.Compact(slices.Sorted(slices.Values(ports)))) != 8 || pages != (8+size-1)/size {
			t.Errorf("%d a page: %d pages with %v", size, pages, ports)
		}
	}
}

// Listeners that are added before the position of a token must neither repeat nor remove a listener of the next page.
func TestPageContinuesAfterTheLastOne(t *testing.T) {
	sim := New(listenersConfig(), Options{})
	server := httptest.NewServer(sim)
	defer server.Close()
	client := sdkClient(t, server, credentials.NewAccessKeyCredential(testKey, testSecret))
	request := listenersRequest("JSON", requests.POST, "lb-web-1")
	request.MaxResults = requests.NewInteger(2)
	first, err := client.DescribeLoadBalancerListeners(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.AddListener("lb-web-1", Listener{ListenerPort: 7, ListenerProtocol: "tcp"}); err != nil {
		t.Fatal(err)
	}
	request.NextToken = first.NextToken
	second, err := client.DescribeLoadBalancerListeners(request)
	if err != nil || len(second.Listeners) != 2 || second.Listeners[0].ListenerPort != 80 || second.Listeners[1].ListenerPort != 443 || second.NextToken != "" {
		t.Errorf("got %+v, %v", second, err)
	}
}

func TestListenersAreForbiddenByAccountPatternAndSwitch(t *testing.T) {
	sim := New(listenersConfig(), Options{})
	server := httptest.NewServer(sim)
	defer server.Close()
	codeOf := func(key, secret string, ids ...string) string {
		t.Helper()
		_, err := sdkClient(t, server, credentials.NewAccessKeyCredential(key, secret)).DescribeLoadBalancerListeners(listenersRequest("JSON", requests.POST, ids...))
		if err == nil {
			return "OK"
		}
		refused, ok := errors.AsType[*sdkerrors.ServerError](err)
		if !ok {
			t.Fatal(err)
		}
		return refused.ErrorCode()
	}
	for _, step := range []struct {
		name, key, secret string
		ids               []string
		want              string
	}{
		{"all allowed", "LTAInarrow", "narrow-secret", []string{"lb-empty", "lb-web-1", "lb-web-none"}, "OK"},
		{"one of three", "LTAInarrow", "narrow-secret", []string{"lb-empty", "lb-demo", "lb-web-1"}, "Forbidden.RAM"},
		{"health alone", "LTAIhealth", "health-secret", []string{"lb-demo"}, "Forbidden.RAM"},
		{"another secret", testKey, "other", []string{"lb-demo"}, "SignatureDoesNotMatch"},
		{"an unknown key", "LTAInone", "x", []string{"lb-demo"}, "InvalidAccessKeyId.NotFound"},
	} {
		if got := codeOf(step.key, step.secret, step.ids...); got != step.want {
			t.Errorf("%s: got %s", step.name, got)
		}
	}
	client := sdkClient(t, server, credentials.NewAccessKeyCredential("LTAIhealth", "health-secret"))
	if _, err := client.DescribeHealthStatus(describe("JSON", requests.POST)); err != nil {
		t.Errorf("health is forbidden too: %v", err)
	}
	sim.AllowListeners(false)
	if got := codeOf(testKey, testSecret, "lb-demo"); got != "Forbidden.RAM" {
		t.Errorf("switched off: got %s", got)
	}
	sim.AllowListeners(true)
	if got := codeOf(testKey, testSecret, "lb-demo"); got != "OK" {
		t.Errorf("switched on again: got %s", got)
	}
}

func TestListenersCallsAreThrottledAndSigned(t *testing.T) {
	clock := newClock()
	_, base := start(t, listenersConfig(), Options{Now: clock.Now})
	params := func(overrides map[string]string) map[string]string {
		overrides["LoadBalancerId"], overrides["LoadBalancerId.1"] = "", "lb-demo"
		overrides["Action"], overrides["AccessKeyId"] = ActionListeners, "LTAIslow"
		return callParams(clock.Now(), overrides)
	}
	replayed := params(map[string]string{"SignatureNonce": "once"})
	wantCode(t, call(t, base, http.MethodPost, "slow-secret", replayed), http.StatusOK, "")
	wantCode(t, call(t, base, http.MethodPost, "slow-secret", replayed), http.StatusBadRequest, "SignatureNonceUsed")
	health := callParams(clock.Now(), map[string]string{"AccessKeyId": "LTAIslow"})
	wantCode(t, call(t, base, http.MethodPost, "slow-secret", health), http.StatusOK, "")
	for i, code := range []string{"", "Throttling.User"} { // the third of the burst of three, over both actions
		got := call(t, base, http.MethodPost, "slow-secret", params(map[string]string{}))
		if got.Code != code {
			t.Errorf("call %d: got %d %s", i, got.status, got.Code)
		}
	}
}

func TestInvalidListenersRequests(t *testing.T) {
	_, base := start(t, openConfig(), Options{})
	eleven := ""
	for i := range 11 {
		eleven += fmt.Sprintf("&LoadBalancerId.%d=lb-%d", i+1, i)
	}
	for query, code := range map[string]string{
		"":                                       "MissingParameter",
		"&LoadBalancerId=lb-demo":                "MissingParameter",
		eleven:                                   "InvalidParameter",
		"&LoadBalancerId.1=a&MaxResults=0":       "InvalidParameter",
		"&LoadBalancerId.1=a&MaxResults=101":     "InvalidParameter",
		"&LoadBalancerId.1=a&MaxResults=%2B5":    "InvalidParameter",
		"&LoadBalancerId.1=a&NextToken=x":        "InvalidParameter",
		"&LoadBalancerId.1=a&NextToken=bGIteA":   "InvalidParameter",
		"&LoadBalancerId.1=a&ListenerProtocol=x": "InvalidParameter",
	} {
		wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareList+query, "")), http.StatusBadRequest, code)
	}
	noRegion := strings.Replace(bareList, "RegionId", "Region", 1)
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+noRegion+"&LoadBalancerId.1=a", "")), http.StatusBadRequest, "MissingParameter")
}

func TestListenersResponseHasTheVendorsShape(t *testing.T) {
	_, base := start(t, Config{LoadBalancers: listenersConfig().LoadBalancers}, Options{})
	for query, want := range map[string]string{
		"&LoadBalancerId.1=lb-none": `,"TotalCount":0,"MaxResults":20,"Listeners":[]}`,
		"&LoadBalancerId.1=lb-web-1&ListenerProtocol=http": `,"TotalCount":1,"MaxResults":20,"Listeners":[{"LoadBalancerId":"lb-web-1","ListenerPort":80,"ListenerProtocol":"http","Status":"running",` +
			`"HTTPListenerConfig":{"HealthCheck":"on","ListenerForward":"on","ForwardPort":443,"ForwardCode":302}}]}`,
		"&LoadBalancerId.3=lb-web-1&MaxResults=2": `,"NextToken":"bGItd2ViLTEvMDAwNTMvdWRw","TotalCount":4,"MaxResults":2,"Listeners":[{"LoadBalancerId":"lb-web-1","ListenerPort":53,"ListenerProtocol":"tcp","Status":"running",` +
			`"TCPListenerConfig":{"HealthCheckSwitch":"on"}},{"LoadBalancerId":"lb-web-1","ListenerPort":53,"ListenerProtocol":"udp","Status":"stopped","UDPListenerConfig":{"HealthCheckSwitch":"off"}}]}`,
	} {
		got, err := fetch(t, base+bareList+query)
		if err != nil || !strings.HasSuffix(string(got.body), want) {
			t.Errorf("%s: got %s, %v", query, got.body, err)
		}
	}
}

func TestAdminListeners(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	const listeners = "/loadbalancers/lb-demo/listeners"
	runSteps(t, base, []adminStep{
		{"PATCH", listeners, `{"listenerPort":443,"status":"stopped"}`, 200, `{"matched":1}`},
		{"PATCH", listeners, `{"listenerPort":53,"healthCheck":"off"}`, 200, `{"matched":2}`},
		{"PATCH", listeners, `{"listenerPort":53,"listenerProtocol":"udp","healthCheck":"on"}`, 200, `{"matched":1}`},
		{"PATCH", listeners, `{"listenerPort":9,"status":"stopped"}`, 404, `{"message":"selector: no listener matches: {\"listenerPort\":9}"}`},
		{"PATCH", listeners, `{"listenerPort":443}`, 400, "nothing to set"},
		{"PATCH", listeners, `{"status":"broken"}`, 400, `status: \"broken\" is not known: write one of running, stopped,`},
		{"PATCH", listeners, `{"listenerPort":443,"forwardPort":80}`, 400, "forwardPort: only an http listener redirects"},
		{"PATCH", "/loadbalancers/lb-9/listeners", `{"status":"stopped"}`, 404, "no such load balancer"},
		{"POST", listeners, `{"listenerPort":8080,"listenerProtocol":"http","forwardPort":443}`, 201, `{"forwardPort":443,"healthCheck":"on","listenerPort":8080,"listenerProtocol":"http","status":"running"}`},
		{"POST", listeners, `{"listenerPort":8080,"listenerProtocol":"http"}`, 409, "the load balancer already has this listener: 8080 http"},
		{"POST", listeners, `{"listenerPort":8080}`, 400, `listenerProtocol: \"\" is not known`},
		{"POST", "/loadbalancers/lb-9/listeners", `{"listenerPort":8080,"listenerProtocol":"tcp"}`, 404, "no such load balancer"},
		{"DELETE", "/loadbalancers/lb-demo/backends?listenerPort=443", "", 200, `{"removed":2}`},
		{"GET", "/loadbalancers/lb-demo", "", 200, `{"healthCheck":"on","listenerPort":443,"listenerProtocol":"https","status":"stopped"}`}, // emptied, not removed
		{"POST", "/loadbalancers/lb-demo/backends", `{"serverId":"i-9","listenerPort":9,"listenerProtocol":"tcp"}`, 201, `"serverId":"i-9"`},
		{"GET", "/loadbalancers/lb-demo", "", 200, `{"healthCheck":"on","listenerPort":9,"listenerProtocol":"tcp","status":"running"}`},
		{"DELETE", listeners + "?listenerPort=53&listenerProtocol=udp", "", 200, `{"removed":1}`},
		{"DELETE", listeners + "?listenerPort=53&listenerProtocol=udp", "", 404, "no listener matches"},
		{"DELETE", listeners + "?port=53", "", 400, "port: unknown query parameter: write one of listenerPort, listenerProtocol"},
		{"DELETE", listeners + "?listenerPort=x", "", 400, `listenerPort: \"x\" is no number above 0`},
	})
	lb, _ := sim.fleet.get("lb-demo")
	wantListeners := []Listener{
		{9, "tcp", "running", "on", 0}, {53, "tcp", "running", "off", 0}, {80, "tcp", "running", "on", 0},
		{443, "https", "stopped", "on", 0}, {8080, "http", "running", "on", 443},
	}
	var servers []string
	for _, b := range lb.Backends {
		servers = append(servers, fmt.Sprint(b.ServerID, b.ListenerPort, b.ListenerProtocol))
	}
	if !reflect.DeepEqual(lb.Listeners, wantListeners) || !reflect.DeepEqual(servers, []string{"eni-380", "i-453tcp", "i-99tcp"}) {
		t.Errorf("left %+v with %v", lb.Listeners, servers)
	}
	runSteps(t, base, []adminStep{
		{"DELETE", listeners, "", 200, `{"removed":5}`},
		{"GET", "/loadbalancers/lb-demo", "", 200, `"backends":[]`},
	})
}

func TestAdminPermissions(t *testing.T) {
	_, base := start(t, openConfig(), Options{})
	runSteps(t, base, []adminStep{
		{"GET", "/permissions", "", 200, `{"allowListeners":true}`},
		{"PUT", "/permissions", `{"allowListeners":false}`, 200, `{"allowListeners":false}`},
		{"PUT", "/permissions", `{}`, 400, "allowListeners: missing: write true or false"},
		{"PUT", "/permissions", `{"allowListeners":"no"}`, 400, "body: allowListeners: got string, want bool"},
		{"PUT", "/permissions", `{"allowListeners":null}`, 400, "body: allowListeners: null: write a value, or omit it"},
		{"GET", "/permissions", "", 200, `{"allowListeners":false}`},
	})
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareList+"&LoadBalancerId.1=lb-demo", "")), http.StatusForbidden, "Forbidden.RAM")
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")), http.StatusOK, "")
}

func TestFaultOfOneAction(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	health := func() string {
		t.Helper()
		return do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")).Code
	}
	list := func() string {
		t.Helper()
		return do(t, newRequest(t, http.MethodGet, base+bareList+"&LoadBalancerId.1=lb-bare&LoadBalancerId.2=lb-demo", "")).Code
	}
	for name, tc := range map[string]struct {
		fault        Fault
		health, list string
	}{
		"every call":                  {Fault{Kind: FaultThrottle}, "Throttling.User", "Throttling.User"},
		"health":                      {Fault{Kind: FaultThrottle, Action: ActionHealthStatus}, "Throttling.User", ""},
		"listeners":                   {Fault{Kind: FaultThrottle, Action: ActionListeners}, "", "Throttling.User"},
		"a load balancer":             {Fault{Kind: FaultThrottle, LoadBalancerID: "lb-demo"}, "Throttling.User", ""},
		"listeners of one":            {Fault{Kind: FaultThrottle, LoadBalancerID: "lb-demo", Action: ActionListeners}, "", "Throttling.User"},
		"listeners of another":        {Fault{Kind: FaultThrottle, LoadBalancerID: "lb-empty", Action: ActionListeners}, "", ""},
		"health of a load balancer":   {Fault{Kind: FaultThrottle, LoadBalancerID: "lb-demo", Action: ActionHealthStatus}, "Throttling.User", ""},
		"of a region, both":           {Fault{Kind: FaultThrottle, RegionID: "cn-hangzhou"}, "Throttling.User", "Throttling.User"},
		"listeners of another region": {Fault{Kind: FaultThrottle, RegionID: "cn-beijing", Action: ActionListeners}, "", ""},
	} {
		setFaults(t, sim, tc.fault)
		if got, listed := health(), list(); got != tc.health || listed != tc.list {
			t.Errorf("%s: got %q and %q", name, got, listed)
		}
	}
	if err := sim.SetFaults([]Fault{{Kind: FaultThrottle, Action: "DescribeLoadBalancers"}}); err == nil || !strings.Contains(err.Error(), `faults[0].action: "DescribeLoadBalancers" is not known: write one of DescribeHealthStatus, DescribeLoadBalancerListeners`) {
		t.Errorf("got %v", err)
	}
}

func TestFaultsApplyToListsOfListeners(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	target := base + bareList + "&LoadBalancerId.1=lb-demo"
	setFaults(t, sim, Fault{Kind: FaultMalformed})
	if got, err := fetch(t, target); err != nil || got.status != 200 || !strings.Contains(string(got.body), `"RequestId""`) {
		t.Errorf("malformed: got %s, %v", got.body, err)
	}
	setFaults(t, sim, Fault{Kind: FaultEmptyObject})
	got, err := fetch(t, strings.Replace(target, "Format=JSON", "Format=XML", 1))
	var empty struct{ XMLName xml.Name }
	if err != nil || xml.Unmarshal(got.body, &empty) != nil || empty.XMLName.Local != "DescribeLoadBalancerListenersResponse" {
		t.Errorf("emptyObject: got %s, %v", got.body, err)
	}
	setFaults(t, sim, Fault{Kind: FaultTruncated})
	if _, err := fetch(t, target); err == nil {
		t.Error("truncated: read completely")
	}
}

func TestCallsAreCountedByAction(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	for _, target := range []string{bareCall + "JSON", bareList + "&LoadBalancerId.1=lb-demo&LoadBalancerId.2=lb-bare", "/?Action=DescribeRegions&Version=2014-05-15&Format=JSON"} {
		do(t, newRequest(t, http.MethodGet, base+target, ""))
	}
	if n := sim.CallCount("lb-demo"); n != 1 {
		t.Errorf("%d calls about lb-demo's health", n)
	}
	runSteps(t, base, []adminStep{
		{"GET", "/calls", "", 200, `"byAction":{"DescribeHealthStatus":1,"DescribeLoadBalancerListeners":1},"byLoadBalancer":{"lb-demo":1},"byOutcome":{"InvalidAction.NotFound":1,"OK":2}`},
		{"GET", "/calls?action=DescribeLoadBalancerListeners", "", 200, `"calls":[{"action":"DescribeLoadBalancerListeners","loadBalancerIds":["lb-demo","lb-bare"],"method":"GET","outcome":"OK","product":"clb","regionId":"cn-hangzhou"`},
		{"GET", "/calls?action=DescribeLoadBalancerListeners&loadBalancerId=lb-demo", "", 200, `"calls":[]`},
	})
}

func TestListenersOfAFileAreValidated(t *testing.T) {
	file := func(listener string) string {
		return "loadBalancers:\n- {loadBalancerId: lb-1, regionId: cn-a, listeners: [{listenerPort: 80, listenerProtocol: http}, {" + listener + "}]}\n"
	}
	for _, tc := range []struct{ text, want string }{
		{file("listenerProtocol: tcp"), "loadBalancers[0].listeners[1].listenerPort: 0 is no port: write 1 to 65535"},
		{file("listenerPort: 65536, listenerProtocol: tcp"), "listeners[1].listenerPort: 65536 is no port"},
		{file("listenerPort: 81"), `listeners[1].listenerProtocol: "" is not known: write one of tcp, udp, http, https`},
		{file("listenerPort: 80, listenerProtocol: http"), "listeners[1].listenerPort: 80 http stands twice: write each listener once"},
		{file("listenerPort: 81, listenerProtocol: http, healthCheck: off"), "loadBalancers.listeners.healthCheck: got bool, want string"},
		{file("listenerPort: 81, listenerProtocol: http, healthCheck: 'no'"), `listeners[1].healthCheck: "no" is not known: write one of on, off`},
		{file("listenerPort: 81, listenerProtocol: http, forwardPort: 65536"), "listeners[1].forwardPort: 65536 is no port"},
		{file("listenerPort: 81, listenerProtocol: https, forwardPort: 443"), "listeners[1].forwardPort: only an http listener redirects"},
		{file("listenerPort: 81, listenerProtocol: http, status: ''"), "listeners[1].status: empty: write a value, or omit it"},
		{file("port: 81"), `unknown field "loadBalancers[0].listeners[1].port"`},
		{"accounts: [{accessKeyId: k, accessKeySecret: s, allowListeners: 1}]", "accounts.allowListeners: got number, want bool"},
	} {
		if _, err := ParseConfig([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
	cfg, err := ParseConfig([]byte("accounts: [{accessKeyId: k, accessKeySecret: s, allowListeners: false}]\n" + file("listenerPort: 81, listenerProtocol: http, status: stopped, healthCheck: 'off', forwardPort: 443")))
	if err != nil || *cfg.Accounts[0].AllowListeners || cfg.LoadBalancers[0].Listeners[1] != (Listener{81, "http", "stopped", "off", 443}) {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
