// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// BenchmarkStatusPatch measures the patch of one changed row among many.
func BenchmarkStatusPatch(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			previous, next := statusWithRows(rows), statusWithRows(rows, withAbnormal(rows/2), func(s *v1alpha1.LoadBalancerHealthStatus) { s.LastRequestID = "next" })
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(statusPatch(&previous, &next)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
