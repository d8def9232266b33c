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
)

const stsHost = "sts.aliyuncs.com"

// sts stands in for STS and for the metadata server of a node. The operator
// comes to it as to a proxy, so that it asks where it would ask in a cloud.
type sts struct {
	proxy *httptest.Server
	tls   net.Listener

	mu       sync.Mutex
	gives    account
	lifetime time.Duration
	behave   http.HandlerFunc // in place of an answer; nil: answer
	asked    int
	tokens   []string // that were sent as proof
}

func startSTS(t *testing.T, w *env, gives account, lifetime time.Duration) *sts {
	t.Helper()
	s := &sts{gives: gives, lifetime: lifetime}
	var err error
	if s.tls, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	// Whoever hangs is let go at the end.
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

// forward is the proxy: a tunnel to STS, and the metadata server itself.
func (s *sts) forward(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect && r.Host == stsHost+":443":
		s.tunnel(w, r)
	case r.URL.Host == "100.100.100.200":
		s.metadata(w, r)
	default:
		http.Error(w, "no way to "+r.Host, http.StatusBadGateway)
	}
}

func (s *sts) tunnel(w http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", s.tls.Addr().String())
	if err != nil {
		http.Error(w, "STS is gone", http.StatusBadGateway)
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

// assumeRole is STS's AssumeRoleWithOIDC.
func (s *sts) assumeRole(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	s.tokens = append(s.tokens, r.PostForm.Get("OIDCToken"))
	s.mu.Unlock()
	s.answer(w, r, func(credentials map[string]string) any {
		return map[string]any{"RequestId": "3D57EAD2-8723-1F26-B69C-F8707D8B565D", "Credentials": credentials}
	})
}

// metadata is the metadata server of a node with one role.
func (s *sts) metadata(w http.ResponseWriter, r *http.Request) {
	switch path := strings.TrimPrefix(r.URL.Path, "/latest/"); {
	case path == "api/token" && r.Method == http.MethodPut:
		_, _ = io.WriteString(w, "metadata-token")
	case path == "meta-data/ram/security-credentials/":
		_, _ = io.WriteString(w, "node-role")
	case path == "meta-data/ram/security-credentials/node-role":
		s.answer(w, r, func(credentials map[string]string) any {
			credentials["Code"] = "Success"
			return credentials
		})
	default:
		http.NotFound(w, r)
	}
}

func (s *sts) answer(w http.ResponseWriter, r *http.Request, document func(credentials map[string]string) any) {
	s.mu.Lock()
	s.asked++
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

// set changes what is answered from now on.
func (s *sts) set(behave http.HandlerFunc, gives account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave, s.gives = behave, gives
}

// questions is how often credentials were asked for.
func (s *sts) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// hangs answers nothing until the caller hangs up.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// refuses answers as STS does, and quotes what it should not.
func refuses(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"RequestId":"3D57EAD2","Message":"%s","Code":%q}`, r.PostForm.Get("OIDCToken"), code)
	}
}
