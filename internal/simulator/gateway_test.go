// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recordCode serves one request without a network and returns the code of its JSON response, "" for success.
func recordCode(t *testing.T, sim *Server, r *http.Request) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, r)
	var got reply
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, recorder.Body)
	}
	return got.Code
}

func TestSignedCallSucceeds(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, format := range []string{"JSON", "json", "XML", ""} {
			t.Run(method+" "+format, func(t *testing.T) {
				got := call(t, base, method, testSecret, callParams(clock.Now(), map[string]string{"Format": format}))
				wantCode(t, got, http.StatusOK, "")
				wantType := typeXML
				if strings.EqualFold(format, "JSON") {
					wantType = typeJSON
				}
				if got.contentType != wantType {
					t.Errorf("content type %q, want %q", got.contentType, wantType)
				}
				if !regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`).MatchString(got.RequestID) {
					t.Errorf("RequestId %q", got.RequestID)
				}
				rows := got.BackendServers.BackendServer
				want := row{"eni-3", "unavailable", "10.0.0.3", "10.0.0.30", 80, 8080, "", "eni"}
				if len(rows) != 5 || rows[2] != want {
					t.Errorf("got %+v", rows)
				}
			})
		}
	}
}

func TestParametersSplitBetweenQueryAndForm(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	params := callParams(clock.Now(), map[string]string{"Tags": "a b+c*d~e!'()/?&=%负载"})
	params["Signature"] = signByHand(http.MethodPost, params, testSecret)
	query, form := url.Values{}, url.Values{}
	for key, value := range params {
		if len(key)%2 == 0 {
			query.Set(key, value)
		} else {
			form.Set(key, value)
		}
	}
	got := do(t, newRequest(t, http.MethodPost, base+"/?"+query.Encode(), form.Encode()))
	wantCode(t, got, http.StatusOK, "")
}

func TestRefusals(t *testing.T) {
	now := newClock().Now()
	for _, tc := range []struct {
		name      string
		overrides map[string]string
		secret    string
		status    int
		code      string
		message   string
	}{
		{name: "no action", overrides: map[string]string{"Action": ""}, status: 400, code: "MissingAction", message: "Action is mandatory for this action."},
		{name: "other action", overrides: map[string]string{"Action": "DeleteLoadBalancer"}, status: 404, code: "InvalidAction.NotFound", message: "Specified api is not found"},
		{name: "no version", overrides: map[string]string{"Version": ""}, status: 400, code: "MissingVersion"},
		{name: "other version", overrides: map[string]string{"Version": "2014-05-26"}, status: 400, code: "InvalidVersion"},
		{name: "no key", overrides: map[string]string{"AccessKeyId": ""}, status: 400, code: "MissingAccessKeyId"},
		{name: "unknown key", overrides: map[string]string{"AccessKeyId": "LTAIother"}, status: 404, code: "InvalidAccessKeyId.NotFound"},
		{name: "no time", overrides: map[string]string{"Timestamp": ""}, status: 400, code: "MissingTimestamp"},
		{name: "shapeless time", overrides: map[string]string{"Timestamp": "2026-01-02 03:04:05"}, status: 400, code: "InvalidTimeStamp.Format"},
		{name: "old time", overrides: map[string]string{"Timestamp": now.Add(-clockSkew - time.Second).Format(timeLayout)}, status: 400, code: "InvalidTimeStamp.Expired"},
		{name: "early time", overrides: map[string]string{"Timestamp": now.Add(clockSkew + time.Second).Format(timeLayout)}, status: 400, code: "InvalidTimeStamp.Expired"},
		{name: "no nonce", overrides: map[string]string{"SignatureNonce": ""}, status: 400, code: "MissingSignatureNonce"},
		{name: "no method", overrides: map[string]string{"SignatureMethod": ""}, status: 400, code: "MissingSignatureMethod"},
		{name: "other method", overrides: map[string]string{"SignatureMethod": "HMAC-MD5"}, status: 400, code: "InvalidParameter", message: "SignatureMethod or SignatureVersion"},
		{name: "bearer token", overrides: map[string]string{"SignatureType": "BEARERTOKEN"}, status: 400, code: "IncompleteSignature"},
		{name: "wrong secret", secret: "other", status: 400, code: "SignatureDoesNotMatch", message: "server string to sign is:GET&%2F&AccessKeyId%3DLTAIexample%26Action%3D"},
		{name: "unwanted token", overrides: map[string]string{"SecurityToken": "x"}, status: 400, code: "InvalidSecurityToken.MismatchWithAccessKey"},
		{name: "no token", overrides: map[string]string{"AccessKeyId": "STS.example"}, secret: "sts-secret", status: 400, code: "MissingSecurityToken"},
		{name: "no region", overrides: map[string]string{"RegionId": ""}, status: 400, code: "MissingParameter", message: `The input parameter "RegionId" that is mandatory for processing this request is not supplied.`},
		{name: "no load balancer", overrides: map[string]string{"LoadBalancerId": ""}, status: 400, code: "MissingParameter", message: `"LoadBalancerId"`},
		{name: "unknown load balancer", overrides: map[string]string{"LoadBalancerId": "lb-other"}, status: 404, code: "InvalidLoadBalancerId.NotFound"},
		{name: "other region", overrides: map[string]string{"RegionId": "cn-beijing"}, status: 404, code: "InvalidLoadBalancerId.NotFound"},
		{name: "port 0", overrides: map[string]string{"ListenerPort": "0"}, status: 400, code: "InvalidParameter", message: `"ListenerPort"`},
		{name: "port 65536", overrides: map[string]string{"ListenerPort": "65536"}, status: 400, code: "InvalidParameter"},
		{name: "port in words", overrides: map[string]string{"ListenerPort": "https"}, status: 400, code: "InvalidParameter"},
		{name: "port with a nought", overrides: map[string]string{"ListenerPort": "0443"}, status: 400, code: "InvalidParameter", message: `"ListenerPort"`},
		{name: "port with a sign", overrides: map[string]string{"ListenerPort": "+443"}, status: 400, code: "InvalidParameter", message: `"ListenerPort"`},
		{name: "other protocol", overrides: map[string]string{"ListenerProtocol": "quic"}, status: 400, code: "InvalidParameter", message: `"ListenerProtocol"`},
		{name: "shared port", overrides: map[string]string{"ListenerPort": "53"}, status: 400, code: "TooManyListeners", message: "more than 1 listener is found"},
		{name: "not allowed", overrides: map[string]string{"AccessKeyId": "LTAInarrow"}, secret: "narrow-secret", status: 403, code: "Forbidden.RAM"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim, base := start(t, testConfig(), Options{Now: func() time.Time { return now }})
			secret := tc.secret
			if secret == "" {
				secret = testSecret
			}
			asJSON := call(t, base, http.MethodGet, secret, callParams(now, tc.overrides))
			wantCode(t, asJSON, tc.status, tc.code)
			if !strings.Contains(asJSON.Message, tc.message) {
				t.Errorf("message %q lacks %q", asJSON.Message, tc.message)
			}
			if asJSON.RequestID == "" || "http://"+asJSON.HostID != base || !strings.Contains(asJSON.Recommend, tc.code) {
				t.Errorf("incomplete error document %s", asJSON.body)
			}
			xmlParams := callParams(now, tc.overrides)
			xmlParams["Format"] = "XML"
			asXML := call(t, base, http.MethodPost, secret, xmlParams)
			wantCode(t, asXML, tc.status, tc.code)
			if !strings.Contains(string(asXML.body), "<Error><RequestId>") {
				t.Errorf("got %s", asXML.body)
			}
			if calls := sim.Calls(); len(calls) != 2 || calls[0].Outcome != tc.code || calls[1].Method != http.MethodPost {
				t.Errorf("recorded %+v", calls)
			}
		})
	}
}

func TestMissingSignature(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	got := sendParams(t, base, http.MethodGet, callParams(clock.Now(), nil))
	wantCode(t, got, http.StatusBadRequest, "MissingSignature")
}

func TestSecurityTokenAccepted(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	params := callParams(clock.Now(), map[string]string{"AccessKeyId": "STS.example", "SecurityToken": "tok+en/=="})
	wantCode(t, call(t, base, http.MethodPost, "sts-secret", params), http.StatusOK, "")
}

func TestAllowedLoadBalancers(t *testing.T) {
	clock := newClock()
	sim, base := start(t, testConfig(), Options{Now: clock.Now})
	if err := sim.PutLoadBalancer(LoadBalancer{LoadBalancerID: "lb-web-1", RegionID: "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	for id, code := range map[string]string{"lb-empty": "", "lb-web-1": "", "lb-demo": "Forbidden.RAM", "lb-unknown": "Forbidden.RAM"} {
		params := callParams(clock.Now(), map[string]string{"AccessKeyId": "LTAInarrow", "LoadBalancerId": id})
		if got := call(t, base, http.MethodGet, "narrow-secret", params); got.Code != code {
			t.Errorf("%s: got %q, want %q", id, got.Code, code)
		}
	}
}

func TestEmptyAllowListAllowsNothing(t *testing.T) {
	cfg, err := ParseConfig([]byte("accounts: [{accessKeyId: k, accessKeySecret: s, allow: []}]"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.LoadBalancers = testConfig().LoadBalancers
	clock := newClock()
	_, base := start(t, cfg, Options{Now: clock.Now})
	got := call(t, base, http.MethodGet, "s", callParams(clock.Now(), map[string]string{"AccessKeyId": "k"}))
	wantCode(t, got, http.StatusForbidden, "Forbidden.RAM")
}

func TestNonceUsedOnce(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	nonce := map[string]string{"SignatureNonce": "once"}
	wrong := callParams(clock.Now(), nonce)
	wantCode(t, call(t, base, http.MethodGet, "other", wrong), http.StatusBadRequest, "SignatureDoesNotMatch")
	wantCode(t, call(t, base, http.MethodGet, testSecret, callParams(clock.Now(), nonce)), http.StatusOK, "")
	wantCode(t, call(t, base, http.MethodPost, testSecret, callParams(clock.Now(), nonce)), http.StatusBadRequest, "SignatureNonceUsed")

	other := callParams(clock.Now(), map[string]string{"SignatureNonce": "once", "AccessKeyId": "LTAIslow"})
	wantCode(t, call(t, base, http.MethodGet, "slow-secret", other), http.StatusOK, "")

	clock.Advance(nonceWindow)
	wantCode(t, call(t, base, http.MethodGet, testSecret, callParams(clock.Now(), nonce)), http.StatusOK, "")
}

// A request with a time in the future stays valid longest: until its time is clockSkew old.
func TestNonceOutlivesTheLatestReplay(t *testing.T) {
	clock := newClock()
	_, base := start(t, testConfig(), Options{Now: clock.Now})
	params := callParams(clock.Now().Add(clockSkew), nil)
	wantCode(t, call(t, base, http.MethodGet, testSecret, params), http.StatusOK, "")
	clock.Advance(2*clockSkew - time.Second)
	wantCode(t, sendParams(t, base, http.MethodGet, params), http.StatusBadRequest, "SignatureNonceUsed")
	clock.Advance(2 * time.Second)
	wantCode(t, sendParams(t, base, http.MethodGet, params), http.StatusBadRequest, "InvalidTimeStamp.Expired")
}

func TestNoncesAreBounded(t *testing.T) {
	log := newNonceLog(3)
	now := newClock().Now()
	for _, nonce := range []string{"1", "2", "3", "4"} {
		if !log.use("k", nonce, now) {
			t.Fatalf("nonce %s refused", nonce)
		}
	}
	if len(log.seen) != 3 || len(log.queue) != 3 {
		t.Errorf("%d nonces kept", len(log.seen))
	}
	if log.use("k", "4", now) {
		t.Error("the newest nonce was forgotten")
	}
}

func TestThrottling(t *testing.T) {
	clock := newClock()
	sim, base := start(t, testConfig(), Options{Now: clock.Now})
	slow := func() reply {
		return call(t, base, http.MethodGet, "slow-secret", callParams(clock.Now(), map[string]string{"AccessKeyId": "LTAIslow"}))
	}
	for range 3 {
		wantCode(t, slow(), http.StatusOK, "")
	}
	wantCode(t, slow(), http.StatusBadRequest, "Throttling.User")
	wantCode(t, call(t, base, http.MethodGet, testSecret, callParams(clock.Now(), nil)), http.StatusOK, "")

	sim.Load(testConfig())
	wantCode(t, slow(), http.StatusBadRequest, "Throttling.User")
	clock.Advance(500 * time.Millisecond)
	wantCode(t, slow(), http.StatusOK, "")
	wantCode(t, slow(), http.StatusBadRequest, "Throttling.User")
}

func TestWithoutAccountsAnyKeyMayCall(t *testing.T) {
	clock := newClock()
	cfg := testConfig()
	cfg.Accounts = nil
	_, base := start(t, cfg, Options{Now: clock.Now})
	bare := base + "/?Action=DescribeHealthStatus&Version=2014-05-15&Format=JSON&RegionId=cn-hangzhou&LoadBalancerId=lb-demo"
	for range 2 {
		wantCode(t, do(t, newRequest(t, http.MethodGet, bare, "")), http.StatusOK, "")
	}
	wantCode(t, do(t, newRequest(t, http.MethodGet, bare+"&AccessKeyId=any&Signature=any", "")), http.StatusOK, "")
	wantCode(t, do(t, newRequest(t, http.MethodGet, bare+"&Timestamp=2020-01-01T00:00:00Z", "")), http.StatusBadRequest, "InvalidTimeStamp.Expired")
	wantCode(t, do(t, newRequest(t, http.MethodGet, bare+"&SignatureNonce=n", "")), http.StatusOK, "")
	wantCode(t, do(t, newRequest(t, http.MethodGet, bare+"&SignatureNonce=n", "")), http.StatusBadRequest, "SignatureNonceUsed")
}

func TestOddRequests(t *testing.T) {
	_, base := start(t, testConfig(), Options{})
	for _, tc := range []struct {
		name, method, target, body string
		status                     int
		code                       string
	}{
		{"other http method", http.MethodPut, "/?Format=JSON", "", 405, "UnsupportedHTTPMethod"},
		{"other path", http.MethodGet, "/loadbalancers?Format=JSON", "", 404, "InvalidAction.NotFound"},
		{"broken query", http.MethodGet, "/?Format=JSON&x=%zz", "", 400, "InvalidParameter"},
		{"broken form", http.MethodPost, "/?Format=JSON", "x=%zz", 400, "InvalidParameter"},
		{"huge body", http.MethodPost, "/?Format=JSON", strings.Repeat("x", maxBody+1), 413, "RequestEntityTooLarge"},
		{"nothing", http.MethodGet, "/", "", 400, "MissingAction"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantCode(t, do(t, newRequest(t, tc.method, base+tc.target, tc.body)), tc.status, tc.code)
		})
	}
}
