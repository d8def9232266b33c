// SPDX-License-Identifier: Apache-2.0

// Package alicloudtest has what the tests of internal/alicloud and of its
// products share: credentials of the form that Alibaba Cloud uses, responses of
// its gateway, and the rules for an error that may reach a condition.
package alicloudtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Credentials, region and load balancer of a test's calls.
const (
	KeyID  = "LTAI5tExampleKeyId000042"
	Secret = "q7vExampleAccessKeySecret0042x"
	Token  = "CAISExample+Security/Token0042==" //nolint:gosec // of no account

	Region       = "cn-hangzhou"
	LoadBalancer = "lb-bp1qjwo61pqz3ahltv0mw"
)

// Patience is how long a test waits for something that should happen at once.
const Patience = 10 * time.Second

// Responses of DescribeHealthStatus with one row, and with none.
const (
	OneRow = `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[{"ServerId":"i-1","ServerHealthStatus":"normal"}]}}`
	NoRows = `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[]}}`
)

// maxError is the longest text of an error that may reach a condition, in bytes.
const maxError = 600

// RoundTripper is a function that is an http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// Response is a response to a request.
func Response(request *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request,
	}
}

// Respond is a transport whose responses are all the same.
func Respond(status int, body string) RoundTripper {
	return func(request *http.Request) (*http.Response, error) { return Response(request, status, body), nil }
}

// ErrorDocument is the body of a refusal.
func ErrorDocument(code, message string) string {
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

// VerifyPresentable demands of an error what conditions, events and logs need:
// one short printable line without URLs and secrets.
func VerifyPresentable(t *testing.T, failure error) {
	t.Helper()
	switch text := failure.Error(); {
	case len(text) > maxError:
		t.Errorf("an error of %d bytes: %q", len(text), text)
	case !utf8.ValidString(text):
		t.Errorf("an error that is not UTF-8: %q", text)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Errorf("an error that is not one printable line: %q", text)
	case strings.Contains(text, "://"):
		t.Errorf("an error with a URL: %q", text)
	}
	VerifySecretless(t, failure)
}

// VerifySecretless demands that no form of an error has a part of the
// credentials, or one of the further secrets.
func VerifySecretless(t *testing.T, failure error, more ...string) {
	t.Helper()
	encoded, err := json.Marshal(failure)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{failure.Error(), fmt.Sprintf("%v", failure), fmt.Sprintf("%+v", reflect.Indirect(reflect.ValueOf(failure))), fmt.Sprintf("%#v", failure), string(encoded)} {
		for _, secret := range append(more, KeyID, Secret, Token) {
			for _, form := range Spellings(secret) {
				if strings.Contains(printed, form) {
					t.Errorf("%q has %q", printed, form)
				}
			}
		}
	}
}

// Spellings are a secret as it is, and escaped once and twice.
func Spellings(secret string) []string {
	escaped := url.QueryEscape(secret)
	return []string{secret, escaped, url.QueryEscape(escaped)}
}

// Echo is a server that knows the request: its responses may repeat parts of it.
type Echo struct {
	// Body may have $KEY, $TOKEN, $ESCAPED, $SIGNATURE, $NONCE and $URL.
	Body []byte
	// signature is that of the last request.
	signature atomic.Pointer[string]
}

// Signature is that of the last request; "" before the first.
func (e *Echo) Signature() string {
	if signature := e.signature.Load(); signature != nil {
		return *signature
	}
	return ""
}

// Fill replaces the variables of the body with the request's values.
func (e *Echo) Fill(request *http.Request) string {
	query := request.URL.Query()
	signature := query.Get("Signature")
	e.signature.Store(&signature)
	return strings.NewReplacer(
		"$KEY", query.Get("AccessKeyId"), "$TOKEN", query.Get("SecurityToken"), "$SIGNATURE", signature,
		"$NONCE", query.Get("SignatureNonce"), "$ESCAPED", url.QueryEscape(query.Get("SecurityToken")), "$URL", request.URL.String(),
	).Replace(string(e.Body))
}

// EchoingRefusals are refusals whose documents repeat the request.
var EchoingRefusals = []string{
	ErrorDocument("InvalidAccessKeyId.NotFound", "key $KEY is not known"),
	ErrorDocument("$KEY", "$TOKEN $ESCAPED"),
	ErrorDocument("SignatureDoesNotMatch", "got $SIGNATURE for $URL, server string to sign is:$ESCAPED"),
	`{"Code":"Forbidden","RequestId":"$KEY","Message":"$NONCE $SIGNATURE"}`,
}
