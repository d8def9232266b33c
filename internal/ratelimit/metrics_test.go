// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRateLimitsAreExportedByProductRegionAndAccount(t *testing.T) {
	limiter := New(Options{QPS: 7.5, Burst: 1, Concurrency: 1})
	clock := noon
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(RateLimits{limiter, func() time.Time { return clock }})
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series before the first call, %v", n, err)
	}
	own := item{testBucket, ""}
	own.bucket.Region = "cn-beijing"
	first, second := item{bucketOf("prod", "key"), "lb-1"}, item{bucketOf("prod", "key"), "lb-2"}
	permit, _ := limiter.Reserve(own.claim(), noon)
	permit.Release(throttled, noon)
	limiter.Reserve(first.claim(), noon)
	limiter.Reserve(second.claim(), noon)
	const header = `
# HELP slb_api_rate_limit Calls per second now allowed, by product, region and account (the Secret's namespace/name, or default).
# TYPE slb_api_rate_limit gauge
`
	want := func(series string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(header+series)); err != nil {
			t.Error(err)
		}
	}
	want(`slb_api_rate_limit{account="default",product="clb",region="cn-beijing"} 3.75
slb_api_rate_limit{account="prod/key",product="clb",region="cn-hangzhou"} 7.5
`)
	clock = clock.Add(recoverInterval)
	limiter.Forget(first.bucket, first.id)
	want(`slb_api_rate_limit{account="default",product="clb",region="cn-beijing"} 4.5
slb_api_rate_limit{account="prod/key",product="clb",region="cn-hangzhou"} 7.5
`)
	limiter.Forget(second.bucket, second.id) // the last one
	want(`slb_api_rate_limit{account="default",product="clb",region="cn-beijing"} 4.5
`)
	nlb := own
	nlb.bucket.Product = "nlb"
	limiter.Reserve(nlb.claim(), noon) // of the same account and region, with a rate of its own
	want(`slb_api_rate_limit{account="default",product="clb",region="cn-beijing"} 4.5
slb_api_rate_limit{account="default",product="nlb",region="cn-beijing"} 7.5
`)
}
