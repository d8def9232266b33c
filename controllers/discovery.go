// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// referenceConcurrency is how many Services, and how many Ingresses, are reconciled at once.
// A reconcile makes no call to Alibaba Cloud, and seldom a write.
const referenceConcurrency = 4

// referenceOptions are the options of the controllers of Services and Ingresses.
func referenceOptions() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: referenceConcurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
		ReconciliationTimeout:   time.Minute,
	}
}

// indexReferences indexes objects by the name of the Service or Ingress that they reference.
func indexReferences(ctx context.Context, mgr ctrl.Manager, index string, kind v1alpha1.ReferenceKind) error {
	return mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.LoadBalancerHealth{}, index, func(object client.Object) []string {
		if reference := object.(*v1alpha1.LoadBalancerHealth).Spec.Reference(); reference.Kind == kind {
			return []string{reference.Name}
		}
		return nil
	})
}

// referenceState is what this process keeps of a Service or an Ingress. Only the worker of
// its key uses it.
type referenceState struct {
	failures failureHistory
	writes   writeHistory
}

// referenceStates is the state of every Service, or every Ingress, with objects.
type referenceStates struct {
	byName sync.Map // types.NamespacedName to *referenceState
}

func (s *referenceStates) get(key types.NamespacedName) *referenceState {
	found, _ := s.byName.LoadOrStore(key, &referenceState{})
	return found.(*referenceState)
}

func (s *referenceStates) delete(key types.NamespacedName) { s.byName.Delete(key) }

// referenceDiscovery writes the load balancers of Services, or those of Ingresses, into the
// statuses of the objects that reference them.
type referenceDiscovery struct {
	client client.Client
	status *StatusWriter
	// index finds the objects by the name that they reference.
	index   string
	states  *referenceStates
	options health.Options
	now     func() time.Time
}

// reconcile finds the load balancer of a Service or an Ingress if objects reference it.
func (d *referenceDiscovery) reconcile(ctx context.Context, key types.NamespacedName, find func() (health.Discovery, error)) (reconcile.Result, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := d.client.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{d.index: key.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the objects of %s: %w", key, err)
	}
	if len(list.Items) == 0 {
		d.states.delete(key)
		return reconcile.Result{}, nil
	}
	found, err := find()
	if err != nil {
		return reconcile.Result{}, err
	}
	return d.updateStatuses(ctx, key, list.Items, found)
}

// updateStatuses writes what was found into the statuses of the objects.
func (d *referenceDiscovery) updateStatuses(ctx context.Context, key types.NamespacedName, objects []v1alpha1.LoadBalancerHealth, found health.Discovery) (reconcile.Result, error) {
	state, now := d.states.get(key), d.now()
	state.writes.keepOnly(objects)
	var requeueAt time.Time
	if found.Failure == nil {
		state.failures = failureHistory{}
	} else {
		logFailure(ctx, state.failures.last, found.Failure)
		state.failures.add(found.Failure, now)
		found.FailingSince = state.failures.since
		requeueAt = now.Add(health.DefaultInterval) // the operator does not watch nodes and AlbConfigs for this
	}
	evaluator := discoveryEvaluator{found, now, d.options}
	var failed error
	for i := range objects {
		outcome, err := d.status.update(ctx, &objects[i], &state.writes, evaluator)
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

// discoveryEvaluator evaluates the objects of one Service or Ingress.
type discoveryEvaluator struct {
	found   health.Discovery
	now     time.Time
	options health.Options
}

func (d discoveryEvaluator) evaluate(object *v1alpha1.LoadBalancerHealth) health.Outcome {
	return health.Discover(object, d.found, d.now, d.options)
}

// regionsOf are the regions of the cluster: the one of --region-id, or else those of its nodes.
func regionsOf(ctx context.Context, reader client.Reader, regionID string) ([]string, error) {
	if regionID != "" {
		return []string{regionID}, nil
	}
	var nodes corev1.NodeList
	if err := reader.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return cluster.Regions(nodes.Items), nil
}

// objectsWithIngress lists the objects of a namespace that reference any Ingress.
func objectsWithIngress(ctx context.Context, reader client.Reader, namespace string) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	var objects []v1alpha1.LoadBalancerHealth
	for i := range list.Items {
		if list.Items[i].Spec.IngressRef != nil {
			objects = append(objects, list.Items[i])
		}
	}
	return objects, err
}

// objectsOfService lists the objects that reference a Service, and those that reference
// an Ingress which names it. They belong to the cache: read only.
func objectsOfService(ctx context.Context, reader client.Reader, ingresses *cluster.Ingresses, service types.NamespacedName) ([]v1alpha1.LoadBalancerHealth, error) {
	list := func(index, name string) ([]v1alpha1.LoadBalancerHealth, error) {
		var found v1alpha1.LoadBalancerHealthList
		err := reader.List(ctx, &found, client.InNamespace(service.Namespace), client.MatchingFields{index: name}, client.UnsafeDisableDeepCopy)
		return found.Items, err
	}
	objects, err := list(serviceIndex, service.Name)
	if err != nil {
		return nil, err
	}
	names, err := ingresses.Of(ctx, service)
	for _, name := range names {
		of, listErr := list(ingressIndex, name)
		objects, err = append(objects, of...), errors.Join(err, listErr)
	}
	return objects, err
}
