// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The vectors were computed by other programs: the first is the example of Alibaba's own documentation, the others come
// from the official JavaScript client (@alicloud/openapi-util 0.3.3).
func TestRPCSignatureVectors(t *testing.T) {
	documented := map[string]string{
		"Timestamp": "2016-02-23T12:46:24Z", "Format": "XML", "AccessKeyId": "testid", "Action": "DescribeRegions",
		"SignatureMethod": "HMAC-SHA1", "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
		"Version": "2014-05-26", "SignatureVersion": "1.0",
	}
	odd := map[string]string{
		"AccessKeyId": "LTAIexample", "Action": "DescribeHealthStatus", "Format": "JSON", "ListenerPort": "443",
		"LoadBalancerId": "lb-demo", "RegionId": "cn-hangzhou", "SecurityToken": "tok+en/==", "SignatureMethod": "HMAC-SHA1",
		"SignatureNonce": "0123456789abcdef0123456789abcdef", "SignatureVersion": "1.0", "SignatureType": "",
		"Tags": "a b+c*d~e!'()/?&=%负载", "Timestamp": "2026-01-02T03:04:05Z", "Version": "2014-05-15",
	}
	for _, tc := range []struct {
		name, method, secret, want string
		params                     map[string]string
	}{
		{"documented", "GET", "testsecret", "OLeaidS1JvxuMvnyHOwuJ+uX5qY=", documented},
		{"odd characters by GET", "GET", "example-secret", "cr0AaX3s26Ftfe5WG4DtoxhGYx8=", odd},
		{"odd characters by POST", "POST", "example-secret", "sO/OUUfWhOd3AF5tf56sz9jwpLo=", odd},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.params["Signature"] = "is not signed"
			if got := rpcSignature(stringToSign(tc.method, tc.params), tc.secret); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if got := signByHand(tc.method, tc.params, tc.secret); got != tc.want {
				t.Errorf("the tests' own signer got %s, want %s", got, tc.want)
			}
		})
	}
}

// acs3Requests are calls as @alicloud/openapi-client 0.4 sends them; their signatures were computed by it.
var acs3Requests = []struct {
	method, query, body, signature string
}{
	{http.MethodGet, url.Values{"LoadBalancerId": {"lb-demo"}, "RegionId": {"cn-hangzhou"}, "Tags": {"a b+c*d~e!'()/"}}.Encode(), "",
		"0578954108f7c44d575e622f91a2b57d22513a6cb6c5d0fc3bcce107140cd7d3"},
	{http.MethodPost, "", "ListenerPort=443&LoadBalancerId=lb-demo&RegionId=cn-hangzhou",
		"10274a7bdc1f3deedcc8bc1b5f73b41ef2e65b4036954a2b45c009534328cc8e"},
}

func acs3Request(method, query, body, signature string) *http.Request {
	r := httptest.NewRequest(method, "/?"+query, strings.NewReader(body))
	r.Host = "slb.example.test"
	signed := "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version"
	payload := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		signed = "content-type;" + signed
		payload = "8e04f736b04f01159d1be2f0c49c07b7261a32a5ea1dcfba77d44ffc9331a89a"
	}
	for name, value := range map[string]string{
		"x-acs-version": "2014-05-15", "x-acs-action": "DescribeHealthStatus", "x-acs-date": "2026-01-02T03:04:05Z",
		"x-acs-signature-nonce": "0123456789abcdef", "x-acs-content-sha256": payload, "x-acs-accesskey-id": "LTAIexample",
		"x-acs-security-token": "tok+en/==", "accept": "application/json",
		"Authorization": "ACS3-HMAC-SHA256 Credential=LTAIexample,SignedHeaders=" + signed + ",Signature=" + signature,
	} {
		r.Header.Set(name, value)
	}
	return r
}

func TestACS3Vectors(t *testing.T) {
	cfg := testConfig()
	cfg.Accounts = []Account{{AccessKeyID: testKey, AccessKeySecret: testSecret, SecurityToken: "tok+en/=="}}
	for _, tc := range acs3Requests {
		for _, tampering := range []struct {
			name, code string
			edit       func(*http.Request)
		}{
			{"as sent", "", func(*http.Request) {}},
			{"wrong signature", "SignatureDoesNotMatch", func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), tc.signature[:4], "0000", 1))
			}},
			{"other parameter", "SignatureDoesNotMatch", func(r *http.Request) { r.URL.RawQuery += "&ListenerPort=80" }},
			{"unsigned header", "IncompleteSignature", func(r *http.Request) { r.Header.Set("X-Acs-Extra", "1") }},
			{"host omitted", "IncompleteSignature", func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
			}},
			{"other algorithm", "IncompleteSignature", func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SHA256", "SM3", 1))
			}},
			{"no credential", "MissingAccessKeyId", func(r *http.Request) { r.Header.Set("Authorization", "ACS3-HMAC-SHA256") }},
			{"other token", "InvalidSecurityToken.MismatchWithAccessKey", func(r *http.Request) { r.Header.Set("X-Acs-Security-Token", "x") }},
		} {
			t.Run(tc.method+" "+tampering.name, func(t *testing.T) {
				clock := newClock()
				sim := New(cfg, Options{Now: clock.Now})
				r := acs3Request(tc.method, tc.query, tc.body, tc.signature)
				tampering.edit(r)
				if got := recordCode(t, sim, r); got != tampering.code {
					t.Fatalf("got code %q, want %q", got, tampering.code)
				}
			})
		}
		t.Run(tc.method+" replayed", func(t *testing.T) {
			sim := New(cfg, Options{Now: newClock().Now})
			for _, want := range []string{"", "SignatureNonceUsed"} {
				if got := recordCode(t, sim, acs3Request(tc.method, tc.query, tc.body, tc.signature)); got != want {
					t.Fatalf("got code %q, want %q", got, want)
				}
			}
		})
		t.Run(tc.method+" old", func(t *testing.T) {
			clock := newClock()
			clock.Advance(clockSkew + time.Second)
			r := acs3Request(tc.method, tc.query, tc.body, tc.signature)
			if got := recordCode(t, New(cfg, Options{Now: clock.Now}), r); got != "InvalidTimeStamp.Expired" {
				t.Fatalf("got code %q", got)
			}
		})
	}
}
