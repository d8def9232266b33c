// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// evaluation is what the objects of a target are evaluated with.
type evaluation struct {
	*reconciliation
	locations health.Locations
	// listeners are newer than the last observation whose listeners changed; nil: unknown.
	listeners *alicloud.ListenerDetails
	// lapsed is true when the listeners in the statuses are too old to count.
	lapsed bool
	// ports are the listeners that the Services of objects define, by object.
	ports   map[types.UID][]health.ServicePort
	at      time.Time
	options health.Options
}

// newEvaluation reads what an evaluation needs beside the observation.
func (r *Reconciler) newEvaluation(ctx context.Context, rec *reconciliation) (*evaluation, error) {
	e := &evaluation{reconciliation: rec, options: r.Options}
	listeners, lapsed := r.Details.of(rec.target)
	if e.lapsed = lapsed; listeners != nil && !listeners.At.Before(rec.state.listeners.changedAt) {
		e.listeners = listeners
	}
	var err error
	if e.locations, err = r.Locator.Locate(ctx, rec.target.RegionID, rec.observation); err != nil {
		return nil, err
	}
	for i := range rec.objects {
		// The cache returns the ports: with an error they are unknown.
		if ports, _ := r.Ports.For(ctx, &rec.objects[i]); ports != nil {
			if e.ports == nil {
				e.ports = map[types.UID][]health.ServicePort{}
			}
			e.ports[rec.objects[i].UID] = ports
		}
	}
	if err := r.expect(ctx, rec); err != nil {
		return nil, err
	}
	e.at = r.Now()
	return e, nil
}

// evaluate implements evaluator.
func (e *evaluation) evaluate(object *v1alpha1.LoadBalancerHealth) health.Outcome {
	return health.Evaluate(object, e.inputFor(object), e.at, e.options)
}

// inputFor is what is known for one object: the last failure, or an observation
// that covers the listeners in the object's spec. A failure from before an edit says
// nothing of the edited object.
func (e *evaluation) inputFor(object *v1alpha1.LoadBalancerHealth) health.Input {
	failures := &e.state.failures
	input := health.Input{
		Details: e.listeners, DetailsLapsed: e.lapsed, ServicePorts: e.ports[object.UID],
		Since:          e.state.firstSeenAt,
		LastObservedAt: e.state.lastObservedAt(),
		FailingSince:   failures.since,
		SameKindInARow: failures.sameKindInARow,
		SameKindSince:  failures.sameKindSince,
	}
	switch {
	case failures.last != nil && (e.observed || !health.Edited(object) || e.state.failedSince(object)):
		input.Failure = failures.last
	case failures.last == nil && e.observation != nil && e.observation.Scope.Covers(health.ScopeOf(&object.Spec)):
		input.Observation, input.Locations = e.observation, e.locations
	}
	if kept := e.state.expected.byObject[object.UID]; kept != nil {
		input.Expected, input.Absences = kept.expectation.Expected, kept.absences
	}
	if request, pending := pendingRequest(object); pending && e.state.requests[object.UID].request == request {
		input.ObserveRequest = request
	}
	return input
}
