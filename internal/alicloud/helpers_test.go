// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// TestMain hides the developer's own credentials and proxies from the tests.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ALIBABA_CLOUD_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY") || name == "DEBUG" {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

func temporaryCredentials() Credentials {
	return Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token, Version: "7"}
}

func aRequest() Request {
	return Request{
		Target:      Target{RegionID: alicloudtest.Region, LoadBalancerID: alicloudtest.LoadBalancer},
		Credentials: temporaryCredentials(),
	}
}

// specialCode is an error code that only the product of these tests has.
const specialCode = "SpecialOfTheProduct"

var testProduct = Product{
	Name: "slb", EndpointMap: sdkslb.GetEndpointMap(), EndpointType: sdkslb.GetEndpointType(),
	Advice: func(code string, call Call) string {
		if code == specialCode {
			return "special advice on " + call.LoadBalancerIDs[0]
		}
		return ""
	},
}

// testClient is the least that a product's client can be: it reads ServerIds.
type testClient struct{ *Caller }

func (c testClient) DescribeHealthStatus(ctx context.Context, request Request) (*Observation, error) {
	call := Call{
		Product: &testProduct, Action: "DescribeHealthStatus", Timed: true, Account: request.Target.Account,
		RegionID: request.Target.RegionID, LoadBalancerIDs: []string{request.Target.LoadBalancerID}, Credentials: request.Credentials,
	}
	return Do(ctx, c.Caller, call, func(client *sdk.Client) (*sdkslb.DescribeHealthStatusResponse, error) {
		describe := sdkslb.CreateDescribeHealthStatusRequest()
		describe.RegionId, describe.LoadBalancerId = request.Target.RegionID, request.Target.LoadBalancerID
		response := sdkslb.CreateDescribeHealthStatusResponse()
		return response, client.DoAction(describe, response)
	}, readServerIDs)
}

func readServerIDs(response *sdkslb.DescribeHealthStatusResponse, verifier *Verifier) (*Observation, error) {
	if err := VerifyDocument(response.GetHttpContentBytes(), ListPath{Outer: "BackendServers", Inner: "BackendServer"}); err != nil {
		return nil, err
	}
	requestID, err := verifier.RequestID(response.RequestId)
	if err != nil {
		return nil, err
	}
	observation := &Observation{RequestID: requestID}
	for _, row := range response.BackendServers.BackendServer {
		if err := verifier.Field(row.ServerId, "a backend"); err != nil {
			return nil, err
		}
		observation.Backends = append(observation.Backends, Backend{ServerID: CleanField(row.ServerId)})
	}
	return observation, nil
}

func startHTTPS(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := newQuietServer(handler)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func newQuietServer(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	return server
}

func newTestClient(t *testing.T, endpoint string) testClient {
	t.Helper()
	parsed, err := ParseEndpoint(endpoint, NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := NewCaller(CallerOptions{Endpoint: parsed, Timeout: alicloudtest.Patience, Concurrency: 32, UserAgent: "slb-health-operator/test"})
	if err != nil {
		t.Fatal(err)
	}
	client := testClient{caller}
	t.Cleanup(poolOf(t, client).CloseIdleConnections)
	return client
}

func poolOf(t *testing.T, client testClient) *http.Transport {
	t.Helper()
	pool, ok := client.transport.(*http.Transport)
	if !ok {
		t.Fatalf("the transport is a %T", client.transport)
	}
	return pool
}

// newTrustingClient returns a client that trusts the server's certificate.
func newTrustingClient(t *testing.T, server *httptest.Server) testClient {
	t.Helper()
	client := newTestClient(t, server.URL)
	if certificate := server.Certificate(); certificate != nil {
		trusted := x509.NewCertPool()
		trusted.AddCert(certificate)
		poolOf(t, client).TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	}
	return client
}

// clientOver returns a client whose responses are those of a function.
func clientOver(respond alicloudtest.RoundTripper) testClient {
	caller, err := NewCaller(CallerOptions{Timeout: alicloudtest.Patience, Transport: respond})
	if err != nil {
		panic(err)
	}
	return testClient{caller}
}

// failure demands that a call failed with an *Error, and one fit for conditions.
func failure(t *testing.T, observation *Observation, err error) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got (%+v, %v), want an *Error", observation, err)
	}
	if observation != nil {
		t.Errorf("a failed call returned the observation %+v", observation)
	}
	if !slices.Contains(Kinds(), failed.Kind) || failed.Message == "" {
		t.Errorf("an error without a known kind, or without a message: %#v", failed)
	}
	alicloudtest.VerifyPresentable(t, failed)
	return failed
}

func call(t *testing.T, client testClient, request Request) *Observation {
	t.Helper()
	observation, err := client.DescribeHealthStatus(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return observation
}

// callAndFail demands that a call fails.
func callAndFail(t *testing.T, client testClient, request Request) *Error {
	t.Helper()
	observation, err := client.DescribeHealthStatus(t.Context(), request)
	return failure(t, observation, err)
}

// failTwice demands that two equal failures read the same.
func failTwice(t *testing.T, client testClient) *Error {
	t.Helper()
	first, second := callAndFail(t, client, aRequest()), callAndFail(t, client, aRequest())
	if first.Error() != second.Error() {
		t.Errorf("two equal failures differ:\n%s\n%s", first, second)
	}
	return first
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(alicloudtest.Patience); !met(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, alicloudtest.Patience)
		}
		pause(t.Context(), 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func resolverDial(address string) func(ctx context.Context, network, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address)
	}
}
