// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxAnswer bounds an answer's body. The largest real one, 10,000 rows, is
// about 3 MB; the SDK reads without a bound and needs twelve times a body's size.
const maxAnswer = 8 << 20

var (
	errRedirected = errors.New("redirected")
	errTooLarge   = errors.New("answer too large")
)

// newTransport returns the connection pool that all calls share. The SDK's
// own timeouts do not reach a wrapped transport, so they are set here.
func newTransport(concurrency int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        60 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		// The SDK never decodes gzip; net/http does when it asked for it itself.
	}
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
	status     int
	retryAfter time.Duration
}

// RoundTrip implements http.RoundTripper.
func (e *exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	e.host = request.URL.Host
	ctx, cancel := context.WithCancel(request.Context())
	unlink := context.AfterFunc(e.ctx, cancel)
	release := func() { unlink(); cancel() }

	response, err := e.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		release()
		return nil, err
	}
	e.status = response.StatusCode
	e.retryAfter = parseRetryAfter(response.Header.Get("Retry-After"))
	if e.status >= 300 && e.status < 400 {
		_ = response.Body.Close()
		release()
		return nil, errRedirected
	}
	response.Body = &boundedBody{body: response.Body, left: maxAnswer, release: release}
	return response, nil
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

// maxRetryAfter bounds what a server may ask for; a load balancer is looked at
// again within the hour whatever the answer says.
const maxRetryAfter = time.Hour

// parseRetryAfter reads the header's seconds form, the one that API gateways send.
func parseRetryAfter(value string) time.Duration {
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}
