// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func aListenersRequest(ids ...string) alicloud.ListenersRequest {
	if len(ids) == 0 {
		ids = []string{alicloudtest.LoadBalancer}
	}
	return alicloud.ListenersRequest{RegionID: alicloudtest.Region, LoadBalancerIDs: ids, Credentials: temporaryCredentials()}
}

// page is a response of DescribeLoadBalancerListeners.
func page(next string, listeners ...string) string {
	token := ""
	if next != "" {
		token = fmt.Sprintf(`"NextToken":%q,`, next)
	}
	return `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","MaxResults":100,"TotalCount":7,` + token + `"Listeners":[` + strings.Join(listeners, ",") + `]}`
}

// listener is one of page, of a load balancer, a port and a protocol, with further fields.
func listener(id string, port int, protocol string, more ...string) string {
	fields := append([]string{
		fmt.Sprintf(`"LoadBalancerId":%q,"ListenerPort":%d,"ListenerProtocol":%q,"Status":"running"`, id, port, protocol),
	}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

// list returns what the client makes of one page.
func list(t *testing.T, document string, ids ...string) (*alicloud.ListenerList, error) {
	t.Helper()
	return clientOver(alicloudtest.Respond(http.StatusOK, document)).DescribeLoadBalancerListeners(t.Context(), aListenersRequest(ids...))
}

// listAndFail demands that a call fails.
func listAndFail(t *testing.T, client *Client, request alicloud.ListenersRequest) *alicloud.Error {
	t.Helper()
	list, err := client.DescribeLoadBalancerListeners(t.Context(), request)
	if list != nil {
		t.Errorf("a failed call returned the list %+v", list)
	}
	return failure(t, err)
}

func TestListenersCallIsSignedAndListsLoadBalancers(t *testing.T) {
	var got *http.Request
	client := clientOver(func(r *http.Request) (*http.Response, error) {
		got = r
		return alicloudtest.Response(r, http.StatusOK, page("")), nil
	})
	ids := []string{"lb-1", "lb-2", "lb-3"}
	before := time.Now()
	result, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(ids...))
	if err != nil {
		t.Fatal(err)
	}
	if result.At.Before(before) || result.Calls != 1 || result.RequestID != "365F4154-92F6-4AE4-92F8-7FF34B540710" {
		t.Errorf("got %+v", result)
	}
	parameters := got.URL.Query()
	for name, want := range map[string]string{
		"Action": "DescribeLoadBalancerListeners", "Version": "2014-05-15", "Format": "JSON", "RegionId": alicloudtest.Region, "MaxResults": "100",
		"LoadBalancerId.1": "lb-1", "LoadBalancerId.2": "lb-2", "LoadBalancerId.3": "lb-3", "AccessKeyId": alicloudtest.KeyID, "SecurityToken": alicloudtest.Token,
		"Signature": alicloudtest.SignatureOf(http.MethodPost, parameters, alicloudtest.Secret),
	} {
		if values := parameters[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s = %q, want %q", name, values, want)
		}
	}
	for _, name := range []string{"NextToken", "LoadBalancerId", "LoadBalancerId.4"} {
		if values, ok := parameters[name]; ok {
			t.Errorf("%s = %q", name, values)
		}
	}
}

func listed(port int32, protocol, status, healthCheck string, redirectOnly bool) alicloud.Listener {
	return alicloud.Listener{Port: port, Protocol: protocol, Status: status, HealthCheck: healthCheck, RedirectOnly: redirectOnly}
}

func TestListenerFields(t *testing.T) {
	for name, test := range map[string]struct {
		row  string
		want alicloud.Listener
	}{
		"the least":             {listener("lb-1", 80, "http"), alicloud.Listener{Port: 80, Protocol: "http", Status: "running"}},
		"HTTP, checked":         {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"HealthCheck":"on","ListenerForward":"off"}`), listed(80, "http", "running", "on", false)},
		"HTTP, not checked":     {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"HealthCheck":"off"}`), listed(80, "http", "running", "off", false)},
		"a redirect":            {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"ListenerForward":"on","ForwardPort":443}`), listed(80, "http", "running", "", true)},
		"HTTPS":                 {listener("lb-1", 443, "https", `"HTTPSListenerConfig":{"HealthCheck":"off"}`), listed(443, "https", "running", "off", false)},
		"TCP":                   {listener("lb-1", 1, "tcp", `"TCPListenerConfig":{"HealthCheckSwitch":"off","HealthCheck":"on"}`), listed(1, "tcp", "running", "off", false)},
		"UDP":                   {listener("lb-1", 65535, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":"on","HealthCheck":"off"}`), listed(65535, "udp", "running", "on", false)},
		"no switch":             {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckType":"tcp"}`), listed(53, "udp", "running", "", false)},
		"a switch of null":      {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":null}`), listed(53, "udp", "running", "", false)},
		"an unknown switch":     {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":"paused"}`), listed(53, "udp", "running", "", false)},
		"another one's switch":  {listener("lb-1", 80, "http", `"HTTPSListenerConfig":{"HealthCheck":"off"},"TCPListenerConfig":{"HealthCheckSwitch":"off"}`), listed(80, "http", "running", "", false)},
		"another case":          {listener("lb-1", 80, "HTTP", `"HTTPListenerConfig":{"HealthCheck":"OFF","ListenerForward":"On"}`), listed(80, "http", "running", "off", true)},
		"a stopped one":         {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"http","Status":"Stopped"}`, listed(80, "http", "stopped", "", false)},
		"without a status":      {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"http"}`, listed(80, "http", "", "", false)},
		"without a protocol":    {`{"LoadBalancerId":"lb-1","ListenerPort":80,"Status":"running"}`, listed(80, "", "running", "", false)},
		"a port in quotes":      {`{"LoadBalancerId":"lb-1","ListenerPort":"80","ListenerProtocol":"tcp","Status":"running"}`, listed(80, "tcp", "running", "", false)},
		"fit for a table":       {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"tcp\u001b[31m","Status":"` + strings.Repeat("é", 200) + `"}`, listed(80, "tcp [31m", strings.Repeat("é", 62)+"...", "", false)},
		"a protocol of the SDK": {listener("lb-1", 80, "tcpssl", `"AclIds":["acl-1"],"Tags":[{"TagKey":"a","TagValue":"b"}],"Extra":{"a":[1]}`), listed(80, "tcpssl", "running", "", false)},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := list(t, page("", test.row), "lb-1")
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Listeners["lb-1"]; !reflect.DeepEqual(got, []alicloud.Listener{test.want}) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestListHasTheLoadBalancersOfTheRequest(t *testing.T) {
	got, err := list(t, page("", listener("lb-2", 80, "tcp"), listener("lb-9", 80, "tcp"), listener("lb-2", 80, "udp"), listener("lb-9", 99999, "tcp")), "lb-1", "lb-2")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]alicloud.Listener{
		"lb-1": {},
		"lb-2": {{Port: 80, Protocol: "tcp", Status: "running"}, {Port: 80, Protocol: "udp", Status: "running"}},
	}
	if !reflect.DeepEqual(got.Listeners, want) {
		t.Errorf("got %+v, want %+v", got.Listeners, want)
	}
}

// pages is a client that gets one page after the other, and the tokens of its requests.
func pages(t *testing.T, documents ...string) (*Client, *[]string) {
	t.Helper()
	tokens := &[]string{}
	return clientOver(func(request *http.Request) (*http.Response, error) {
		*tokens = append(*tokens, request.URL.Query().Get("NextToken"))
		document := documents[min(len(*tokens), len(documents))-1]
		return alicloudtest.Response(request, http.StatusOK, document), nil
	}), tokens
}

func TestEveryPageIsRead(t *testing.T) {
	const second, third = "caeba0bbb2be03f84eb48b699f0a4883", "+/= &"
	client, tokens := pages(t, page(second, listener("lb-1", 80, "tcp")), page(third), page("", listener("lb-2", 443, "tcp"), `{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"TCP","Status":"stopped"}`))
	got, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest("lb-1", "lb-2"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]alicloud.Listener{
		"lb-1": {{Port: 80, Protocol: "tcp", Status: "stopped"}}, // on two pages: as it was last
		"lb-2": {{Port: 443, Protocol: "tcp", Status: "running"}},
	}
	if got.Calls != 3 || !reflect.DeepEqual(got.Listeners, want) || !reflect.DeepEqual(*tokens, []string{"", second, third}) {
		t.Errorf("got %+v by the tokens %q", got, *tokens)
	}
}

func TestPagesAreBounded(t *testing.T) {
	t.Run("a token that comes again", func(t *testing.T) {
		client, tokens := pages(t, page("a"), page("b"), page("a"))
		failed := listAndFail(t, client, aListenersRequest())
		if failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, "NextToken that an earlier page had") || len(*tokens) != 3 {
			t.Errorf("%d calls, got %v", len(*tokens), failed)
		}
	})
	t.Run("always another token", func(t *testing.T) {
		calls := 0
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			calls++
			return alicloudtest.Response(request, http.StatusOK, page(strconv.Itoa(calls))), nil
		})
		failed := listAndFail(t, client, aListenersRequest())
		if failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, "more than 100 pages") || calls != maxPages {
			t.Errorf("%d calls, got %v", calls, failed)
		}
	})
	t.Run("a page that fails", func(t *testing.T) {
		client, _ := pages(t, page("a", listener(alicloudtest.LoadBalancer, 80, "tcp")), alicloudtest.ErrorDocument("Throttling", ""))
		if failed := listAndFail(t, client, aListenersRequest()); failed.Kind != alicloud.InvalidResponse {
			t.Errorf("got %v", failed)
		}
	})
	t.Run("given up on between pages", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			calls++
			cancel()
			return alicloudtest.Response(request, http.StatusOK, page("a")), nil
		})
		if _, err := client.DescribeLoadBalancerListeners(ctx, aListenersRequest()); !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("%d calls, got %v", calls, err)
		}
	})
}

func TestInvalidListIsNotALoadBalancerWithoutListeners(t *testing.T) {
	const id = `"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710"`
	many := make([]string, maxListeners+1)
	for i := range many {
		many[i] = listener("lb-1", i+1, "tcp")
	}
	for name, test := range map[string]struct{ document, says string }{
		"an empty body":         {"", "an empty body"},
		"an empty object":       {`{}`, "without Listeners"},
		"null":                  {`null`, "not a JSON object"},
		"HTML":                  {"<html></html>", "not a DescribeLoadBalancerListeners response"},
		"no RequestId":          {`{"Listeners":[]}`, "without a RequestId"},
		"no Listeners":          {`{` + id + `}`, "without Listeners"},
		"Listeners null":        {`{` + id + `,"Listeners":null}`, "without exactly one list Listeners"},
		"Listeners an object":   {`{` + id + `,"Listeners":{"Listener":[]}}`, ""},
		"Listeners text":        {`{` + id + `,"Listeners":""}`, ""},
		"a second list":         {`{` + id + `,"Listeners":[` + listener("lb-1", 80, "tcp") + `],"Listeners":[]}`, "without exactly one list Listeners"},
		"a third list":          {`{` + id + `,"Listeners":[],"Listeners":[],"Listeners":[]}`, "without exactly one list Listeners"},
		"in lower case":         {`{` + id + `,"listeners":[]}`, "without Listeners"},
		"an error document":     {alicloudtest.ErrorDocument("Forbidden.RAM", "no"), "an error document"},
		"an error with a list":  {`{"Code":"Throttling",` + id + `,"Listeners":[]}`, "an error document"},
		"another response":      {alicloudtest.OneRow, "without Listeners"},
		"a listener of null":    {page("", "null"), "without LoadBalancerId"},
		"a listener of nothing": {page("", `{"ListenerPort":80,"ListenerProtocol":"tcp","Status":"running"}`), "without LoadBalancerId"},
		"a listener of text":    {page("", `"80"`), ""},
		"no port":               {page("", `{"LoadBalancerId":"lb-1","ListenerProtocol":"tcp","Status":"running"}`), "not a port"},
		"a port of 0":           {page("", listener("lb-1", 0, "tcp")), "not a port"},
		"a negative port":       {page("", listener("lb-1", -520, "tcp")), "not a port"},
		"a port beyond":         {page("", listener("lb-1", 65536, "tcp")), "not a port"},
		"a port in words":       {page("", `{"LoadBalancerId":"lb-1","ListenerPort":"http"}`), ""},
		"a key as status":       {page("", `{"LoadBalancerId":"lb-1","ListenerPort":80,"Status":"`+alicloudtest.KeyID+`"}`), "repeats the credentials"},
		"a token as protocol":   {page("", `{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"`+url.QueryEscape(alicloudtest.Token)+`"}`), "repeats the credentials"},
		"a listener too many":   {page("", many...), "more than 1000 listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			failed := listAndFail(t, clientOver(alicloudtest.Respond(http.StatusOK, test.document)), aListenersRequest("lb-1"))
			if failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, "HTTP 200 with ") || !strings.Contains(failed.Message, test.says) {
				t.Errorf("got %v, want %q", failed, test.says)
			}
		})
	}
}

func TestListenersOfManyPagesAreBounded(t *testing.T) {
	full := make([]string, maxListeners)
	for i := range full {
		full[i] = listener("lb-1", i+1, "tcp")
	}
	client, _ := pages(t, page("a", full...), page("", listener("lb-1", 1, "udp")))
	if failed := listAndFail(t, client, aListenersRequest("lb-1")); !strings.Contains(failed.Message, "more than 1000 listeners of a load balancer") {
		t.Errorf("got %v", failed)
	}
}

func TestInvalidListenersRequestReachesNoServer(t *testing.T) {
	client := clientOver(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	tooMany := make([]string, alicloud.MaxLoadBalancersPerCall+1)
	none := aListenersRequest()
	none.LoadBalancerIDs = nil
	elsewhere := aListenersRequest()
	elsewhere.RegionID = "no region"
	for name, test := range map[string]struct {
		request alicloud.ListenersRequest
		says    string
	}{
		"no load balancer": {none, "1 to 10 load balancers, not 0"},
		"eleven":           {aListenersRequest(tooMany...), "1 to 10 load balancers, not 11"},
		"no region":        {elsewhere, "spec.regionId"},
	} {
		t.Run(name, func(t *testing.T) {
			if failed := listAndFail(t, client, test.request); failed.Kind != alicloud.InvalidRequest || !strings.Contains(failed.Message, test.says) {
				t.Errorf("got %v", failed)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.DescribeLoadBalancerListeners(ctx, aListenersRequest()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedListenersCallMentionsItsPermission(t *testing.T) {
	for code, kind := range map[string]alicloud.Kind{
		"Throttling.User": alicloud.Throttled, "InvalidLoadBalancerId.NotFound": alicloud.LoadBalancerNotFound, "Forbidden.RAM": alicloud.Forbidden,
		"SignatureDoesNotMatch": alicloud.InvalidCredentials, "ListenerNotFound": alicloud.InvalidRequest, "OperationBusy": alicloud.ServiceError, "Whatever": alicloud.InvalidRequest,
	} {
		failed := listAndFail(t, clientOver(alicloudtest.Respond(http.StatusBadRequest, alicloudtest.ErrorDocument(code, "Words about lb-2."))), aListenersRequest("lb-1", "lb-2"))
		if failed.Kind != kind || failed.Code != code || !strings.Contains(failed.Message, "Words about lb-2") {
			t.Errorf("%s: got %#v, want kind %s", code, failed, kind)
		}
		if strings.Contains(failed.Message, "slb:DescribeHealthStatus") || (failed.Kind == alicloud.Forbidden) != strings.Contains(failed.Message, "slb:DescribeLoadBalancerListeners") {
			t.Errorf("%s: %q", code, failed.Message)
		}
	}
	forbidden := clientOver(func(request *http.Request) (*http.Response, error) {
		return alicloudtest.Response(request, http.StatusForbidden, alicloudtest.ErrorDocument("Forbidden.RAM", "No.")), nil
	})
	request := aListenersRequest()
	request.Account = alicloud.Account{Namespace: "prod", Name: "slb-reader"}
	failed := listAndFail(t, forbidden, request)
	for _, want := range []string{"slb:DescribeLoadBalancerListeners on acs:slb:cn-hangzhou:*:loadbalancer/" + alicloudtest.LoadBalancer + " ", "Secret prod/slb-reader"} {
		if !strings.Contains(failed.Message, want) {
			t.Errorf("%q does not say %q", failed.Message, want)
		}
	}
}

func TestRefusalKeepsEveryLoadBalancerOfABatchReadable(t *testing.T) {
	const other = "lb-bp1o94dp5i6earr9g6d1l"
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		return alicloudtest.Response(request, http.StatusNotFound, alicloudtest.ErrorDocument("InvalidLoadBalancerId.NotFound", "No "+other+" in 24ad9f8e7c6b5a4321024ad9.")), nil
	})
	failed := listAndFail(t, client, aListenersRequest(alicloudtest.LoadBalancer, other))
	if !strings.Contains(failed.Message, "No "+other+" in [...]") || !strings.Contains(failed.Message, alicloudtest.LoadBalancer+", "+other) {
		t.Errorf("got %q", failed.Message)
	}
}

// Both actions share alicloud.Do; the following tests verify that the second one uses it.

func TestListenersCallFailures(t *testing.T) {
	for name, test := range map[string]struct {
		respond http.HandlerFunc
		kind    alicloud.Kind
		says    string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, alicloud.InvalidResponse, "a redirect"},
		"a switch":   {alicloudtest.Serve(http.StatusSwitchingProtocols, ""), alicloud.InvalidResponse, "a switch to another protocol"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader(strings.Repeat(" ", 9<<20)))
		}, alicloud.InvalidResponse, "more than 8 MiB"},
		"cut off": {alicloudtest.AfterRequest(alicloudtest.Reset), alicloud.EndpointUnreachable, "closed the connection without a response"},
		"cut off in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, page(""))
		}, alicloud.InvalidResponse, "ends too early"},
		"a document that panics":  {alicloudtest.Serve(http.StatusBadRequest, `{"Code":400,"Message":"x","RequestId":"1"}`), alicloud.InvalidResponse, "cannot read"},
		"an error that is a page": {alicloudtest.Serve(http.StatusBadGateway, "<html>"), alicloud.ServiceError, "HTTP 502 without an API error code"},
		"a hang":                  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, alicloud.EndpointUnreachable, "no response within 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := atomic.Int32{}
			client := clientOf(t, 2*time.Second, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.respond(w, r)
			})
			failed := listAndFail(t, client, aListenersRequest())
			if failed.Kind != test.kind || !strings.Contains(failed.Message, test.says) || requests.Load() != 1 {
				t.Errorf("%d requests, got %v", requests.Load(), failed)
			}
		})
	}
}

func TestCancelledListenersCallReturnsAtOnce(t *testing.T) {
	for name, partial := range map[string]string{"while waiting": "", "in the middle of the response": page("")[:20]} {
		t.Run(name, func(t *testing.T) {
			reached, closed := make(chan struct{}), make(chan struct{})
			client := clientOf(t, alicloudtest.Patience, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, partial)
				_ = http.NewResponseController(w).Flush()
				close(reached)
				<-r.Context().Done()
				close(closed)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			if _, err := client.DescribeLoadBalancerListeners(ctx, aListenersRequest()); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			select {
			case <-closed:
			case <-time.After(alicloudtest.Patience):
				t.Error("the server does not see that the caller gave up")
			}
		})
	}
}

func TestListenersCallIsRetriedAfterAnIdleClose(t *testing.T) {
	requests, nonces := 0, map[string]bool{}
	client := clientOf(t, alicloudtest.Patience, func(w http.ResponseWriter, r *http.Request) {
		requests++
		nonces[r.URL.Query().Get("SignatureNonce")] = true
		if requests == 2 {
			alicloudtest.AfterRequest(func(net.Conn) {})(w, r)
			return
		}
		alicloudtest.Serve(http.StatusOK, page(""))(w, r)
	})
	for range 2 {
		got, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest())
		if err != nil || got.Calls != 1 {
			t.Fatalf("got (%+v, %v)", got, err)
		}
	}
	if requests != 3 || len(nonces) != 3 {
		t.Errorf("%d requests with %d nonces", requests, len(nonces))
	}
}

func TestConcurrentListenersCalls(t *testing.T) {
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		document := page("", listener(request.URL.Query().Get("LoadBalancerId.1"), 80, "tcp"))
		return alicloudtest.Response(request, http.StatusOK, document), nil
	})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			id := fmt.Sprintf("lb-%d", i)
			got, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(id))
			if err != nil || len(got.Listeners[id]) != 1 {
				t.Errorf("got (%+v, %v)", got, err)
			}
			if _, err := client.DescribeHealthStatus(t.Context(), aRequest()); err == nil {
				t.Error("a list of listeners passes for backends")
			}
		})
	}
	group.Wait()
}

func TestListenerHasNoEchoOfTheRequest(t *testing.T) {
	for name, echo := range map[string]func(*http.Request) string{
		"the signature":      func(r *http.Request) string { return r.URL.Query().Get("Signature") },
		"the token, escaped": func(r *http.Request) string { return url.QueryEscape(r.URL.Query().Get("SecurityToken")) },
		"the URL":            func(r *http.Request) string { return r.URL.String() },
		"the key id":         func(r *http.Request) string { return r.URL.Query().Get("AccessKeyId") },
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				listed := fmt.Sprintf(`{"LoadBalancerId":%q,"ListenerPort":80,"Status":%q}`, alicloudtest.LoadBalancer, echo(request))
				return alicloudtest.Response(request, http.StatusOK, page("", listed)), nil
			})
			if failed := listAndFail(t, client, aListenersRequest()); !strings.Contains(failed.Message, "repeats the credentials") {
				t.Errorf("got %v", failed)
			}
			var signature string
			refusing := clientOver(func(request *http.Request) (*http.Response, error) {
				signature = request.URL.Query().Get("Signature")
				recorder := httptest.NewRecorder()
				recorder.WriteHeader(http.StatusForbidden)
				_ = json.NewEncoder(recorder).Encode(map[string]string{"Code": "Forbidden.RAM", "Message": echo(request), "RequestId": echo(request)})
				return recorder.Result(), nil
			})
			alicloudtest.VerifySecretless(t, listAndFail(t, refusing, aListenersRequest()), signature)
		})
	}
}
