// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// productCLB is the product that a permit is for, as internal/metrics names it.
const productCLB = "clb"

// bucketOf is the rate limit that the calls about a target count against.
func bucketOf(target alicloud.Target) ratelimit.Bucket {
	return ratelimit.Bucket{
		Namespace: target.Account.Namespace, Account: target.Account.String(), Region: target.RegionID, Product: productCLB,
	}
}

// resultOf is what the limiter must know of a call and its error, if it was made.
func resultOf(called bool, err error) ratelimit.Result {
	failure, failed := errors.AsType[*alicloud.Error](err)
	if !failed || failure.Kind != alicloud.Throttled {
		return ratelimit.Result{Called: called}
	}
	return ratelimit.Result{Called: called, Throttled: true, RetryAfter: failure.RetryAfter}
}
