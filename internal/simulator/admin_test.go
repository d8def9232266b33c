// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// admin sends one call and returns the response's status and body, with compact JSON.
func admin(t *testing.T, base, method, path, body string) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(newRequest(t, method, base+path, body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return response.StatusCode, ""
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	compact, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(compact)
}

type adminStep struct {
	method, path, body string
	status             int
	want               string
}

func runSteps(t *testing.T, base string, steps []adminStep) {
	t.Helper()
	for _, step := range steps {
		status, body := admin(t, base, step.method, "/admin/v1"+step.path, step.body)
		if status != step.status || !strings.Contains(body, step.want) || step.want == "" && body != "" {
			t.Errorf("%s %s %s: got %d %s, want %d %s", step.method, step.path, step.body, status, body, step.status, step.want)
		}
	}
}

func TestAdminLoadBalancers(t *testing.T) {
	_, base := start(t, Config{}, Options{})
	const one = `{"regionId":"cn-hangzhou","backends":[{"serverId":"i-1","listenerPort":80,"listenerProtocol":"http"},{"serverId":"i-2","serverIp":"10.0.0.2","serverHealthStatus":"unavailable"}]}`
	runSteps(t, base, []adminStep{
		{"GET", "/loadbalancers", "", 200, `{"loadBalancers":[]}`},
		{"GET", "/loadbalancers/lb-1", "", 404, `{"message":"loadBalancerId: no such load balancer: \"lb-1\""}`},
		{"PUT", "/loadbalancers/lb-1", one, 201, `"loadBalancerId":"lb-1"`},
		{"PUT", "/loadbalancers/lb-1", one, 200, `"serverHealthStatus":"normal","serverId":"i-1"`},
		{"GET", "/loadbalancers/lb-1", "", 200, `"regionId":"cn-hangzhou"`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"serverHealthStatus":"abnormal"}`, 200, `{"matched":2}`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"serverId":"i-1","listenerPort":80,"listenerProtocol":"http","serverHealthStatus":"normal"}`, 200, `{"matched":1}`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"serverIp":"10.0.0.2","serverHealthStatus":"unavailable"}`, 200, `{"matched":1}`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"serverId":"i-9","serverHealthStatus":"normal"}`, 404, `{"message":"selector: no backend matches: {\"serverId\":\"i-9\"}"}`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"serverId":"i-1"}`, 400, `serverHealthStatus: \"\" is not known: write one of normal, abnormal, unavailable`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"server":"i-1"}`, 400, `body: unknown field \"server\"`},
		{"PATCH", "/loadbalancers/lb-1/backends", `{"listenerPort":"80"}`, 400, `body: listenerPort: got string, want int`},
		{"PATCH", "/loadbalancers/lb-9/backends", `{"serverHealthStatus":"normal"}`, 404, "no such load balancer"},
		{"PATCH", "/loadbalancers/lb-1/backends?serverId=i-1", `{"serverHealthStatus":"normal"}`, 400, "reads its body only"},
		{"POST", "/loadbalancers/lb-1/backends", `{"serverId":"i-3","port":8080}`, 201, `{"port":8080,"serverHealthStatus":"normal","serverId":"i-3"}`},
		{"POST", "/loadbalancers/lb-1/backends", `{"serverId":"i-3","port":8080}`, 409, "the load balancer already has this backend"},
		{"POST", "/loadbalancers/lb-1/backends", `{"serverId":"i-3","port":70000}`, 400, "port: 70000 is no port"},
		{"DELETE", "/loadbalancers/lb-1/backends?serverId=i-3&port=8080", "", 200, `{"removed":1}`},
		{"DELETE", "/loadbalancers/lb-1/backends?serverID=i-3", "", 400, "serverID: unknown query parameter"},
		{"DELETE", "/loadbalancers/lb-1/backends?port=x", "", 400, `port: \"x\" is no number above 0`},
		{"GET", "/loadbalancers", "", 200, `"serverHealthStatus":"normal","serverId":"i-1"},{"serverHealthStatus":"unavailable","serverId":"i-2"`},
		{"DELETE", "/loadbalancers/lb-1/backends", "", 200, `{"removed":2}`},
		{"GET", "/loadbalancers/lb-1", "", 200, `"backends":[]`},
		{"DELETE", "/loadbalancers/lb-1", "", 204, ""},
		{"DELETE", "/loadbalancers/lb-1", "", 404, "no such load balancer"},
		{"PUT", "/loadbalancers/lb-1", `{"loadBalancerId":"lb-2","regionId":"cn-hangzhou"}`, 400, `loadBalancerId: \"lb-2\" is not the \"lb-1\" of the URL`},
		{"PUT", "/loadbalancers/lb-1", `{}`, 400, `regionId: \"\" is no region`},
		{"PUT", "/loadbalancers/lb-1", `{`, 400, "body: not valid JSON"},
		{"PUT", "/loadbalancer", `{}`, 404, "no such endpoint: PUT /admin/v1/loadbalancer"},
	})
}

func TestEmptyOrUnknownSelectorIsRefused(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	const backends = "/loadbalancers/lb-demo/backends"
	runSteps(t, base, []adminStep{
		{"PATCH", backends, `{"serverId":"","serverHealthStatus":"abnormal"}`, 400, `body: serverId: empty: write a value, or omit it`},
		{"PATCH", backends, `{"serverIp":null,"serverHealthStatus":"abnormal"}`, 400, `body: serverIp: null: write a value, or omit it`},
		{"PATCH", backends, `{"listenerPort":0,"serverHealthStatus":"abnormal"}`, 400, `body: listenerPort: 0 is too low: write a number above 0, or omit it`},
		{"DELETE", backends + "?serverId=", "", 400, `{"message":"serverId: empty: write a value, or omit it"}`},
		{"DELETE", backends + "?listenerPort=", "", 400, "listenerPort: empty"},
		{"DELETE", backends + "?listenerPort=0", "", 400, `listenerPort: \"0\" is no number above 0: write one such as 80, or omit it`},
		{"DELETE", backends + "?serverId=i-1&serverId=i-2", "", 400, "serverId: stands twice"},
		{"DELETE", backends + "?serverId=%zz", "", 400, "query: invalid URL escape"},
		{"DELETE", backends + "?server=i-1", "", 400, "server: unknown query parameter: write one of serverId, serverIp, listenerPort, listenerProtocol, port"},
		{"DELETE", backends, `{"serverId":"i-1"}`, 400, "body: this endpoint reads its query only"},
		{"DELETE", "/faults?loadBalancerId=lb-demo", "", 400, "query: this endpoint accepts no parameters"},
		{"GET", "/calls?loadBalancerId=", "", 400, "loadBalancerId: empty"},
	})
	if lb, _ := sim.fleet.get("lb-demo"); len(lb.Backends) != 5 || lb.Backends[0].ServerHealthStatus != StatusNormal {
		t.Errorf("left: %+v", lb.Backends)
	}
}

func TestUnknownMethodGetsTheAllowedOnes(t *testing.T) {
	_, base := start(t, openConfig(), Options{})
	got := do(t, newRequest(t, http.MethodPost, base+"/admin/v1/loadbalancers/lb-demo", "{}"))
	if allow := got.header.Get("Allow"); got.status != http.StatusMethodNotAllowed || allow != "DELETE, GET, PUT" {
		t.Errorf("got %d, Allow %q", got.status, allow)
	}
	if want := "method: POST means nothing here: write one of DELETE, GET, PUT"; !strings.Contains(string(got.body), want) {
		t.Errorf("got %s, want %s", got.body, want)
	}
	response, err := http.DefaultClient.Do(newRequest(t, http.MethodHead, base+"/admin/v1/faults", ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("HEAD: got %d", response.StatusCode)
	}
}

// The client writes everything before it reads, so that it sees the response only if the server reads the whole body.
func TestOversizedBodyGetsAResponse(t *testing.T) {
	for path, limit := range map[string]int{"/admin/v1/faults": maxAdminBody, "/": maxBody} {
		_, base := start(t, openConfig(), Options{})
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		size := limit + 24<<20
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, size)
		if _, err := io.CopyN(conn, blanks{}, int64(size)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %s", path, response.Status)
		}
	}
}

func TestAdminFaults(t *testing.T) {
	_, base := start(t, openConfig(), Options{})
	runSteps(t, base, []adminStep{
		{"GET", "/faults", "", 200, `{"faults":[]}`},
		{"PUT", "/faults", `{"faults":[{"kind":"delay","delay":"1ms"},{"kind":"throttle","times":2,"retryAfterSeconds":1}]}`, 200, `{"delay":"1ms","kind":"delay"}`},
		{"PUT", "/faults", `{"faults":[{"kind":"delay","delay":"soon"}]}`, 400, `body: \"soon\" is no duration: write one such as 500ms or 2s`},
		{"PUT", "/faults", `{"faults":[{"kind":"delay","delay":5}]}`, 400, `faults.delay: got number, want a duration such as \"2s\"`},
		{"PUT", "/faults", `{"faults":[{"kind":"hang"},{"kind":"bang"}]}`, 400, `faults[1].kind: \"bang\" is not known`},
		{"POST", "/faults", `{"kind":"status","httpStatus":503,"loadBalancerId":"lb-demo"}`, 201, `"httpStatus":503`},
		{"PUT", "/faults", `{}`, 400, "faults: missing: write the rules, or [] to clear them"},
		{"PUT", "/faults", `{"faults":null}`, 400, "body: faults: null: write a value, or omit it"},
		{"PUT", "/faults", `{"faults":[{"kind":"throttle"},{"kind":"throttle","times":0}]}`, 400, "body: faults[1].times: 0 is too low: write a number above 0, or omit it"},
		{"POST", "/faults", `{"kind":"throttle","loadBalancerId":""}`, 400, "body: loadBalancerId: empty: write a value, or omit it"},
		{"POST", "/faults", `{"kind":"status","code":""}`, 400, "body: code: empty"},
		{"POST", "/faults", `{"kind":"redirect","location":""}`, 400, "body: location: empty"},
		{"POST", "/faults", `{"kind":"oversized","sizeBytes":0}`, 400, "body: sizeBytes: 0 is too low"},
		{"POST", "/faults", `{"kind":"throttle","regionId":"cn-*"}`, 400, `regionId: \"cn-*\" is no region`},
		{"POST", "/faults", `{"kind":"throttle"} {}`, 400, "body: not valid JSON: "},
		{"POST", "/faults", ``, 400, "body: not valid JSON: "},
		{"POST", "/faults", `{"kind":"status","httpStatus":1}`, 400, "httpStatus: 1 is out of range"},
	})
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")), http.StatusBadRequest, "Throttling.User")
	runSteps(t, base, []adminStep{
		{"GET", "/faults", "", 200, `{"kind":"throttle","retryAfterSeconds":1,"times":1}`},
		{"DELETE", "/faults", "", 204, ""},
		{"PUT", "/faults", `{"faults":[]}`, 200, `{"faults":[]}`},
	})
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")), http.StatusOK, "")
}

func TestAdminCalls(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	for range 2 {
		do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON&ListenerPort=443&ListenerProtocol=https&AccessKeyId=k", ""))
	}
	do(t, newRequest(t, http.MethodPost, base+bareCall+"JSON&ListenerPort=53", ""))
	do(t, newRequest(t, http.MethodGet, base+strings.Replace(bareCall, "lb-demo", "lb-other", 1), ""))
	if got := sim.CallCount("lb-demo"); got != 3 {
		t.Errorf("counted %d calls", got)
	}
	runSteps(t, base, []adminStep{
		{"GET", "/calls", "", 200, `"byLoadBalancer":{"lb-demo":3,"lb-other":1},"byOutcome":{"InvalidLoadBalancerId.NotFound":1,"OK":2,"TooManyListeners":1}`},
		{"GET", "/calls?loadBalancerId=lb-demo&limit=2", "", 200, `[{"accessKeyId":"k","action":"DescribeHealthStatus","listenerPort":443,"listenerProtocol":"https","loadBalancerId":"lb-demo","method":"GET","outcome":"OK","product":"clb","regionId":"cn-hangzhou","requestId":`},
		{"GET", "/calls?limit=0", "", 400, `limit: \"0\" is no number above 0: write one such as`},
		{"GET", "/calls?since=1", "", 400, "since: unknown query parameter: write one of product, action, loadBalancerId, limit"},
		{"DELETE", "/calls", "", 204, ""},
		{"GET", "/calls", "", 200, `{"byAction":{},"byLoadBalancer":{},"byOutcome":{},"byProduct":{},"calls":[],"total":0}`},
	})
}

func TestCallsAreBoundedAndTotalsExact(t *testing.T) {
	log := newCallLog()
	for i := range maxCalls + 5 {
		log.add(Call{Outcome: "OK", LoadBalancerID: fmt.Sprintf("lb-%d", i%2), RequestID: fmt.Sprint(i)})
	}
	got := log.report(callFilter{}, maxCalls)
	if got.Total != maxCalls+5 || len(got.Calls) != maxCalls || got.ByLoadBalancer["lb-0"] != maxCalls/2+3 {
		t.Errorf("total %d, kept %d, lb-0 %d", got.Total, len(got.Calls), got.ByLoadBalancer["lb-0"])
	}
	if first, last := got.Calls[0].RequestID, got.Calls[maxCalls-1].RequestID; first != "5" || last != fmt.Sprint(maxCalls+4) {
		t.Errorf("kept %s to %s", first, last)
	}
	newest := log.report(callFilter{loadBalancerID: "lb-0"}, 2).Calls
	if len(newest) != 2 || newest[1].RequestID != fmt.Sprint(maxCalls+4) || newest[0].RequestID != fmt.Sprint(maxCalls+2) {
		t.Errorf("got %+v", newest)
	}
	for i := range maxCounted {
		log.add(Call{Outcome: "OK", LoadBalancerID: fmt.Sprintf("invented-%d", i)})
	}
	if got := log.report(callFilter{}, 0); len(got.ByLoadBalancer) != 10_000 || got.Total != maxCalls+5+maxCounted {
		t.Errorf("%d names, total %d", len(got.ByLoadBalancer), got.Total)
	}
}

func TestAdminNeverShowsSecrets(t *testing.T) {
	_, base := start(t, testConfig(), Options{})
	for _, path := range []string{"/loadbalancers", "/loadbalancers/lb-demo", "/faults", "/calls", "/accounts", "/config"} {
		_, body := admin(t, base, http.MethodGet, "/admin/v1"+path, "")
		for _, account := range testConfig().Accounts {
			if strings.Contains(body, account.AccessKeySecret) || account.SecurityToken != "" && strings.Contains(body, account.SecurityToken) {
				t.Errorf("%s shows a secret: %s", path, body)
			}
		}
	}
}

func TestAdminBodyIsBounded(t *testing.T) {
	_, base := start(t, Config{}, Options{})
	status, _ := admin(t, base, http.MethodPut, "/admin/v1/loadbalancers/lb-1", strings.Repeat(" ", maxAdminBody+1))
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", status)
	}
}

func TestHealthz(t *testing.T) {
	_, base := start(t, testConfig(), Options{})
	got, err := fetch(t, base+"/healthz")
	if err != nil || got.status != http.StatusOK || string(got.body) != "ok\n" {
		t.Errorf("got %v %q", err, got.body)
	}
}

func TestGoMethodsMirrorTheAdminAPI(t *testing.T) {
	sim := New(testConfig(), Options{})
	if n, err := sim.SetBackendStatus("lb-demo", Selector{ListenerPort: 443}, StatusUnavailable); n != 2 || err != nil {
		t.Errorf("got %d %v", n, err)
	}
	if n, err := sim.SetBackendStatus("lb-empty", Selector{}, StatusNormal); n != 0 || err != nil {
		t.Errorf("got %d %v", n, err)
	}
	if err := sim.PutLoadBalancer(LoadBalancer{LoadBalancerID: "lb-new"}); err == nil {
		t.Error("a load balancer without region was accepted")
	}
	if err := sim.AddBackend("lb-empty", Backend{ServerID: "i-1"}); err != nil {
		t.Error(err)
	}
	if n, err := sim.RemoveBackends("lb-empty", Selector{ServerID: "i-1"}); n != 1 || err != nil {
		t.Errorf("got %d %v", n, err)
	}
	if !sim.DeleteLoadBalancer("lb-empty") || sim.DeleteLoadBalancer("lb-empty") {
		t.Error("DeleteLoadBalancer does not report whether there was one")
	}
}
