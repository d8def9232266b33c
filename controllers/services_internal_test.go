// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
	if service, ok := object.(*corev1.Service); ok {
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

// movedCluster has a Service that asks no more, and went to another shard than
// the object that was made for it.
type movedCluster struct {
	fakeCluster
	deleted int
}

func (c *movedCluster) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	c.deleted++
	return nil
}

func TestTheObjectOfAServiceGoesWhereverTheServiceWent(t *testing.T) {
	cluster := &movedCluster{fakeCluster: fakeCluster{objects: []v1alpha1.LoadBalancerHealth{newObject(func(o *v1alpha1.LoadBalancerHealth) {
		o.Labels = map[string]string{"shard": "a"}
		o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: kindService, Name: "web", UID: "uid-service", Controller: new(true)}}
	})}}}
	r, _ := newReconciler(&cluster.fakeCluster, &fakeAPI{}, newClock())
	r.Client, r.Selector = cluster, labels.SelectorFromSet(labels.Set{"shard": "a"})
	services := &ServiceReconciler{Reconciler: r, Enabled: true, RegionID: "cn-hangzhou"}
	if err := services.monitor(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: "prod", Name: "web", UID: "uid-service", Labels: map[string]string{"shard": "b"},
	}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of objects deleted", cluster.deleted, 1)
}
