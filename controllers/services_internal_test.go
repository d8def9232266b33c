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

var webService = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "web"}}

func TestAnObjectThatCannotBeWrittenDoesNotHoldUpTheOthersOfItsService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webService.Name, nil)), newObject(ofService(webService.Name, nil))}, writeErr: errors.New("refused")}
	r, _ := newReconciler(cluster, &fakeAPI{}, newClock())
	services := &ServiceReconciler{Reconciler: r}
	if _, err := services.Reconcile(t.Context(), webService); err == nil {
		t.Error("nobody tries again")
	}
	equal(t, "the number of writes", cluster.writes, 2)
}

// Each would hold a worker for kubernetesTimeout.
func TestOneWriteThatHangsIsEnoughForTheObjectsOfAService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webService.Name, nil)), newObject(ofService(webService.Name, nil))}, writeErr: context.DeadlineExceeded}
	r, _ := newReconciler(cluster, &fakeAPI{}, newClock())
	services := &ServiceReconciler{Reconciler: r}
	if _, err := services.Reconcile(t.Context(), webService); err == nil {
		t.Error("nobody tries again")
	}
	equal(t, "the number of writes", cluster.writes, 1)
}
