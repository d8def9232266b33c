// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// TestMain hides the developer's own proxies from the tests.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasSuffix(strings.ToUpper(name), "_PROXY") || name == "DEBUG" {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

func temporaryCredentials() alicloud.Credentials {
	return alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token, Version: "7"}
}

func aRequest() alicloud.Request {
	return alicloud.Request{
		Target:      alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: alicloudtest.LoadBalancer},
		Credentials: temporaryCredentials(),
	}
}

// clientOver returns a Client whose responses are those of a function.
func clientOver(respond alicloudtest.RoundTripper) *Client {
	return newClient(alicloud.CallerOptions{Timeout: alicloudtest.Patience, Transport: respond})
}

// clientOf returns a Client of a server.
func clientOf(t *testing.T, timeout time.Duration, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	endpoint, err := alicloud.ParseEndpoint(server.URL, alicloud.NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(alicloud.CallerOptions{Endpoint: endpoint, Timeout: timeout, Concurrency: 1})
}

func newClient(options alicloud.CallerOptions) *Client {
	caller, err := alicloud.NewCaller(options)
	if err != nil {
		panic(err)
	}
	return NewClient(caller)
}

// failure demands that a call failed with an *alicloud.Error that is fit for conditions.
func failure(t *testing.T, err error) *alicloud.Error {
	t.Helper()
	var failed *alicloud.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got the error %v, want an *alicloud.Error", err)
	}
	if !slices.Contains(alicloud.Kinds(), failed.Kind) || failed.Message == "" {
		t.Errorf("an error without a known kind, or without a message: %#v", failed)
	}
	alicloudtest.VerifyPresentable(t, failed)
	return failed
}

// callAndFail demands that a call fails.
func callAndFail(t *testing.T, client *Client, request alicloud.Request) *alicloud.Error {
	t.Helper()
	observation, err := client.DescribeHealthStatus(t.Context(), request)
	if observation != nil {
		t.Errorf("a failed call returned the observation %+v", observation)
	}
	return failure(t, err)
}

// read returns what the client reads of a document.
func read(t *testing.T, document string, scope alicloud.Scope) (*alicloud.Observation, error) {
	t.Helper()
	request := aRequest()
	request.Scope = scope
	return clientOver(alicloudtest.Respond(http.StatusOK, document)).DescribeHealthStatus(t.Context(), request)
}
