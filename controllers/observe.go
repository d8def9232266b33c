// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// credentialsRecheck is how often the operator reads the credentials of a
// target again while they are at fault. It does not watch Secrets, so it needs
// no permission to list them.
const credentialsRecheck = 15 * time.Second

// attempt is what one observation of a target ended with: exactly one of the
// two is set.
type attempt struct {
	observation *alicloud.Observation
	failure     *alicloud.Error
}

// observe observes the target if it must: because it is due or queued already,
// because an object cannot wait, or because the credentials that were at fault
// have changed. It returns nil when there was no call: not needed, or queued
// for a permit, in which case the state says when to reserve it again. An error
// says nothing of the load balancer: the process stops, or Kubernetes failed.
func (r *Reconciler) observe(ctx context.Context, rec *reconciliation) (*attempt, error) {
	if !r.mustObserve(ctx, rec) {
		return nil, nil
	}
	result, err := r.call(ctx, rec)
	if err != nil || result == nil {
		return nil, err
	}
	r.Metrics.ObservationEnded(rec.plan.class())
	if rec.plan.fast {
		return r.fastAttempted(ctx, rec, result), nil
	}
	if !rec.plan.urgent && !rec.plan.dueAt.After(rec.now) {
		r.Metrics.ObservationStarted(rec.now.Sub(rec.plan.dueAt))
	}
	rec.state.attempted(rec.now, rec.plan.active)
	if failure := result.failure; failure == nil {
		log.FromContext(ctx).V(1).Info("observed", "backends", len(result.observation.Backends), "requestId", result.observation.RequestID)
		rec.state.succeeded(result.observation)
	} else {
		logFailure(ctx, rec.state.failures.last, failure)
		rec.state.failures.add(failure, r.Now())
	}
	return result, nil
}

// mustObserve decides whether to call the API now, and whether that is urgent.
func (r *Reconciler) mustObserve(ctx context.Context, rec *reconciliation) bool {
	if len(rec.plan.active) == 0 {
		r.cancelPermits(rec)
		r.Details.forget(rec.target)
		return false
	}
	r.Details.add(rec.target, !rec.plan.observedAt.IsZero())
	if rec.state.listeners.waiting != nil {
		return false // evaluate that observation first
	}
	queued := !rec.state.permitAt.IsZero() && !rec.state.fast.queued
	if rec.plan.urgent || queued || !rec.now.Before(rec.plan.dueAt) {
		rec.plan.urgent = rec.plan.urgent || rec.hasRetries() && !rec.plan.stalled
		return true
	}
	if rec.plan.fast = r.mustObserveFast(rec); rec.plan.fast {
		return true
	}
	rec.plan.urgent = r.credentialsChanged(ctx, rec)
	return rec.plan.urgent
}

// cancelPermits cancels the permits that a target is queued for.
func (r *Reconciler) cancelPermits(rec *reconciliation) {
	if state := rec.state; !state.permitAt.IsZero() || !state.listeners.permitAt.IsZero() {
		r.Limiter.CancelAll(bucketOf(rec.target), rec.target.LoadBalancerID)
		state.permitAt, state.listeners.permitAt, state.fast.queued = time.Time{}, time.Time{}, false
	}
}

// call calls the API, and again where one refusal says how to succeed: for every
// port when listeners share the requested one, and with newer credentials when
// the API refused the old ones. It returns nil while the target is queued.
func (r *Reconciler) call(ctx context.Context, rec *reconciliation) (*attempt, error) {
	renewed := false
	for {
		observation, used, err := r.callOnce(ctx, rec)
		failure, ok := errors.AsType[*alicloud.Error](err)
		if ok && failure.Kind == alicloud.InvalidCredentials && !renewed {
			renewed = true
			if err = r.renew(ctx, rec.target.Account, used, failure); err == nil {
				continue
			}
			failure, ok = errors.AsType[*alicloud.Error](err)
		}
		switch {
		case errors.Is(err, errQueued):
			return nil, nil
		case err == nil:
			return &attempt{observation: observation}, nil
		case ok && failure.SharedPort() && rec.plan.scope.ListenerPort != 0:
			rec.state.everyPort, rec.plan.scope = true, alicloud.Scope{}
		case ok:
			return &attempt{failure: failure}, nil
		default:
			return nil, err
		}
	}
}

// callOnce observes the target if there is a permit. It reads the credentials
// with the permit: that can last as long as a call.
func (r *Reconciler) callOnce(ctx context.Context, rec *reconciliation) (observation *alicloud.Observation, used alicloud.Credentials, err error) {
	permits := &callPermits{limiter: r.Limiter, rec: rec, now: r.Now}
	if err := permits.reserve(); err != nil {
		return nil, used, err
	}
	defer permits.release(false, nil) // where there was no call

	used, err = r.Credentials.Credentials(ctx, rec.target.Account)
	rec.state.credentials = credentialState{version: used.Version, checkedAt: r.Now()}
	if err != nil {
		return nil, used, err
	}
	request := alicloud.Request{Target: rec.target, Scope: rec.plan.scope, Credentials: used}
	if api := r.ServerGroups[rec.target.Product()]; api != nil {
		observation, err = r.observeGroups(ctx, api, &request, permits)
		return observation, used, err
	}
	observation, err = r.API.DescribeHealthStatus(ctx, request)
	permits.release(true, err)
	return observation, used, err
}

// renew requests newer credentials than those that the API refused. It
// returns the refusal when there are none, and another error when that is
// unknown: the token may have expired while STS is down.
func (r *Reconciler) renew(ctx context.Context, account alicloud.Account, refused alicloud.Credentials, refusal *alicloud.Error) error {
	r.Credentials.Refused(account, refused)
	found, err := r.Credentials.Credentials(ctx, account)
	if err == nil && found.Version == refused.Version {
		return refusal
	}
	return err
}

// credentialsChanged reads the credentials of a target again while they are
// at fault, so that the operator uses a fixed Secret long before a Stalled
// target is due. It needs a permit, as a call does: while STS hangs, a fleet
// whose credentials are at fault would block every worker. Without a permit the
// next reconcile retries.
func (r *Reconciler) credentialsChanged(ctx context.Context, rec *reconciliation) bool {
	if at := rec.state.recheckAt(); at.IsZero() || rec.now.Before(at) {
		return false
	}
	rec.state.credentials.checkedAt = rec.now
	claim := ratelimit.Claim{Bucket: bucketOf(rec.target), Item: rec.target.LoadBalancerID, Since: rec.state.attemptedAt}
	permit, _ := r.Limiter.Reserve(claim, rec.now)
	if permit == nil {
		r.Limiter.Cancel(claim)
		return false
	}
	defer func() { permit.Release(ratelimit.Result{}, r.Now()) }()
	found, err := r.Credentials.Credentials(ctx, rec.target.Account)
	var unusable *alicloud.Error // at fault in another way than before
	return (err == nil || errors.As(err, &unusable)) && found.Version != rec.state.credentials.version
}

// recheckAt is when to read the credentials again; zero when they are not at fault.
func (s *targetState) recheckAt() time.Time {
	if s.failures.last == nil || !s.failures.last.Kind.CredentialsAtFault() {
		return time.Time{}
	}
	return s.credentials.checkedAt.Add(credentialsRecheck)
}
