// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// hangUps is a server that closes each connection, without a response, at the
// second request.
type hangUps struct {
	mu     sync.Mutex
	served map[string]int // requests by connection
	nonces map[string]int
}

func (h *hangUps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.served[r.RemoteAddr]++
	again := h.served[r.RemoteAddr] > 1
	h.nonces[r.URL.Query().Get("SignatureNonce")]++
	h.mu.Unlock()
	if again {
		alicloudtest.AfterRequest(func(net.Conn) {})(w, r)
		return
	}
	alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
}

// A gateway whose alicloudtest.Patience with idle connections is just as long as the
// interval must not make every other call a failure.
func TestIdleConnectionClosedByTheServerIsNoFailure(t *testing.T) {
	server := &hangUps{served: map[string]int{}, nonces: map[string]int{}}
	client := newTrustingClient(t, startHTTPS(t, server.ServeHTTP))
	for range 4 {
		call(t, client, aRequest())
	}
	if len(server.served) != 4 {
		t.Errorf("%d connections for 4 calls", len(server.served))
	}
	for nonce, times := range server.nonces {
		if times > 1 {
			t.Errorf("nonce %s was used %d times: the API accepts each once", nonce, times)
		}
	}
}

func TestCallIsRetriedAtMostOnce(t *testing.T) {
	requests := 0
	server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if requests > 1 {
			alicloudtest.AfterRequest(func(net.Conn) {})(w, r)
			return
		}
		alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
	})
	client := newTrustingClient(t, server)
	call(t, client, aRequest())
	failed := callAndFail(t, client, aRequest())
	if !strings.Contains(failed.Message, "closed the connection without a response") || requests != 3 {
		t.Errorf("%d requests, %v", requests, failed)
	}
}
