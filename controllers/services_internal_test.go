// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var (
	errQuota   = errors.New("exceeded quota")
	webService = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "web"}}
)

// quotaCluster has a Service that asks for an object, and no room for one.
type quotaCluster struct{ fakeCluster }

func (c *quotaCluster) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if service, ok := object.(*metav1.PartialObjectMetadata); ok {
		service.Namespace, service.Name = key.Namespace, key.Name
		service.Annotations = map[string]string{v1alpha1.MonitorAnnotation: "true"}
		service.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"}
		return nil
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "loadbalancerhealths"}, key.Name)
}

func (*quotaCluster) Create(context.Context, client.Object, ...client.CreateOption) error {
	return errQuota
}

func TestAnObjectThatCannotBeWrittenDoesNotHoldUpTheOthersOfItsService(t *testing.T) {
	cluster := &fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webService.Name, nil)), newObject(ofService(webService.Name, nil))}, writeErr: errors.New("refused")}
	r, _ := newReconciler(cluster, &fakeAPI{}, newClock())
	services := &ServiceReconciler{Reconciler: r}
	if _, err := services.Reconcile(t.Context(), webService); err == nil {
		t.Error("nobody tries again")
	}
	equal(t, "the number of writes", cluster.writes, 2)
}

// The object that a Service asks for may be refused, by a quota or a policy.
func TestAnObjectThatCannotBeMadeDoesNotHoldUpTheOthersOfItsService(t *testing.T) {
	cluster := &quotaCluster{fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(ofService(webService.Name, nil))}}}
	r, _ := newReconciler(&cluster.fakeCluster, &fakeAPI{}, newClock())
	r.Client = cluster
	services := &ServiceReconciler{Reconciler: r, Enabled: true, RegionID: "cn-hangzhou"}
	if _, err := services.Reconcile(t.Context(), webService); !errors.Is(err, errQuota) {
		t.Errorf("got %v", err)
	}
	equal(t, "the number of writes", cluster.writes, 1)
}
