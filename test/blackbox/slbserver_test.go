// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
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
	"testing"
)

// slbServer implements the protocol of the API's public reference. It checks every request, and sends the responses
// that a spec scripts.
type slbServer struct {
	*rpcVerifier
	server  *httptest.Server
	account account

	scripts  map[string]func(n int) fakeResponse // guarded by mu, as requests
	requests map[string][]url.Values
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
		rpcVerifier: newRPCVerifier("2014-05-15", self, "DescribeHealthStatus", "DescribeLoadBalancerListeners"),
		account:     self, scripts: map[string]func(int) fakeResponse{}, requests: map[string][]url.Values{},
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
	if s.isRevoked(r.Form) {
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

// verify also checks the region.
func (s *slbServer) verify(method string, form url.Values) string {
	if got := form.Get("RegionId"); got != region && !strings.HasPrefix(got, throttledRegion) {
		return fmt.Sprintf("RegionId is %q", got)
	}
	return s.rpcVerifier.verify(method, form)
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
