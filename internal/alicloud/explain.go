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

// explain returns the *Error of a failed call. It uses no text of err that could
// have a part of the request: a *url.Error, for one, has the signed URL.
func (c *Caller) explain(err error, exchange *callTransport, call *Call) *Error {
	var refused *sdkerrors.ServerError
	var wrong *ResponseError
	var clientError *sdkerrors.ClientError
	switch {
	case exchange.host == "":
		return &Error{Kind: InvalidRequest, Local: true, Message: "no request could be made; check spec.regionId and " + call.Product.endpointFlag()}
	case exchange.ctx.Err() != nil:
		// Also where the body is complete: the server may see the timeout and finish its response.
		return c.unreachable(exchange, call, "no response within "+c.options.Timeout.String())
	case errors.As(err, &refused):
		return explainRefusal(refused, exchange, call)
	case errors.As(err, &wrong):
		return invalidResponse(exchange, call, wrong.What)
	case errors.Is(err, errRedirected):
		return invalidResponse(exchange, call, "a redirect")
	case errors.Is(err, errSwitched):
		return invalidResponse(exchange, call, "a switch to another protocol")
	case errors.Is(err, errTooLarge):
		return invalidResponse(exchange, call, fmt.Sprintf("more than %d MiB", maxBody>>20))
	case exchange.status != 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return invalidResponse(exchange, call, "a document that ends too early")
	case errors.As(err, &clientError):
		return invalidResponse(exchange, call, "a document that is not a "+call.Action+" response")
	default:
		why := disconnection(err)
		if why == unknownFailure && exchange.responded.Load() {
			why = "its response cannot be read as HTTP/1.1"
		}
		return c.unreachable(exchange, call, why)
	}
}

func (c *Caller) unreachable(exchange *callTransport, call *Call, why string) *Error {
	where := call.Product.endpointFlag()
	if c.endpoint(call.Product).host == "" {
		where = "spec.regionId, --slb-network"
	}
	return &Error{
		Kind:    EndpointUnreachable,
		Message: fmt.Sprintf("%s: %s; check %s, DNS, proxy and firewall", CleanField(exchange.host), why, where),
	}
}

func invalidResponse(exchange *callTransport, call *Call, what string) *Error {
	return &Error{
		Kind:       InvalidResponse,
		RetryAfter: exchange.retryAfter,
		Message: fmt.Sprintf("%s returned HTTP %d with %s; %s",
			CleanField(exchange.host), exchange.status, what, endpointAdvice(call)),
	}
}

// apiCode is the form of error codes; anything else is prose.
var apiCode = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._-]{0,63}|-\d{3})$`)

func explainRefusal(refused *sdkerrors.ServerError, exchange *callTransport, call *Call) *Error {
	code := refused.ErrorCode()
	if !apiCode.MatchString(code) || cleanMessage(code, call.Credentials) != code {
		code = ""
	}
	e := &Error{
		Kind:       classify(call.Product.Name, code, refused.HttpStatus(), exchange.retryAfter),
		Code:       code,
		RequestID:  cleanRequestID(refused.RequestId(), call.Credentials),
		RetryAfter: exchange.retryAfter,
	}
	if code == "" {
		e.Message = fmt.Sprintf("%s returned HTTP %d without an API error code", CleanField(exchange.host), refused.HttpStatus())
	} else {
		e.Message = code
		words := cleanMessage(wordsOf(refused), call.Credentials, append(slices.Clone(call.LoadBalancerIDs), call.RegionID)...)
		if words = strings.TrimRight(words, " .;,"); words != "" {
			e.Message += ": " + words
		}
	}
	next := endpointAdvice(call)
	if code != "" {
		next = advice(e.Kind, code, call)
	}
	if next != "" {
		e.Message += "; " + next
	}
	return e
}

// wordsOf is the API's message without the request's id; "" where there is none,
// for which the SDK returns the whole document.
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

// disconnection says why there was no response, in words that are the same every
// time: without local addresses and times.
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
		return "DNS does not respond"
	case isTimeout(err):
		return "no connection within " + connectTimeout.String()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection without a response"
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return insecure(err)
	}
}

// insecure says why the TLS handshake failed.
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
