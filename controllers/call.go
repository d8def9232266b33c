// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// errQueued is returned while a target is queued for a permit.
var errQueued = errors.New("queued for a permit")

// callPermits gets the permits of an attempt, one at a time. The claim remains the
// same for all calls of an observation, so that one that began is the first in the
// queue and ends soon.
type callPermits struct {
	limiter *ratelimit.Limiter
	rec     *reconciliation
	now     func() time.Time
	held    *ratelimit.Permit
}

// reserve holds a permit, or queues the target and returns errQueued.
func (p *callPermits) reserve() error {
	if p.held != nil {
		return nil
	}
	var requeueAt time.Time
	state := p.rec.state
	p.held, requeueAt = p.limiter.Reserve(claimFor(p.rec, p.now()), p.now())
	state.permitAt, state.fast.queued = requeueAt, p.rec.plan.fast && p.held == nil
	if p.held == nil {
		return errQueued
	}
	return nil
}

// release returns the permit that is held, with the result of its call, if it was made.
func (p *callPermits) release(called bool, err error) {
	if p.held != nil {
		p.held.Release(resultOf(called, err), p.now())
		p.held = nil
	}
}

// permit implements servergroup.Permit. The first call uses the permit that the
// credentials were read with.
func (p *callPermits) permit(context.Context, string) (release func(error), err error) {
	if err := p.reserve(); err != nil {
		return nil, err
	}
	return func(err error) { p.release(true, err) }, nil
}

// observeGroups observes a target of a product with server groups.
func (r *Reconciler) observeGroups(ctx context.Context, api ServerGroupsAPI, request *alicloud.Request, permits *callPermits) (*alicloud.Observation, error) {
	rec := permits.rec
	if rec.state.groups == nil {
		rec.state.groups = &groupsState{}
	}
	groups := rec.state.groups
	groups.requested(rec.plan.active, rec.now)
	return api.Observe(ctx, &servergroup.Request{Request: *request, Since: groups.since, Awaited: r.Gates.groupsAwaited(ctx, rec)}, &groups.State, permits.permit)
}

// groupsState is what the observations of a target with server groups use again.
type groupsState struct {
	servergroup.State
	// since is when the requests were first seen that the next observation serves:
	// older lists do not serve them. Zero: there is none. requests identifies them.
	since    time.Time
	requests uint64
}

// requested updates since from the objects.
func (s *groupsState) requested(active []*v1alpha1.LoadBalancerHealth, now time.Time) {
	requests := uint64(0)
	for _, object := range active {
		if request, pending := pendingRequest(object); pending {
			requests += xxhash.Sum64String(string(object.UID) + "/" + strconv.Quote(request))
		}
	}
	if requests != s.requests {
		s.requests, s.since = requests, now
	}
	if requests == 0 {
		s.since = time.Time{}
	}
}
