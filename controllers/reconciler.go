// SPDX-License-Identifier: Apache-2.0

// Package controllers writes the responses of the SLB API into the status of the
// LoadBalancerHealth objects. The unit of work is a load balancer: the queue
// contains alicloud.Targets. A worker gets one, observes it once, and updates
// every object with that target.
//
// The steps of a reconcile, in order:
//
//	add.go           watches, index and predicate: which change enqueues which target
//	reconciler.go    the steps
//	plan.go          whether to observe, what, and when next (pure)
//	fast.go          when to observe between routine observations (pure)
//	signals.go       which changes in the cluster cause that; backendindex.go maps them
//	permits.go       the claim for a permit (pure)
//	observe.go       permit, credentials, call; call.go makes the calls of a product
//	listeners.go     the listeners of CLB instances; listenerstore.go schedules them
//	evaluate.go      what health.Evaluate needs
//	expected.go      of that, what the cluster expects
//	statuswriter.go  evaluate, write, confirm, record
//	statusclient.go  the form of a write; patch.go the one for a newer definition (pure)
//	events.go        one constructor for each event
//
// What a process keeps beside the statuses is in state.go and recent.go.
// secrets.go reads credentials, schema.go compares the CustomResourceDefinition,
// servicereconciler.go and monitor.go serve Services, ingressreconciler.go Ingresses,
// both with discovery.go, and gates.go the readiness
// gates of pods: gatepass.go decides on them, gatepatch.go writes them, and
// gatestate.go has what the process keeps of them.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// +kubebuilder:rbac:groups=slb.lbhealth.dev,resources=loadbalancerhealths,verbs=get;list;watch
// +kubebuilder:rbac:groups=slb.lbhealth.dev,resources=loadbalancerhealths/status,verbs=patch;update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// routinePriority is the queue's priority of targets that are merely due; urgent
// ones have 0. Every result must set it: an item keeps its priority otherwise,
// and those of the initial list start far below.
const routinePriority = -10

// conflictRetry is until a target is reconciled again after a conflict.
const conflictRetry = 250 * time.Millisecond

// Reconciler keeps the objects of one target up to date.
type Reconciler struct {
	// Reader lists objects from the cache.
	Reader client.Reader
	// Status writes the objects' statuses.
	Status *StatusWriter
	// API observes CLB.
	API HealthAPI
	// ServerGroups observe the other products, by product.
	ServerGroups map[string]ServerGroupsAPI
	// Credentials finds the credentials of an account.
	Credentials CredentialSource
	// Limiter gives permits to call.
	Limiter *ratelimit.Limiter
	// Details lists the listeners of load balancers; nil: off.
	Details *ListenerDetails
	// Ports reads which listeners Services define; nil: the operator may not read Services.
	Ports *cluster.ServicePorts
	// Locator finds the nodes and pods that backends are; nil: off.
	Locator *cluster.BackendLocator
	// Expected reads what the cluster expects behind Services; nil: off.
	Expected ExpectedBackends
	// Ingresses finds the Ingresses that name a Service; nil: without --service-discovery.
	Ingresses *cluster.Ingresses
	// Gates opens the readiness gates that wait for observations; nil: off.
	Gates *GateReconciler
	// Services finds the Services that select a pod; nil: the operator may not read Services.
	Services *cluster.ServiceSelectors
	// FastInterval is the least time between two fast observations of a target; 0: off.
	FastInterval time.Duration
	// Awaited reports whether a pod waits for the health of a target: fast
	// observation lasts as long. Signal starts it. nil: no pod waits.
	Awaited func(alicloud.Target) bool
	// Metrics counts observations, and records how late they start.
	Metrics LagRecorder
	// Options decide what is written.
	Options health.Options
	// Now is the clock.
	Now func() time.Time

	targets   stateStore
	signals   signalStore
	backends  backendIndex
	indexes   bool // backends is in use
	recent    recentObservations
	begin     sync.Once
	startedAt time.Time
}

// LagRecorder counts observations, and records how late they start.
type LagRecorder interface {
	// ObservationEnded counts an observation by its class: urgent, routine or fast.
	ObservationEnded(class string)
	// ObservationStarted records the time from when a routine observation was due to its start.
	ObservationStarted(lag time.Duration)
}

// Reconcile implements reconcile.TypedReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, target alicloud.Target) (reconcile.Result, error) {
	// Not when the process started: it may have been a standby for days.
	r.begin.Do(func() { r.startedAt = r.Now() })
	objects, err := r.objectsOf(ctx, target)
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(objects) == 0 {
		r.forget(target)
		return reconcile.Result{}, nil
	}
	rec := r.newReconciliation(target, objects)
	result, err := r.observe(ctx, rec)
	if err != nil && ctx.Err() != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	r.keep(rec, result)
	r.indexBackends(ctx, rec)
	if requeueAt := r.await(ctx, rec); err == nil && !requeueAt.IsZero() {
		return reconcile.Result{RequeueAfter: max(requeueAt.Sub(r.Now()), time.Millisecond), Priority: new(0)}, nil
	}
	// Also without an observation, as while a Secret cannot be read: a verdict becomes stale.
	summary := r.updateStatuses(ctx, rec)
	r.refreshListeners(ctx, rec)
	if rec.observed && !rec.plan.urgent && !rec.state.writes.unsaved {
		r.recent.delete(target) // the statuses contain it, and no object is new
	}
	if err = errors.Join(err, summary.err); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	return r.requeue(rec, &summary), nil
}

// newReconciliation collects what a reconcile starts with, and makes the plan.
func (r *Reconciler) newReconciliation(target alicloud.Target, objects []v1alpha1.LoadBalancerHealth) *reconciliation {
	now := r.Now()
	rec := &reconciliation{
		target: target, objects: objects, state: r.targets.get(target),
		processStartedAt: r.startedAt, now: now, observation: r.recent.get(target, now),
	}
	if rec.observation == nil && rec.state.failures.last == nil {
		rec.observation = rec.state.listeners.waiting
	}
	if rec.state.firstSeenAt.IsZero() {
		rec.state.firstSeenAt = now
	}
	rec.state.fast.signal(r.signals.pop(target))
	rec.makePlan()
	rec.state.interval = rec.plan.interval
	rec.state.writes.keepOnly(objects)
	rec.state.expected.keepOnly(objects)
	return rec
}

// keep adds what an attempt ended with to the reconcile.
func (r *Reconciler) keep(rec *reconciliation, result *attempt) {
	if rec.observed = result != nil; !rec.observed || result.observation == nil {
		return
	}
	rec.observation = result.observation
	if r.Expected != nil {
		rec.state.expected.observed(result.observation, rec.state.fast.rows)
	}
	r.recent.put(rec.target, result.observation, r.Now())
}

// forget drops everything that this process keeps of a target.
func (r *Reconciler) forget(target alicloud.Target) {
	if indexed := r.targets.get(target).indexed; indexed != nil {
		r.backends.replace(indexed, nil)
	}
	r.signals.pop(target)
	r.targets.delete(target)
	r.recent.delete(target)
	r.Limiter.Forget(bucketOf(target), target.LoadBalancerID)
	r.Details.forget(target)
}

// await is when to continue with what is not evaluated yet: an observation that
// waits for the listeners, or a first observation that is queued; zero: now.
func (r *Reconciler) await(ctx context.Context, rec *reconciliation) time.Time {
	requeueAt := r.awaitListeners(ctx, rec)
	if requeueAt.IsZero() && !rec.observed {
		return rec.state.awaitFirst(r.Now())
	}
	return requeueAt
}

// updateSummary sums up the updates of a target's objects.
type updateSummary struct {
	// conflicted is true when an object must be reconciled again at once.
	conflicted bool
	// stalled is true when every active object is Stalled.
	stalled bool
	// staleAt is the first time at which a verdict becomes stale; zero: none does.
	staleAt time.Time
	err     error
}

// add adds the update of one object.
func (s *updateSummary) add(object *v1alpha1.LoadBalancerHealth, outcome health.Outcome, err error) {
	if !object.Spec.Suspend {
		s.stalled = s.stalled && isStalled(outcome.Status.Conditions)
		s.staleAt = earliest(s.staleAt, outcome.StaleAt)
	}
	if isConflict(err) {
		s.conflicted = true
	} else if client.IgnoreNotFound(err) != nil && s.err == nil {
		s.err = fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(object), err)
	}
}

// updateStatuses evaluates each object and writes its status. When a write
// hangs, as for an admission webhook, the other objects of that namespace wait
// for the next reconcile.
func (r *Reconciler) updateStatuses(ctx context.Context, rec *reconciliation) updateSummary {
	writes := &rec.state.writes
	evaluation, err := r.newEvaluation(ctx, rec)
	if err != nil {
		writes.unsaved = true
		return updateSummary{err: err}
	}
	rec.state.listeners.waiting = nil
	r.Gates.observed(ctx, evaluation)
	summary := updateSummary{stalled: true}
	hanging := "" // the namespace where a write hung
	for i := range rec.objects {
		object := &rec.objects[i]
		if object.Namespace == hanging {
			continue
		}
		r.confirmMissing(ctx, object, evaluation)
		outcome, err := r.Status.update(ctx, object, writes, evaluation)
		if err == nil || outcome.Write { // else it was not evaluated
			rec.state.expected.evaluated(object.UID, outcome.Absences)
		}
		summary.add(object, outcome, err)
		if errors.Is(err, context.DeadlineExceeded) {
			if hanging != "" {
				break // two namespaces: it is not one webhook, and the others would hang as well
			}
			hanging = object.Namespace
		}
	}
	nothingToWrite := rec.observation == nil && rec.state.failures.last == nil
	writes.unsaved = summary.conflicted || summary.err != nil || writes.unsaved && nothingToWrite
	return summary
}

// requeue decides when the target is reconciled next.
func (r *Reconciler) requeue(rec *reconciliation, summary *updateSummary) reconcile.Result {
	now, state := r.Now(), rec.state
	if summary.conflicted {
		return reconcile.Result{RequeueAfter: conflictRetry}
	}
	if len(rec.plan.active) == 0 {
		return reconcile.Result{}
	}
	rec.plan.stalled = summary.stalled
	at, fastAt := earliest(rec.dueAt(), state.recheckAt()), r.fastDueAt(rec)
	switch {
	case state.fast.queued:
		fastAt = state.permitAt
	case !state.permitAt.IsZero():
		at, fastAt = state.permitAt, time.Time{} // the lookup of credentials needs the permit, too
	}
	at = earliest(earliest(at, summary.staleAt), state.listeners.permitAt)
	priority := routinePriority
	if rec.plan.urgent && !state.permitAt.IsZero() {
		priority = 0
	}
	if !fastAt.IsZero() && fastAt.Before(at) {
		at, priority = fastAt, fastPriority
	}
	return reconcile.Result{RequeueAfter: max(at.Sub(now), time.Millisecond), Priority: &priority}
}

// objectsOf lists the objects of a target. They belong to the cache: read only.
func (r *Reconciler) objectsOf(ctx context.Context, target alicloud.Target) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := r.Reader.List(ctx, &list, client.MatchingFields{targetIndex: target.String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the objects of %s: %w", target, err)
	}
	return list.Items, nil
}

// unlessStopping drops the error of a reconcile that was canceled because the
// process stops: that is no failure, and the statuses have all that the next
// process needs.
func unlessStopping(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	return err
}

// earliest is the earlier of two times; a zero time does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// logFailure logs a failure at level 0 when its reason changed, and at level 1 otherwise.
func logFailure(ctx context.Context, previous, failure *alicloud.Error) {
	logger := log.FromContext(ctx)
	if previous != nil && previous.Kind == failure.Kind && previous.Code == failure.Code {
		logger = logger.V(1)
	}
	logger.Info("observation failed", "reason", failure.Kind, "code", failure.Code,
		"requestId", failure.RequestID, "message", failure.Message)
}
