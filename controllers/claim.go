// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// claimOf is the claim for the observation of a target that its plan asks for.
func claimOf(target alicloud.Target, plan *plan, memory *memory, now time.Time) ratelimit.Claim {
	claim := ratelimit.Claim{Bucket: bucketOf(target), Item: target.LoadBalancerID, Urgent: plan.asked, Due: !now.Before(plan.dueAt), Since: plan.askedAt}
	if plan.asked {
		requester := longestWaiting(plan.active, memory)
		claim.Requester = ratelimit.Requester{Namespace: requester.Namespace, Name: requester.Name}
	}
	return claim
}

// longestWaiting is the object that the urgent permit of a target counts for:
// of those that ask for an observation, or of all where only the credentials
// changed, the one whose answer is the oldest.
func longestWaiting(active []*v1alpha1.LoadBalancerHealth, memory *memory) *v1alpha1.LoadBalancerHealth {
	return slices.MinFunc(active, func(a, b *v1alpha1.LoadBalancerHealth) int {
		if asksA, asksB := asks(a, memory, nil), asks(b, memory, nil); asksA != asksB {
			if asksA {
				return -1
			}
			return 1
		}
		// The cache lists objects in no order, and a claim must stay the same.
		return cmp.Or(waitsSince(a).Compare(waitsSince(b)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// waitsSince is the time of an object's answer, or of its creation where it has none.
func waitsSince(object *v1alpha1.LoadBalancerHealth) time.Time {
	if at := object.Status.LastObservedTime; at != nil {
		return at.Time
	}
	return object.CreationTimestamp.Time
}
