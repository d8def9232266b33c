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

// Back-off of work that failed for a reason that says nothing of a load
// balancer, such as an API server that does not answer.
const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// backoff makes work that failed wait, longer each time, but no longer than
// the target's interval: what could not be written is late by no more than what
// was not seen yet.
type backoff struct {
	workqueue.TypedRateLimiter[alicloud.Target]
	targets *stateStore
}

func newBackoff(targets *stateStore) backoff {
	return backoff{workqueue.NewTypedItemExponentialFailureRateLimiter[alicloud.Target](minBackoff, maxBackoff), targets}
}

// When implements workqueue.TypedRateLimiter. The worker that holds the target's key calls it.
func (b backoff) When(target alicloud.Target) time.Duration {
	wait := b.TypedRateLimiter.When(target)
	if interval := b.targets.get(target).interval; interval > 0 {
		wait = min(wait, interval)
	}
	return wait
}

// Settings are the controller's own options.
type Settings struct {
	// Concurrency is how many targets are worked on at once.
	Concurrency int
	// CallTimeout bounds one call of the API.
	CallTimeout time.Duration
}

// SetupWithManager adds the controller to the manager.
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
	return builder.TypedControllerManagedBy[alicloud.Target](mgr).
		Named("loadbalancerhealth").
		Watches(&v1alpha1.LoadBalancerHealth{},
			handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []alicloud.Target {
				if target, ok := TargetOf(object.(*v1alpha1.LoadBalancerHealth)); ok {
					return []alicloud.Target{target}
				}
				return nil
			}),
			builder.WithPredicates(asksForWork())).
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
		}).
		Complete(r)
}

// TargetOf is the queue key of an object; false while the Service that it names
// has no load balancer.
func TargetOf(object *v1alpha1.LoadBalancerHealth) (alicloud.Target, bool) {
	id, region, ok := object.LoadBalancer()
	target := alicloud.Target{RegionID: region, LoadBalancerID: id}
	if credentials := object.Spec.Credentials; credentials != nil {
		target.Account = alicloud.Account{Namespace: object.Namespace, Name: credentials.SecretRef.Name}
	}
	return target, ok
}

// LastAnswered is when the object's load balancer last answered in this
// process; zero: never. lastObservedTime lags behind by up to a heartbeat.
// What is answered to others is no news of an object that is suspended.
func (r *Reconciler) LastAnswered(object *v1alpha1.LoadBalancerHealth) time.Time {
	if target, ok := TargetOf(object); ok && !object.Spec.Suspend {
		return r.targets.lastObservedAt(target)
	}
	return time.Time{}
}

// asksForWork lets through what a user changed, the load balancer of a Service,
// and a status that lost what this operator wrote; this operator's own status
// writes are not among it.
func asksForWork() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, is := e.ObjectOld.(*v1alpha1.LoadBalancerHealth), e.ObjectNew.(*v1alpha1.LoadBalancerHealth)
			before, _ := TargetOf(was)
			now, _ := TargetOf(is)
			return was.Generation != is.Generation || was.UID != is.UID || before != now ||
				isWritten(was) && !isWritten(is) || annotationsChanged(was, is)
		},
	}
}

// annotationsChanged tells whether one of the annotations that are read changed.
func annotationsChanged(was, is *v1alpha1.LoadBalancerHealth) bool {
	return slices.ContainsFunc([]string{v1alpha1.ObserveRequestedAtAnnotation, v1alpha1.ListenersAcceptedAtAnnotation},
		func(key string) bool { return was.Annotations[key] != is.Annotations[key] })
}

// isWritten tells whether a status is one that this operator wrote, and not one
// that was reset, as a restore from a backup does.
func isWritten(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.ObservedTarget != nil && meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady) != nil
}
