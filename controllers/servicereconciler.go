// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// serviceIndex finds the objects that reference a Service.
const serviceIndex = "service"

// serviceConcurrency is how many Services are reconciled at once. A reconcile
// makes no call to Alibaba Cloud, and seldom a write.
const serviceConcurrency = 4

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

	services serviceStates
	refusals refusals
	states   monitorStates
}

// serviceState is what this process keeps of a Service. Only the worker of the
// Service's key uses it.
type serviceState struct {
	failures failureHistory
	writes   writeHistory
}

// serviceStates is the state of every Service with objects.
type serviceStates struct {
	byService sync.Map // types.NamespacedName to *serviceState
}

func (s *serviceStates) get(key types.NamespacedName) *serviceState {
	found, _ := s.byService.LoadOrStore(key, &serviceState{})
	return found.(*serviceState)
}

func (s *serviceStates) delete(key types.NamespacedName) { s.byService.Delete(key) }

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
		Watches(&v1alpha1.LoadBalancerHealth{}, handler.EnqueueRequestsFromMapFunc(servicesOf), builder.WithPredicates(needsReconcile())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: serviceConcurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
			ReconciliationTimeout:   time.Minute,
		})
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
	result, err := s.discoverFor(ctx, request, service)
	if err = errors.Join(failed, err); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	if result.RequeueAfter == 0 || retry > 0 && retry < result.RequeueAfter {
		result.RequeueAfter = retry
	}
	return result, nil
}

// discoverFor finds the load balancer of a Service for the objects that reference it.
func (s *ServiceReconciler) discoverFor(ctx context.Context, request reconcile.Request, service *corev1.Service) (reconcile.Result, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := s.Client.List(ctx, &list, client.InNamespace(request.Namespace), client.MatchingFields{serviceIndex: request.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the objects of Service %s: %w", request, err)
	}
	if len(list.Items) == 0 {
		s.services.delete(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	found, err := s.discover(ctx, request.NamespacedName, service)
	if err != nil {
		return reconcile.Result{}, err
	}
	return s.updateStatuses(ctx, request.NamespacedName, list.Items, found)
}

// updateStatuses writes what was found into the statuses of a Service's objects.
func (s *ServiceReconciler) updateStatuses(ctx context.Context, service types.NamespacedName, objects []v1alpha1.LoadBalancerHealth, found health.Discovery) (reconcile.Result, error) {
	state, now := s.services.get(service), s.Now()
	state.writes.keepOnly(objects)
	var requeueAt time.Time
	if found.Failure == nil {
		state.failures = failureHistory{}
	} else {
		logFailure(ctx, state.failures.last, found.Failure)
		state.failures.add(found.Failure, now)
		found.FailingSince = state.failures.since
		requeueAt = now.Add(health.DefaultInterval) // the operator does not watch nodes for this
	}
	evaluator := discoveryEvaluator{found, now, s.Options}
	var failed error
	for i := range objects {
		outcome, err := s.Status.update(ctx, &objects[i], &state.writes, evaluator)
		switch {
		case isConflict(err):
			requeueAt = earliest(requeueAt, now.Add(conflictRetry))
		case client.IgnoreNotFound(err) != nil:
			failed = errors.Join(failed, fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(&objects[i]), err))
		}
		if errors.Is(err, context.DeadlineExceeded) {
			break // the other objects are in the same namespace, and would hang as well
		}
		requeueAt = earliest(requeueAt, outcome.StaleAt)
	}
	if failed != nil || requeueAt.IsZero() {
		return reconcile.Result{}, failed
	}
	return reconcile.Result{RequeueAfter: max(requeueAt.Sub(now), time.Millisecond)}, nil
}

// discoveryEvaluator evaluates the objects of one Service.
type discoveryEvaluator struct {
	found   health.Discovery
	now     time.Time
	options health.Options
}

func (d discoveryEvaluator) evaluate(object *v1alpha1.LoadBalancerHealth) health.Outcome {
	return health.Discover(object, d.found, d.now, d.options)
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
	regions := []string{s.RegionID}
	if s.RegionID == "" {
		var nodes corev1.NodeList
		if err := s.Client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
			return health.Discovery{}, fmt.Errorf("listing nodes for the region of Service %s: %w", key, err)
		}
		regions = cluster.Regions(nodes.Items)
	}
	return cluster.LoadBalancer(key, service.Labels[v1alpha1.ServiceLoadBalancerLabel], regions), nil
}
