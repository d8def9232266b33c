// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// serviceIndex finds the objects that reference a Service.
const serviceIndex = "service"

// ServiceReconciler writes the load balancer of a Service into
// status.serviceLoadBalancer of the objects that reference the Service, and
// creates objects for the Services that have one. It does not observe: once its
// Service has a load balancer, an object is to the Reconciler like any other.
type ServiceReconciler struct {
	// Client reads from the cache, and writes objects.
	Client client.Client
	// Live reads objects past the cache.
	Live client.Reader
	// Selector chooses the objects of this shard, as the cache does; nil: all.
	Selector labels.Selector
	// Status writes the objects' statuses.
	Status *StatusWriter
	// Events records that an object was created or deleted, or why it cannot be created.
	Events EventRecorder
	// Enabled is true when the operator may read Services and nodes. Otherwise the
	// objects that reference a Service report it.
	Enabled bool
	// MonitorAll is --monitor=all: each Service with a load balancer has an object,
	// unless its annotation opts out. Otherwise the annotation requests it.
	MonitorAll bool
	// RegionID is the region of every Service's load balancer; "": that of the nodes.
	RegionID string
	// Schema knows which fields the CustomResourceDefinition lacks; nil: none.
	Schema *Schema
	// Options decide what is written.
	Options health.Options
	// Now is the clock.
	Now func() time.Time

	references referenceStates
	refusals   refusals
	states     monitorStates
}

// Allowed returns an error when the operator may not list a kind that it needs.
func (s *ServiceReconciler) Allowed(ctx context.Context, reader client.Reader, namespaces []string) error {
	for _, kind := range s.cachedKinds() {
		// The cache retries after any other error.
		if err := cluster.CanList(ctx, reader, kind.name, namespaces); apierrors.IsForbidden(err) {
			return fmt.Errorf("--service-discovery: %w: apply config/service-discovery, or remove the flag", err)
		}
	}
	return nil
}

// SetupWithManager adds the controller to a manager.
func (s *ServiceReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := indexReferences(ctx, mgr, serviceIndex, v1alpha1.ReferenceService); err != nil {
		return err
	}
	b := builder.ControllerManagedBy(mgr).
		Named("service").
		Watches(&v1alpha1.LoadBalancerHealth{}, handler.EnqueueRequestsFromMapFunc(servicesOf), builder.WithPredicates(needsReconcile())).
		WithOptions(referenceOptions())
	for _, kind := range s.cachedKinds() {
		// Before the manager starts, so that a standby has them, too.
		if _, err := mgr.GetCache().GetInformer(ctx, kind.object, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	if s.Enabled {
		b = b.Watches(&corev1.Service{}, &handler.EnqueueRequestForObject{})
	}
	return b.Complete(s)
}

// cachedKind is a kind that the reconciler reads from the cache to find load balancers.
type cachedKind struct {
	name   string
	object client.Object
}

func (s *ServiceReconciler) cachedKinds() []cachedKind {
	if !s.Enabled {
		return nil
	}
	kinds := []cachedKind{{cluster.KindService, &corev1.Service{}}}
	if s.RegionID == "" {
		kinds = append(kinds, cachedKind{cluster.KindNode, &corev1.Node{}})
	}
	return kinds
}

// servicesOf returns the Service in an object's spec, and the one that owns it.
func servicesOf(_ context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	add := func(name string) {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}})
	}
	if service := object.(*v1alpha1.LoadBalancerHealth).Spec.ServiceRef; service != nil {
		add(service.Name)
	}
	if owner := metav1.GetControllerOf(object); owner != nil && owner.APIVersion == "v1" && owner.Kind == cluster.KindService {
		add(owner.Name)
	}
	return requests
}

// Reconcile implements reconcile.Reconciler.
func (s *ServiceReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	service, err := s.service(ctx, request.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	var retry time.Duration
	var failed error // of the Service's own object, and not of the others that reference it
	if service == nil {
		s.refusals.forget(request.NamespacedName)
		s.states.set(request.NamespacedName, "")
	} else {
		retry, failed = s.monitor(ctx, service)
	}
	result, err := s.discovery().reconcile(ctx, request.NamespacedName, func() (health.Discovery, error) {
		return s.discover(ctx, request.NamespacedName, service)
	})
	if err = errors.Join(failed, err); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	if result.RequeueAfter == 0 || retry > 0 && retry < result.RequeueAfter {
		result.RequeueAfter = retry
	}
	return result, nil
}

// discovery is what finds load balancers for the objects that reference Services.
func (s *ServiceReconciler) discovery() *referenceDiscovery {
	return &referenceDiscovery{client: s.Client, status: s.Status, index: serviceIndex, states: &s.references, options: s.Options, now: s.Now}
}

// service reads a Service from the cache; nil when it does not exist, or when the
// operator may not read Services.
func (s *ServiceReconciler) service(ctx context.Context, key types.NamespacedName) (*corev1.Service, error) {
	if !s.Enabled {
		return nil, nil
	}
	service := &corev1.Service{}
	if err := s.Client.Get(ctx, key, service); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return service, nil
}

// discover finds the load balancer of a Service, or says why it has none.
func (s *ServiceReconciler) discover(ctx context.Context, key types.NamespacedName, service *corev1.Service) (health.Discovery, error) {
	switch {
	case !s.Enabled:
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "spec.serviceRef needs an operator that runs with --service-discovery: set the flag, or replace spec.serviceRef by loadBalancerId and regionId"}}, nil
	case s.Schema.Lacks(fieldServiceLoadBalancer):
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: outdatedFor(fieldServiceLoadBalancer)}}, nil
	case service == nil:
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: fmt.Sprintf("Service %s does not exist: create it, or correct spec.serviceRef.name", key)}}, nil
	}
	regions, err := regionsOf(ctx, s.Client, s.RegionID)
	if err != nil {
		return health.Discovery{}, fmt.Errorf("the region of Service %s: %w", key, err)
	}
	return cluster.LoadBalancer(key, service.Labels[v1alpha1.ServiceLoadBalancerLabel], regions), nil
}
