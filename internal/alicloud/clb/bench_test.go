// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// responseOf is a response with that many rows, as the API sends it.
func responseOf(rows int) []byte {
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

// One call without a network: create the SDK client, sign, decode, verify.
func BenchmarkCall(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			body := responseOf(rows)
			client := clientOver(alicloudtest.Respond(http.StatusOK, string(body)))
			request := aRequest()
			b.ReportAllocs()
			for b.Loop() {
				observation, err := client.DescribeHealthStatus(b.Context(), request)
				if err != nil || len(observation.Backends) != rows {
					b.Fatal(err)
				}
			}
		})
	}
}

// The checks of a response that the SDK does not make.
func BenchmarkVerifyDocument(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			body := responseOf(rows)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := alicloud.VerifyDocument(body, backendsPath); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
