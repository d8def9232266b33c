// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzCleanMessage(f *testing.F) {
	for _, message := range []string{
		"", "The specified LoadBalancerId does not exist.", testKeyID, "x" + testSecret + "y", testToken + "\n" + testToken,
		"server string to sign is:POST&%2F&AccessKeyId%3D" + testKeyID, "https://slb.aliyuncs.com/?Signature=abc%3D", "\xff\x00\x1b[31m\u202e",
		strings.Repeat("é", 200), strings.Repeat("x ", maxRaw), strings.Repeat("x", maxRaw-4) + " " + testSecret, "SignatureNonce: 0123456789abcdef",
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		credentials := temporaryCredentials()
		for _, message := range []string{message, message + testSecret, testKeyID + message, message + " " + testToken + message} {
			cleaned := cleanMessage(message, credentials, testLoadBalancer)
			switch {
			case !utf8.ValidString(cleaned):
				t.Errorf("%q is not UTF-8", cleaned)
			case len(cleaned) > maxMessage:
				t.Errorf("%d bytes", len(cleaned))
			case strings.ContainsFunc(cleaned, func(r rune) bool { return !unicode.IsPrint(r) }):
				t.Errorf("%q is not one printable line", cleaned)
			case strings.Contains(cleaned, "://"):
				t.Errorf("%q holds a URL", cleaned)
			}
			for _, key := range keysOf(credentials) {
				if strings.Contains(cleaned, key) {
					t.Errorf("%q holds a key", cleaned)
				}
			}
			if again := cleanMessage(cleaned, credentials, testLoadBalancer); len(again) > len(cleaned)+len("[...]") {
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

// FuzzCleanEcho cuts a piece out of a key, token or signature, spelled in one
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
		cleaned := cleanMessage(before+piece+after, credentials, testLoadBalancer)

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
				t.Fatalf("%q of %q is left in %q", part, spelled, cleaned)
			}
		}
	})
}

// echo is a server that knows the request: its answers may repeat parts of it.
type echo struct {
	answer []byte
	// signature is that of the last request.
	signature atomic.Pointer[string]
}

// spell puts parts of the request where the answer names them.
func (e *echo) spell(request *http.Request) []byte {
	query := request.URL.Query()
	signature := query.Get("Signature")
	e.signature.Store(&signature)
	return []byte(strings.NewReplacer(
		"$KEY", query.Get("AccessKeyId"), "$TOKEN", query.Get("SecurityToken"), "$SIGNATURE", signature,
		"$NONCE", query.Get("SignatureNonce"), "$ESCAPED", url.QueryEscape(query.Get("SecurityToken")), "$URL", request.URL.String(),
	).Replace(string(e.answer)))
}

// echoes are answers that repeat what they should not.
var echoingBodies = []string{
	errorDocument("InvalidAccessKeyId.NotFound", "key $KEY is not known"),
	errorDocument("$KEY", "$TOKEN $ESCAPED"),
	errorDocument("SignatureDoesNotMatch", "got $SIGNATURE for $URL, server string to sign is:$ESCAPED"),
	`{"Code":"Forbidden","RequestId":"$KEY","Message":"$NONCE $SIGNATURE"}`,
	rows(`{"ServerId":"$KEY","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"i-1","ServerIp":"x$TOKEN","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"i-1","Type":"$ESCAPED","ServerHealthStatus":"normal"}`),
	rows(`{"ServerId":"$SIGNATURE","ServerHealthStatus":"normal"}`),
}

// FuzzReadAnswer answers a call of the real SDK.
func FuzzReadAnswer(f *testing.F) {
	example, err := os.ReadFile("testdata/describe-health-status.json")
	if err != nil {
		f.Fatal(err)
	}
	const jsonType = "application/json;charset=utf-8"
	f.Add(uint16(200), jsonType, "", example)
	for _, body := range append([]string{
		"", "{}", "null", "[]", oneRow, noRows, rows("null"), rows(`{"ServerId":" ","ServerHealthStatus":"\u0000"}`), rows(`{"ServerId":1e9,"ServerHealthStatus":true,"Port":"1.5"}`),
		rows(`{"ServerId":"i-1","ServerHealthStatus":"normal"}`, `{"ServerId":"$KEY","Port":"http"}`, `[]`), rows(`{"ServerId":"i-1","ServerHealthStatus":"normal"}`, `{"Port":-520}`),
		`{"RequestId":"1","BackendServers":{"BackendServer":[{}]},"BackendServers":null}`, errorDocument("Throttling", testSecret), `{"Code":1}`, `{"Code":"x","Message":{}}`,
	}, echoingBodies...) {
		f.Add(uint16(200), jsonType, "", []byte(body))
		f.Add(uint16(400), "text/xml", "3", []byte(body))
		f.Add(uint16(503), "", "Wed, 21 Oct 2099 07:28:00 GMT", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, contentType, retryAfter string, body []byte) {
		e := &echo{answer: body}
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			r := response(request, 200+int(status)%400, e.spell(request))
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Retry-After", retryAfter)
			return r, nil
		})
		sample, err := client.DescribeHealthStatus(t.Context(), aRequest())
		e.check(t, sample, err)
	})
}

// FuzzReadListeners answers every page of a list of listeners with the same document.
func FuzzReadListeners(f *testing.F) {
	for _, document := range []string{
		"", "{}", "null", oneRow, page(""), page("again"), page("", "null"), page("", listener(testLoadBalancer, 80, "HTTP", `"HTTPListenerConfig":{"HealthCheck":"off","ListenerForward":true}`)),
		page("$TOKEN", listener("lb-other", 80, "$KEY")), page("", listener(testLoadBalancer, 443, "$SIGNATURE"), listener(testLoadBalancer, 443, "x$ESCAPED")),
		errorDocument("Forbidden.RAM", "$KEY may not $URL"), `{"RequestId":"$KEY","Listeners":[]}`, `{"RequestId":"1","Listeners":[{"LoadBalancerId":1,"ListenerPort":"1.5","Tags":{}}]}`,
	} {
		f.Add(uint16(0), []byte(document))
		f.Add(uint16(203), []byte(document))
	}
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		e := &echo{answer: body}
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			return response(request, 200+int(status)%400, e.spell(request)), nil
		})
		answer, err := client.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(testLoadBalancer, "lb-2"))
		if err != nil {
			e.check(t, nil, err)
			return
		}
		if !apiRequestID.MatchString(answer.RequestID) || answer.Calls != 1 || len(answer.Listeners) != 2 {
			t.Errorf("got %+v", answer)
		}
		for _, l := range slices.Concat(answer.Listeners[testLoadBalancer], answer.Listeners["lb-2"]) {
			if l.Port < 1 || !isPort(int(l.Port)) || l.HealthCheck != "" && l.HealthCheck != "on" && l.HealthCheck != "off" {
				t.Errorf("the listener %+v", l)
			}
			checkField(t, l.Protocol)
			checkField(t, l.Status)
		}
	})
}

// FuzzWire answers with bytes, over the client's real transport.
func FuzzWire(f *testing.F) {
	for _, body := range append([]string{oneRow, noRows, ""}, echoingBodies...) {
		f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body))
		f.Add([]byte("HTTP/1.0 400 Bad Request\r\nContent-Length: 20\r\nRetry-After: 7\r\n\r\n" + body))
	}
	for _, answer := range []string{
		"", "\r\n", "HTTP/1.1", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + oneRow, "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"Req\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08", "HTTP/1.1 302 Found\r\nLocation: http://$KEY/$URL\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: $TOKEN\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 999 $KEY\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x28",
	} {
		f.Add([]byte(answer))
	}
	endpoint, err := ParseEndpoint("http://slb.example.test:80", NetworkInternet)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		e := &echo{answer: answer}
		transport := newTransport(1)
		defer transport.CloseIdleConnections()
		transport.Proxy = nil
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go e.serve(theirs)
			return ours, nil
		}
		client := &Client{options: ClientOptions{Endpoint: endpoint, Timeout: patience}, transport: transport}
		sample, err := client.DescribeHealthStatus(t.Context(), aRequest())
		e.check(t, sample, err)
	})
}

// serve answers one request and hangs up.
func (e *echo) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	if _, err = io.Copy(io.Discard, request.Body); err == nil {
		_, _ = conn.Write(e.spell(request))
	}
}

// check demands a failure fit for conditions, or a sample fit for a status.
func (e *echo) check(t *testing.T, sample *Observation, err error) {
	t.Helper()
	if err != nil {
		failed := failure(t, sample, err)
		if signature := e.signature.Load(); signature != nil && *signature != "" {
			verifySecretless(t, failed, *signature)
		}
		switch {
		case strings.Contains(failed.Message, "no answer within"):
			t.Errorf("the end of the connection is waited for: %s", failed)
		case failed.RetryAfter < 0 || failed.RetryAfter > maxRetryAfter:
			t.Errorf("%s is to be waited for", failed.RetryAfter)
		case failed.Code != "" && !apiCode.MatchString(failed.Code):
			t.Errorf("the code %q", failed.Code)
		case failed.RequestID != "" && !apiRequestID.MatchString(failed.RequestID):
			t.Errorf("the request id %q", failed.RequestID)
		}
		return
	}
	checkSample(t, sample)
	if signature := e.signature.Load(); signature != nil && *signature != "" && strings.Contains(fmt.Sprint(sample.Backends), *signature) {
		t.Errorf("a sample with the signature: %+v", sample.Backends)
	}
}

func checkSample(t *testing.T, sample *Observation) {
	t.Helper()
	if !apiRequestID.MatchString(sample.RequestID) {
		t.Errorf("a sample with the RequestID %q", sample.RequestID)
	}
	anonymous := 0
	for _, backend := range sample.Backends {
		if backend.ServerID == "" {
			anonymous++
		}
		if backend.ServerHealthStatus == "" || backend.ServerID == "" && backend.ServerHealthStatus != statusUnknown || !isPort(int(backend.Port)) || !isPort(int(backend.ListenerPort)) {
			t.Errorf("a sample with the row %+v", backend)
		}
		for _, field := range []string{sample.RequestID, backend.ServerID, backend.ServerIP, backend.EniHost, backend.Type, backend.ListenerProtocol, backend.ServerHealthStatus} {
			checkField(t, field)
		}
	}
	if rows := len(sample.Backends); anonymous > sample.OddRows || rows > 0 && sample.OddRows >= rows {
		t.Errorf("%d odd rows of %d, %d of them without a server", sample.OddRows, rows, anonymous)
	}
}

func checkField(t *testing.T, field string) {
	t.Helper()
	if len(field) > maxField || !utf8.ValidString(field) || strings.ContainsFunc(field, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("an answer with the field %q", field)
	}
	for _, key := range keysOf(temporaryCredentials()) {
		for _, form := range echoForms[:3] {
			if strings.Contains(field, form(key)) {
				t.Errorf("an answer with a key: %q", field)
			}
		}
	}
}
