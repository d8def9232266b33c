// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const stsHost = "sts.aliyuncs.com"

// sts simulates STS and the metadata server of a node. It is the proxy of the operator, which uses the hosts of a real
// cloud.
type sts struct {
	proxy *httptest.Server
	tls   net.Listener

	mu       sync.Mutex
	gives    account
	lifetime time.Duration
	behave   http.HandlerFunc // replaces the response, unless it is nil
	requests int
	tokens   []string // the OIDC tokens of the requests
}

func startSTS(t *testing.T, w *env, gives account, lifetime time.Duration) *sts {
	t.Helper()
	s := &sts{gives: gives, lifetime: lifetime}
	var err error
	if s.tls, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	// The context ends requests that hang.
	ctx, cancel := context.WithCancel(w.ctx)
	server := &http.Server{
		Handler: http.HandlerFunc(s.assumeRole), ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		_ = server.Serve(tls.NewListener(s.tls, w.certificate.ServerConfig()))
	}()
	s.proxy = httptest.NewUnstartedServer(http.HandlerFunc(s.forward))
	s.proxy.Config.BaseContext = server.BaseContext
	s.proxy.Start()
	t.Cleanup(func() {
		cancel()
		_ = server.Close()
		s.proxy.CloseClientConnections()
		s.proxy.Close()
	})
	return s
}

func (s *sts) environment() []string {
	return []string{"HTTPS_PROXY=" + s.proxy.URL, "HTTP_PROXY=" + s.proxy.URL}
}

// forward opens a tunnel to STS, and serves the metadata itself.
func (s *sts) forward(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect && r.Host == stsHost+":443":
		s.tunnel(w, r)
	case r.URL.Host == "100.100.100.200":
		s.metadata(w, r)
	default:
		http.Error(w, "no route to "+r.Host, http.StatusBadGateway)
	}
}

func (s *sts) tunnel(w http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", s.tls.Addr().String())
	if err != nil {
		http.Error(w, "STS is closed", http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	go func() {
		_, _ = io.Copy(there, buffered)
		_ = there.Close()
	}()
	_, _ = io.Copy(here, there)
}

// assumeRole implements AssumeRoleWithOIDC of STS.
func (s *sts) assumeRole(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	s.tokens = append(s.tokens, r.PostForm.Get("OIDCToken"))
	s.mu.Unlock()
	s.respond(w, r, func(credentials map[string]string) any {
		return map[string]any{"RequestId": "3D57EAD2-8723-1F26-B69C-F8707D8B565D", "Credentials": credentials}
	})
}

// metadata implements the metadata server of a node with one role.
func (s *sts) metadata(w http.ResponseWriter, r *http.Request) {
	switch path := strings.TrimPrefix(r.URL.Path, "/latest/"); {
	case path == "api/token" && r.Method == http.MethodPut:
		_, _ = io.WriteString(w, "metadata-token")
	case path == "meta-data/ram/security-credentials/":
		_, _ = io.WriteString(w, "node-role")
	case path == "meta-data/ram/security-credentials/node-role":
		s.respond(w, r, func(credentials map[string]string) any {
			credentials["Code"] = "Success"
			return credentials
		})
	default:
		http.NotFound(w, r)
	}
}

func (s *sts) respond(w http.ResponseWriter, r *http.Request, document func(credentials map[string]string) any) {
	s.mu.Lock()
	s.requests++
	behave, gives, until := s.behave, s.gives, time.Now().Add(s.lifetime)
	s.mu.Unlock()
	if behave != nil {
		behave(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(document(map[string]string{
		"AccessKeyId": gives.AccessKeyID, "AccessKeySecret": gives.AccessKeySecret, "SecurityToken": gives.SecurityToken,
		"Expiration": until.UTC().Format("2006-01-02T15:04:05Z"),
	}))
}

// set changes the responses from now on.
func (s *sts) set(behave http.HandlerFunc, gives account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave, s.gives = behave, gives
}

// requestCount counts the requests for credentials.
func (s *sts) requestCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// awaitRequest waits for one more request for credentials.
func (s *sts) awaitRequest(t *testing.T, w *env) {
	t.Helper()
	before := s.requestCount()
	w.eventually(t, func(g Gomega) { g.Expect(s.requestCount()).To(BeNumerically(">", before)) })
}

// hangs sends no response until the caller closes the connection.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// refuses sends an error of STS that quotes the secret token.
func refuses(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"RequestId":"3D57EAD2","Message":"%s","Code":%q}`, r.PostForm.Get("OIDCToken"), code)
	}
}
