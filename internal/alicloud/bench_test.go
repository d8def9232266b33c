// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// answerOf is an answer of so many rows, as the API sends it.
func answerOf(rows int) []byte {
	type row map[string]any
	list := make([]row, rows)
	for i := range list {
		list[i] = row{
			"ServerId": fmt.Sprintf("i-bp1do02x7n4nua4k%04d", i), "ServerIp": fmt.Sprintf("10.0.%d.%d", i/250, i%250),
			"ServerHealthStatus": "normal", "Type": "ecs", "ListenerPort": 443 + i%50, "Protocol": "https", "Port": 8443,
		}
	}
	body, _ := json.Marshal(map[string]any{
		"RequestId":      "365F4154-92F6-4AE4-92F8-7FF34B540710",
		"BackendServers": map[string]any{"BackendServer": list},
	})
	return body
}

// One call without a network: build the client, sign, decode, check.
func BenchmarkCall(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			body := answerOf(rows)
			client := &Client{options: ClientOptions{Timeout: time.Minute}, transport: roundTripper(func(request *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: request}, nil
			})}
			request := aRequest()
			b.ReportAllocs()
			for b.Loop() {
				sample, err := client.DescribeHealthStatus(b.Context(), request)
				if err != nil || len(sample.Backends) != rows {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the SDK does not check of an answer.
func BenchmarkVerifyDocument(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			body := answerOf(rows)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := verifyDocument(body, pathOfBackends); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
