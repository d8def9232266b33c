// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const benchSize = 10000

func BenchmarkReserveWithTenThousandQueued(b *testing.B) {
	limiter := New(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	items := make([]item, benchSize)
	lastCalled := make([]time.Time, benchSize)
	claim := func(i int) Claim { return Claim{Bucket: items[i].bucket, Item: items[i].id, Since: lastCalled[i]} }
	for i := range benchSize {
		items[i], lastCalled[i] = lb(i), noon.Add(time.Duration(i)*time.Millisecond)
		limiter.Reserve(claim(i), noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		at := int(math.Mod(float64(i), benchSize))
		if permit, _ := limiter.Reserve(claim(at), now); permit != nil {
			lastCalled[at] = now
			permit.Release(succeeded, now)
		}
	}
}

// Urgent claims of a thousand namespaces, each namespace with ten.
func BenchmarkReserveUrgentWithTenThousandQueued(b *testing.B) {
	limiter := New(Options{QPS: 1000, Burst: 1, Concurrency: 32})
	claims := make([]Claim, benchSize)
	for i := range claims {
		claims[i] = lb(i).claim()
		claims[i].Urgent, claims[i].Since = true, noon.Add(time.Duration(i)*time.Millisecond)
		claims[i].Requester = Requester{fmt.Sprint("namespace-", i%1000), fmt.Sprint("object-", i)}
		limiter.Reserve(claims[i], noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		claim := &claims[i%benchSize]
		if permit, _ := limiter.Reserve(*claim, now); permit != nil {
			claim.Since = now
			permit.Release(succeeded, now)
		}
	}
}

// Ten thousand new accounts, most of which wait for others' first calls.
func BenchmarkReserveWithTenThousandNewAccounts(b *testing.B) {
	limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	claims := make([]Claim, benchSize)
	for i := range claims {
		claims[i] = item{bucketOf(fmt.Sprint("namespace-", i), "key"), "lb-1"}.claim()
		limiter.Reserve(claims[i], noon)
	}
	now := noon
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		limiter.Reserve(claims[i%benchSize], now)
	}
}
