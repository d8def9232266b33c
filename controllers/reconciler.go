// SPDX-License-Identifier: Apache-2.0

// Package controllers brings what the SLB API says into the status of the
// LoadBalancerHealth objects. The unit of work is a load balancer: the queue
// holds alicloud.Targets, a worker takes one, asks once, and brings every object
// that names it up to date.
//
//	add.go        index, watch, predicate: how a change becomes work
//	reconciler.go the steps of one piece of work
//	cache.go      what the cache keeps of an object
//	plan.go       whether and what to ask: pure
//	observe.go    permit of the budget, credentials, call
//	claim.go      the permit that a plan asks for: pure
//	details.go    the listeners of load balancers; details_store.go remembers them
//	memory.go     what a process remembers of a target
//	status.go     the write
//	patch.go      the least patch from one status to another: pure
//	events.go     one constructor for each event
//	secrets.go    credentials from Secrets
//	names.go      the nodes and pods that backends are
//	rights.go     what the operator may read
//	ports.go      the listeners that Services name
//	services.go   Services: their load balancers
//	monitor.go    the objects that Services ask for
//	schema.go     fields that the CustomResourceDefinition lacks
//	discovery.go  from a Service and the nodes to a load balancer: pure
package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// +kubebuilder:rbac:groups=slb.lbhealth.dev,resources=loadbalancerhealths,verbs=get;list;watch
// +kubebuilder:rbac:groups=slb.lbhealth.dev,resources=loadbalancerhealths/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// routinePriority puts what is merely due behind what a user just asked for.
// It must be set on every result: an item keeps its priority otherwise, and
// those of the initial list start far below.
const routinePriority = -10

// conflictDelay is until work is tried again that others came in the way of.
const conflictDelay = 250 * time.Millisecond

// Reconciler brings the objects of one target up to date.
type Reconciler struct {
	// Client reads objects from the cache and writes their status.
	Client client.Client
	// Live reads objects past the cache.
	Live client.Reader
	// Selector chooses the objects that are served, as the cache does; nil: all.
	Selector labels.Selector
	// API asks Alibaba Cloud.
	API HealthAPI
	// Credentials finds what signs the calls.
	Credentials CredentialSource
	// Limiter hands out turns to call.
	Limiter *ratelimit.Limiter
	// Details lists the listeners of load balancers; nil: it is off.
	Details *ListenerDetails
	// Ports reads which listeners Services name; nil: Services may not be read.
	Ports *ServicePorts
	// Names finds the nodes and pods that backends are; nil: they may not be read.
	Names *Names
	// Events tells transitions.
	Events EventRecorder
	// Metrics counts transitions and lateness.
	Metrics Metrics
	// Options decide what is written.
	Options health.Options
	// Now is the clock.
	Now func() time.Time

	targets memories[alicloud.Target]
	samples samples
	begin   sync.Once
	started time.Time
}

// Metrics takes what only the reconciler sees.
type Metrics interface {
	// BackendTurned counts a backend of an object that turned to a status.
	BackendTurned(object *v1alpha1.LoadBalancerHealth, to string)
	// ObservationStarted takes how late an observation started against its due time.
	ObservationStarted(lag time.Duration)
}

// Reconcile implements reconcile.TypedReconciler.
func (r *Reconciler) Reconcile(ctx context.Context, target alicloud.Target) (reconcile.Result, error) {
	// Not when the process started: it may have stood by for days.
	r.begin.Do(func() { r.started = r.Now() })
	objects, err := r.objectsOf(ctx, target)
	if err != nil {
		return reconcile.Result{}, err
	}
	if len(objects) == 0 {
		r.targets.forget(target)
		r.samples.forget(target)
		r.Limiter.Forget(target)
		r.Details.forget(target)
		return reconcile.Result{}, nil
	}
	memory := r.targets.of(target)
	now := r.Now()
	if memory.since.IsZero() {
		memory.since = now
	}
	plan := planFor(target, objects, memory, r.sampleOf(target, memory), r.started)
	memory.interval = plan.interval
	memory.keepOnly(objects)

	observed := false
	if r.mustObserve(ctx, target, &plan, memory, now) {
		if observed, err = r.observe(ctx, target, plan, memory, now); ctx.Err() != nil && err != nil {
			return reconcile.Result{}, unlessStopping(ctx, err)
		}
	}
	if again := r.await(ctx, target, &plan, memory, observed); err == nil && !again.IsZero() {
		return reconcile.Result{RequeueAfter: max(again.Sub(r.Now()), time.Millisecond), Priority: new(0)}, nil
	}
	// Also where nobody could be asked, as while a Secret cannot be read: what is known gets old.
	result := r.update(ctx, target, objects, memory, observed)
	r.refreshListeners(ctx, target, memory, observed)
	if observed && !plan.asked && !memory.unsaved {
		r.samples.forget(target) // a routine answer: nobody new came, and all is stored
	}
	if err = errors.Join(err, result.err); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	return r.comeBack(target, plan, memory, result), nil
}

// await is when to go on with what is not evaluated yet: an answer that waits
// for the listeners, or a first observation that is queued; zero: now.
func (r *Reconciler) await(ctx context.Context, target alicloud.Target, plan *plan, memory *memory, observed bool) time.Time {
	again := r.awaitListeners(ctx, target, plan, memory, observed)
	if again.IsZero() && !observed {
		return memory.awaitFirst(r.Now())
	}
	return again
}

// updated is what came of bringing every object of a target up to date.
type updated struct {
	// conflicted tells that an object must be looked at again at once.
	conflicted bool
	// stalled tells that every active object needs a person.
	stalled bool
	// staleAt is the first time at which a verdict goes stale; zero for none.
	staleAt time.Time
	err     error
}

// add takes what came of one object.
func (u *updated) add(object *v1alpha1.LoadBalancerHealth, outcome health.Outcome, err error) {
	if !object.Spec.Suspend {
		u.stalled = u.stalled && isStalled(outcome.Status.Conditions)
		u.staleAt = earliest(u.staleAt, outcome.StaleAt)
	}
	if isConflict(err) {
		u.conflicted = true
	} else if client.IgnoreNotFound(err) != nil && u.err == nil {
		u.err = fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(object), err)
	}
}

// update brings each object up to date. Where a write hangs, as for an
// admission webhook, the others of that namespace are left for the next time.
func (r *Reconciler) update(ctx context.Context, target alicloud.Target, objects []v1alpha1.LoadBalancerHealth, memory *memory, observed bool) updated {
	result := updated{stalled: true}
	known, err := r.evidenceOf(ctx, target, memory, observed)
	if err != nil {
		memory.unsaved = true
		return updated{err: err}
	}
	now := r.Now()
	look := func(object *v1alpha1.LoadBalancerHealth) health.Outcome {
		// The ports are read from memory: an error leaves what is not known.
		ports, _ := r.Ports.of(ctx, object)
		return health.Evaluate(object, memory.observationFor(object, known, ports), now, r.Options)
	}
	hanging := "" // the namespace where a write hung
	for i := range objects {
		object := &objects[i]
		if object.Namespace == hanging {
			continue
		}
		outcome, err := r.bring(ctx, object, memory, look)
		result.add(object, outcome, err)
		if errors.Is(err, context.DeadlineExceeded) {
			if hanging != "" {
				break // it is not one namespace's webhook: so would be all others
			}
			hanging = object.Namespace
		}
	}
	lost := known.sample == nil && memory.failure == nil // there was nothing to write any more
	memory.unsaved = result.conflicted || result.err != nil || memory.unsaved && lost
	return result
}

// evidenceOf collects what the objects of a target are evaluated with.
func (r *Reconciler) evidenceOf(ctx context.Context, target alicloud.Target, memory *memory, observed bool) (evidence, error) {
	known := evidence{sample: r.sampleOf(target, memory), observed: observed}
	if known.details, known.lapsed = r.Details.of(target); known.details != nil && known.details.At.Before(memory.listenersChangedAt) {
		known.details = nil
	}
	var err error
	if known.places, err = r.Names.placesOf(ctx, target.RegionID, known.sample); err == nil {
		memory.held = nil
	}
	return known, err
}

// sampleOf returns the answer that is fresh, or waits to be evaluated; nil: none.
func (r *Reconciler) sampleOf(target alicloud.Target, memory *memory) *alicloud.Observation {
	sample := r.samples.fresh(target, r.Now())
	if sample == nil && memory.failure == nil {
		return memory.held
	}
	return sample
}

// comeBack decides when the target is looked at next.
func (r *Reconciler) comeBack(target alicloud.Target, plan plan, memory *memory, result updated) reconcile.Result {
	now := r.Now()
	if result.conflicted {
		return reconcile.Result{RequeueAfter: conflictDelay}
	}
	if len(plan.active) == 0 {
		return reconcile.Result{}
	}
	plan.stalled = result.stalled
	at := earliest(plan.due(target, memory, r.started), memory.recheckAt())
	if !memory.turnAt.IsZero() {
		at = memory.turnAt // credentials are looked up within the turn, not before
	}
	at = earliest(earliest(at, result.staleAt), memory.listenersAt)
	priority := routinePriority
	if plan.asked && !memory.turnAt.IsZero() {
		priority = 0 // in line for what somebody waits for
	}
	return reconcile.Result{RequeueAfter: max(at.Sub(now), time.Millisecond), Priority: &priority}
}

// tell makes events and counts transitions, after the status that records them is written.
func (r *Reconciler) tell(object *v1alpha1.LoadBalancerHealth, changes health.Transitions) {
	for i := range changes.Backends {
		if to := changes.Backends[i].To; to != "" && changes.Backends[i].From != "" {
			r.Metrics.BackendTurned(object, to)
		}
	}
	for _, notice := range noticesOf(changes) {
		notice.emit(r.Events, object)
	}
}

// objectsOf lists the objects of a target. They are the cache's own: read only.
func (r *Reconciler) objectsOf(ctx context.Context, target alicloud.Target) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := r.Client.List(ctx, &list, client.MatchingFields{targetIndex: target.String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the objects of %s: %w", target, err)
	}
	return list.Items, nil
}

// unlessStopping drops the error of work that the end of the process cut off:
// it is no failure, and status is the memory.
func unlessStopping(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	return err
}

// earliest is the earlier of two times, of which a zero one does not count.
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

// logFailure logs a failure once when its reason changes, and in detail every time.
func logFailure(ctx context.Context, previous, failure *alicloud.Error) {
	logger := log.FromContext(ctx)
	if previous != nil && previous.Kind == failure.Kind && previous.Code == failure.Code {
		logger = logger.V(1)
	}
	logger.Info("observation failed", "reason", failure.Kind, "code", failure.Code,
		"requestId", failure.RequestID, "message", failure.Message)
}
