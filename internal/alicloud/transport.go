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

	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// maxAnswer bounds an answer's body. The largest real one, 10,000 rows, is
// about 3 MB; the SDK reads without a bound and needs twelve times a body's size.
const maxAnswer = 8 << 20

var (
	errRedirected = errors.New("redirected")
	errSwitched   = errors.New("switched to another protocol")
	errTooLarge   = errors.New("answer too large")
)

// connectTimeout bounds a dial and a TLS handshake each.
const connectTimeout = 5 * time.Second

// newTransport returns the connection pool that all calls share. The SDK's
// own timeouts do not reach a wrapped transport, so they are set here.
//
// It speaks HTTP/1.1 only: a call that times out then closes its connection.
// Over HTTP/2 every call would go on using a connection that has gone dead,
// for as long as the kernel takes to notice.
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

// proxyError is the answer of a proxy that makes no connection, of which
// net/http would keep the words alone.
type proxyError struct{ status int }

func (e *proxyError) Error() string { return fmt.Sprintf("the proxy refused with HTTP %d", e.status) }

func refusedByProxy(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &proxyError{answer.StatusCode}
	}
	return nil
}

// checkProxyVariables refuses what net/http would take for no proxy at all.
// The value may hold a password, so the error names the variable only.
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

// ignoreProxyVariables keeps the SDK from reading the proxy variables, which
// it does on every call, with errors of its own: it takes NO_PROXY for regular
// expressions. What it would make of them does not reach a wrapped transport anyway.
func ignoreProxyVariables(client *sdkslb.Client) {
	const unused = "unused"
	client.SetHttpProxy(unused)
	client.SetHttpsProxy(unused)
	client.SetNoProxy(unused)
}

// exchange is the transport of one call. It ties the SDK, which knows no
// context, to the caller's, bounds the body, refuses redirects (a redirected
// request would carry the signed URL away as its Referer), and remembers what
// the SDK loses.
//
// It must not be a *http.Transport: the SDK rewrites those on every call.
type exchange struct {
	ctx  context.Context
	base http.RoundTripper

	host       string
	query      string
	status     int
	retryAfter time.Duration
	// answered tells that something came back, be it HTTP or not, and reused
	// that the connection was one that an earlier call had left open.
	answered, reused atomic.Bool
}

// cutShort tells whether the server closed the connection that it had kept open
// since an earlier call, as it may at any time, just when this one came. Where
// its patience is as long as an interval, that happens to many calls. net/http
// makes no POST a second time; to be made again, this one must be signed anew.
func (e *exchange) cutShort() bool {
	return e.reused.Load() && !e.answered.Load() && e.ctx.Err() == nil
}

func (e *exchange) anew() *exchange { return &exchange{ctx: e.ctx, base: e.base} }

// RoundTrip implements http.RoundTripper.
func (e *exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	e.host, e.query = request.URL.Host, request.URL.RawQuery
	ctx, cancel := context.WithCancel(request.Context())
	unlink := context.AfterFunc(e.ctx, cancel) //nolint:contextcheck // the SDK's request knows no caller
	release := func() { unlink(); cancel() }
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(connection httptrace.GotConnInfo) { e.reused.Store(connection.Reused) },
		GotFirstResponseByte: func() { e.answered.Store(true) },
	})

	response, err := e.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	e.status = response.StatusCode
	e.retryAfter = parseRetryAfter(response.Header.Get("Retry-After"))
	if err := unwanted(e.status); err != nil {
		_ = response.Body.Close()
		release()
		return nil, err
	}
	response.Body = &boundedBody{body: response.Body, left: maxAnswer, release: release}
	return response, nil
}

// unwanted is what is wrong with an answer whose body must not be read. That of
// HTTP 101 is the bare connection, which net/http hands over for good: no
// context ends a read of it.
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

// signature is what the call was signed with.
func (e *exchange) signature() string {
	query, err := url.ParseQuery(e.query)
	if err != nil {
		return ""
	}
	return query.Get("Signature")
}

// boundedBody reads at most left bytes and releases the call's context when closed.
type boundedBody struct {
	body    io.ReadCloser
	left    int64
	release func()
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.release()
	return b.body.Close()
}

// maxRetryAfter bounds what a server may ask for: a wrong answer must not
// blind anybody for hours.
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
