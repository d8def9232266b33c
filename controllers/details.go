// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

const (
	// listenersAction is the budget's name of the call that lists listeners.
	listenersAction = "DescribeLoadBalancerListeners"
	// detailsPatience bounds a call that an answer waits for.
	detailsPatience = 3 * time.Second
	// heldFor is how long an answer waits for the listeners in all.
	heldFor = 4 * time.Second
	// detailsRetry is until another worker's call for the same listeners is looked at again.
	detailsRetry = 100 * time.Millisecond
)

// refusedFor is how long failures are remembered that may be of one load
// balancer, and that another call does not change: an endpoint that does not
// know the action, for one, answers something else.
var refusedFor = map[alicloud.Kind]time.Duration{
	alicloud.Forbidden:            24 * time.Hour,
	alicloud.InvalidRequest:       time.Hour,
	alicloud.LoadBalancerNotFound: time.Hour,
	alicloud.InvalidResponse:      time.Hour,
}

// ListenerDetails reads which listeners load balancers have, several load
// balancers a call. The permission is optional: a load balancer that is refused
// is not asked about again for a day, or until its credentials change.
type ListenerDetails struct {
	// API lists listeners.
	API ListenersAPI
	// Credentials finds what signs the calls.
	Credentials CredentialSource
	// Limiter hands out the permits to call.
	Limiter *ratelimit.Limiter
	// Now is the clock.
	Now func() time.Time

	store detailsStore
}

// of returns what is known of a load balancer's listeners; nil: nothing. lapsed
// tells that no answer came for so long that what the status holds does not count.
func (d *ListenerDetails) of(target alicloud.Target) (details *alicloud.ListenerDetails, lapsed bool) {
	if d == nil {
		return nil, true
	}
	return d.store.of(target, d.Now())
}

// add has a target's listeners read together with those of others; known tells
// that a status holds what an earlier process read, so that it can wait.
func (d *ListenerDetails) add(target alicloud.Target, known bool) {
	if d != nil {
		d.store.add(target, d.Now(), known)
	}
}

func (d *ListenerDetails) forget(target alicloud.Target) {
	if d != nil {
		d.store.forget(target)
	}
}

// wanted tells whether the listeners of a target must be read: because what is
// known is older than since, or is due. credentials is the version that signs.
func (d *ListenerDetails) wanted(target alicloud.Target, since time.Time, credentials string) bool {
	return d != nil && d.store.wanted(target, since, credentials, d.Now())
}

// cancel gives up the permit that a target is queued for.
func (d *ListenerDetails) cancel(target alicloud.Target) {
	d.Limiter.Cancel(ratelimit.Claim{Target: target, Action: listenersAction})
}

// read lists the listeners of a target, and of others that it is time for. It
// returns when to ask again where there is no permit yet, or another worker
// lists them just now; zero once the target's own attempt came to an end. Who
// does not ask again must cancel: a permit that is not used is kept from others.
func (d *ListenerDetails) read(ctx context.Context, target alicloud.Target) time.Time {
	if d.store.isBusy(target) {
		return d.Now().Add(detailsRetry)
	}
	claim := ratelimit.Claim{Target: target, Action: listenersAction, Since: d.store.dueAt(target)}
	permit, again := d.Limiter.Reserve(claim, d.Now())
	if permit == nil {
		return again
	}
	batch := d.store.start(target, d.Now())
	called, ended, err := false, false, error(nil)
	defer func() {
		permit.Release(called, err, d.Now())
		if !ended { // it panicked
			d.store.release(target, batch)
		}
	}()
	used, err := d.Credentials.Credentials(ctx, target.Account)
	var answer *alicloud.ListenerList
	if err == nil {
		called = true
		answer, err = d.API.DescribeLoadBalancerListeners(ctx, alicloud.ListenersRequest{
			Account: target.Account, RegionID: target.RegionID, LoadBalancerIDs: batch, Credentials: used,
		})
	}
	ended = true
	if err == nil {
		permit.Charge(answer.Calls - 1)
		d.store.answered(target, batch, answer)
		return time.Time{}
	}
	return d.failed(ctx, target, batch, used.Version, err)
}

// failed remembers a call that failed. What refuses one load balancer of a
// batch may let the others pass, so they are asked about one by one, the target
// at once.
func (d *ListenerDetails) failed(ctx context.Context, target alicloud.Target, batch []string, credentials string, err error) time.Time {
	var remembered time.Duration
	failure, ok := errors.AsType[*alicloud.Error](err)
	if ok {
		remembered = refusedFor[failure.Kind]
	}
	now := d.Now()
	switch {
	case remembered > 0 && len(batch) > 1:
		d.store.split(target, batch)
		return now
	case remembered > 0:
		if d.store.refused(target, credentials, now, now.Add(remembered)) {
			log.FromContext(ctx).Info("listeners cannot be listed: one that loses its backends reads ListenerMissing, not NoBackends",
				"reason", failure.Kind, "code", failure.Code, "message", failure.Message, "retryAfter", remembered)
		}
	default:
		d.store.failed(target, batch, now)
		log.FromContext(ctx).V(1).Info("the listeners could not be listed", "error", err.Error())
	}
	return time.Time{}
}

// awaitListeners lists the listeners that an answer is to be evaluated with,
// where it is about what no status holds yet: a new load balancer, other
// listeners than before, or an answer that was requested. It returns when to go
// on if they cannot be listed now; zero: evaluate.
func (r *Reconciler) awaitListeners(ctx context.Context, target alicloud.Target, plan *plan, memory *memory, observed bool) time.Time {
	if r.Details == nil || memory.failure != nil {
		memory.held = nil
		return time.Time{}
	}
	if observed { // a newer answer than the one that is held
		memory.held, memory.heldUntil = r.samples.fresh(target, r.Now()), r.Now().Add(heldFor)
	}
	if memory.held == nil {
		return time.Time{}
	}
	since := listenersNeeded(plan, memory, memory.held)
	if _, lapsed := r.Details.of(target); lapsed {
		since = later(since, anyDetails)
	}
	if since.IsZero() || !r.Details.wanted(target, since, memory.credentials) {
		return time.Time{}
	}
	ctx, cancel := context.WithTimeout(ctx, detailsPatience)
	defer cancel()
	if memory.listenersAt = r.Details.read(ctx, target); memory.listenersAt.Before(memory.heldUntil) {
		return memory.listenersAt
	}
	return time.Time{} // it goes on without them
}

// refreshListeners lists the listeners that it is time for, after an answer and
// while the target is queued for a permit. Statuses do not wait for it: they
// have them with the next answer.
func (r *Reconciler) refreshListeners(ctx context.Context, target alicloud.Target, memory *memory, observed bool) {
	queued := !memory.listenersAt.IsZero()
	switch {
	case r.Details.wanted(target, memory.listenersChangedAt, memory.credentials) && (queued || observed && memory.failure == nil):
		memory.listenersAt = r.Details.read(ctx, target)
	case queued: // another target's call has listed them meanwhile
		r.Details.cancel(target)
		memory.listenersAt = time.Time{}
	}
}

// anyDetails is since when details must be that may be of any time.
var anyDetails = time.Unix(0, 1)

// listenersNeeded is since when listeners must be listed for an answer; zero:
// what is known will do.
func listenersNeeded(plan *plan, memory *memory, sample *alicloud.Observation) time.Time {
	var since time.Time
	for _, object := range plan.active {
		if object.Status.Summary == nil || health.Edited(object) {
			since = later(since, anyDetails)
		}
		if health.ListenersChanged(object, sample) {
			memory.listenersChanged(sample)
			since = later(since, memory.listenersChangedAt)
		}
		if _, pending := pendingRequest(object); pending {
			since = later(since, memory.attemptedAt)
		}
	}
	return since
}
