// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// npmRequest is a call as testdata/npm-requests.js recorded it of Alibaba's JavaScript clients: @alicloud/alb20200616
// 1.3.2, and for NLB, which has no client on npm, @alicloud/openapi-core 1.0.8. Each call was signed in headers, and
// again in the query.
type npmRequest struct {
	Method, URL, Body string
	Headers           map[string]string
}

func (n npmRequest) request() *http.Request {
	r := httptest.NewRequest(n.Method, n.URL, strings.NewReader(n.Body))
	for name, value := range n.Headers {
		r.Header.Set(name, value)
	}
	r.Host = n.Headers["host"]
	return r
}

func TestOfficialJavaScriptClients(t *testing.T) {
	data, err := os.ReadFile("testdata/npm-requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var sent []npmRequest
	if err := json.Unmarshal(data, &sent); err != nil {
		t.Fatal(err)
	}
	recorded, err := time.Parse(time.RFC3339, sent[0].Headers["x-acs-date"])
	if err != nil {
		t.Fatal(err)
	}
	signatures, forms, actions := map[bool]int{}, 0, map[string]bool{}
	for _, n := range sent {
		clock := &clock{now: recorded}
		sim := New(groupsConfig(), Options{Now: clock.Now})
		if got := recordCode(t, sim, n.request()); got != "" {
			t.Errorf("%s: refused: %s", n.URL, got)
		}
		call := sim.Calls()[0]
		actions[call.Product+" "+call.Action] = true
		signatures[n.Headers["authorization"] != ""]++
		if n.Body != "" {
			forms++
		}
		for name, tampered := range n.tampered() {
			if got := recordCode(t, New(groupsConfig(), Options{Now: clock.Now}), tampered.request()); got != "SignatureDoesNotMatch" {
				t.Errorf("%s, %s: got %q", n.URL, name, got)
			}
		}
	}
	if signatures[true] != 4 || signatures[false] != 4 || forms != 2 || len(actions) != 4 {
		t.Errorf("read %v signatures, %d forms and %v", signatures, forms, actions)
	}
}

// tampered are requests that the client did not sign.
func (n npmRequest) tampered() map[string]npmRequest {
	query, body := n, n
	query.URL += "&ListenerProtocol=UDP"
	all := map[string]npmRequest{"a further parameter": query}
	if n.Body != "" {
		body.Body = strings.Replace(n.Body, "sgp-web", "sgp-off", 1)
		all["another form"] = body
	}
	return all
}
