// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nlb"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// FuzzSignature compares the simulator with Alibaba's own client: its requests pass, and do not pass after any edit of
// one byte.
func FuzzSignature(f *testing.F) {
	f.Add("lb-demo", "cn-hangzhou", testSecret, "", "https", uint16(443), uint16(40), byte(1), true)
	f.Add("lb demo+*~'()!/?&=%", "", "s", "tok+en/==", "负载\x00\xff", uint16(0), uint16(0), byte(32), false)
	f.Add("", "cn-hangzhou", "a&b=c%20", "CAIS+/==", "", uint16(65535), uint16(300), byte(128), true)
	f.Add("lb-demo", "eu-central-1", "\n", "", "tcp", uint16(80), uint16(9999), byte(3), false)
	f.Fuzz(func(t *testing.T, balancer, region, secret, token, protocol string, port, at uint16, flip byte, post bool) {
		account := Account{AccessKeyID: testKey, AccessKeySecret: secret, SecurityToken: token}
		client, request := &slb.Client{}, slb.CreateDescribeHealthStatusRequest()
		request.LoadBalancerId, request.RegionId, request.ListenerProtocol = balancer, region, protocol
		request.ListenerPort = requests.NewInteger(int(port))
		if !post {
			request.Method = requests.GET
		}
		checkSigned(t, account, signedBySDK(t, account, &client.Client, func() error {
			_, err := client.DescribeHealthStatus(request)
			return err
		}), int(at), flip)
	})
}

// FuzzFormSignature does the same with a call of NLB, whose parameters are in the query and in a form body.
func FuzzFormSignature(f *testing.F) {
	f.Add("sgp-web", "cn-hangzhou", testSecret, "", "i-1", uint16(40), byte(1))
	f.Add("sgp web+*~'()!/?&=%", "", "s", "tok+en/==", "负载\x00\xff", uint16(330), byte(32))
	f.Add("", "cn-hangzhou", "a&b=c%20", "CAIS+/==", "acs:fc:cn-x:1:a/b", uint16(300), byte(128))
	f.Fuzz(func(t *testing.T, group, region, secret, token, server string, at uint16, flip byte) {
		account := Account{AccessKeyID: testKey, AccessKeySecret: secret, SecurityToken: token}
		client, request := &nlb.Client{}, nlb.CreateListServerGroupServersRequest()
		request.ServerGroupId, request.RegionId, request.ServerIds = group, region, &[]string{server, "i-2"}
		sent := signedBySDK(t, account, &client.Client, func() error {
			_, err := client.ListServerGroupServers(request)
			return err
		})
		if sent.body == "" {
			t.Fatalf("no form body beside %s", sent.query)
		}
		checkSigned(t, account, sent, int(at), flip)
	})
}

// checkSigned verifies that the request passes, and does not pass after an edit of one byte.
func checkSigned(t *testing.T, account Account, sent signed, at int, flip byte) {
	t.Helper()
	sim := New(Config{Accounts: []Account{account}}, Options{})
	defer sim.Close()
	tampered := sent.tampered(at, flip)
	if !sent.differs(tampered) {
		t.Skip("the change means the same")
	}
	if tampered.admitted(sim) {
		t.Errorf("what was not signed is let through:\n%s %s\n%s %s", sent.query, sent.body, tampered.query, tampered.body)
	}
	if !sent.admitted(sim) {
		t.Errorf("what the client signs is refused: %s %s", sent.query, sent.body)
	}
}

// signed are the parts of a signed request.
type signed struct{ method, query, body, contentType string }

var errCaught = errors.New("caught")

type catcher struct{ caught *http.Request }

func (c *catcher) RoundTrip(r *http.Request) (*http.Response, error) {
	c.caught = r
	return nil, errCaught
}

// signedBySDK returns what a client of the SDK sends when call calls it.
func signedBySDK(t *testing.T, account Account, client *sdk.Client, call func() error) signed {
	t.Helper()
	catch := &catcher{}
	config := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithMaxRetryTime(0)
	config.Transport = catch
	var err error
	if account.SecurityToken == "" {
		err = client.InitWithOptions("cn-hangzhou", config, credentials.NewAccessKeyCredential(account.AccessKeyID, account.AccessKeySecret))
	} else {
		err = client.InitWithOptions("cn-hangzhou", config,
			credentials.NewStsTokenCredential(account.AccessKeyID, account.AccessKeySecret, account.SecurityToken))
	}
	if err != nil {
		t.Skip(err)
	}
	client.Domain = "slb.example.test"
	if err := call(); catch.caught == nil {
		t.Skip(err)
	}
	got := signed{method: catch.caught.Method, query: catch.caught.URL.RawQuery, contentType: catch.caught.Header.Get("Content-Type")}
	if catch.caught.Body != nil {
		body, err := io.ReadAll(catch.caught.Body)
		if err != nil {
			t.Fatal(err)
		}
		got.body = string(body)
	}
	return got
}

// tampered flips bits of one byte of the query or the body.
func (s signed) tampered(at int, flip byte) signed {
	all := []byte(s.query + s.body)
	all[at%len(all)] ^= max(flip, 1)
	s.query, s.body = string(all[:len(s.query)]), string(all[len(s.query):])
	return s
}

// differs reports whether other has another meaning: an escape has two spellings.
func (s signed) differs(other signed) bool {
	return !sameForm(s.query, other.query) || !sameForm(s.body, other.body)
}

func sameForm(a, b string) bool {
	mine, err1 := url.ParseQuery(a)
	others, err2 := url.ParseQuery(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(mine, others)
}

// admitted reports whether a request passes the gateway.
func (s signed) admitted(sim *Server) bool {
	r := httptest.NewRequest(s.method, "/", strings.NewReader(s.body))
	r.URL.RawQuery = s.query
	r.Header.Set("Content-Type", s.contentType)
	request, refused := parseRequest(r)
	if refused == nil {
		_, refused = sim.admit(request)
	}
	return refused == nil
}
