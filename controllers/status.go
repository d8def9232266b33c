// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	// maxOvertakes is how often in a row somebody else's write of the same
	// object may come between before this write is left for later.
	maxOvertakes = 5
	// kubernetesTimeout bounds one request to Kubernetes. While etcd is away
	// the API server holds a write for a minute, and with it a worker.
	kubernetesTimeout = 10 * time.Second
)

// bring evaluates an object, writes its status if that changed, then tells
// what did. It writes only on top of the status that it decided from: on
// another, transitions that are told already would be told again. On a
// conflict it decides again from the live object, so that neither what others
// write of the object nor a cache that lags, as while the watch is cut, holds
// a status up.
func (r *Reconciler) bring(ctx context.Context, object *v1alpha1.LoadBalancerHealth, memory *memory, look func(*v1alpha1.LoadBalancerHealth) health.Outcome) (health.Outcome, error) {
	for overtakes := 0; ; overtakes++ {
		r.settle(object, memory)
		outcome := look(object)
		if !outcome.Write {
			return outcome, nil
		}
		err := r.patchStatus(ctx, object, statusPatch(&object.Status, &outcome.Status))
		switch {
		case err == nil:
			delete(memory.doubts, object.UID)
			r.tell(object, outcome.Changes)
			return outcome, nil
		case !isConflict(err):
			memory.doubt(object, outcome)
			return outcome, err
		case overtakes == maxOvertakes:
			return outcome, err
		}
		live, liveErr := r.live(ctx, object)
		if liveErr != nil {
			return outcome, liveErr
		}
		if live.UID != object.UID || live.Generation != object.Generation {
			return outcome, err // another object, or edited: work of its own
		}
		if r.Selector != nil && !r.Selector.Matches(labels.Set(live.Labels)) {
			return outcome, nil // it went to another shard, which writes it now
		}
		object = live
	}
}

// doubt is a write that may have got through: its answer was lost.
type doubt struct {
	over    string // the resourceVersion that it was to replace
	status  v1alpha1.LoadBalancerHealthStatus
	changes health.Changes
}

// settle tells what a write in doubt recorded if it turns out that it got through.
func (r *Reconciler) settle(object *v1alpha1.LoadBalancerHealth, memory *memory) {
	d, doubted := memory.doubts[object.UID]
	if !doubted || d.over == object.ResourceVersion {
		return
	}
	delete(memory.doubts, object.UID)
	if apiequality.Semantic.DeepEqual(&object.Status, &d.status) {
		r.tell(object, d.changes)
	}
}

// live reads an object past the cache.
func (r *Reconciler) live(ctx context.Context, object *v1alpha1.LoadBalancerHealth) (*v1alpha1.LoadBalancerHealth, error) {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	live := &v1alpha1.LoadBalancerHealth{}
	return live, r.Live.Get(ctx, client.ObjectKeyFromObject(object), live)
}

// patchStatus sends a patch that holds for the object's resourceVersion only.
// The answer is wanted without the rows, which would be decoded for nothing.
func (r *Reconciler) patchStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, changes []operation) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	held := operation{Op: "replace", Path: "/metadata/resourceVersion", Value: object.ResourceVersion}
	data, err := json.Marshal(append([]operation{held}, changes...))
	if err != nil {
		return fmt.Errorf("computing the patch: %w", err)
	}
	answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	answer.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	return r.Client.Status().Patch(ctx, answer, client.RawPatch(types.JSONPatchType, data))
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
