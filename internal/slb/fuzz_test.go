// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"net/http"
	"os"
	"strings"
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

func FuzzReadAnswer(f *testing.F) {
	example, err := os.ReadFile("testdata/describe-health-status.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(200), example)
	for _, body := range []string{
		"", "{}", "null", "[]", oneRow, noRows, rows("null"), rows(`{"ServerId":" ","ServerHealthStatus":"\u0000"}`), rows(`{"ServerId":1e9,"ServerHealthStatus":true,"Port":"1.5"}`),
		`{"RequestId":"1","BackendServers":{"BackendServer":[{}]},"BackendServers":null}`, errorDocument("Throttling", testSecret), `{"Code":1}`, `{"Code":"x","Message":{}}`,
	} {
		f.Add(uint16(200), []byte(body))
		f.Add(uint16(400), []byte(body))
	}
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			return response(request, 200+int(status)%400, body), nil
		})
		sample, err := client.DescribeHealthStatus(t.Context(), aRequest())
		if err != nil {
			_ = failure(t, sample, err)
			return
		}
		if sample.RequestID == "" {
			t.Error("a sample without a RequestID")
		}
		for _, backend := range sample.Backends {
			if backend.ServerID == "" || backend.ServerHealthStatus == "" || !isPort(int(backend.Port)) || !isPort(int(backend.ListenerPort)) {
				t.Errorf("a sample with the row %+v", backend)
			}
			for _, field := range []string{backend.ServerID, backend.ServerIP, backend.EniHost, backend.Type, backend.ListenerProtocol, backend.ServerHealthStatus} {
				if len(field) > maxField || !utf8.ValidString(field) || strings.ContainsFunc(field, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("a sample with the field %q", field)
				}
			}
		}
	})
}
