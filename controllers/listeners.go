// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

const (
	// listenersAction is the action of the permits to list listeners.
	listenersAction = "DescribeLoadBalancerListeners"
	// detailsTimeout bounds a call that an observation waits for.
	detailsTimeout = 3 * time.Second
	// maxListenerWait is how long an observation waits for the listeners in all.
	maxListenerWait = 4 * time.Second
	// detailsRetry is until a target checks again whether another worker's call has
	// listed its listeners.
	detailsRetry = 100 * time.Millisecond
)

// refusedFor is how long the operator does not list the listeners of a load
// balancer again after a failure that a repetition does not change. An endpoint
// without the action causes InvalidResponse, for example.
var refusedFor = map[alicloud.Kind]time.Duration{
	alicloud.Forbidden:            24 * time.Hour,
	alicloud.InvalidRequest:       time.Hour,
	alicloud.LoadBalancerNotFound: time.Hour,
	alicloud.InvalidResponse:      time.Hour,
}

// ListenerDetails lists the listeners of CLB instances, several load balancers
// a call. An observation of the other products has their listeners. The permission is
// optional: after a refusal the operator does not call again for the load balancer for
// a day, or until its credentials change.
type ListenerDetails struct {
	// API lists listeners.
	API ListenersAPI
	// Credentials finds the credentials of an account.
	Credentials CredentialSource
	// Limiter gives permits to call.
	Limiter *ratelimit.Limiter
	// Now is the clock.
	Now func() time.Time

	store listenerStore
}

// of returns the last list of a load balancer's listeners; nil: unknown. lapsed is
// true when the lists have failed for so long that those in the status do not count.
func (d *ListenerDetails) of(target alicloud.Target) (details *alicloud.ListenerDetails, lapsed bool) {
	if target.Product() != alicloud.ProductCLB {
		return nil, false // the observation has them
	}
	if d == nil {
		return nil, true
	}
	return d.store.of(target, d.Now())
}

// add schedules a target. known is true when a status has the listeners that an
// earlier process listed, so that the first list can wait.
func (d *ListenerDetails) add(target alicloud.Target, known bool) {
	if d != nil && target.Product() == alicloud.ProductCLB {
		d.store.add(target, d.Now(), known)
	}
}

func (d *ListenerDetails) forget(target alicloud.Target) {
	if d != nil {
		d.store.forget(target)
	}
}

// wanted reports whether to list the listeners of a target: because the last list
// is older than since, or because it is due. credentials is the current version.
func (d *ListenerDetails) wanted(target alicloud.Target, since time.Time, credentials string) bool {
	return d != nil && d.store.wanted(target, since, credentials, d.Now())
}

// cancel cancels the permit that a target is queued for.
func (d *ListenerDetails) cancel(target alicloud.Target) {
	d.Limiter.Cancel(ratelimit.Claim{Bucket: bucketOf(target), Item: target.LoadBalancerID, Action: listenersAction})
}

// list lists the listeners of a target, and of others that are due. It returns
// when to try again while there is no permit, or while another worker lists the
// same target; zero after the target's own attempt has ended. A caller that does
// not try again must cancel, or the permit is lost for the others.
func (d *ListenerDetails) list(ctx context.Context, target alicloud.Target) time.Time {
	if d.store.isBusy(target) {
		return d.Now().Add(detailsRetry)
	}
	claim := ratelimit.Claim{Bucket: bucketOf(target), Item: target.LoadBalancerID, Action: listenersAction, Since: d.store.dueAt(target)}
	permit, requeueAt := d.Limiter.Reserve(claim, d.Now())
	if permit == nil {
		return requeueAt
	}
	batch := d.store.start(target, d.Now())
	called, ended, err := false, false, error(nil)
	defer func() {
		permit.Release(resultOf(called, err), d.Now())
		if !ended { // it panicked
			d.store.release(target, batch)
		}
	}()
	used, err := d.Credentials.Credentials(ctx, target.Account)
	var found *alicloud.ListenerList
	if err == nil {
		called = true
		found, err = d.API.DescribeLoadBalancerListeners(ctx, alicloud.ListenersRequest{
			Account: target.Account, RegionID: target.RegionID, LoadBalancerIDs: batch, Credentials: used,
		})
	}
	ended = true
	if err == nil {
		permit.Charge(found.Calls - 1)
		d.store.listed(target, batch, found)
		return time.Time{}
	}
	return d.failed(ctx, target, batch, used.Version, err)
}

// failed schedules the next call after one that failed. A refusal may be because
// of one load balancer of the batch, so each is listed by itself next, the target
// at once.
func (d *ListenerDetails) failed(ctx context.Context, target alicloud.Target, batch []string, credentials string, err error) time.Time {
	var refused time.Duration
	failure, ok := errors.AsType[*alicloud.Error](err)
	if ok {
		refused = refusedFor[failure.Kind]
	}
	now := d.Now()
	switch {
	case len(batch) > 1 && (refused > 0 || ok && failure.Busy()):
		d.store.split(target, batch)
		return now
	case refused > 0:
		if d.store.refused(target, credentials, now, now.Add(refused)) {
			log.FromContext(ctx).Info("listeners cannot be listed: one that loses its backends reads ListenerMissing, not NoBackends",
				"reason", failure.Kind, "code", failure.Code, "message", failure.Message, "retryAfter", refused)
		}
	default:
		d.store.failed(target, batch, now)
		log.FromContext(ctx).V(1).Info("listing the listeners failed", "error", err.Error())
	}
	return time.Time{}
}

// listenerState is what a target's next observation needs to know of its listeners.
type listenerState struct {
	// permitAt is when to reserve the permit to list them again; zero: not queued.
	permitAt time.Time
	// changedAt is when an observation last had other listeners than a status:
	// older lists say nothing of them. changedTo identifies those listeners.
	changedAt time.Time
	changedTo uint64
	// waiting is an observation that waits for the list, until waitUntil.
	waiting   *alicloud.Observation
	waitUntil time.Time
}

// awaitListeners lists the listeners that an observation needs before it is
// evaluated: of a new load balancer, of other listeners than before, or of an
// observation that was requested. It returns when to continue if they cannot be
// listed now; zero: evaluate.
func (r *Reconciler) awaitListeners(ctx context.Context, rec *reconciliation) time.Time {
	state := rec.state
	if r.Details == nil || state.failures.last != nil {
		state.listeners.waiting = nil
		return time.Time{}
	}
	if rec.observed { // newer than the one that waits
		state.listeners.waiting, state.listeners.waitUntil = rec.observation, r.Now().Add(maxListenerWait)
	}
	if state.listeners.waiting == nil {
		return time.Time{}
	}
	since := rec.listenersNeeded()
	if _, lapsed := r.Details.of(rec.target); lapsed {
		since = later(since, anyList)
	}
	if since.IsZero() || !r.Details.wanted(rec.target, since, state.credentials.version) {
		return time.Time{}
	}
	ctx, cancel := context.WithTimeout(ctx, detailsTimeout)
	defer cancel()
	if state.listeners.permitAt = r.Details.list(ctx, rec.target); state.listeners.permitAt.Before(state.listeners.waitUntil) {
		return state.listeners.permitAt
	}
	return time.Time{} // evaluate without them
}

// refreshListeners lists the listeners that are due, after an observation and
// while the target is queued for a permit. Statuses do not wait for it: the next
// observation is evaluated with the list.
func (r *Reconciler) refreshListeners(ctx context.Context, rec *reconciliation) {
	state := &rec.state.listeners
	queued := !state.permitAt.IsZero()
	switch {
	case r.Details.wanted(rec.target, state.changedAt, rec.state.credentials.version) && (queued || rec.observed && rec.state.failures.last == nil):
		state.permitAt = r.Details.list(ctx, rec.target)
	case queued: // another target's call has listed them
		r.Details.cancel(rec.target)
		state.permitAt = time.Time{}
	}
}

// anyList is the time that a list must be newer than when any list will do.
var anyList = time.Unix(0, 1)

// listenersNeeded is the time that the list must be newer than for the
// observation that waits; zero: the last list will do.
func (rec *reconciliation) listenersNeeded() time.Time {
	var since time.Time
	state := &rec.state.listeners
	for _, object := range rec.plan.active {
		if object.Status.Summary == nil || health.Edited(object) {
			since = later(since, anyList)
		}
		if health.ListenersChanged(object, state.waiting) {
			state.changed(state.waiting)
			since = later(since, state.changedAt)
		}
		if _, pending := pendingRequest(object); pending {
			since = later(since, rec.state.attemptedAt)
		}
	}
	return since
}

// changed records an observation that has other listeners than a status. The
// same listeners again, as while the status cannot be written, change nothing.
func (s *listenerState) changed(observation *alicloud.Observation) {
	if to := listenersID(observation); s.changedAt.IsZero() || to != s.changedTo {
		s.changedAt, s.changedTo = observation.At, to
	}
}

// listenersID identifies the listeners of an observation, in any order.
func listenersID(observation *alicloud.Observation) (id uint64) {
	seen := map[alicloud.Scope]struct{}{}
	for i := range observation.Backends {
		l := alicloud.Scope{ListenerPort: observation.Backends[i].ListenerPort, ListenerProtocol: observation.Backends[i].ListenerProtocol}
		if _, found := seen[l]; !found {
			seen[l] = struct{}{}
			id ^= xxhash.Sum64String(fmt.Sprint(l.ListenerPort, "/", l.ListenerProtocol))
		}
	}
	return id
}
