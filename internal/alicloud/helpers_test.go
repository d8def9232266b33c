// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	testKeyID  = "LTAI5tExampleKeyId000042"
	testSecret = "q7vExampleAccessKeySecret0042x"
	testToken  = "CAISExample+Security/Token0042=="

	testRegion       = "cn-hangzhou"
	testLoadBalancer = "lb-bp1qjwo61pqz3ahltv0mw"

	oneRow    = `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[{"ServerId":"i-1","ServerHealthStatus":"normal"}]}}`
	noRows    = `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[]}}`
	patience  = 10 * time.Second
	longestOK = 600
)

// TestMain keeps the environment of whoever runs the tests out of them.
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
	return Credentials{AccessKeyID: testKeyID, AccessKeySecret: testSecret, SecurityToken: testToken, Version: "7"}
}

func aRequest() Request {
	return Request{
		Target:      Target{RegionID: testRegion, LoadBalancerID: testLoadBalancer},
		Credentials: temporaryCredentials(),
	}
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

func newTestClient(t *testing.T, endpoint string) *Client {
	t.Helper()
	parsed, err := ParseEndpoint(endpoint, NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(ClientOptions{Endpoint: parsed, Timeout: patience, Concurrency: 32, UserAgent: "slb-health-operator/test"})
	if err != nil {
		t.Fatal(err)
	}
	pool := poolOf(t, client)
	t.Cleanup(pool.CloseIdleConnections)
	return client
}

func poolOf(t *testing.T, client *Client) *http.Transport {
	t.Helper()
	pool, ok := client.transport.(*http.Transport)
	if !ok {
		t.Fatalf("the transport is a %T", client.transport)
	}
	return pool
}

// newTrustingClient returns a Client that trusts the server's certificate.
func newTrustingClient(t *testing.T, server *httptest.Server) *Client {
	t.Helper()
	client := newTestClient(t, server.URL)
	if certificate := server.Certificate(); certificate != nil {
		trusted := x509.NewCertPool()
		trusted.AddCert(certificate)
		poolOf(t, client).TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	}
	return client
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refuseWith(status int, code, message string) http.HandlerFunc {
	return answerWith(status, errorDocument(code, message))
}

func errorDocument(code, message string) string {
	document, err := json.Marshal(map[string]string{
		"RequestId": "6AF7FDB7-4F22-4E4F-9B2D-0D6B2C5A0001",
		"HostId":    "slb.aliyuncs.com",
		"Code":      code,
		"Message":   message,
		"Recommend": "https://next.api.aliyun.com/troubleshoot?q=" + url.QueryEscape(code),
	})
	if err != nil {
		panic(err)
	}
	return string(document)
}

// afterRequest takes the connection over once the request has been read.
func afterRequest(do func(conn net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			panic("the connection cannot be taken over")
		}
		conn, _, err := hijacker.Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		do(conn)
	}
}

func reset(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if plain, ok := conn.(*net.TCPConn); ok {
		_ = plain.SetLinger(0)
	}
	_ = conn.Close()
}

// failure demands that a call failed with an *Error, and one fit for conditions.
func failure(t *testing.T, sample *Observation, err error) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got (%+v, %v), want an *Error", sample, err)
	}
	if sample != nil {
		t.Errorf("a failed call returned the sample %+v", sample)
	}
	verifyPresentable(t, failed)
	return failed
}

func verifyPresentable(t *testing.T, failed *Error) {
	t.Helper()
	text := failed.Error()
	switch {
	case !slices.Contains(Kinds(), failed.Kind) || failed.Message == "":
		t.Errorf("an error without a known kind, or without a message: %#v", failed)
	case len(text) > longestOK:
		t.Errorf("an error of %d bytes: %q", len(text), text)
	case !utf8.ValidString(text):
		t.Errorf("an error that is not UTF-8: %q", text)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Errorf("an error that is not one printable line: %q", text)
	case strings.Contains(text, "://"):
		t.Errorf("an error with a URL: %q", text)
	}
	verifySecretless(t, failed)
}

func verifySecretless(t *testing.T, failed *Error, more ...string) {
	t.Helper()
	encoded, err := json.Marshal(failed)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{failed.Error(), fmt.Sprintf("%v", failed), fmt.Sprintf("%+v", *failed), fmt.Sprintf("%#v", failed), string(encoded)} {
		for _, secret := range append(more, testKeyID, testSecret, testToken) {
			for _, form := range []string{secret, url.QueryEscape(secret), url.QueryEscape(url.QueryEscape(secret))} {
				if strings.Contains(printed, form) {
					t.Errorf("%q holds %q", printed, form)
				}
			}
		}
	}
}

func call(t *testing.T, client *Client, request Request) *Observation {
	t.Helper()
	sample, err := client.DescribeHealthStatus(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return sample
}

func callInVain(t *testing.T, client *Client, request Request) *Error {
	t.Helper()
	sample, err := client.DescribeHealthStatus(t.Context(), request)
	return failure(t, sample, err)
}

// failTwice demands that two equal failures read the same.
func failTwice(t *testing.T, client *Client) *Error {
	t.Helper()
	first, second := callInVain(t, client, aRequest()), callInVain(t, client, aRequest())
	if first.Error() != second.Error() {
		t.Errorf("two equal failures differ:\n%s\n%s", first, second)
	}
	return first
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !met(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
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

// clientOver returns a Client whose answers come from a function.
func clientOver(answer roundTripper) *Client {
	return &Client{options: ClientOptions{Timeout: patience}, transport: answer}
}

func response(request *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: request,
	}
}

func resolverDial(address string) func(ctx context.Context, network, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address)
	}
}

// working is the processor time that this process needs to do something: what
// else the machine has to do meanwhile does not count.
func working(t *testing.T, do func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}
