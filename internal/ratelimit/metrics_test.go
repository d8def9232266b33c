// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestRateLimitsAreExportedByAccountWithoutKeys(t *testing.T) {
	budget := New(Options{QPS: 7.5, Burst: 1, Concurrency: 1})
	clock := noon
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(RateLimits{budget, func() time.Time { return clock }})
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series before the first call, %v", n, err)
	}
	ofDefault := alicloud.Target{RegionID: "cn-beijing"}
	ofKey := alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-1", Account: alicloud.Account{Namespace: "prod", Name: "key"}}
	alsoOfKey := ofKey
	alsoOfKey.LoadBalancerID = "lb-2"
	turn, _ := budget.Reserve(Claim{Target: ofDefault}, noon)
	turn.Release(true, &alicloud.Error{Kind: alicloud.Throttled}, noon)
	budget.Reserve(Claim{Target: ofKey}, noon)
	budget.Reserve(Claim{Target: alsoOfKey}, noon)
	const header = `
# HELP slb_api_rate_limit Calls per second now allowed, by region and account (the Secret's namespace/name, or default).
# TYPE slb_api_rate_limit gauge
`
	want := func(series string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(header+series)); err != nil {
			t.Error(err)
		}
	}
	want(`slb_api_rate_limit{account="default",region="cn-beijing"} 3.75
slb_api_rate_limit{account="prod/key",region="cn-hangzhou"} 7.5
`)
	clock = clock.Add(calmStep)
	budget.Forget(ofKey)
	want(`slb_api_rate_limit{account="default",region="cn-beijing"} 4.5
slb_api_rate_limit{account="prod/key",region="cn-hangzhou"} 7.5
`)
	budget.Forget(alsoOfKey) // the last one
	want(`slb_api_rate_limit{account="default",region="cn-beijing"} 4.5
`)
}
