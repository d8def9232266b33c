// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// targetIndex finds the objects of a target in the cache.
const targetIndex = "target"

// Backoff of a reconcile that failed without a result for the load balancer, as
// while the API server is down.
const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// backoff is the rate limiter of the queue. It doubles the delay after each
// failure, but never exceeds the target's interval: a status is then late by at
// most two intervals.
type backoff struct {
	workqueue.TypedRateLimiter[alicloud.Target]
	targets *stateStore
}

func newBackoff(targets *stateStore) backoff {
	return backoff{workqueue.NewTypedItemExponentialFailureRateLimiter[alicloud.Target](minBackoff, maxBackoff), targets}
}

// When implements workqueue.TypedRateLimiter. The worker of the target's key calls it.
func (b backoff) When(target alicloud.Target) time.Duration {
	delay := b.TypedRateLimiter.When(target)
	if interval := b.targets.get(target).interval; interval > 0 {
		delay = min(delay, interval)
	}
	return delay
}

// Settings are the controller's own options.
type Settings struct {
	// Concurrency is how many targets are reconciled at once.
	Concurrency int
	// CallTimeout bounds one call of the API.
	CallTimeout time.Duration
}

// SetupWithManager adds the controller to the manager. Locator and Services are
// set up before it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, settings Settings) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.LoadBalancerHealth{}, targetIndex, func(object client.Object) []string {
		if target, ok := TargetOf(object.(*v1alpha1.LoadBalancerHealth)); ok {
			return []string{target.String()}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b := builder.TypedControllerManagedBy[alicloud.Target](mgr).
		Named("loadbalancerhealth").
		Watches(&v1alpha1.LoadBalancerHealth{},
			handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []alicloud.Target {
				if target, ok := TargetOf(object.(*v1alpha1.LoadBalancerHealth)); ok {
					return []alicloud.Target{target}
				}
				return nil
			}),
			builder.WithPredicates(needsReconcile())).
		WithOptions(controller.TypedOptions[alicloud.Target]{
			MaxConcurrentReconciles: settings.Concurrency,
			RateLimiter:             newBackoff(&r.targets),
			// Two calls, for a shared port or renewed credentials, and the writes.
			ReconciliationTimeout: 2*settings.CallTimeout + time.Minute,
		}).
		WithLogConstructor(func(target *alicloud.Target) logr.Logger {
			logger := mgr.GetLogger().WithName("loadbalancerhealth")
			if target == nil {
				return logger
			}
			return logger.WithValues("loadBalancerId", target.LoadBalancerID, "regionId", target.RegionID, "account", target.Account.String())
		})
	r.watchSignals(b)
	return b.Complete(r)
}

// TargetOf returns the queue key of an object; false while the Service or Ingress in its
// spec has no load balancer.
func TargetOf(object *v1alpha1.LoadBalancerHealth) (alicloud.Target, bool) {
	id, region, ok := object.LoadBalancer()
	target := alicloud.Target{RegionID: region, LoadBalancerID: id}
	if credentials := object.Spec.Credentials; credentials != nil {
		target.Account = alicloud.Account{Namespace: object.Namespace, Name: credentials.SecretRef.Name}
	}
	return target, ok
}

// LastObservedAt is when this process last observed the object's load balancer;
// zero: never, or the object is suspended. status.lastObservedTime lags behind
// by up to a heartbeat.
func (r *Reconciler) LastObservedAt(object *v1alpha1.LoadBalancerHealth) time.Time {
	if target, ok := TargetOf(object); ok && !object.Spec.Suspend {
		return r.targets.lastObservedAt(target)
	}
	return time.Time{}
}

// needsReconcile passes an update of the spec, of an annotation that the
// operator reads, or of the load balancer of its Service or Ingress, and a status that was reset.
// It filters out the operator's own status writes.
func needsReconcile() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*v1alpha1.LoadBalancerHealth), e.ObjectNew.(*v1alpha1.LoadBalancerHealth)
			targetBefore, _ := TargetOf(before)
			targetAfter, _ := TargetOf(after)
			return before.Generation != after.Generation || before.UID != after.UID || targetBefore != targetAfter ||
				hasStatus(before) && !hasStatus(after) || annotationsChanged(before, after)
		},
	}
}

// annotationsChanged reports whether an annotation that the operator reads changed.
func annotationsChanged(before, after *v1alpha1.LoadBalancerHealth) bool {
	return slices.ContainsFunc([]string{v1alpha1.ObserveRequestedAtAnnotation, v1alpha1.ListenersAcceptedAtAnnotation},
		func(key string) bool { return before.Annotations[key] != after.Annotations[key] })
}

// hasStatus reports whether the operator wrote the status. A restore from a
// backup resets it.
func hasStatus(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.ObservedTarget != nil && meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady) != nil
}
