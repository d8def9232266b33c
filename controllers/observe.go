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

// credentialsRecheck is how often the credentials of a target are looked up
// again while they are at fault. Secrets are not watched, so that no list of
// them is needed.
const credentialsRecheck = 15 * time.Second

// mustObserve tells whether to ask the API now: because the target is due or
// in line already, an object cannot wait, or the credentials that were at
// fault are others now.
func (r *Reconciler) mustObserve(ctx context.Context, target alicloud.Target, plan *plan, memory *memory, now time.Time) bool {
	if len(plan.active) == 0 {
		r.leaveLine(target, memory)
		r.Details.forget(target)
		return false
	}
	r.Details.add(target, !plan.answeredAt.IsZero())
	if memory.held != nil {
		return false // an answer waits to be evaluated first
	}
	if plan.asked || !memory.turnAt.IsZero() || !now.Before(plan.dueAt) {
		plan.asked = plan.asked || plan.retries(memory) && !plan.stalled
		return true
	}
	plan.asked = r.credentialsChanged(ctx, target, memory, now)
	return plan.asked
}

// leaveLine gives up the permits that a target is queued for.
func (r *Reconciler) leaveLine(target alicloud.Target, memory *memory) {
	if !memory.turnAt.IsZero() || !memory.listenersAt.IsZero() {
		r.Limiter.CancelAll(bucketOf(target), target.LoadBalancerID)
		memory.turnAt, memory.listenersAt = time.Time{}, time.Time{}
	}
}

// observe asks the API and remembers what came of it. It returns false when
// the target has no turn yet: it is in line, and the worker goes on with
// another target meanwhile. An error is one that says nothing of the load
// balancer: the process ends, or Kubernetes could not be asked.
func (r *Reconciler) observe(ctx context.Context, target alicloud.Target, plan plan, memory *memory, now time.Time) (bool, error) {
	sample, failure, err := r.ask(ctx, target, plan, memory)
	if errors.Is(err, errNoTurn) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !plan.asked && !plan.dueAt.After(now) {
		r.Metrics.ObservationStarted(now.Sub(plan.dueAt))
	}
	memory.attempted(now, plan.active)
	if failure != nil {
		logFailure(ctx, memory.failure, failure)
		memory.failed(failure, r.Now())
		return true, nil
	}
	log.FromContext(ctx).V(1).Info("observed", "backends", len(sample.Backends), "requestId", sample.RequestID)
	memory.succeeded(sample)
	r.samples.put(target, sample, r.Now())
	return true, nil
}

// errNoTurn: the target is in line for a turn, and memory.turnAt says when to ask again.
var errNoTurn = errors.New("in line for a turn of the API budget")

// ask makes the call, and again where one refusal says how to do better: with
// every port when the one asked about is shared, and with newer credentials
// when the API refused the old ones.
func (r *Reconciler) ask(ctx context.Context, target alicloud.Target, plan plan, memory *memory) (*alicloud.Observation, *alicloud.Error, error) {
	renewed := false
	scope := plan.scope
	for {
		sample, used, err := r.askOnce(ctx, target, scope, plan, memory)
		failure, ok := errors.AsType[*alicloud.Error](err)
		if ok && failure.Kind == alicloud.InvalidCredentials && !renewed {
			renewed = true
			if err = r.renew(ctx, target.Account, used, failure); err == nil {
				continue
			}
			failure, ok = errors.AsType[*alicloud.Error](err)
		}
		switch {
		case err == nil:
			return sample, nil, nil
		case ok && failure.SharedPort() && scope.ListenerPort != 0:
			memory.askWhole, scope = true, alicloud.Scope{}
		case ok:
			return nil, failure, nil // a failure is an observation too
		default:
			return nil, nil, err
		}
	}
}

// askOnce makes one call if the target has a turn. Credentials are looked up
// within the turn: they may take as long as a call does.
func (r *Reconciler) askOnce(ctx context.Context, target alicloud.Target, scope alicloud.Scope, plan plan, memory *memory) (sample *alicloud.Observation, used alicloud.Credentials, err error) {
	turn, again := r.Limiter.Reserve(claimOf(target, &plan, memory, r.Now()), r.Now())
	if memory.turnAt = again; turn == nil {
		return nil, used, errNoTurn
	}
	called := false
	defer func() { turn.Release(resultOf(called, err), r.Now()) }()

	used, err = r.Credentials.Credentials(ctx, target.Account)
	memory.credentials, memory.checkedAt = used.Version, r.Now()
	if err != nil {
		return nil, used, err
	}
	called = true
	sample, err = r.API.DescribeHealthStatus(ctx, alicloud.Request{Target: target, Scope: scope, Credentials: used})
	return sample, used, err
}

// renew finds newer credentials than those that the API refused. Its error is
// the refusal where there are none, and why not where that cannot be told: the
// token may just have ended while STS does not answer.
func (r *Reconciler) renew(ctx context.Context, account alicloud.Account, refused alicloud.Credentials, refusal *alicloud.Error) error {
	r.Credentials.Refused(account, refused)
	found, err := r.Credentials.Credentials(ctx, account)
	if err == nil && found.Version == refused.Version {
		return refusal
	}
	return err
}

// credentialsChanged looks up the credentials of a target again while they
// are at fault, so that a mended Secret is used long before a Stalled target is due.
// It takes a turn, as a call does: where STS hangs, a fleet whose credentials are at
// fault would hold every worker. Without one, it is for the next time.
func (r *Reconciler) credentialsChanged(ctx context.Context, target alicloud.Target, memory *memory, now time.Time) bool {
	if at := memory.recheckAt(); at.IsZero() || now.Before(at) {
		return false
	}
	memory.checkedAt = now
	claim := ratelimit.Claim{Bucket: bucketOf(target), Item: target.LoadBalancerID, Since: memory.attemptedAt}
	turn, _ := r.Limiter.Reserve(claim, now)
	if turn == nil {
		r.Limiter.Cancel(claim)
		return false
	}
	defer func() { turn.Release(ratelimit.Result{}, r.Now()) }()
	found, err := r.Credentials.Credentials(ctx, target.Account)
	var unusable *alicloud.Error // at fault in another way than before
	return (err == nil || errors.As(err, &unusable)) && found.Version != memory.credentials
}

// recheckAt is when to look up the credentials again; zero when they are not at fault.
func (m *memory) recheckAt() time.Time {
	if m.failure == nil || !m.failure.Kind.CredentialsAtFault() {
		return time.Time{}
	}
	return m.checkedAt.Add(credentialsRecheck)
}
