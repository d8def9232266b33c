// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// ExpectedBackends reads what the cluster expects behind the Service or Ingress of an object.
type ExpectedBackends interface {
	// Reads reports whether the operator may read EndpointSlices.
	Reads() bool
	// For reads the cache. last is its last result for the object.
	For(ctx context.Context, object *v1alpha1.LoadBalancerHealth, registered cluster.Registered, last cluster.Expectation) (cluster.Expectation, error)
	// Confirm reads the Service and its endpoints past the cache.
	Confirm(ctx context.Context, object *v1alpha1.LoadBalancerHealth, registered cluster.Registered) (cluster.Expectation, error)
}

// maxKindSamples bounds the backends that expectedState keeps of each kind. Beside
// virtual nodes one is not enough: pods on these are backends of every Service.
const maxKindSamples = 4

// expectedState is what this process keeps of a target to compare observations
// with what the cluster expects.
type expectedState struct {
	// byObject are the objects with a Service or an Ingress.
	byObject map[types.UID]*expectedOf
	// kinds are samples of the last observation that had backends: they show
	// whether the backends are nodes or pods once the load balancer has none.
	kinds []alicloud.Backend
	// rows is the rowsID of that observation.
	rows uint64
}

// expectedOf is what the cluster expects for one object.
type expectedOf struct {
	expectation cluster.Expectation
	// absences are those of the last evaluation.
	absences health.Absences
}

// observed keeps samples of an observation that has backends, with its rowsID.
func (s *expectedState) observed(observation *alicloud.Observation, rows uint64) {
	if len(observation.Backends) > 0 && (s.rows != rows || s.kinds == nil) {
		s.kinds, s.rows = samplesOf(observation.Backends), rows
	}
}

// samplesOf returns the first backends of each kind: nodes, and pods by the family
// of their addresses. The samples share no memory with the observation.
func samplesOf(backends []alicloud.Backend) []alicloud.Backend {
	type kind struct{ isPod, isIPv6 bool }
	counts := make(map[kind]int, 3)
	var samples []alicloud.Backend
	for i := range backends {
		b := &backends[i]
		k := kind{health.IsAddress(b.Type), strings.Contains(b.ServerIP, ":")}
		if counts[k] == maxKindSamples {
			continue
		}
		counts[k]++
		samples = append(samples, alicloud.Backend{Type: strings.Clone(b.Type), ServerIP: strings.Clone(b.ServerIP)})
	}
	return samples
}

// kindsIn are samples from the status of an object, which an earlier process wrote.
func kindsIn(status *v1alpha1.LoadBalancerHealthStatus) []alicloud.Backend {
	var backends []alicloud.Backend
	for i := range status.Backends {
		backends = append(backends, alicloud.Backend{Type: status.Backends[i].Type, ServerIP: status.Backends[i].ServerIP})
	}
	if len(backends) > 0 {
		return samplesOf(backends)
	}
	for i := range status.MissingBackends {
		b := alicloud.Backend{Type: health.TypeECS, ServerIP: status.MissingBackends[i].ServerIP}
		if status.MissingBackends[i].ServerID == "" {
			b.Type = health.TypeENI
		}
		backends = append(backends, b)
	}
	return samplesOf(backends)
}

// evaluated keeps the absences of an evaluation, also of one whose status could not be written.
func (s *expectedState) evaluated(uid types.UID, absences health.Absences) {
	if kept := s.byObject[uid]; kept != nil {
		kept.absences = absences
	}
}

// of returns what is kept of an object.
func (s *expectedState) of(uid types.UID) *expectedOf {
	if s.byObject == nil {
		s.byObject = map[types.UID]*expectedOf{}
	}
	if s.byObject[uid] == nil {
		s.byObject[uid] = &expectedOf{}
	}
	return s.byObject[uid]
}

// keepOnly deletes what is kept of all objects but these.
func (s *expectedState) keepOnly(objects []v1alpha1.LoadBalancerHealth) {
	deleteOthers(objects, s.byObject)
}

// expect reads what the cluster expects behind the objects with a Service or an Ingress.
func (r *Reconciler) expect(ctx context.Context, rec *reconciliation) error {
	if r.Expected == nil || rec.observation == nil {
		return nil
	}
	for i := range rec.objects {
		object := &rec.objects[i]
		if !object.Spec.HasReference() || object.Spec.Suspend {
			continue
		}
		kept := rec.state.expected.of(object.UID)
		var err error
		if kept.expectation, err = r.Expected.For(ctx, object, rec.registered(object), kept.expectation); err != nil {
			return err
		}
	}
	return nil
}

// registered is what the load balancer has: the backends of the last observation that had any.
func (rec *reconciliation) registered(object *v1alpha1.LoadBalancerHealth) cluster.Registered {
	registered := rec.observation.Backends
	if len(registered) == 0 {
		registered = rec.state.expected.kinds
	}
	if len(registered) == 0 {
		registered = kindsIn(&object.Status)
	}
	return cluster.Registered{Backends: registered, Observation: rec.observation}
}

// confirmMissing reads past the cache what an object expects before its status says
// that backends are missing: while the watch is interrupted the cache keeps the pods of
// before. If they cannot be read, the status keeps what it says.
func (r *Reconciler) confirmMissing(ctx context.Context, object *v1alpha1.LoadBalancerHealth, e *evaluation) {
	kept := e.state.expected.byObject[object.UID]
	if kept == nil || !kept.absences.Any() { // no backend was absent before: none is missing yet
		return
	}
	turned := e.evaluate(object).Transitions.Registered
	if turned == nil || turned.Status != metav1.ConditionFalse {
		return
	}
	var err error
	if kept.expectation, err = r.Expected.Confirm(ctx, object, e.registered(object)); err != nil {
		log.FromContext(ctx).Info("which backends are missing is not confirmed", "reason", err.Error())
	}
}
