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

// The terms of leadership, which are controller-runtime's defaults.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// leadsFor is how long after it was renewed a lease is relied on: another
	// may take it over after leaseDuration, and what was sent must have arrived.
	leadsFor = leaseDuration - retryPeriod
)

var errLeaseLost = errors.New("the lease was not renewed in time: another may lead now")

// fence keeps a leader that was paused, or cut off, from writing beside the
// next one. The elector of client-go tries to renew for renewDeadline more
// after a pause, however long that was, and workers go on meanwhile. The fence
// goes by the node's clock, which runs on while a process is stopped: writes are
// refused, and lost is closed, once the last renewal is too long ago. Where the
// clock stood still too, as in a frozen machine, the patch's resourceVersion is
// what is left.
type fence struct {
	leadsFor time.Duration
	lost     chan struct{}

	mu    sync.Mutex
	until time.Time
	alarm *time.Timer
}

func newFence(leadsFor time.Duration) *fence {
	return &fence{leadsFor: leadsFor, lost: make(chan struct{})}
}

// guard puts the fence between a client and the API server, whose URL may have
// a path of its own, such as Rancher's /k8s/clusters/c-xyz.
func (f *fence) guard(config *rest.Config) error {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return fmt.Errorf("the server of the kubeconfig: %w", err)
	}
	base := strings.TrimSuffix(path.Join("/", server.Path), "/")
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return guarded{f, base, next} })
	return nil
}

// renewed takes a lease that was asked for at a time, and given.
func (f *fence) renewed(asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = asked.Add(f.leadsFor)
	if f.alarm == nil {
		f.alarm = time.AfterFunc(time.Until(f.until), f.ring)
	}
}

// ring closes lost, unless the lease was renewed meanwhile.
func (f *fence) ring() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left := time.Until(f.until); left > 0 {
		f.alarm.Reset(left)
		return
	}
	close(f.lost)
}

func (f *fence) holds() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.until)
}

type guarded struct {
	fence *fence
	base  string // path of the API server
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	writes, resource := request.Method != http.MethodGet, strings.TrimPrefix(request.URL.Path, g.base)
	if writes && leads(resource) && !g.fence.holds() {
		return nil, errLeaseLost
	}
	asked := time.Now()
	response, err := g.next.RoundTrip(request)
	if err == nil && writes && response.StatusCode < http.StatusMultipleChoices && strings.HasPrefix(resource, "/apis/coordination.k8s.io/") {
		g.fence.renewed(asked)
	}
	return response, err
}

// WrappedRoundTripper lets client-go reach what is behind, which it warns of not
// finding whenever a renewal takes too long.
func (g guarded) WrappedRoundTripper() http.RoundTripper { return g.next }

// leads tells whether a resource, by its path, is one that only a leader writes to.
func leads(resource string) bool {
	return strings.HasPrefix(resource, "/apis/slb.lbhealth.dev/") || strings.HasPrefix(resource, "/apis/events.k8s.io/")
}
