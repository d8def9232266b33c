// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func FuzzCleanMessage(f *testing.F) {
	for _, message := range []string{
		"", "The specified LoadBalancerId does not exist.", alicloudtest.KeyID, "x" + alicloudtest.Secret + "y", alicloudtest.Token + "\n" + alicloudtest.Token,
		"server string to sign is:POST&%2F&AccessKeyId%3D" + alicloudtest.KeyID, "https://slb.aliyuncs.com/?Signature=abc%3D", "\xff\x00\x1b[31m\u202e",
		strings.Repeat("é", 200), strings.Repeat("x ", MaxText), strings.Repeat("x", MaxText-4) + " " + alicloudtest.Secret, "SignatureNonce: 0123456789abcdef",
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		credentials := temporaryCredentials()
		for _, message := range []string{message, message + alicloudtest.Secret, alicloudtest.KeyID + message, message + " " + alicloudtest.Token + message} {
			cleaned := cleanMessage(message, credentials, alicloudtest.LoadBalancer)
			switch {
			case !utf8.ValidString(cleaned):
				t.Errorf("%q is not UTF-8", cleaned)
			case len(cleaned) > maxMessage:
				t.Errorf("%d bytes", len(cleaned))
			case strings.ContainsFunc(cleaned, func(r rune) bool { return !unicode.IsPrint(r) }):
				t.Errorf("%q is not one printable line", cleaned)
			case strings.Contains(cleaned, "://"):
				t.Errorf("%q contains a URL", cleaned)
			}
			for _, key := range keysOf(credentials) {
				if strings.Contains(cleaned, key) {
					t.Errorf("%q contains a key", cleaned)
				}
			}
			if again := cleanMessage(cleaned, credentials, alicloudtest.LoadBalancer); len(again) > len(cleaned)+len("[...]") {
				t.Errorf("%q grew to %q", cleaned, again)
			}
		}
	})
}

// echoForms are the ways in which something of the request may be spelled.
var echoForms = []func(string) string{
	func(s string) string { return s },
	url.QueryEscape,
	func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	strings.ToLower,
	strings.ToUpper,
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return hex.EncodeToString([]byte(s)) },
}

const (
	otherKeyID     = "LTAI5tSomebodyElse00042x"
	someSignature  = "5k7TqXk1mZ9bYw3vJ0+8aL/2c4E="
	spelledForms   = 5  // of echoForms keep the characters of a key
	unknownIsToken = 20 // characters of something that the cleaner does not know
)

// FuzzCleanEcho slices a part out of a key, token or signature, spelled in one
// of many ways, and puts it between words.
func FuzzCleanEcho(f *testing.F) {
	for which := range uint8(5) {
		for form := range uint8(len(echoForms)) {
			f.Add(which, form, uint16(0), uint16(999), "key ", " is unknown")
			f.Add(which, form, uint16(3), uint16(21), "key=", ", or not")
			f.Add(which, form, uint16(5), uint16(999), "/", "\\")
		}
	}
	f.Fuzz(func(t *testing.T, which, form uint8, from, length uint16, before, after string) {
		credentials := temporaryCredentials()
		known := keysOf(credentials)
		secret := slices.Concat(known, []string{otherKeyID, someSignature})[which%5]
		spelled := echoForms[int(form)%len(echoForms)](secret)
		piece := spelled[int(from)%len(spelled):]
		piece = piece[:min(len(piece), int(length))]
		cleaned := cleanMessage(before+piece+after, credentials, alicloudtest.LoadBalancer)

		window := unknownIsToken
		if int(which%5) < len(known) && int(form)%len(echoForms) < spelledForms {
			window = echoLength
		}
		for i := 0; i+window <= len(piece); i++ {
			part := piece[i : i+window]
			if window == unknownIsToken && !strings.ContainsFunc(part, unicode.IsDigit) {
				continue // reads like a word
			}
			if !strings.Contains(before, part) && !strings.Contains(after, part) && strings.Contains(cleaned, part) {
				t.Fatalf("%q of %q remains in %q", part, spelled, cleaned)
			}
		}
	})
}

// FuzzWire responds with bytes, over the real transport.
func FuzzWire(f *testing.F) {
	for _, body := range append([]string{alicloudtest.OneRow, alicloudtest.NoRows, ""}, alicloudtest.EchoingRefusals...) {
		f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body))
		f.Add([]byte("HTTP/1.0 400 Bad Request\r\nContent-Length: 20\r\nRetry-After: 7\r\n\r\n" + body))
	}
	for _, response := range []string{
		"", "\r\n", "HTTP/1.1", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + alicloudtest.OneRow, "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Req\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08", "HTTP/1.1 302 Found\r\nLocation: http://$KEY/$URL\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: $TOKEN\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 999 $KEY\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x28",
	} {
		f.Add([]byte(response))
	}
	endpoint, err := ParseEndpoint("http://slb.example.test:80", NetworkInternet)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		echo := &alicloudtest.Echo{Body: response}
		transport := newTransport(1)
		defer transport.CloseIdleConnections()
		transport.Proxy = nil
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go serveOnce(theirs, echo)
			return ours, nil
		}
		caller, err := NewCaller(CallerOptions{Endpoint: endpoint, Timeout: alicloudtest.Patience, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		observation, err := testClient{caller}.DescribeHealthStatus(t.Context(), aRequest())
		if err != nil {
			verifyFailure(t, failure(t, observation, err), echo)
		}
	})
}

// serveOnce responds to one request and closes the connection.
func serveOnce(conn net.Conn, echo *alicloudtest.Echo) {
	defer func() { _ = conn.Close() }()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	if _, err = io.Copy(io.Discard, request.Body); err == nil {
		_, _ = io.WriteString(conn, echo.Fill(request))
	}
}

// verifyFailure demands that a failure has no part of the request, and bounded fields.
func verifyFailure(t *testing.T, failed *Error, echo *alicloudtest.Echo) {
	t.Helper()
	if signature := echo.Signature(); signature != "" {
		alicloudtest.VerifySecretless(t, failed, signature)
	}
	switch {
	case strings.Contains(failed.Message, "no response within"):
		t.Errorf("the call waited for the end of the connection: %s", failed)
	case failed.RetryAfter < 0 || failed.RetryAfter > maxRetryAfter:
		t.Errorf("RetryAfter is %s", failed.RetryAfter)
	case failed.Code != "" && !apiCode.MatchString(failed.Code):
		t.Errorf("the code %q", failed.Code)
	case failed.RequestID != "" && !apiRequestID.MatchString(failed.RequestID):
		t.Errorf("the request id %q", failed.RequestID)
	}
}
