// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// The terms of leader election are the defaults of controller-runtime.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// writePeriod is how long after a renewal the leader may write. Another
	// replica may acquire the Lease after leaseDuration, and writes in flight
	// must arrive before that.
	writePeriod = leaseDuration - retryPeriod
)

var errLeaseLost = errors.New("the lease was not renewed in time: another may lead now")

// leaseGuard stops the writes of a leader whose Lease expired because the
// process was paused or disconnected. After a pause, client-go still tries to renew
// for renewDeadline, and workers continue meanwhile. leaseGuard uses the node's
// clock, which runs while a process is stopped: once the last renewal is older
// than writePeriod, it refuses writes and closes lost. Where the clock stops as
// well, as in a suspended machine, only the resourceVersion of a write protects.
type leaseGuard struct {
	writePeriod time.Duration
	lost        chan struct{}

	mu         sync.Mutex
	validUntil time.Time
	timer      *time.Timer
}

func newLeaseGuard(writePeriod time.Duration) *leaseGuard {
	return &leaseGuard{writePeriod: writePeriod, lost: make(chan struct{})}
}

// wrap inserts the guard between clients of config and the API server. The URL
// of the server may have a path, such as Rancher's /k8s/clusters/c-xyz.
func (g *leaseGuard) wrap(config *rest.Config) error {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return fmt.Errorf("the server of the kubeconfig: %w", err)
	}
	base := strings.TrimSuffix(path.Join("/", server.Path), "/")
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return guardedTransport{g, base, next} })
	return nil
}

// renewed extends the lease after a successful renewal. It counts from when the
// request was sent.
func (g *leaseGuard) renewed(sentAt time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.validUntil = sentAt.Add(g.writePeriod)
	if g.timer == nil {
		g.timer = time.AfterFunc(time.Until(g.validUntil), g.expire)
	}
}

// expire closes lost, unless the lease was renewed meanwhile.
func (g *leaseGuard) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if remaining := time.Until(g.validUntil); remaining > 0 {
		g.timer.Reset(remaining)
		return
	}
	close(g.lost)
}

func (g *leaseGuard) isValid() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.validUntil)
}

type guardedTransport struct {
	guard *leaseGuard
	base  string // path of the API server
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t guardedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	isWrite, resource := request.Method != http.MethodGet, strings.TrimPrefix(request.URL.Path, t.base)
	if isWrite && requiresLease(resource) && !t.guard.isValid() {
		return nil, errLeaseLost
	}
	sentAt := time.Now()
	response, err := t.next.RoundTrip(request)
	if err == nil && isWrite && response.StatusCode < http.StatusMultipleChoices && strings.HasPrefix(resource, "/apis/coordination.k8s.io/") {
		t.guard.renewed(sentAt)
	}
	return response, err
}

// WrappedRoundTripper returns the next transport. client-go unwraps it to cancel
// a renewal that exceeds its timeout, and logs a warning where it cannot.
func (t guardedTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// requiresLease reports whether only the leader writes to a resource, by its path.
func requiresLease(resource string) bool {
	return strings.HasPrefix(resource, "/apis/slb.lbhealth.dev/") || strings.HasPrefix(resource, "/apis/events.k8s.io/")
}
