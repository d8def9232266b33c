// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxOvertakes is how often in a row somebody else's write of the same object
// may come between before this write is left for later.
const maxOvertakes = 5

// writeStatus turns the stored status into next. It writes only on top of the
// status that next was decided from: on another, transitions that are already
// told would be told again. When somebody wrote something else of the object
// meanwhile, say a label, it writes on top of that.
func (r *Reconciler) writeStatus(ctx context.Context, stored *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) error {
	changes := statusPatch(&stored.Status, next)
	err := r.patchStatus(ctx, stored, stored.ResourceVersion, changes)
	for i := 0; i < maxOvertakes && isConflict(err); i++ {
		live := &v1alpha1.LoadBalancerHealth{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(stored), live); err != nil {
			return err
		}
		if live.UID != stored.UID || !apiequality.Semantic.DeepEqual(&live.Status, &stored.Status) {
			return err // the cache is behind a write of this process
		}
		if r.Selector != nil && !r.Selector.Matches(labels.Set(live.Labels)) {
			return apierrors.NewNotFound(schema.GroupResource{}, live.Name) // it went to another shard, which writes it now
		}
		err = r.patchStatus(ctx, stored, live.ResourceVersion, changes)
	}
	return err
}

// patchStatus sends a patch that holds for one resourceVersion only. The
// answer is wanted without the rows, which would be decoded for nothing.
func (r *Reconciler) patchStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, resourceVersion string, changes []operation) error {
	held := operation{Op: "replace", Path: "/metadata/resourceVersion", Value: resourceVersion}
	data, err := json.Marshal(append([]operation{held}, changes...))
	if err != nil {
		return fmt.Errorf("computing the patch: %w", err)
	}
	answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	answer.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	return r.Client.Status().Patch(ctx, answer, client.RawPatch(types.JSONPatchType, data))
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
