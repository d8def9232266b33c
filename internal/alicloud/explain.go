// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
)

// explain turns whatever a failed call left behind into an *Error. Nothing of
// err's text is passed on unless it is known to be free of the request: a
// *url.Error, for one, holds the signed URL.
func (c *Client) explain(err error, exchange *exchange, about subject) *Error {
	var refused *sdkerrors.ServerError
	var wrong *answerError
	var clientError *sdkerrors.ClientError
	switch {
	case exchange.host == "":
		return &Error{Kind: InvalidRequest, Local: true, Message: "no request could be made; check spec.regionId and --slb-endpoint"}
	case exchange.ctx.Err() != nil:
		// Whatever came too late, even a proper end: the server may see the call end and end its answer.
		return c.unreachable(exchange, "no answer within "+c.options.Timeout.String())
	case errors.As(err, &refused):
		return explainRefusal(refused, exchange, about)
	case errors.As(err, &wrong):
		return invalidResponse(exchange, wrong.what)
	case errors.Is(err, errRedirected):
		return invalidResponse(exchange, "a redirect")
	case errors.Is(err, errSwitched):
		return invalidResponse(exchange, "a switch to another protocol")
	case errors.Is(err, errTooLarge):
		return invalidResponse(exchange, fmt.Sprintf("more than %d MiB", maxAnswer>>20))
	case exchange.status != 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return invalidResponse(exchange, "a document that ends too early")
	case errors.As(err, &clientError):
		return invalidResponse(exchange, "a document that is not a "+about.action+" answer")
	default:
		why := disconnection(err)
		if why == unknownFailure && exchange.answered.Load() {
			why = "its answer cannot be read as HTTP/1.1"
		}
		return c.unreachable(exchange, why)
	}
}

func (c *Client) unreachable(exchange *exchange, why string) *Error {
	where := "--slb-endpoint"
	if c.options.Endpoint.host == "" {
		where = "spec.regionId, --slb-network"
	}
	return &Error{
		Kind:    EndpointUnreachable,
		Message: fmt.Sprintf("%s: %s; check %s, DNS, proxy and firewall", cleanField(exchange.host), why, where),
	}
}

const wrongEndpoint = "check that --slb-endpoint and proxies lead to the SLB API"

func invalidResponse(exchange *exchange, what string) *Error {
	return &Error{
		Kind:       InvalidResponse,
		RetryAfter: exchange.retryAfter,
		Message: fmt.Sprintf("%s answered HTTP %d with %s; %s",
			cleanField(exchange.host), exchange.status, what, wrongEndpoint),
	}
}

// apiCode is what error codes look like; anything else is words.
var apiCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

func explainRefusal(refused *sdkerrors.ServerError, exchange *exchange, about subject) *Error {
	code := refused.ErrorCode()
	if !apiCode.MatchString(code) || cleanMessage(code, about.credentials) != code {
		code = ""
	}
	e := &Error{
		Kind:       classify(code, refused.HttpStatus(), exchange.retryAfter),
		Code:       code,
		RequestID:  cleanRequestID(refused.RequestId(), about.credentials),
		RetryAfter: exchange.retryAfter,
	}
	if code == "" {
		e.Message = fmt.Sprintf("%s answered HTTP %d without an API error code", cleanField(exchange.host), refused.HttpStatus())
	} else {
		e.Message = code
		words := cleanMessage(wordsOf(refused), about.credentials, slices.Concat(about.loadBalancerIDs, []string{about.regionID})...)
		if words = strings.TrimRight(words, " .;,"); words != "" {
			e.Message += ": " + words
		}
	}
	next := wrongEndpoint
	if code != "" {
		next = advice(e.Kind, code, about)
	}
	if next != "" {
		e.Message += "; " + next
	}
	return e
}

// wordsOf is the API's message, in whose place the SDK gives the whole
// document when there is none, without the request's id.
func wordsOf(refused *sdkerrors.ServerError) string {
	words := strings.TrimSpace(refused.Message())
	if strings.HasPrefix(words, "{") {
		return ""
	}
	if id := refused.RequestId(); id != "" {
		words = strings.ReplaceAll(words, id, "[id]")
	}
	return words
}

const unknownFailure = "the connection failed"

// disconnection describes why no answer came, in words that are the same every
// time: no addresses of this side, no times.
func disconnection(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	var refusal *proxyError
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "its name is not in DNS"
	case errors.As(err, &dns):
		return "DNS does not answer"
	case isTimeout(err):
		return "no connection within " + connectTimeout.String()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection without an answer"
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return insecure(err)
	}
}

// insecure describes why TLS could not be agreed on.
func insecure(err error) string {
	var invalid x509.CertificateInvalidError
	var hostname x509.HostnameError
	var authority x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its TLS certificate has expired or is not valid yet"
	case errors.As(err, &hostname):
		return "its TLS certificate is for another name"
	case errors.As(err, &authority):
		return "its TLS certificate is signed by an unknown authority"
	case errors.As(err, &verification):
		return "its TLS certificate is not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.As(err, &operation) && operation.Op == "remote error": // a TLS alert
		return "it ended the TLS handshake"
	default:
		return unknownFailure
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
