// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var webRequest = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "web"}}

func TestFailedWriteDoesNotDelayOthersOfItsService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(withServiceRef(webRequest.Name, nil)), newObject(withServiceRef(webRequest.Name, nil))}, writeErr: errors.New("refused")}
	services, _ := newServiceReconciler(cluster, newClock())
	if _, err := services.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "the number of writes", cluster.writes, 2)
}

// Each would block a worker for kubernetesTimeout.
func TestHangingWriteSkipsOthersOfItsService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(withServiceRef(webRequest.Name, nil)), newObject(withServiceRef(webRequest.Name, nil))}, writeErr: context.DeadlineExceeded}
	services, _ := newServiceReconciler(cluster, newClock())
	if _, err := services.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "the number of writes", cluster.writes, 1)
}
