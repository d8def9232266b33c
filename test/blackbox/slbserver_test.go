// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
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

// slbServer speaks the API's protocol as its public reference describes it,
// checks every request by itself, and answers what a spec wants.
type slbServer struct {
	server  *httptest.Server
	account account

	mu         sync.Mutex
	accounts   map[string]account
	revoked    map[string]struct{}
	scripts    map[string]func(n int) answer
	requests   map[string][]url.Values
	nonces     map[string]struct{}
	signatures map[string]struct{}
	complaints []string
}

// answer is what the n-th call about a load balancer gets.
type answer struct {
	status int
	header http.Header
	body   []byte
	// write replaces all of the above.
	write func(w http.ResponseWriter)
}

func startSLBServer(t *testing.T, w *env) *slbServer {
	t.Helper()
	self := w.newTemporaryAccount()
	s := &slbServer{
		account: self, accounts: map[string]account{self.AccessKeyID: self}, revoked: map[string]struct{}{},
		scripts: map[string]func(int) answer{}, requests: map[string][]url.Values{},
		nonces: map[string]struct{}{}, signatures: map[string]struct{}{},
	}
	s.server = w.serveTLS(t, s)
	return s
}

// serveTLS serves on loopback with the certificate that operators trust.
func (w *env) serveTLS(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = w.certificate.ServerConfig()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func (s *slbServer) url() string { return s.server.URL }

// on says what calls about a load balancer get, counted from 1, and returns
// what is the number of calls.
func (s *slbServer) on(id string, script func(n int) answer) (asked func() int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[id] = script
	return func() int { return len(s.seen(id)) }
}

// always gives every call the same.
func always(a answer) func(int) answer { return func(int) answer { return a } }

// seen are the parameters of the calls about a load balancer.
func (s *slbServer) seen(id string) []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests[id])
}

// setAccount adds an account, or replaces the one of the same id.
func (s *slbServer) setAccount(a account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[a.AccessKeyID] = a
}

// revoke makes the API refuse a key that it knew.
func (s *slbServer) revoke(a account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts, a.AccessKeyID)
	s.revoked[a.AccessKeyID] = struct{}{}
}

func (s *slbServer) isRevoked(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, revoked := s.revoked[id]
	return revoked
}

func (s *slbServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.answerTo(r).send(w)
}

func (a answer) send(w http.ResponseWriter) {
	if a.write != nil {
		a.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (s *slbServer) answerTo(r *http.Request) answer {
	if err := r.ParseForm(); err != nil {
		return s.complain("a request that cannot be parsed: %v", err)
	}
	id := r.Form.Get("LoadBalancerId")
	lists := r.Form.Get("Action") == "DescribeLoadBalancerListeners"
	if s.isRevoked(r.Form.Get("AccessKeyId")) {
		return refusal(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	}
	if wrong := s.verify(r.Method, r.Form); wrong != "" {
		return s.complain("%s: %s", id, wrong)
	}
	if lists { // it is optional, and what is tested here does not need it
		return refusal(http.StatusForbidden, "Forbidden.RAM", "User not authorized to operate on the specified resource.")
	}
	s.mu.Lock()
	script, n := s.scripts[id], len(s.requests[id])+1
	s.requests[id] = append(s.requests[id], r.Form)
	s.mu.Unlock()
	if script == nil {
		return s.complain("%s: unexpected", id)
	}
	return script(n)
}

func (s *slbServer) complain(format string, args ...any) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
	return refusal(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
}

// verify returns what is wrong with the parameters of a request, or "".
func (s *slbServer) verify(method string, form url.Values) string {
	for name, values := range form {
		if len(values) != 1 {
			return fmt.Sprintf("%s is there %d times", name, len(values))
		}
	}
	if action := form.Get("Action"); action != "DescribeHealthStatus" && action != "DescribeLoadBalancerListeners" {
		return fmt.Sprintf("Action is %q", action)
	}
	for name, want := range map[string]string{
		"Version": "2014-05-15", "Format": "JSON",
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
	} {
		if got := form.Get(name); got != want {
			return fmt.Sprintf("%s is %q, not %q", name, got, want)
		}
	}
	if got := form.Get("RegionId"); got != region && !strings.HasPrefix(got, throttledRegion) {
		return fmt.Sprintf("RegionId is %q", got)
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", form.Get("Timestamp"))
	if err != nil || time.Since(at).Abs() > time.Minute {
		return fmt.Sprintf("Timestamp is %q", form.Get("Timestamp"))
	}
	s.mu.Lock()
	caller, known := s.accounts[form.Get("AccessKeyId")]
	s.mu.Unlock()
	if !known || form.Get("SecurityToken") != caller.SecurityToken {
		return "AccessKeyId or SecurityToken is wrong"
	}
	if form.Get("Signature") != signatureOf(method, form, caller.AccessKeySecret) {
		return "Signature is wrong"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	nonce := form.Get("SignatureNonce")
	if _, used := s.nonces[nonce]; used || nonce == "" {
		return fmt.Sprintf("SignatureNonce is %q, empty or used before", nonce)
	}
	s.nonces[nonce] = struct{}{}
	s.signatures[form.Get("Signature")] = struct{}{}
	return ""
}

// signatureOf is the signature of RPC style APIs, version 1.0.
func signatureOf(method string, form url.Values, secret string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name != "Signature" {
			pairs = append(pairs, percentEncode(name)+"="+percentEncode(form.Get(name)))
		}
	}
	toSign := method + "&" + percentEncode("/") + "&" + percentEncode(strings.Join(pairs, "&"))
	code := hmac.New(sha1.New, []byte(secret+"&"))
	code.Write([]byte(toSign))
	return base64.StdEncoding.EncodeToString(code.Sum(nil))
}

// percentEncode keeps the unreserved characters of RFC 3986 and no others.
func percentEncode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// row is a backend as the API spells it.
type row map[string]any

func normalRow(server string) row { return row{"ServerId": server, "ServerHealthStatus": "normal"} }

func success(rows ...row) answer {
	if rows == nil {
		rows = []row{}
	}
	return document(http.StatusOK, map[string]any{
		"RequestId":      "365F4154-92F6-4AE4-92F8-7FF34B540710",
		"BackendServers": map[string]any{"BackendServer": rows},
	})
}

func refusal(status int, code, message string) answer {
	return document(status, map[string]any{
		"RequestId": "0A5F4154-92F6-4AE4-92F8-7FF34B540711", "HostId": "slb.aliyuncs.com",
		"Code": code, "Message": message, "Recommend": "https://error-center.aliyun.com/status/search?Keyword=" + code,
	})
}

func document(status int, content any) answer {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		panic(err)
	}
	return answer{status: status, body: body.Bytes()}
}

func text(status int, body string) answer { return answer{status: status, body: []byte(body)} }
