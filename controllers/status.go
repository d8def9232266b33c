// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
// another, transitions that are told already would be told again. Where the
// cache is behind, as while the watch is cut, and on a conflict it decides from
// the live object, so that nothing holds a status up.
func (r *Reconciler) bring(ctx context.Context, object *v1alpha1.LoadBalancerHealth, memory *memory, look func(*v1alpha1.LoadBalancerHealth) health.Outcome) (outcome health.Outcome, err error) {
	for overtakes := 0; ; overtakes++ {
		if isConflict(err) || memory.ahead(object) {
			if object, err = r.live(ctx, object); err != nil {
				return outcome, err
			}
			if r.Selector != nil && !r.Selector.Matches(labels.Set(object.Labels)) {
				return outcome, nil // it went to another shard, which writes it now
			}
			r.settle(object, memory)
		}
		if outcome = look(object); !outcome.Write {
			return outcome, nil
		}
		err = r.patchStatus(ctx, object, memory, statusPatch(&object.Status, &outcome.Status))
		switch {
		case err == nil:
			r.tell(object, outcome.Transitions)
			return outcome, nil
		case !isConflict(err):
			memory.doubt(object, outcome)
			return outcome, err
		case overtakes == maxOvertakes:
			return outcome, err
		}
	}
}

// doubt is an unconfirmed write: its response was lost.
type doubt struct {
	status  v1alpha1.LoadBalancerHealthStatus
	changes health.Transitions
}

// settle records the events of an unconfirmed write if the live object shows
// that it got through.
func (r *Reconciler) settle(live *v1alpha1.LoadBalancerHealth, memory *memory) {
	d, doubted := memory.doubts[live.UID]
	if !doubted {
		return
	}
	delete(memory.doubts, live.UID)
	if health.Contains(&live.Status, &d.status) {
		r.tell(live, d.changes)
	}
}

// live reads an object past the cache. One that was edited meanwhile, or
// replaced by another, or whose Service has another load balancer, is work of
// its own: a conflict.
func (r *Reconciler) live(ctx context.Context, object *v1alpha1.LoadBalancerHealth) (*v1alpha1.LoadBalancerHealth, error) {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	live := &v1alpha1.LoadBalancerHealth{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return nil, err
	}
	was, _ := TargetOf(object)
	if is, _ := TargetOf(live); live.UID != object.UID || live.Generation != object.Generation || is != was {
		return nil, apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("loadbalancerhealths").GroupResource(), object.Name, errEdited)
	}
	return live, nil
}

var errEdited = errors.New("it was edited meanwhile")

// patchStatus sends a patch that holds for the object's resourceVersion only.
// The answer is wanted without the rows, which would be decoded for nothing.
func (r *Reconciler) patchStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, memory *memory, changes []operation) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	held := operation{Op: "replace", Path: "/metadata/resourceVersion", Value: object.ResourceVersion}
	data, err := json.Marshal(append([]operation{held}, changes...))
	if err != nil {
		return fmt.Errorf("computing the patch: %w", err)
	}
	answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	answer.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	if err := r.Client.Status().Patch(ctx, answer, client.RawPatch(types.JSONPatchType, data)); err != nil {
		return err
	}
	memory.wrote(object, answer.ResourceVersion)
	return nil
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
