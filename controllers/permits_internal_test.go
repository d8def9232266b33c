// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

func TestTargetsOfOneAccountAndRegionShareABucket(t *testing.T) {
	target := alicloud.Target{Account: alicloud.Account{Namespace: "prod", Name: "key"}, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"}
	want := ratelimit.Bucket{Namespace: "prod", Account: "prod/key", Region: "cn-hangzhou", Product: "clb"}
	equal(t, "the bucket", bucketOf(target), want)
	target.LoadBalancerID = "lb-2"
	equal(t, "the bucket of another load balancer", bucketOf(target), want)
	target.Account = alicloud.Account{}
	equal(t, "the bucket of the operator's own account", bucketOf(target), ratelimit.Bucket{Account: "default", Region: "cn-hangzhou", Product: "clb"})
}

func TestOnlyAThrottledCallSlowsTheLimiter(t *testing.T) {
	throttled := &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: time.Second}
	for name, test := range map[string]struct {
		called bool
		err    error
		want   ratelimit.Result
	}{
		"success":              {true, nil, ratelimit.Result{Called: true}},
		"throttled":            {true, throttled, ratelimit.Result{Called: true, Throttled: true, RetryAfter: time.Second}},
		"throttled, wrapped":   {true, fmt.Errorf("page 2: %w", throttled), ratelimit.Result{Called: true, Throttled: true, RetryAfter: time.Second}},
		"another failure":      {true, &alicloud.Error{Kind: alicloud.ServiceError, RetryAfter: time.Second}, ratelimit.Result{Called: true}},
		"no failure of SLB":    {true, errors.New("canceled"), ratelimit.Result{Called: true}},
		"no credentials found": {false, &alicloud.Error{Kind: alicloud.CredentialsNotFound}, ratelimit.Result{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "the result", resultOf(test.called, test.err), test.want) })
	}
}
