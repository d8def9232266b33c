// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- the protocol's own choice
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testKey    = "LTAIexample"
	testSecret = "example-secret"
	clbVersion = "2014-05-15"
)

// testConfig has one account of each sort and load balancers for each response.
func testConfig() Config {
	return Config{
		Accounts: []Account{
			{AccessKeyID: testKey, AccessKeySecret: testSecret},
			{AccessKeyID: "STS.example", AccessKeySecret: "sts-secret", SecurityToken: "tok+en/=="},
			{AccessKeyID: "LTAIslow", AccessKeySecret: "slow-secret", QPS: 2, Burst: 3},
			{AccessKeyID: "LTAInarrow", AccessKeySecret: "narrow-secret", Allow: []string{"lb-empty", "lb-web-*"}},
		},
		LoadBalancers: []LoadBalancer{
			{LoadBalancerID: "lb-demo", RegionID: "cn-hangzhou", Backends: []Backend{
				{ServerID: "i-1", ServerIP: "10.0.0.1", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443},
				{ServerID: "i-2", ServerIP: "10.0.0.2", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: StatusAbnormal},
				{ServerID: "eni-3", ServerIP: "10.0.0.3", EniHost: "10.0.0.30", Type: "eni", ListenerPort: 80, Port: 8080, ServerHealthStatus: StatusUnavailable},
				{ServerID: "i-4", ServerIP: "10.0.0.4", ListenerPort: 53, ListenerProtocol: "tcp", Port: 53},
				{ServerID: "i-4", ServerIP: "10.0.0.4", ListenerPort: 53, ListenerProtocol: "udp", Port: 53, ServerHealthStatus: StatusAbnormal},
			}},
			{LoadBalancerID: "lb-empty", RegionID: "cn-hangzhou"},
			{LoadBalancerID: "lb-bare", RegionID: "cn-hangzhou", Backends: []Backend{{ServerID: "vm-233"}}},
		},
	}
}

// clock moves only when a test advances it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start serves a simulator for one test and returns its URL.
func start(t *testing.T, cfg Config, opts Options) (*Server, string) {
	t.Helper()
	sim := New(cfg, opts)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	return sim, server.URL
}

// encodeByHand is the documented rule, byte by byte, and shares nothing with the code under test.
func encodeByHand(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func signByHand(method string, params map[string]string, secret string) string {
	pairs := []string{}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if key != "Signature" {
			pairs = append(pairs, encodeByHand(key)+"="+encodeByHand(params[key]))
		}
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = io.WriteString(mac, method+"&%2F&"+encodeByHand(strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

var nonces struct {
	sync.Mutex
	last int
}

func nextNonce() string {
	nonces.Lock()
	defer nonces.Unlock()
	nonces.last++
	return fmt.Sprintf("nonce-%d", nonces.last)
}

// callParams is a correct call of the test account at now, with overrides; an override with
// "" removes the parameter out.
func callParams(now time.Time, overrides map[string]string) map[string]string {
	params := map[string]string{
		"Action": ActionHealthStatus, "Version": clbVersion, "Format": "JSON", "AccessKeyId": testKey,
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": nextNonce(),
		"Timestamp": now.UTC().Format(timeLayout), "RegionId": "cn-hangzhou", "LoadBalancerId": "lb-demo",
	}
	for key, value := range overrides {
		params[key] = value
		if value == "" {
			delete(params, key)
		}
	}
	return params
}

func values(params map[string]string) url.Values {
	form := url.Values{}
	for key, value := range params {
		form.Set(key, value)
	}
	return form
}

// reply is a response of either kind and format.
type reply struct {
	status      int
	contentType string
	header      http.Header
	body        []byte

	RequestID      string `json:"RequestId" xml:"RequestId"`
	HostID         string `json:"HostId" xml:"HostId"`
	Code, Message  string
	Recommend      string
	BackendServers struct{ BackendServer []row }
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{status: response.StatusCode, contentType: response.Header.Get("Content-Type"), header: response.Header, body: body}
	if strings.Contains(got.contentType, "xml") {
		err = xml.Unmarshal(body, &got)
	} else {
		err = json.Unmarshal(body, &got)
	}
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return got
}

// call signs by hand and sends: by GET in the query, by POST as a form.
func call(t *testing.T, base, method, secret string, params map[string]string) reply {
	t.Helper()
	params["Signature"] = signByHand(method, params, secret)
	return sendParams(t, base, method, params)
}

func sendParams(t *testing.T, base, method string, params map[string]string) reply {
	t.Helper()
	target, body := base+"/?"+values(params).Encode(), ""
	if method == http.MethodPost {
		target, body = base+"/", values(params).Encode()
	}
	return do(t, newRequest(t, method, target, body))
}

func newRequest(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func wantCode(t *testing.T, got reply, status int, code string) {
	t.Helper()
	if got.status != status || got.Code != code {
		t.Fatalf("got %d %s %q, want %d %s", got.status, got.Code, got.Message, status, code)
	}
}
