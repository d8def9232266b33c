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

// slbServer implements the protocol of the API's public reference. It checks every request, and sends the responses
// that a spec scripts.
type slbServer struct {
	server  *httptest.Server
	account account

	mu         sync.Mutex
	accounts   map[string]account
	revoked    map[string]struct{}
	scripts    map[string]func(n int) fakeResponse
	requests   map[string][]url.Values
	nonces     map[string]struct{}
	signatures map[string]struct{}
	complaints []string
}

// fakeResponse is the response to one call.
type fakeResponse struct {
	status int
	header http.Header
	body   []byte
	// write, if set, sends the response instead of the fields above.
	write func(w http.ResponseWriter)
}

func startSLBServer(t *testing.T, w *env) *slbServer {
	t.Helper()
	self := w.newTemporaryAccount()
	s := &slbServer{
		account: self, accounts: map[string]account{self.AccessKeyID: self}, revoked: map[string]struct{}{},
		scripts: map[string]func(int) fakeResponse{}, requests: map[string][]url.Values{},
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

// serveUnused serves on loopback, and fails the test if it receives a request.
func (w *env) serveUnused(t *testing.T) *httptest.Server {
	t.Helper()
	return w.serveTLS(t, http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		t.Error("a request was sent to another host")
		_, _ = writer.Write([]byte(goodBody))
	}))
}

func (s *slbServer) url() string { return s.server.URL }

// on scripts the responses to the calls about a load balancer: n counts them from 1.
func (s *slbServer) on(id string, script func(n int) fakeResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[id] = script
}

// always sends the same response to every call.
func always(r fakeResponse) func(int) fakeResponse { return func(int) fakeResponse { return r } }

// received returns the parameters of the calls about a load balancer.
func (s *slbServer) received(id string) []url.Values {
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

// revoke makes the API refuse a key that it accepted before.
func (s *slbServer) revoke(a account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts, a.AccessKeyID)
	s.revoked[a.AccessKeyID] = struct{}{}
}

func (s *slbServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.respondTo(r).send(w)
}

func (r fakeResponse) send(w http.ResponseWriter) {
	if r.write != nil {
		r.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

func (s *slbServer) respondTo(r *http.Request) fakeResponse {
	if err := r.ParseForm(); err != nil {
		return s.complain("a request that cannot be parsed: %v", err)
	}
	id := r.Form.Get("LoadBalancerId")
	s.mu.Lock()
	_, revoked := s.revoked[r.Form.Get("AccessKeyId")]
	s.mu.Unlock()
	if revoked {
		return refusal(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	}
	if wrong := s.verify(r.Method, r.Form); wrong != "" {
		return s.complain("%s: %s", id, wrong)
	}
	if r.Form.Get("Action") == "DescribeLoadBalancerListeners" { // an optional permission, which these tests do not need
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

func (s *slbServer) complain(format string, args ...any) fakeResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
	return refusal(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
}

// verify returns what is wrong with the parameters of a request, or "".
func (s *slbServer) verify(method string, form url.Values) string {
	for name, values := range form {
		if len(values) != 1 {
			return fmt.Sprintf("%s occurs %d times", name, len(values))
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

// row is a backend in the format of the API.
type row map[string]any

func normalRow(server string) row { return row{"ServerId": server, "ServerHealthStatus": "normal"} }

func success(rows ...row) fakeResponse {
	if rows == nil {
		rows = []row{}
	}
	return document(http.StatusOK, map[string]any{
		"RequestId":      "365F4154-92F6-4AE4-92F8-7FF34B540710",
		"BackendServers": map[string]any{"BackendServer": rows},
	})
}

func refusal(status int, code, message string) fakeResponse {
	return document(status, map[string]any{
		"RequestId": "0A5F4154-92F6-4AE4-92F8-7FF34B540711", "HostId": "slb.aliyuncs.com",
		"Code": code, "Message": message, "Recommend": "https://error-center.aliyun.com/status/search?Keyword=" + code,
	})
}

func document(status int, content any) fakeResponse {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		panic(err)
	}
	return fakeResponse{status: status, body: body.Bytes()}
}

func text(status int, body string) fakeResponse {
	return fakeResponse{status: status, body: []byte(body)}
}
