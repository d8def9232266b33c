// SPDX-License-Identifier: Apache-2.0

package slb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// Its limit may be one of its own.
func TestAnOptionalActionThatIsThrottledHoldsTheOthersUpOnce(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := slb.NewBudget(slb.BudgetOptions{QPS: 10, Burst: 20, Concurrency: 32})
	target := func(i int) slb.Target {
		return slb.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
	}
	held := time.Duration(0)
	for i := range 20 {
		claim := slb.Claim{Target: target(i), Action: "DescribeLoadBalancerListeners", Since: now}
		turn, again := b.Take(claim, now)
		for turn == nil {
			now = again
			turn, again = b.Take(claim, now)
		}
		turn.End(true, &slb.Error{Kind: slb.Throttled, Code: "Throttling.Api", RetryAfter: 30 * time.Second}, now)
		from := now
		observe := slb.Claim{Target: target(i + 100)}
		turn, again = b.Take(observe, now)
		for turn == nil {
			now = again
			turn, again = b.Take(observe, now)
		}
		turn.End(true, nil, now)
		held += now.Sub(from)
	}
	if held > time.Minute {
		t.Errorf("observations, all of which are answered, were held for %s by 20 lists", held)
	}
}
