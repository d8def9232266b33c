// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openConfig accepts any key, so that these tests need no signatures.
func openConfig() Config { return Config{LoadBalancers: testConfig().LoadBalancers} }

const bareCall = "/?Action=DescribeHealthStatus&Version=2014-05-15&RegionId=cn-hangzhou&LoadBalancerId=lb-demo&Format="

func setFaults(t *testing.T, sim *Server, rules ...Fault) {
	t.Helper()
	if err := sim.SetFaults(rules); err != nil {
		t.Fatal(err)
	}
}

// fetched is a raw response, whether or not it is a document.
type fetched struct {
	status int
	header http.Header
	length int64
	body   []byte
}

// fetch does not follow redirects, and gives the error of reading the body.
func fetch(t *testing.T, target string) (fetched, error) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(newRequest(t, http.MethodGet, target, ""))
	if err != nil {
		return fetched{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return fetched{response.StatusCode, response.Header, response.ContentLength, body}, err
}

func TestFaultResponses(t *testing.T) {
	for _, tc := range []struct {
		name        string
		fault       Fault
		status      int
		contentType string
		code        string
		outcome     string
	}{
		{"status", Fault{Kind: FaultStatus}, 500, typeJSON, "InternalError", "InternalError"},
		{"status 503", Fault{Kind: FaultStatus, HTTPStatus: 503, RetryAfterSeconds: 7}, 503, typeJSON, "ServiceUnavailable", "ServiceUnavailable"},
		{"status of its own", Fault{Kind: FaultStatus, HTTPStatus: 200, Code: "Odd", Message: "m"}, 200, typeJSON, "Odd", "Odd"},
		{"throttle", Fault{Kind: FaultThrottle}, 400, typeJSON, "Throttling.User", "Throttling.User"},
		{"throttle 429", Fault{Kind: FaultThrottle, HTTPStatus: 429, Code: "Throttling", RetryAfterSeconds: 2}, 429, typeJSON, "Throttling", "Throttling"},
		{"contentType", Fault{Kind: FaultContentType}, 200, "text/html;charset=utf-8", "", "contentType"},
		{"empty", Fault{Kind: FaultEmpty}, 200, typeJSON, "", "empty"},
		{"emptyObject", Fault{Kind: FaultEmptyObject}, 200, typeJSON, "", "emptyObject"},
		{"redirect", Fault{Kind: FaultRedirect, Location: "http://127.0.0.1:9/"}, 302, "", "", "redirect"},
		{"body", Fault{Kind: FaultBody, Body: "null"}, 200, typeJSON, "", "body"},
		{"body of its own", Fault{Kind: FaultBody, HTTPStatus: 502, Body: "Bad Gateway", ContentType: "text/plain"}, 502, "text/plain", "", "body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim, base := start(t, openConfig(), Options{})
			setFaults(t, sim, tc.fault)
			got, err := fetch(t, base+bareCall+"JSON")
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tc.status || got.header.Get("Content-Type") != tc.contentType {
				t.Errorf("got %d %q", got.status, got.header.Get("Content-Type"))
			}
			if tc.code != "" && !strings.Contains(string(got.body), `"Code":"`+tc.code+`"`) {
				t.Errorf("got %s", got.body)
			}
			if calls := sim.Calls(); calls[0].Outcome != tc.outcome || calls[0].Fault != tc.fault.Kind {
				t.Errorf("recorded %+v", calls[0])
			}
			for header, want := range map[string]string{"Location": tc.fault.Location, "Retry-After": retryAfter(tc.fault)} {
				if value := got.header.Get(header); value != want {
					t.Errorf("%s: got %q, want %q", header, value, want)
				}
			}
		})
	}
}

func retryAfter(f Fault) string {
	if f.RetryAfterSeconds == 0 {
		return ""
	}
	return string(rune('0' + f.RetryAfterSeconds))
}

func TestEmptyResponses(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	for _, tc := range []struct{ kind, format, want string }{
		{FaultEmpty, "JSON", ""},
		{FaultEmpty, "XML", ""},
		{FaultEmptyObject, "JSON", "{}"},
		{FaultEmptyObject, "XML", xmlHeader + "<DescribeHealthStatusResponse/>"},
	} {
		setFaults(t, sim, Fault{Kind: tc.kind})
		if got, err := fetch(t, base+bareCall+tc.format); err != nil || string(got.body) != tc.want {
			t.Errorf("%s %s: got %q %v", tc.kind, tc.format, got.body, err)
		}
	}
}

func TestMalformedDoesNotParse(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	setFaults(t, sim, Fault{Kind: FaultMalformed})
	got, err := fetch(t, base+bareCall+"JSON")
	if err != nil || got.status != http.StatusOK || json.Valid(got.body) {
		t.Errorf("JSON: %v %s", err, got.body)
	}
	got, err = fetch(t, base+bareCall+"XML")
	if err != nil || xml.Unmarshal(got.body, &healthResponse{}) == nil {
		t.Errorf("XML: %v %s", err, got.body)
	}
}

func TestOversizedIsValidButLarge(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	for _, size := range []int64{0, 1000} {
		setFaults(t, sim, Fault{Kind: FaultOversized, SizeBytes: size})
		if size == 0 {
			size = 11 << 20
		}
		got, err := fetch(t, base+bareCall+"JSON")
		if err != nil || int64(len(got.body)) <= size || !json.Valid(got.body) {
			t.Errorf("JSON: %v, %d bytes", err, len(got.body))
		}
		got, err = fetch(t, base+bareCall+"XML")
		if err != nil || int64(len(got.body)) <= size || xml.Unmarshal(got.body, &healthResponse{}) != nil {
			t.Errorf("XML: %v, %d bytes", err, len(got.body))
		}
	}
}

func TestTruncatedStopsMidBody(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	setFaults(t, sim, Fault{Kind: FaultTruncated})
	got, err := fetch(t, base+bareCall+"JSON")
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.status != http.StatusOK || int64(len(got.body)) >= got.length {
		t.Errorf("got %v after %d of %d bytes", err, len(got.body), got.length)
	}
}

func TestResetDropsTheConnection(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	setFaults(t, sim, Fault{Kind: FaultReset})
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET "+bareCall+"JSON HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

// waitForCalls polls the report: the only sign of a call without a response.
func waitForCalls(t *testing.T, sim *Server, n int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for sim.calls.report(callFilter{}, 0).Total < n {
		if time.Now().After(deadline) {
			t.Fatalf("no %d calls within 30s", n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestHangStopsWithTheServer(t *testing.T) {
	for _, fault := range []Fault{{Kind: FaultHang}, {Kind: FaultDelay, Delay: Duration(time.Hour)}} {
		t.Run(fault.Kind, func(t *testing.T) {
			sim, base := start(t, openConfig(), Options{})
			setFaults(t, sim, fault)
			done := make(chan error, 1)
			go func() {
				_, err := fetch(t, base+bareCall+"JSON")
				done <- err
			}()
			waitForCalls(t, sim, 1)
			select {
			case err := <-done:
				t.Fatalf("did not hang: %v", err)
			default:
			}
			sim.Close()
			if err := <-done; !errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// impatient serves with timeouts much shorter than the waits of these tests: they must not apply to waiting calls.
func impatient(t *testing.T, sim *Server, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := newHTTPServer(sim)
	server.ReadTimeout, server.WriteTimeout = 20*time.Millisecond, 20*time.Millisecond
	server.Handler = handler
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func TestHangStopsWithTheClient(t *testing.T) {
	sim := New(openConfig(), Options{})
	ended := make(chan struct{})
	address := impatient(t, sim, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		sim.ServeHTTP(w, r)
	})
	setFaults(t, sim, Fault{Kind: FaultHang})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+bareCall+"JSON HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waitForCalls(t, sim, 1)
	select {
	case <-ended:
		t.Fatal("the server's deadline ended the call")
	case <-time.After(100 * time.Millisecond):
	}
	_ = conn.Close()
	<-ended
}

func TestDelayOutlivesTheWriteTimeout(t *testing.T) {
	sim := New(openConfig(), Options{})
	address := impatient(t, sim, sim.ServeHTTP)
	setFaults(t, sim, Fault{Kind: FaultDelay, Delay: Duration(100 * time.Millisecond)})
	if got, err := fetch(t, "http://"+address+bareCall+"JSON"); err != nil || got.status != http.StatusOK {
		t.Errorf("got %d %v", got.status, err)
	}
}

func TestDelayThenTheNextRule(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	setFaults(t, sim, Fault{Kind: FaultDelay, Delay: Duration(20 * time.Millisecond)}, Fault{Kind: FaultThrottle, Times: 1})
	began := time.Now()
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")), http.StatusBadRequest, "Throttling.User")
	wantCode(t, do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", "")), http.StatusOK, "")
	if elapsed := time.Since(began); elapsed < 40*time.Millisecond {
		t.Errorf("two delayed calls took %s", elapsed)
	}
}

func TestFaultSelectorsAndTimes(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	setFaults(t, sim,
		Fault{Kind: FaultStatus, LoadBalancerID: "lb-empty", Times: 2},
		Fault{Kind: FaultThrottle, AccessKeyID: "LTAIother"},
		Fault{Kind: FaultStatus, RegionID: "cn-beijing", Code: "SystemBusy"},
	)
	for _, tc := range []struct{ override, code string }{
		{"", ""},
		{"&AccessKeyId=LTAIother", "Throttling.User"},
		{"&AccessKeyId=LTAIexample", ""},
	} {
		got := do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON"+tc.override, ""))
		if got.Code != tc.code {
			t.Errorf("%s: got %q", tc.override, got.Code)
		}
	}
	empty := strings.Replace(bareCall, "lb-demo", "lb-empty", 1) + "JSON"
	for _, code := range []string{"InternalError", "InternalError", ""} {
		if got := do(t, newRequest(t, http.MethodGet, base+empty, "")); got.Code != code {
			t.Errorf("got %q, want %q", got.Code, code)
		}
	}
	beijing := strings.Replace(bareCall, "cn-hangzhou", "cn-beijing", 1) + "JSON"
	if got := do(t, newRequest(t, http.MethodGet, base+beijing, "")); got.Code != "SystemBusy" {
		t.Errorf("a fault needs an existing load balancer: %q", got.Code)
	}
	if rules := sim.Faults(); len(rules) != 2 || rules[0].Kind != FaultThrottle {
		t.Errorf("left: %+v", rules)
	}
}

func TestDelayIsRecordedUnlessAnotherRuleDecides(t *testing.T) {
	sim, base := start(t, openConfig(), Options{})
	delay := Fault{Kind: FaultDelay, Delay: Duration(time.Millisecond), Times: 2}
	setFaults(t, sim, delay, Fault{Kind: FaultThrottle, Times: 1})
	for range 3 {
		do(t, newRequest(t, http.MethodGet, base+bareCall+"JSON", ""))
	}
	for i, want := range []struct{ outcome, fault string }{{"Throttling.User", FaultThrottle}, {"OK", FaultDelay}, {"OK", ""}} {
		if got := sim.Calls()[i]; got.Outcome != want.outcome || got.Fault != want.fault {
			t.Errorf("call %d: got %s by %q, want %s by %q", i, got.Outcome, got.Fault, want.outcome, want.fault)
		}
	}
}

func TestFaultsAreChecked(t *testing.T) {
	sim := New(openConfig(), Options{})
	for _, tc := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Kind: "explode"}, `faults[0].kind: "explode" is not known: write one of body, contentType, delay,`},
		{Fault{Kind: FaultHang, Delay: Duration(time.Second)}, "faults[0].delay: means nothing for kind hang"},
		{Fault{Kind: FaultDelay}, "faults[0].delay: 0s is out of range"},
		{Fault{Kind: FaultDelay, Delay: Duration(2 * time.Hour)}, "faults[0].delay: 2h0m0s is out of range"},
		{Fault{Kind: FaultStatus, HTTPStatus: 99}, "faults[0].httpStatus: 99 is out of range"},
		{Fault{Kind: FaultOversized, SizeBytes: 1 << 40}, "faults[0].sizeBytes: 1099511627776 is out of range"},
		{Fault{Kind: FaultReset, Times: -1}, "faults[0].times: -1 is below 0"},
		{Fault{Kind: FaultThrottle, RetryAfterSeconds: -1}, "faults[0].retryAfterSeconds: -1 is below 0"},
		{Fault{Kind: FaultRedirect, Location: "/\r\nX: y"}, "faults[0].location, contentType: a line break"},
		{Fault{Kind: FaultHang, LoadBalancerID: "lb-*"}, `faults[0].loadBalancerId: "lb-*" is no id: write 1 to 128 letters, digits, - or _; there are no wildcards: omit it to select all`},
		{Fault{Kind: FaultHang, RegionID: "cn-*"}, `faults[0].regionId: "cn-*" is no region: write one such as cn-hangzhou; there are no wildcards`},
		{Fault{Kind: FaultHang, AccessKeyID: "LTAI*"}, `faults[0].accessKeyId: "LTAI*" is no key id: write 1 to 128 letters, digits, ., - or _; there are no wildcards`},
		{Fault{Kind: FaultStatus, Code: "System busy"}, `faults[0].code: "System busy" is no error code: write one such as Throttling.User`},
	} {
		if err := sim.SetFaults([]Fault{tc.fault}); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %s", tc.fault, err, tc.want)
		}
	}
	if len(sim.Faults()) != 0 {
		t.Error("a refused rule was kept")
	}
}
