// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// given is an answer as it went out.
type given struct {
	requestID    string
	loadBalancer string
	rows         map[string]string // server to health status
	at           time.Time
}

// answersLog stands between an operator and the simulator, and keeps every
// answer: the simulator lists its calls, but not its answers.
type answersLog struct {
	server *httptest.Server
	next   chan struct{} // gets a value with each answer, if there is room

	mu  sync.Mutex
	all []given
}

func startAnswersLog(t *testing.T, w *env) *answersLog {
	t.Helper()
	l := &answersLog{next: make(chan struct{}, 1)}
	target, err := url.Parse(w.simulator.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      w.certificate.Client(30 * time.Second).Transport,
		ModifyResponse: l.keep,
		// The operator is killed while it waits for an answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.server = httptest.NewServer(proxy)
	t.Cleanup(l.server.Close)
	return l
}

func (l *answersLog) keep(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		RequestID      string `json:"RequestId"`
		BackendServers struct {
			BackendServer []struct{ ServerID, ServerHealthStatus string }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	g := given{
		requestID: answer.RequestID, loadBalancer: response.Request.URL.Query().Get("LoadBalancerId"),
		rows: map[string]string{}, at: time.Now(),
	}
	for _, row := range answer.BackendServers.BackendServer {
		g.rows[row.ServerID] = row.ServerHealthStatus
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, g)
	select {
	case l.next <- struct{}{}:
	default:
	}
	return nil
}

func (l *answersLog) answers() []given {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]given{}, l.all...)
}
