// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// maxConflicts is how many conflicts in a row one update retries on the live
// object before it returns the conflict.
const maxConflicts = 5

// StatusWriter updates the status of one object: it evaluates, writes a status that
// differs, confirms a write whose response was lost, and records the events.
// Both controllers write statuses through it.
type StatusWriter struct {
	// Client sends the writes.
	Client StatusUpdater
	// Live reads objects past the cache.
	Live client.Reader
	// Selector chooses the objects of this shard, as the cache does; nil: all.
	Selector labels.Selector
	// Events records transitions.
	Events EventRecorder
	// Metrics counts transitions of backends.
	Metrics TransitionCounter
}

// StatusUpdater sends one write.
type StatusUpdater interface {
	// UpdateStatus replaces the status of an object, provided that the stored one has
	// the object's resourceVersion: else it returns a conflict. It returns the new one.
	UpdateStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) (version string, err error)
}

// TransitionCounter counts what a written status reports.
type TransitionCounter interface {
	// BackendTransitioned counts a transition of a backend of an object to a status.
	BackendTransitioned(object *v1alpha1.LoadBalancerHealth, to string)
}

// evaluator decides the next status of an object. It is called again for the
// live object after a conflict.
type evaluator interface {
	evaluate(object *v1alpha1.LoadBalancerHealth) health.Outcome
}

// update evaluates an object and writes its status if that changed, then
// records the transitions. The write applies only to the resourceVersion that
// was evaluated: on top of another one it would record transitions twice. When
// the cache lags behind this process's own write, as while the watch is down,
// and on a conflict, it evaluates the live object, so nothing delays a status.
func (w *StatusWriter) update(ctx context.Context, object *v1alpha1.LoadBalancerHealth, writes *writeHistory, e evaluator) (outcome health.Outcome, err error) {
	for conflicts := 0; ; conflicts++ {
		if isConflict(err) || writes.newerThan(object) {
			if object, err = w.read(ctx, object); err != nil {
				return outcome, err
			}
			if w.Selector != nil && !w.Selector.Matches(labels.Set(object.Labels)) {
				return outcome, nil // the object moved to another shard, which writes it now
			}
			w.confirm(object, writes)
		}
		if outcome = e.evaluate(object); !outcome.Write {
			return outcome, nil
		}
		var version string
		version, err = w.Client.UpdateStatus(ctx, object, &outcome.Status)
		switch {
		case err == nil:
			writes.wrote(object, version)
			w.record(object, outcome.Transitions)
			return outcome, nil
		case !isConflict(err):
			writes.lost(object, outcome)
			return outcome, err
		case conflicts == maxConflicts:
			return outcome, err
		}
	}
}

// confirm records the transitions of an unconfirmed write if the live object
// shows that it succeeded.
func (w *StatusWriter) confirm(live *v1alpha1.LoadBalancerHealth, writes *writeHistory) {
	write, found := writes.unconfirmed[live.UID]
	if !found {
		return
	}
	delete(writes.unconfirmed, live.UID)
	if health.Contains(&live.Status, &write.status) {
		w.record(live, write.transitions)
	}
}

// read reads an object past the cache. It returns a conflict when the object
// was edited or replaced, or its Service has another load balancer: that is
// work for another reconcile.
func (w *StatusWriter) read(ctx context.Context, object *v1alpha1.LoadBalancerHealth) (*v1alpha1.LoadBalancerHealth, error) {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	live := &v1alpha1.LoadBalancerHealth{}
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return nil, err
	}
	before, _ := TargetOf(object)
	if now, _ := TargetOf(live); live.UID != object.UID || live.Generation != object.Generation || now != before {
		return nil, apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("loadbalancerhealths").GroupResource(), object.Name, errEdited)
	}
	return live, nil
}

var errEdited = errors.New("it was edited in the meantime")

// record records events and counts transitions, after their status is written.
func (w *StatusWriter) record(object *v1alpha1.LoadBalancerHealth, transitions health.Transitions) {
	for i := range transitions.Backends {
		if t := &transitions.Backends[i]; t.To != "" && t.From != "" {
			w.Metrics.BackendTransitioned(object, t.To)
		}
	}
	for _, event := range eventsOf(transitions) {
		event.record(w.Events, object)
	}
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }

// writeHistory is what this process wrote to the objects of one key and the
// cache may not show yet.
type writeHistory struct {
	// unsaved is true when a status could not be written.
	unsaved bool
	// unconfirmed are the writes whose response was lost, by object.
	unconfirmed map[types.UID]unconfirmedWrite
	// written are the resourceVersions of the last writes, by object, until the
	// cache shows them.
	written map[types.UID]string
}

// unconfirmedWrite is a write that may have succeeded.
type unconfirmedWrite struct {
	status      v1alpha1.LoadBalancerHealthStatus
	transitions health.Transitions
}

// lost adds a write that failed without a conflict: it may have succeeded.
func (h *writeHistory) lost(object *v1alpha1.LoadBalancerHealth, outcome health.Outcome) {
	if h.unconfirmed == nil {
		h.unconfirmed = map[types.UID]unconfirmedWrite{}
	}
	h.unconfirmed[object.UID] = unconfirmedWrite{outcome.Status, outcome.Transitions}
}

// wrote adds a write that succeeded.
func (h *writeHistory) wrote(object *v1alpha1.LoadBalancerHealth, version string) {
	if h.written == nil {
		h.written = map[types.UID]string{}
	}
	h.written[object.UID] = version
	delete(h.unconfirmed, object.UID)
}

// keepOnly deletes the writes of all objects but these.
func (h *writeHistory) keepOnly(objects []v1alpha1.LoadBalancerHealth) {
	deleteOthers(objects, h.written)
	deleteOthers(objects, h.unconfirmed)
}

// deleteOthers deletes the entries of all objects but these.
func deleteOthers[V any](objects []v1alpha1.LoadBalancerHealth, byUID map[types.UID]V) {
	if len(byUID) == 0 {
		return
	}
	existing := make(map[types.UID]struct{}, len(objects))
	for i := range objects {
		existing[objects[i].UID] = struct{}{}
	}
	maps.DeleteFunc(byUID, func(uid types.UID, _ V) bool { _, ok := existing[uid]; return !ok })
}

// newerThan reports whether this process wrote, or may have written, a newer
// status than an object of the cache has. On the older one a transition and its
// reverse would cancel out.
func (h *writeHistory) newerThan(object *v1alpha1.LoadBalancerHealth) bool {
	if _, found := h.unconfirmed[object.UID]; found {
		return true
	}
	version, found := h.written[object.UID]
	if !found {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, version); err == nil && order < 0 {
		return true
	}
	delete(h.written, object.UID)
	return false
}
