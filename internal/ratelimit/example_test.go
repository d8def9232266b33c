// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"fmt"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// A worker never waits for a permit: it requeues its item for the time that Reserve returns.
func ExampleLimiter_Reserve() {
	limiter := ratelimit.New(ratelimit.Options{QPS: 2, Burst: 1, Concurrency: 8})
	bucket := ratelimit.Bucket{Namespace: "prod", Account: "shop", Region: "cn-hangzhou", Product: "slb"}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

	first, _ := limiter.Reserve(ratelimit.Claim{Bucket: bucket, Item: "lb-web"}, now)
	fmt.Println("lb-web has a permit:", first != nil)

	second, requeueAt := limiter.Reserve(ratelimit.Claim{Bucket: bucket, Item: "lb-api"}, now)
	fmt.Println("lb-api has a permit:", second != nil)
	fmt.Println("lb-api is requeued after", requeueAt.Sub(now))

	first.Release(ratelimit.Result{Called: true}, now.Add(100*time.Millisecond))
	second, _ = limiter.Reserve(ratelimit.Claim{Bucket: bucket, Item: "lb-api"}, requeueAt)
	fmt.Println("then lb-api has a permit:", second != nil)
	// Output:
	// lb-web has a permit: true
	// lb-api has a permit: false
	// lb-api is requeued after 500ms
	// then lb-api has a permit: true
}

// A throttled call halves the rate of its bucket, and of no other.
func ExamplePermit_Release() {
	limiter := ratelimit.New(ratelimit.Options{QPS: 10, Burst: 10, Concurrency: 8})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, region := range []string{"cn-hangzhou", "cn-beijing"} {
		bucket := ratelimit.Bucket{Namespace: "prod", Account: "shop", Region: region, Product: "slb"}
		permit, _ := limiter.Reserve(ratelimit.Claim{Bucket: bucket, Item: "lb-web"}, now)
		permit.Release(ratelimit.Result{Called: true, Throttled: region == "cn-beijing"}, now)
	}
	rates := map[string]float64{}
	limiter.Rates(now, func(bucket ratelimit.Bucket, qps float64) { rates[bucket.Region] = qps })
	fmt.Println(rates)
	// Output: map[cn-beijing:5 cn-hangzhou:10]
}
