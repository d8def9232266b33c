// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// maxKindSamples bounds the backends that expectedState keeps of each kind. Beside
// virtual nodes one is not enough: pods on these are backends of every Service.
const maxKindSamples = 4

// expectedState is what this process keeps of a target to compare observations
// with what the cluster expects.
type expectedState struct {
	// absences are those of the last evaluation, by object.
	absences map[types.UID]health.Absences
	// kinds are samples of the last observation that had backends: they show
	// whether the backends are nodes or pods once the load balancer has none.
	kinds []alicloud.Backend
	// rows is the rowsID of that observation.
	rows uint64
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
		k := kind{b.Type == health.TypeENI, strings.Contains(b.ServerIP, ":")}
		if counts[k]++; counts[k] <= maxKindSamples {
			samples = append(samples, alicloud.Backend{Type: strings.Clone(b.Type), ServerIP: strings.Clone(b.ServerIP)})
		}
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
	if !absences.Any() {
		delete(s.absences, uid)
		return
	}
	if s.absences == nil {
		s.absences = map[types.UID]health.Absences{}
	}
	s.absences[uid] = absences
}

// keepOnly deletes the absences of all objects but these.
func (s *expectedState) keepOnly(objects []v1alpha1.LoadBalancerHealth) {
	deleteOthers(objects, s.absences)
}

// expectFor reads what the cluster expects behind the objects with a Service, by object.
func (r *Reconciler) expectFor(ctx context.Context, rec *reconciliation) (map[types.UID]*health.Expected, error) {
	if r.Expected == nil || rec.observation == nil {
		return nil, nil
	}
	var all map[types.UID]*health.Expected
	for i := range rec.objects {
		object := &rec.objects[i]
		if object.Spec.ServiceRef == nil || object.Spec.Suspend {
			continue
		}
		registered := rec.observation.Backends
		if len(registered) == 0 {
			registered = rec.state.expected.kinds
		}
		if len(registered) == 0 {
			registered = kindsIn(&object.Status)
		}
		expected, err := r.Expected.For(ctx, object, registered)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = map[types.UID]*health.Expected{}
		}
		all[object.UID] = expected
	}
	return all, nil
}
