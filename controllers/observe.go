// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// credentialsRecheck is how often the credentials of a target are looked up
// again while they are at fault. Secrets are not watched, so that no list of
// them is needed.
const credentialsRecheck = 15 * time.Second

// mustObserve tells whether to ask the API now: because the target is due, an
// object cannot wait, a reserved turn has come, or the credentials that were
// at fault are others now.
func (r *Reconciler) mustObserve(ctx context.Context, target slb.Target, plan plan, memory *memory, now time.Time) bool {
	if len(plan.active) == 0 {
		memory.turn = time.Time{}
		return false
	}
	if !memory.turn.IsZero() {
		return !now.Before(memory.turn)
	}
	return plan.asked || !now.Before(plan.dueAt) || r.credentialsChanged(ctx, target, memory, now)
}

// observe asks the API and remembers what came of it. It returns false when
// the budget is spent: the turn is reserved, and the worker goes on with
// another target meanwhile. An error is one that says nothing of the load
// balancer: the process ends, or Kubernetes could not be asked.
func (r *Reconciler) observe(ctx context.Context, target slb.Target, plan plan, memory *memory, now time.Time) (bool, error) {
	sample, failure, err := r.ask(ctx, target, plan.scope, memory)
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

// errNoTurn: the budget is spent for now, and memory.turn says until when.
var errNoTurn = errors.New("the API budget is spent")

// ask makes the call, and again where one refusal says how to do better: with
// every port when the one asked about is shared, and with newer credentials
// when the API refused the old ones.
func (r *Reconciler) ask(ctx context.Context, target slb.Target, scope slb.Scope, memory *memory) (*slb.Sample, *slb.Error, error) {
	renewed := false
	for {
		credentials, err := r.Credentials.Credentials(ctx, target.Account)
		memory.credentials, memory.checkedAt = credentials.Version, r.Now()
		if err != nil {
			return failed(err)
		}
		if !r.takeTurn(target, memory) {
			return nil, nil, errNoTurn
		}
		sample, err := r.API.DescribeHealthStatus(ctx, slb.Request{Target: target, Scope: scope, Credentials: credentials})
		if err == nil {
			return sample, nil, nil
		}
		failure, ok := errors.AsType[*slb.Error](err)
		switch {
		case ok && failure.SharedPort() && scope.ListenerPort != 0:
			memory.askWhole, scope = true, slb.Scope{}
		case ok && failure.Kind == slb.InvalidCredentials && !renewed && r.renewed(ctx, target.Account, credentials):
			renewed = true
		default:
			return failed(err)
		}
	}
}

// failed tells a failure, which is an observation too, from an error that says
// nothing of the load balancer.
func failed(err error) (*slb.Sample, *slb.Error, error) {
	if failure, ok := errors.AsType[*slb.Error](err); ok {
		return nil, failure, nil
	}
	return nil, nil, err
}

// takeTurn uses the turn that was reserved, or reserves one; false when it is yet to come.
func (r *Reconciler) takeTurn(target slb.Target, memory *memory) bool {
	now := r.Now()
	if memory.turn.IsZero() {
		memory.turn = r.Budget.Reserve(target, now)
	}
	if memory.turn.After(now) {
		return false
	}
	memory.turn = time.Time{}
	return true
}

// renewed tells whether there are newer credentials than those that the API refused.
func (r *Reconciler) renewed(ctx context.Context, account slb.Account, refused slb.Credentials) bool {
	r.Credentials.Refused(account, refused)
	found, err := r.Credentials.Credentials(ctx, account)
	return err == nil && found.Version != refused.Version
}

// credentialsChanged looks up the credentials of a target again while they
// are at fault, so that a mended Secret is used long before a Stalled target is due.
func (r *Reconciler) credentialsChanged(ctx context.Context, target slb.Target, memory *memory, now time.Time) bool {
	if at := memory.recheckAt(); at.IsZero() || now.Before(at) {
		return false
	}
	memory.checkedAt = now
	found, err := r.Credentials.Credentials(ctx, target.Account)
	var unusable *slb.Error // at fault in another way than before
	return (err == nil || errors.As(err, &unusable)) && found.Version != memory.credentials
}

// recheckAt is when to look up the credentials again; zero when they are not at fault.
func (m *memory) recheckAt() time.Time {
	if m.failure == nil {
		return time.Time{}
	}
	switch m.failure.Kind {
	case slb.CredentialsNotFound, slb.InvalidCredentials, slb.Forbidden:
		return m.checkedAt.Add(credentialsRecheck)
	default:
		return time.Time{}
	}
}
