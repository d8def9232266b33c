// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// Its limit may be one of its own.
func TestAnOptionalActionThatIsThrottledHoldsTheOthersUpOnce(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := ratelimit.New(ratelimit.Options{QPS: 10, Burst: 20, Concurrency: 32})
	target := func(i int) alicloud.Target {
		return alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
	}
	held := time.Duration(0)
	for i := range 20 {
		claim := ratelimit.Claim{Target: target(i), Action: "DescribeLoadBalancerListeners", Since: now}
		turn, again := b.Reserve(claim, now)
		for turn == nil {
			now = again
			turn, again = b.Reserve(claim, now)
		}
		turn.Release(true, &alicloud.Error{Kind: alicloud.Throttled, Code: "Throttling.Api", RetryAfter: 30 * time.Second}, now)
		from := now
		observe := ratelimit.Claim{Target: target(i + 100)}
		turn, again = b.Reserve(observe, now)
		for turn == nil {
			now = again
			turn, again = b.Reserve(observe, now)
		}
		turn.Release(true, nil, now)
		held += now.Sub(from)
	}
	if held > time.Minute {
		t.Errorf("observations, all of which are answered, were held for %s by 20 lists", held)
	}
}
