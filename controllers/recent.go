// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// recentObservations keeps observations for health.FreshFor, so that an object
// created a moment later on the same load balancer, and a write that must be
// repeated, cost no further call. The reconciler deletes an observation as soon
// as the statuses contain it.
type recentObservations struct {
	mu       sync.Mutex
	byTarget map[alicloud.Target]*alicloud.Observation
	byAge    []expiry
}

// expiry is when an observation arrived; it does not keep the observation itself.
type expiry struct {
	target alicloud.Target
	at     time.Time
}

// get returns the observation of a target while it is fresh, or nil.
func (r *recentObservations) get(target alicloud.Target, now time.Time) *alicloud.Observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if observation := r.byTarget[target]; observation != nil && isFresh(observation.At, now) {
		return observation
	}
	return nil
}

func (r *recentObservations) put(target alicloud.Target, observation *alicloud.Observation, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byTarget == nil {
		r.byTarget = map[alicloud.Target]*alicloud.Observation{}
	}
	r.byTarget[target] = observation
	r.byAge = append(r.byAge, expiry{target, observation.At})
	for len(r.byAge) > 0 && !isFresh(r.byAge[0].at, now) {
		if kept := r.byTarget[r.byAge[0].target]; kept != nil && !isFresh(kept.At, now) {
			delete(r.byTarget, r.byAge[0].target)
		}
		r.byAge = r.byAge[1:]
	}
}

func (r *recentObservations) delete(target alicloud.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byTarget, target)
}

func isFresh(at, now time.Time) bool { return now.Sub(at) < health.FreshFor }
