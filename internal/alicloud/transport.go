// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
)

// maxBody bounds a response's body. The largest real one, 10,000 rows, is about
// 3 MB; the SDK reads without a bound and needs twelve times a body's size.
const maxBody = 8 << 20

var (
	errRedirected = errors.New("redirected")
	errSwitched   = errors.New("switched to another protocol")
	errTooLarge   = errors.New("response too large")
)

// connectTimeout bounds a dial and a TLS handshake each.
const connectTimeout = 5 * time.Second

// newTransport returns a pool of connections. The SDK's own timeouts do not
// reach a wrapped transport, so they are set here.
//
// It speaks HTTP/1.1 only: a call that times out then closes its connection.
// Over HTTP/2 every call would continue to use a dead connection until the
// kernel closes it.
func newTransport(concurrency int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: refusedByProxy,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// proxyError is the response of a proxy that refuses a connection: net/http
// would report its text and not its status.
type proxyError struct{ status int }

func (e *proxyError) Error() string { return fmt.Sprintf("the proxy refused with HTTP %d", e.status) }

func refusedByProxy(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return &proxyError{response.StatusCode}
	}
	return nil
}

// checkProxyVariables refuses values that net/http would ignore.
// The value may have a password, so the error names the variable only.
func checkProxyVariables() error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		value := os.Getenv(name)
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		if _, err := url.Parse(value); err != nil {
			return fmt.Errorf("the environment variable %s is not a URL: write http:// or https:// and host:port, or unset it", name)
		}
	}
	return nil
}

// ignoreProxyVariables keeps the SDK from reading the proxy variables on every
// call, with errors of its own: it parses NO_PROXY as regular expressions. Its
// settings do not reach a wrapped transport anyway.
func ignoreProxyVariables(client *sdk.Client) {
	const unused = "unused"
	client.SetHttpProxy(unused)
	client.SetHttpsProxy(unused)
	client.SetNoProxy(unused)
}

// callTransport is the transport of one call. It gives the SDK, which has no
// context, the caller's, bounds the body, refuses redirects (a redirected
// request would send the signed URL as its Referer), and records what the SDK
// drops.
//
// It must not be a *http.Transport: the SDK rewrites those on every call.
type callTransport struct {
	ctx  context.Context
	base http.RoundTripper

	host       string
	query      string
	status     int
	retryAfter time.Duration
	// responded is set with the first byte from the server, HTTP or not, and reused
	// where an earlier call had opened the connection.
	responded, reused atomic.Bool
}

// hitIdleClose reports whether the server closed an idle connection just as this
// call reused it, as it may at any time. Where its idle timeout is as long as an
// interval, that happens to many calls. net/http does not retry a POST, and a
// retry must be signed again.
func (t *callTransport) hitIdleClose() bool {
	return t.reused.Load() && !t.responded.Load() && t.ctx.Err() == nil
}

// fresh is a transport for a retry.
func (t *callTransport) fresh() *callTransport { return &callTransport{ctx: t.ctx, base: t.base} }

// RoundTrip implements http.RoundTripper.
func (t *callTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	t.host, t.query = request.URL.Host, request.URL.RawQuery
	ctx, cancel := context.WithCancel(request.Context())
	unlink := context.AfterFunc(t.ctx, cancel) //nolint:contextcheck // the SDK's request knows no caller
	release := func() { unlink(); cancel() }
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(connection httptrace.GotConnInfo) { t.reused.Store(connection.Reused) },
		GotFirstResponseByte: func() { t.responded.Store(true) },
	})

	response, err := t.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	t.status = response.StatusCode
	t.retryAfter = parseRetryAfter(response.Header.Get("Retry-After"))
	if err := unwanted(t.status); err != nil {
		_ = response.Body.Close()
		release()
		return nil, err
	}
	response.Body = &boundedBody{body: response.Body, remaining: maxBody, release: release}
	return response, nil
}

// unwanted is what is wrong with a response whose body must not be read. That of
// HTTP 101 is the bare connection: no context interrupts a read of it.
func unwanted(status int) error {
	switch {
	case status == http.StatusSwitchingProtocols:
		return errSwitched
	case status >= 300 && status < 400:
		return errRedirected
	default:
		return nil
	}
}

// signature is the signature of the request; "" where there is none.
func (t *callTransport) signature() string {
	query, err := url.ParseQuery(t.query)
	if err != nil {
		return ""
	}
	return query.Get("Signature")
}

// boundedBody reads at most remaining bytes and releases the call's context when closed.
type boundedBody struct {
	body      io.ReadCloser
	remaining int64
	release   func()
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.remaining <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.remaining {
		p = p[:b.remaining]
	}
	n, err := b.body.Read(p)
	b.remaining -= int64(n)
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.release()
	return b.body.Close()
}

// maxRetryAfter bounds the delay that a server may set: a wrong response must not
// suspend observation for hours.
const maxRetryAfter = 5 * time.Minute

// parseRetryAfter reads both forms of the header: seconds, and a date.
func parseRetryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}
