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

func TestAnObjectThatCannotBeWrittenDoesNotHoldUpTheOthersOfItsService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webRequest.Name, nil)), newObject(ofService(webRequest.Name, nil))}, writeErr: errors.New("refused")}
	services, _ := newServiceReconciler(cluster, newClock())
	if _, err := services.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "the number of writes", cluster.writes, 2)
}

// Each would hold a worker for kubernetesTimeout.
func TestOneWriteThatHangsIsEnoughForTheObjectsOfAService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webRequest.Name, nil)), newObject(ofService(webRequest.Name, nil))}, writeErr: context.DeadlineExceeded}
	services, _ := newServiceReconciler(cluster, newClock())
	if _, err := services.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "the number of writes", cluster.writes, 1)
}
