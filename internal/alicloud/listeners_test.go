// SPDX-License-Identifier: Apache-2.0

package alicloud

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
)

func aListenersRequest(ids ...string) ListenersRequest {
	if len(ids) == 0 {
		ids = []string{testLoadBalancer}
	}
	return ListenersRequest{RegionID: testRegion, LoadBalancerIDs: ids, Credentials: temporaryCredentials()}
}

// page is an answer of DescribeLoadBalancerListeners.
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
func list(t *testing.T, document string, ids ...string) (*ListenerList, error) {
	t.Helper()
	return newTrustingClient(t, startHTTPS(t, answerWith(http.StatusOK, document))).DescribeLoadBalancerListeners(t.Context(), aListenersRequest(ids...))
}

// listInVain demands that a call failed with an *Error, and one fit for conditions.
func listInVain(t *testing.T, client *Client, request ListenersRequest) *Error {
	t.Helper()
	answer, err := client.DescribeLoadBalancerListeners(t.Context(), request)
	var failed *Error
	if !errors.As(err, &failed) || answer != nil {
		t.Fatalf("got (%+v, %v), want an *Error", answer, err)
	}
	verifyPresentable(t, failed)
	return failed
}

func TestAListenersCallNamesTheLoadBalancersAndIsSigned(t *testing.T) {
	var got *http.Request
	server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		answerWith(http.StatusOK, page(""))(w, r)
	})
	client := newTrustingClient(t, server)
	ids := []string{"lb-1", "lb-2", "lb-3"}
	before := time.Now()
	answer, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(ids...))
	if err != nil {
		t.Fatal(err)
	}
	if answer.At.Before(before) || answer.Calls != 1 || answer.RequestID != "365F4154-92F6-4AE4-92F8-7FF34B540710" {
		t.Errorf("got %+v", answer)
	}
	parameters := got.URL.Query()
	for name, want := range map[string]string{
		"Action": "DescribeLoadBalancerListeners", "Version": "2014-05-15", "Format": "JSON", "RegionId": testRegion, "MaxResults": "100",
		"LoadBalancerId.1": "lb-1", "LoadBalancerId.2": "lb-2", "LoadBalancerId.3": "lb-3", "AccessKeyId": testKeyID, "SecurityToken": testToken,
		"Signature": signatureOf(http.MethodPost, parameters, testSecret),
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

func TestAListenerIsReadAsItCame(t *testing.T) {
	for name, test := range map[string]struct {
		listed string
		want   Listener
	}{
		"the least":             {listener("lb-1", 80, "http"), Listener{Port: 80, Protocol: "http", Status: "running"}},
		"HTTP, checked":         {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"HealthCheck":"on","ListenerForward":"off"}`), Listener{80, "http", "running", "on", false}},
		"HTTP, not checked":     {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"HealthCheck":"off"}`), Listener{80, "http", "running", "off", false}},
		"a redirect":            {listener("lb-1", 80, "http", `"HTTPListenerConfig":{"ListenerForward":"on","ForwardPort":443}`), Listener{80, "http", "running", "", true}},
		"HTTPS":                 {listener("lb-1", 443, "https", `"HTTPSListenerConfig":{"HealthCheck":"off"}`), Listener{443, "https", "running", "off", false}},
		"TCP":                   {listener("lb-1", 1, "tcp", `"TCPListenerConfig":{"HealthCheckSwitch":"off","HealthCheck":"on"}`), Listener{1, "tcp", "running", "off", false}},
		"UDP":                   {listener("lb-1", 65535, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":"on","HealthCheck":"off"}`), Listener{65535, "udp", "running", "on", false}},
		"no switch":             {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckType":"tcp"}`), Listener{53, "udp", "running", "", false}},
		"a switch of null":      {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":null}`), Listener{53, "udp", "running", "", false}},
		"a switch of tomorrow":  {listener("lb-1", 53, "udp", `"UDPListenerConfig":{"HealthCheckSwitch":"paused"}`), Listener{53, "udp", "running", "", false}},
		"another one's switch":  {listener("lb-1", 80, "http", `"HTTPSListenerConfig":{"HealthCheck":"off"},"TCPListenerConfig":{"HealthCheckSwitch":"off"}`), Listener{80, "http", "running", "", false}},
		"another case":          {listener("lb-1", 80, "HTTP", `"HTTPListenerConfig":{"HealthCheck":"OFF","ListenerForward":"On"}`), Listener{80, "http", "running", "off", true}},
		"a stopped one":         {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"http","Status":"Stopped"}`, Listener{80, "http", "stopped", "", false}},
		"without a status":      {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"http"}`, Listener{80, "http", "", "", false}},
		"without a protocol":    {`{"LoadBalancerId":"lb-1","ListenerPort":80,"Status":"running"}`, Listener{80, "", "running", "", false}},
		"a port in quotes":      {`{"LoadBalancerId":"lb-1","ListenerPort":"80","ListenerProtocol":"tcp","Status":"running"}`, Listener{80, "tcp", "running", "", false}},
		"fit for a table":       {`{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"tcp\u001b[31m","Status":"` + strings.Repeat("é", 200) + `"}`, Listener{80, "tcp [31m", strings.Repeat("é", 62) + "...", "", false}},
		"a protocol of the SDK": {listener("lb-1", 80, "tcpssl", `"AclIds":["acl-1"],"Tags":[{"TagKey":"a","TagValue":"b"}],"Extra":{"a":[1]}`), Listener{80, "tcpssl", "running", "", false}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := list(t, page("", test.listed), "lb-1")
			if err != nil {
				t.Fatal(err)
			}
			if got := answer.Listeners["lb-1"]; !reflect.DeepEqual(got, []Listener{test.want}) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAnAnswerHoldsTheLoadBalancersThatWereAskedAbout(t *testing.T) {
	answer, err := list(t, page("", listener("lb-2", 80, "tcp"), listener("lb-9", 80, "tcp"), listener("lb-2", 80, "udp"), listener("lb-9", 99999, "tcp")), "lb-1", "lb-2")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Listener{
		"lb-1": {},
		"lb-2": {{Port: 80, Protocol: "tcp", Status: "running"}, {Port: 80, Protocol: "udp", Status: "running"}},
	}
	if !reflect.DeepEqual(answer.Listeners, want) {
		t.Errorf("got %+v, want %+v", answer.Listeners, want)
	}
}

// pages answers with one page after the other, each to be asked for by the token of the one before.
func pages(t *testing.T, documents ...string) (*Client, *[]string) {
	t.Helper()
	tokens := &[]string{}
	return clientOver(func(request *http.Request) (*http.Response, error) {
		*tokens = append(*tokens, request.URL.Query().Get("NextToken"))
		document := documents[min(len(*tokens), len(documents))-1]
		return response(request, http.StatusOK, []byte(document)), nil
	}), tokens
}

func TestEveryPageIsRead(t *testing.T) {
	const second, third = "caeba0bbb2be03f84eb48b699f0a4883", "+/= &"
	client, tokens := pages(t, page(second, listener("lb-1", 80, "tcp")), page(third), page("", listener("lb-2", 443, "tcp"), `{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"TCP","Status":"stopped"}`))
	answer, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest("lb-1", "lb-2"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Listener{
		"lb-1": {{Port: 80, Protocol: "tcp", Status: "stopped"}}, // on two pages: as it was last
		"lb-2": {{Port: 443, Protocol: "tcp", Status: "running"}},
	}
	if answer.Calls != 3 || !reflect.DeepEqual(answer.Listeners, want) || !reflect.DeepEqual(*tokens, []string{"", second, third}) {
		t.Errorf("got %+v by the tokens %q", answer, *tokens)
	}
}

func TestPagesHaveAnEnd(t *testing.T) {
	t.Run("a token that comes again", func(t *testing.T) {
		client, tokens := pages(t, page("a"), page("b"), page("a"))
		failed := listInVain(t, client, aListenersRequest())
		if failed.Kind != InvalidResponse || !strings.Contains(failed.Message, "NextToken that an earlier page had") || len(*tokens) != 3 {
			t.Errorf("%d calls, got %v", len(*tokens), failed)
		}
	})
	t.Run("always another token", func(t *testing.T) {
		calls := 0
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			calls++
			return response(request, http.StatusOK, []byte(page(strconv.Itoa(calls)))), nil
		})
		failed := listInVain(t, client, aListenersRequest())
		if failed.Kind != InvalidResponse || !strings.Contains(failed.Message, "more than 100 pages") || calls != maxPages {
			t.Errorf("%d calls, got %v", calls, failed)
		}
	})
	t.Run("a page that fails", func(t *testing.T) {
		client, _ := pages(t, page("a", listener(testLoadBalancer, 80, "tcp")), errorDocument("Throttling", ""))
		if failed := listInVain(t, client, aListenersRequest()); failed.Kind != InvalidResponse {
			t.Errorf("got %v", failed)
		}
	})
	t.Run("given up on between pages", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			calls++
			cancel()
			return response(request, http.StatusOK, []byte(page("a"))), nil
		})
		if _, err := client.DescribeLoadBalancerListeners(ctx, aListenersRequest()); !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("%d calls, got %v", calls, err)
		}
	})
}

func TestWhatIsNoListIsNotTakenForALoadBalancerWithoutListeners(t *testing.T) {
	const id = `"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710"`
	many := make([]string, maxListeners+1)
	for i := range many {
		many[i] = listener("lb-1", i+1, "tcp")
	}
	for name, test := range map[string]struct{ document, says string }{
		"an empty body":         {"", "an empty body"},
		"an empty object":       {`{}`, "without Listeners"},
		"null":                  {`null`, "not a JSON object"},
		"HTML":                  {"<html></html>", "not a DescribeLoadBalancerListeners answer"},
		"no RequestId":          {`{"Listeners":[]}`, "without a RequestId"},
		"no Listeners":          {`{` + id + `}`, "without Listeners"},
		"Listeners null":        {`{` + id + `,"Listeners":null}`, "without exactly one list Listeners"},
		"Listeners an object":   {`{` + id + `,"Listeners":{"Listener":[]}}`, ""},
		"Listeners text":        {`{` + id + `,"Listeners":""}`, ""},
		"a second list":         {`{` + id + `,"Listeners":[` + listener("lb-1", 80, "tcp") + `],"Listeners":[]}`, "without exactly one list Listeners"},
		"a third list":          {`{` + id + `,"Listeners":[],"Listeners":[],"Listeners":[]}`, "without exactly one list Listeners"},
		"in lower case":         {`{` + id + `,"listeners":[]}`, "without Listeners"},
		"an error document":     {errorDocument("Forbidden.RAM", "no"), "an error document"},
		"an error with a list":  {`{"Code":"Throttling",` + id + `,"Listeners":[]}`, "an error document"},
		"another answer":        {oneRow, "without Listeners"},
		"a listener of null":    {page("", "null"), "without LoadBalancerId"},
		"a listener of nothing": {page("", `{"ListenerPort":80,"ListenerProtocol":"tcp","Status":"running"}`), "without LoadBalancerId"},
		"a listener of text":    {page("", `"80"`), ""},
		"no port":               {page("", `{"LoadBalancerId":"lb-1","ListenerProtocol":"tcp","Status":"running"}`), "not a port"},
		"a port of 0":           {page("", listener("lb-1", 0, "tcp")), "not a port"},
		"a negative port":       {page("", listener("lb-1", -520, "tcp")), "not a port"},
		"a port beyond":         {page("", listener("lb-1", 65536, "tcp")), "not a port"},
		"a port in words":       {page("", `{"LoadBalancerId":"lb-1","ListenerPort":"http"}`), ""},
		"a key as status":       {page("", `{"LoadBalancerId":"lb-1","ListenerPort":80,"Status":"`+testKeyID+`"}`), "repeats the credentials"},
		"a token as protocol":   {page("", `{"LoadBalancerId":"lb-1","ListenerPort":80,"ListenerProtocol":"`+url.QueryEscape(testToken)+`"}`), "repeats the credentials"},
		"a listener too many":   {page("", many...), "more than 1000 listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := list(t, test.document, "lb-1")
			var failed *Error
			if !errors.As(err, &failed) || answer != nil {
				t.Fatalf("got (%+v, %v), want an *Error", answer, err)
			}
			verifyPresentable(t, failed)
			if failed.Kind != InvalidResponse || !strings.Contains(failed.Message, "HTTP 200 with ") || !strings.Contains(failed.Message, test.says) {
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
	if failed := listInVain(t, client, aListenersRequest("lb-1")); !strings.Contains(failed.Message, "more than 1000 listeners of a load balancer") {
		t.Errorf("got %v", failed)
	}
}

func TestAListenersCallThatCannotBeMadeReachesNoServer(t *testing.T) {
	client := clientOver(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	tooMany := make([]string, MaxLoadBalancersPerCall+1)
	none := aListenersRequest()
	none.LoadBalancerIDs = nil
	elsewhere := aListenersRequest()
	elsewhere.RegionID = "no region"
	for name, test := range map[string]struct {
		request ListenersRequest
		says    string
	}{
		"no load balancer": {none, "1 to 10 load balancers, not 0"},
		"eleven":           {aListenersRequest(tooMany...), "1 to 10 load balancers, not 11"},
		"no region":        {elsewhere, "spec.regionId"},
	} {
		t.Run(name, func(t *testing.T) {
			if failed := listInVain(t, client, test.request); failed.Kind != InvalidRequest || !strings.Contains(failed.Message, test.says) {
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

func TestARefusedListenersCallIsClassifiedAndNamesItsPermission(t *testing.T) {
	for _, family := range refusals {
		for _, code := range family.codes {
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				return response(request, family.statuses[0], []byte(errorDocument(code, "Words about lb-2."))), nil
			})
			failed := listInVain(t, client, aListenersRequest("lb-1", "lb-2"))
			if failed.Kind != family.kind || failed.Code != code || !strings.Contains(failed.Message, "Words about lb-2") {
				t.Errorf("%s: got %#v, want kind %s", code, failed, family.kind)
			}
			if strings.Contains(failed.Message, "slb:DescribeHealthStatus") || (failed.Kind == Forbidden) != strings.Contains(failed.Message, "slb:DescribeLoadBalancerListeners") {
				t.Errorf("%s: %q", code, failed.Message)
			}
		}
	}
	forbidden := clientOver(func(request *http.Request) (*http.Response, error) {
		return response(request, http.StatusForbidden, []byte(errorDocument("Forbidden.RAM", "No."))), nil
	})
	request := aListenersRequest()
	request.Account = Account{Namespace: "prod", Name: "slb-reader"}
	failed := listInVain(t, forbidden, request)
	for _, want := range []string{"slb:DescribeLoadBalancerListeners on acs:slb:cn-hangzhou:*:loadbalancer/" + testLoadBalancer + " ", "Secret prod/slb-reader"} {
		if !strings.Contains(failed.Message, want) {
			t.Errorf("%q does not say %q", failed.Message, want)
		}
	}
}

func TestARefusalKeepsEveryLoadBalancerOfABatchReadable(t *testing.T) {
	const other = "lb-bp1o94dp5i6earr9g6d1l"
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		return response(request, http.StatusNotFound, []byte(errorDocument("InvalidLoadBalancerId.NotFound", "No "+other+" in 24ad9f8e7c6b5a4321024ad9."))), nil
	})
	failed := listInVain(t, client, aListenersRequest(testLoadBalancer, other))
	if !strings.Contains(failed.Message, "No "+other+" in [...]") || !strings.Contains(failed.Message, testLoadBalancer+", "+other) {
		t.Errorf("got %q", failed.Message)
	}
}

// The plumbing under both actions is one; what follows holds the second one to it.

func TestAListenersCallFailsAsAHealthCallDoes(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   Kind
		says   string
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, InvalidResponse, "a redirect"},
		"a switch":   {answerWith(http.StatusSwitchingProtocols, ""), InvalidResponse, "a switch to another protocol"},
		"too large":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, io.LimitReader(spaces{}, maxAnswer+1)) }, InvalidResponse, "more than 8 MiB"},
		"cut off":    {afterRequest(reset), EndpointUnreachable, "closed the connection without an answer"},
		"cut off in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, page(""))
		}, InvalidResponse, "ends too early"},
		"a document that panics":  {answerWith(http.StatusBadRequest, `{"Code":400,"Message":"x","RequestId":"1"}`), InvalidResponse, "cannot read"},
		"an error that is a page": {answerWith(http.StatusBadGateway, "<html>"), ServiceError, "HTTP 502 without an API error code"},
		"a hang":                  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, EndpointUnreachable, "no answer within 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := atomic.Int32{}
			client := newTrustingClient(t, startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.answer(w, r)
			}))
			client.options.Timeout = 2 * time.Second
			failed := listInVain(t, client, aListenersRequest())
			if failed.Kind != test.kind || !strings.Contains(failed.Message, test.says) || requests.Load() != 1 {
				t.Errorf("%d requests, got %v", requests.Load(), failed)
			}
		})
	}
}

func TestAListenersCallThatIsGivenUpEndsAtOnce(t *testing.T) {
	for name, partial := range map[string]string{"while waiting": "", "in the middle of the answer": page("")[:20]} {
		t.Run(name, func(t *testing.T) {
			reached, left := make(chan struct{}), make(chan struct{})
			client := newTrustingClient(t, startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, partial)
				_ = http.NewResponseController(w).Flush()
				close(reached)
				<-r.Context().Done()
				close(left)
			}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			if _, err := client.DescribeLoadBalancerListeners(ctx, aListenersRequest()); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			select {
			case <-left:
			case <-time.After(patience):
				t.Error("the server does not see that the caller has left")
			}
		})
	}
}

func TestAListenersCallIsMadeAgainWhereItsConnectionWasClosed(t *testing.T) {
	requests, nonces := 0, map[string]bool{}
	server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		nonces[r.URL.Query().Get("SignatureNonce")] = true
		if requests == 2 {
			afterRequest(func(net.Conn) {})(w, r)
			return
		}
		answerWith(http.StatusOK, page(""))(w, r)
	})
	client := newTrustingClient(t, server)
	for range 2 {
		answer, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest())
		if err != nil || answer.Calls != 1 {
			t.Fatalf("got (%+v, %v)", answer, err)
		}
	}
	if requests != 3 || len(nonces) != 3 {
		t.Errorf("%d requests with %d nonces", requests, len(nonces))
	}
}

func TestListenersCallsSideBySide(t *testing.T) {
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		document := page("", listener(request.URL.Query().Get("LoadBalancerId.1"), 80, "tcp"))
		return response(request, http.StatusOK, []byte(document)), nil
	})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			id := fmt.Sprintf("lb-%d", i)
			answer, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(id))
			if err != nil || len(answer.Listeners[id]) != 1 {
				t.Errorf("got (%+v, %v)", answer, err)
			}
			if _, err := client.DescribeHealthStatus(t.Context(), aRequest()); err == nil {
				t.Error("a list of listeners passes for backends")
			}
		})
	}
	group.Wait()
}

func TestAnEchoOfTheRequestDoesNotReachAListener(t *testing.T) {
	for name, echo := range map[string]func(*http.Request) string{
		"the signature":      func(r *http.Request) string { return r.URL.Query().Get("Signature") },
		"the token, escaped": func(r *http.Request) string { return url.QueryEscape(r.URL.Query().Get("SecurityToken")) },
		"the URL":            func(r *http.Request) string { return r.URL.String() },
		"the key id":         func(r *http.Request) string { return r.URL.Query().Get("AccessKeyId") },
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				listed := fmt.Sprintf(`{"LoadBalancerId":%q,"ListenerPort":80,"Status":%q}`, testLoadBalancer, echo(request))
				return response(request, http.StatusOK, []byte(page("", listed))), nil
			})
			if failed := listInVain(t, client, aListenersRequest()); !strings.Contains(failed.Message, "repeats the credentials") {
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
			verifySecretless(t, listInVain(t, refusing, aListenersRequest()), signature)
		})
	}
}
