// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// What a write costs before it is sent: one of so many rows turned.
func BenchmarkStatusPatch(b *testing.B) {
	for _, rows := range []int{1, 20, 200, 10000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			previous, next := statusOf(rows), statusOf(rows, turned(rows/2), func(s *v1alpha1.LoadBalancerHealthStatus) { s.LastRequestID = "next" })
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(statusPatch(&previous, &next)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
