// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

const (
	leasePath  = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
	statusPath = "/apis/slb.lbhealth.dev/v1alpha1/namespaces/n/loadbalancerhealths/o/status"
	eventsPath = "/apis/events.k8s.io/v1/namespaces/n/events"
	reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// guardedRequests returns a function that sends requests through a lease guard to
// a server whose URL has the path base, and which responds with status.
func guardedRequests(t *testing.T, guard *leaseGuard, base string, status *int) func(method, path string) error {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(*status) }))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL + base}
	if err := guard.wrap(config); err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path string) error {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+strings.TrimSuffix(base, "/")+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
}

func TestLeaseGuardRefusesWritesWithoutALease(t *testing.T) {
	for _, base := range []string{"", "/", "/k8s/clusters/c-xyz", "/k8s/clusters/c-xyz/"} {
		t.Run("path "+base, func(t *testing.T) { testLeaseGuard(t, base) })
	}
}

func testLeaseGuard(t *testing.T, base string) {
	status := http.StatusOK
	guard := newLeaseGuard(time.Hour)
	send := guardedRequests(t, guard, base, &status)
	wantRefused := func(when string, want bool) {
		t.Helper()
		for _, write := range []struct{ method, path string }{{http.MethodPut, statusPath}, {http.MethodPost, eventsPath}} {
			if err := send(write.method, write.path); errors.Is(err, errLeaseLost) != want {
				t.Errorf("%s: %s %s: %v", when, write.method, write.path, err)
			}
		}
		for _, other := range []struct{ method, path string }{{http.MethodGet, statusPath}, {http.MethodPost, reviewPath}} {
			if err := send(other.method, other.path); err != nil {
				t.Errorf("%s: %s %s: %v", when, other.method, other.path, err)
			}
		}
	}
	wantRefused("before it leads", true)
	status = http.StatusConflict
	_ = send(http.MethodPut, leasePath)
	wantRefused("after another replica acquired the lease", true)
	status = http.StatusOK
	_ = send(http.MethodGet, leasePath)
	wantRefused("after it read the lease", true)
	_ = send(http.MethodPut, leasePath)
	wantRefused("while it leads", false)
	guard.renewed(time.Now().Add(-2 * time.Hour))
	wantRefused("after a pause", true)
}

// The guard must match the path that client-go builds, which cleans that of the server.
func TestLeaseGuardMatchesThePathsOfClients(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL + "/k8s//clusters/c-xyz/", ContentConfig: rest.ContentConfig{NegotiatedSerializer: clientgoscheme.Codecs}}
	if err := newLeaseGuard(time.Hour).wrap(config); err != nil {
		t.Fatal(err)
	}
	config.APIPath, config.GroupVersion = "/apis", &schema.GroupVersion{Group: "slb.lbhealth.dev", Version: "v1alpha1"}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	err = client.Patch(types.JSONPatchType).Namespace("n").Resource("loadbalancerhealths").Name("o").SubResource("status").Body([]byte("[]")).Do(t.Context()).Error()
	if !errors.Is(err, errLeaseLost) {
		t.Errorf("got %v", err)
	}
}

// client-go cancels a renewal that exceeds its timeout, and logs a warning where it cannot.
func TestLeaseGuardExposesItsTransport(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	if err := newLeaseGuard(time.Hour).wrap(config); err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := utilnet.TLSClientConfig(client.Transport); err != nil {
		t.Error(err)
	}
}

func TestLeaseGuardReportsAnExpiredLease(t *testing.T) {
	const writePeriod = 200 * time.Millisecond
	guard := newLeaseGuard(writePeriod)
	guard.renewed(time.Now().Add(-writePeriod / 2))
	renewedAt := time.Now()
	guard.renewed(renewedAt)
	select {
	case <-guard.lost:
	case <-time.After(time.Minute):
		t.Fatal("the guard does not report the loss")
	}
	if after := time.Since(renewedAt); after < writePeriod {
		t.Errorf("reported %s after the last renewal, which is valid for %s", after, writePeriod)
	}
	if guard.isValid() {
		t.Error("the lease is still valid")
	}
}
