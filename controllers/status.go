// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// writeStatus patches what differs between the stored status and next. The
// patch holds the resourceVersion that next was decided from: were it older
// than what is stored, transitions that are already told would be told again.
func (r *Reconciler) writeStatus(ctx context.Context, stored *v1alpha1.LoadBalancerHealth, next v1alpha1.LoadBalancerHealthStatus) error {
	modified := *stored
	modified.Status = next
	merge := client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})
	data, err := merge.Data(&modified)
	if err != nil {
		return fmt.Errorf("computing the patch: %w", err)
	}
	// The answer is decoded into an object of its own: stored is the cache's.
	answer := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: stored.Namespace, Name: stored.Name}}
	return r.Client.Status().Patch(ctx, answer, client.RawPatch(merge.Type(), data))
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
