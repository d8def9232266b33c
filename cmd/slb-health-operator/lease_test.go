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

// fenced returns what asks a server, whose URL has a path of its own, through a fence.
func fenced(t *testing.T, f *fence, base string, status *int) func(method, path string) error {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(*status) }))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL + base}
	if err := f.guard(config); err != nil {
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

func TestFence(t *testing.T) {
	for _, base := range []string{"", "/", "/k8s/clusters/c-xyz", "/k8s/clusters/c-xyz/"} {
		t.Run("behind "+base, func(t *testing.T) { testFence(t, base) })
	}
}

func testFence(t *testing.T, base string) {
	status := http.StatusOK
	f := newFence(time.Hour)
	ask := fenced(t, f, base, &status)
	refused := func(when string, want bool) {
		t.Helper()
		for _, write := range []struct{ method, path string }{{http.MethodPatch, statusPath}, {http.MethodPost, eventsPath}} {
			if err := ask(write.method, write.path); errors.Is(err, errLeaseLost) != want {
				t.Errorf("%s: %s %s: %v", when, write.method, write.path, err)
			}
		}
		for _, other := range []struct{ method, path string }{{http.MethodGet, statusPath}, {http.MethodPost, reviewPath}} {
			if err := ask(other.method, other.path); err != nil {
				t.Errorf("%s: %s %s: %v", when, other.method, other.path, err)
			}
		}
	}
	refused("before it leads", true)
	status = http.StatusConflict
	_ = ask(http.MethodPut, leasePath)
	refused("after somebody else took the lease", true)
	status = http.StatusOK
	_ = ask(http.MethodGet, leasePath)
	refused("after it read the lease", true)
	_ = ask(http.MethodPut, leasePath)
	refused("while it leads", false)
	f.renewed(time.Now().Add(-2 * time.Hour))
	refused("after a pause", true)
}

// What client-go makes of a server's path is what the fence looks at.
func TestFenceStandsBeforeClients(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL + "/k8s//clusters/c-xyz/", ContentConfig: rest.ContentConfig{NegotiatedSerializer: clientgoscheme.Codecs}}
	if err := newFence(time.Hour).guard(config); err != nil {
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

// client-go cancels a renewal that takes too long, and warns where it cannot.
func TestFenceShowsTheTransportBehindIt(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	if err := newFence(time.Hour).guard(config); err != nil {
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

func TestFenceTellsThatTheLeaseIsLost(t *testing.T) {
	const term = 200 * time.Millisecond
	f := newFence(term)
	began := time.Now()
	f.renewed(began.Add(-term / 2))
	last := time.Now()
	f.renewed(last)
	select {
	case <-f.lost:
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	if took := time.Since(last); took < term {
		t.Errorf("told %s after the last renewal, which holds for %s", took, term)
	}
	if f.holds() {
		t.Error("it still holds")
	}
}
