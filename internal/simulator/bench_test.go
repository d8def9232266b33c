// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func BenchmarkResponse(b *testing.B) {
	for _, rows := range []int{1, 20, 200} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			balancer := LoadBalancer{LoadBalancerID: "lb-1", RegionID: "cn-hangzhou"}
			for i := range rows {
				balancer.Backends = append(balancer.Backends, Backend{ServerID: "i-" + strconv.Itoa(i), ServerIP: "10.0.0.1", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"})
			}
			server := New(Config{LoadBalancers: []LoadBalancer{balancer}}, Options{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
			b.ReportAllocs()
			for b.Loop() {
				recorder := httptest.NewRecorder()
				server.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/?Action=DescribeHealthStatus&Version=2014-05-15&Format=JSON&RegionId=cn-hangzhou&LoadBalancerId=lb-1", http.NoBody))
				if recorder.Code != http.StatusOK {
					b.Fatal(recorder.Body)
				}
			}
		})
	}
}
