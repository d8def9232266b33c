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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// serviceIndex finds the objects that name a Service.
const serviceIndex = "service"

// serviceConcurrency is how many Services are worked on at once. It takes no
// call to Alibaba Cloud, and mostly nothing to write.
const serviceConcurrency = 4

// ServiceReconciler keeps status.serviceLoadBalancer of the objects that name a
// Service what the Service says, and makes objects for the Services that ask for
// one. Observing is the Reconciler's: an object whose Service has a load
// balancer is to it an object like any other.
type ServiceReconciler struct {
	// Reconciler writes the statuses.
	*Reconciler
	// Enabled tells whether Services and nodes may be read. If not, objects that
	// name one say so.
	Enabled bool
	// RegionID is the region of every Service's load balancer; "": that of the nodes.
	RegionID string
	// Schema tells what the CustomResourceDefinition lacks; nil: nothing.
	Schema *Schema

	services memories[types.NamespacedName]
	refusals refusals
}

// Allowed returns an error where what Services need may not be watched.
func (s *ServiceReconciler) Allowed(ctx context.Context, reader client.Reader, namespaces []string) error {
	for _, kind := range s.reads() {
		// What else goes wrong is for the cache to try again.
		if err := mayList(ctx, reader, kind.name, namespaces); apierrors.IsForbidden(err) {
			return fmt.Errorf("--service-discovery: %w: apply config/service-discovery, or leave the flag out", err)
		}
	}
	return nil
}

// SetupWithManager adds the controller to a manager.
func (s *ServiceReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.LoadBalancerHealth{}, serviceIndex, func(object client.Object) []string {
		if service := object.(*v1alpha1.LoadBalancerHealth).Spec.ServiceRef; service != nil {
			return []string{service.Name}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b := builder.ControllerManagedBy(mgr).
		Named("service").
		Watches(&v1alpha1.LoadBalancerHealth{}, handler.EnqueueRequestsFromMapFunc(servicesOf), builder.WithPredicates(asksForWork())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: serviceConcurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
			ReconciliationTimeout:   time.Minute,
		})
	for _, kind := range s.reads() {
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

// kind is one of objects that are read to find load balancers.
type kind struct {
	name   string
	object client.Object
}

func (s *ServiceReconciler) reads() []kind {
	if !s.Enabled {
		return nil
	}
	kinds := []kind{{kindService, &corev1.Service{}}}
	if s.RegionID == "" {
		kinds = append(kinds, kind{kindNode, &corev1.Node{}})
	}
	return kinds
}

// servicesOf are the Services that an object names, and that own it.
func servicesOf(_ context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	add := func(name string) {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}})
	}
	if service := object.(*v1alpha1.LoadBalancerHealth).Spec.ServiceRef; service != nil {
		add(service.Name)
	}
	if owner := metav1.GetControllerOf(object); owner != nil && owner.APIVersion == "v1" && owner.Kind == kindService {
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
	var failed error // others that name the Service have nothing to do with it
	if service == nil {
		s.refusals.forget(request.NamespacedName)
	} else {
		retry, failed = s.monitor(ctx, service)
	}
	result, err := s.follow(ctx, request, service)
	if err = errors.Join(failed, err); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	if result.RequeueAfter == 0 || retry > 0 && retry < result.RequeueAfter {
		result.RequeueAfter = retry
	}
	return result, nil
}

// follow brings what a Service says into the objects that name it.
func (s *ServiceReconciler) follow(ctx context.Context, request reconcile.Request, service *corev1.Service) (reconcile.Result, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := s.Client.List(ctx, &list, client.InNamespace(request.Namespace), client.MatchingFields{serviceIndex: request.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the objects of Service %s: %w", request, err)
	}
	if len(list.Items) == 0 {
		s.services.forget(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	found, err := s.discover(ctx, request.NamespacedName, service)
	if err != nil {
		return reconcile.Result{}, err
	}
	return s.bringAll(ctx, request.NamespacedName, list.Items, found)
}

// bringAll brings what came of the search into the objects' statuses.
func (s *ServiceReconciler) bringAll(ctx context.Context, service types.NamespacedName, objects []v1alpha1.LoadBalancerHealth, d health.Discovery) (reconcile.Result, error) {
	memory, now := s.services.of(service), s.Now()
	memory.keepOnly(objects)
	var again time.Time
	if d.Failure == nil {
		memory.failure = nil
	} else {
		logFailure(ctx, memory.failure, d.Failure)
		memory.failed(d.Failure, now)
		d.FailingSince = memory.failingSince
		again = now.Add(health.DefaultInterval) // nodes are not watched
	}
	look := func(object *v1alpha1.LoadBalancerHealth) health.Outcome {
		return health.Discover(object, d, now, s.Options)
	}
	var unwritten error
	for i := range objects {
		outcome, err := s.bring(ctx, &objects[i], memory, look)
		switch {
		case isConflict(err):
			again = earliest(again, now.Add(conflictDelay))
		case client.IgnoreNotFound(err) != nil:
			unwritten = errors.Join(unwritten, fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(&objects[i]), err))
		}
		if errors.Is(err, context.DeadlineExceeded) {
			break // so would be the others: they are of one namespace
		}
		again = earliest(again, outcome.StaleAt)
	}
	if unwritten != nil || again.IsZero() {
		return reconcile.Result{}, unwritten
	}
	return reconcile.Result{RequeueAfter: max(again.Sub(now), time.Millisecond)}, nil
}

// service reads a Service, as slim as the cache holds it; nil when there is none, or Services may not be read.
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
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "spec.serviceRef needs an operator that runs with --service-discovery: start it so, or write loadBalancerId and regionId in its place"}}, nil
	case s.Schema.Lacks(fieldServiceLoadBalancer):
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: outdatedFor(fieldServiceLoadBalancer)}}, nil
	case service == nil:
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: fmt.Sprintf("Service %s does not exist: create it, or name another one in spec.serviceRef", key)}}, nil
	}
	regions := []string{s.RegionID}
	if s.RegionID == "" {
		var nodes corev1.NodeList
		if err := s.Client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
			return health.Discovery{}, fmt.Errorf("listing nodes for the region of Service %s: %w", key, err)
		}
		regions = regionsOf(nodes.Items)
	}
	return loadBalancerOf(key, service.Labels[v1alpha1.ServiceLoadBalancerLabel], regions), nil
}
