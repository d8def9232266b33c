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
	"slices"
	"sync"
	"testing"
	"time"
)

// loggedResponse is a response as the operator received it.
type loggedResponse struct {
	requestID    string
	loadBalancer string
	rows         map[string]string // server to health status
	at           time.Time
}

// responseLog is a proxy between an operator and the simulator. It stores every response: the simulator lists its
// calls only.
type responseLog struct {
	server *httptest.Server
	next   chan struct{} // receives a value with each response, if its buffer is empty

	mu  sync.Mutex
	all []loggedResponse
}

func startResponseLog(t *testing.T, w *env) *responseLog {
	t.Helper()
	l := &responseLog{next: make(chan struct{}, 1)}
	target, err := url.Parse(w.simulator.URL)
	if err != nil {
		t.Fatal(err)
	}
	l.server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      w.certificate.Client(30 * time.Second).Transport,
		ModifyResponse: l.store,
		// The operator was killed while it waited for the response.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(l.server.Close)
	return l
}

func (l *responseLog) store(response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var content struct {
		RequestID      string `json:"RequestId"`
		BackendServers struct {
			BackendServer []struct{ ServerID, ServerHealthStatus string }
		}
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return err
	}
	logged := loggedResponse{
		requestID: content.RequestID, loadBalancer: response.Request.URL.Query().Get("LoadBalancerId"),
		rows: map[string]string{}, at: time.Now(),
	}
	for _, row := range content.BackendServers.BackendServer {
		logged.rows[row.ServerID] = row.ServerHealthStatus
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, logged)
	select {
	case l.next <- struct{}{}:
	default:
	}
	return nil
}

func (l *responseLog) responses() []loggedResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}
