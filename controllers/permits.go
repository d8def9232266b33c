// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// claimFor is the claim for the observation of a target.
func claimFor(rec *reconciliation, now time.Time) ratelimit.Claim {
	p := &rec.plan
	claim := ratelimit.Claim{Bucket: bucketOf(rec.target), Item: rec.target.LoadBalancerID, Urgent: p.urgent, Fast: p.fast, Due: !now.Before(p.dueAt), Since: p.attemptedAt}
	if p.urgent {
		requester := longestWaiting(p.active, rec.state)
		claim.Requester = ratelimit.Requester{Namespace: requester.Namespace, Name: requester.Name}
	}
	if p.fast { // else those with the oldest routine observation would get every permit
		claim.Since = later(p.attemptedAt, rec.state.fast.attemptedAt)
	}
	return claim
}

// longestWaiting is the object that the urgent permit of a target counts for:
// the one with the oldest observation among those that request one, or among
// all when only the credentials changed.
func longestWaiting(active []*v1alpha1.LoadBalancerHealth, state *targetState) *v1alpha1.LoadBalancerHealth {
	return slices.MinFunc(active, func(a, b *v1alpha1.LoadBalancerHealth) int {
		if urgentA, urgentB := isUrgent(a, state, nil), isUrgent(b, state, nil); urgentA != urgentB {
			if urgentA {
				return -1
			}
			return 1
		}
		// The cache lists objects in no order, and a claim must not change with it.
		return cmp.Or(waitingSince(a).Compare(waitingSince(b)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// waitingSince is the time of an object's last observation, or of its creation.
func waitingSince(object *v1alpha1.LoadBalancerHealth) time.Time {
	if at := object.Status.LastObservedTime; at != nil {
		return at.Time
	}
	return object.CreationTimestamp.Time
}

// bucketOf is the rate limit that the calls about a target count against.
func bucketOf(target alicloud.Target) ratelimit.Bucket {
	return ratelimit.Bucket{
		Namespace: target.Account.Namespace, Account: target.Account.String(), Region: target.RegionID, Product: target.Product(),
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
