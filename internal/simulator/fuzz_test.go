// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest verifies that no request makes the server panic, that every response is a well-formed document with a
// RequestId, and that nothing gets past a signature that was not made with the secret.
func FuzzRequest(f *testing.F) {
	const good = "Action=DescribeHealthStatus&Version=2014-05-15&RegionId=cn-hangzhou&LoadBalancerId=lb-demo"
	f.Add("GET", good+"&Format=JSON&AccessKeyId=LTAIexample&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=1"+
		"&Timestamp=2026-01-02T03%3A04%3A05Z&Signature=x", "", "", "")
	f.Add("POST", "", "application/x-www-form-urlencoded", good+"&ListenerPort=53", "")
	f.Add("POST", "Format=XML&%zz", "text/plain", "\x00", "ACS3-HMAC-SHA256 Credential=LTAIexample,SignedHeaders=host;;,Signature=00")
	f.Add("GET", good+"&Format=JSON&ListenerPort=-1", "", "", "ACS3-HMAC-SHA256 ,,=,Signature")
	f.Add("PUT", "Action=%ff&Format=json", "multipart/form-data", "--", "ACS3-")
	const list = "Action=DescribeLoadBalancerListeners&Version=2014-05-15&RegionId=cn-hangzhou&LoadBalancerId.1=lb-demo"
	f.Add("GET", list+"&LoadBalancerId.11=x&MaxResults=1&NextToken=bGI%2Bx", "", "", "")
	f.Fuzz(func(t *testing.T, method, query, contentType, body, authorization string) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL.RawQuery = method, query
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", authorization)
		for name, value := range map[string]string{
			"X-Acs-Action": ActionHealthStatus, "X-Acs-Version": clbVersion, "X-Acs-Date": "2026-01-02T03:04:05Z", "X-Acs-Signature-Nonce": "n",
		} {
			r.Header.Set(name, value)
		}
		sim := New(testConfig(), Options{Now: newClock().Now})
		recorder := httptest.NewRecorder()
		sim.ServeHTTP(recorder, r)
		var got reply
		if recorder.Header().Get("Content-Type") == typeJSON {
			if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v in %q", err, recorder.Body)
			}
		} else if err := xml.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v in %q", err, recorder.Body)
		}
		if got.RequestID == "" || got.Code == "" {
			t.Fatalf("%d without code: %s", recorder.Code, recorder.Body)
		}
	})
}
