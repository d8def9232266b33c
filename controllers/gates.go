// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// podsByGate finds the pods of a Service in the cache: gateClosed/name those whose
// gate is not open, gateCarried/name all that carry the gate.
const (
	podsByGate  = "gate"
	gateClosed  = "closed/"
	gateCarried = "carried/"
)

// gateConcurrency is how many Services are reconciled at once.
const gateConcurrency = 4

// GateReconciler opens the readiness gates of pods. The keys of its queue are
// Services: a gate has the name of one. It decides from the observations that the
// Reconciler of this process makes, and from what the cluster says in between.
type GateReconciler struct {
	// Client reads from the cache, and patches pods.
	Client client.Client
	// Live reads objects past the cache.
	Live client.Reader
	// Selector chooses the objects of this shard, as the cache does; nil: all.
	Selector labels.Selector
	// Ingresses finds the Ingresses that name a Service; nil: none.
	Ingresses *cluster.Ingresses
	// Events records gates that were opened without an observation.
	Events EventRecorder
	// Metrics counts the gates that were opened.
	Metrics GateRecorder
	// Wake is called with the targets that a pod begins to wait for; nil: off.
	Wake func(...alicloud.Target)
	// UnknownTimeout is until a gate opens while nothing is known; 0: never.
	UnknownTimeout time.Duration
	// Now is the clock.
	Now func() time.Time

	queue  atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]
	states gateStates
}

// GateRecorder counts the gates that were opened.
type GateRecorder interface {
	// GateOpened counts a gate by the reason of its condition.
	GateOpened(reason string)
	// GateWaited records the time from when the containers of a pod were ready
	// until its gate was opened.
	GateWaited(waited time.Duration)
}

// Allowed returns an error when the operator may not list pods.
func (g *GateReconciler) Allowed(ctx context.Context, reader client.Reader, namespaces []string) error {
	if err := cluster.CanList(ctx, reader, cluster.KindPod, namespaces); err != nil {
		return fmt.Errorf("--readiness-gates: %w: apply config/readiness-gates, or remove the flag", err)
	}
	return nil
}

// SetupWithManager adds the controller to a manager, beside a ServiceReconciler.
func (g *GateReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, podsByGate, func(object client.Object) (keys []string) {
		for _, service := range cluster.GateServices(object.(*corev1.Pod)) {
			keys = append(keys, gateCarried+service)
		}
		for _, service := range cluster.ClosedGates(object.(*corev1.Pod)) {
			keys = append(keys, gateClosed+service)
		}
		return keys
	})
	if err != nil {
		return err
	}
	b := builder.ControllerManagedBy(mgr).
		Named("readinessgate").
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(gatesOf), builder.WithPredicates(hasClosedGate())).
		Watches(&corev1.Service{}, &handler.EnqueueRequestForObject{}).
		Watches(&v1alpha1.LoadBalancerHealth{}, handler.EnqueueRequestsFromMapFunc(g.servicesOfObject)).
		WatchesRawSource(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			g.queue.Store(&queue)
			return nil
		})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: gateConcurrency,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
			ReconciliationTimeout:   time.Minute,
		})
	if g.Ingresses.Reads() {
		b = b.Watches(&networkingv1.Ingress{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, ingress client.Object) []reconcile.Request {
			return requestsFor(ingress.GetNamespace(), cluster.IngressServices(ingress.(*networkingv1.Ingress)))
		}))
	}
	return b.Complete(g)
}

// requestsFor are the keys of Services.
func requestsFor(namespace string, services []string) []reconcile.Request {
	requests := make([]reconcile.Request, 0, len(services))
	for _, service := range services {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: service}})
	}
	return requests
}

// gatesOf returns the Services of a pod's gates.
func gatesOf(_ context.Context, object client.Object) []reconcile.Request {
	return requestsFor(object.GetNamespace(), cluster.GateServices(object.(*corev1.Pod)))
}

// hasClosedGate passes pods that wait, and those that no longer do.
func hasClosedGate() predicate.Predicate {
	isClosed := func(object client.Object) bool { return len(cluster.ClosedGates(object.(*corev1.Pod))) > 0 }
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return isClosed(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return isClosed(e.ObjectOld) || isClosed(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return isClosed(e.Object) },
	}
}

// servicesOfObject returns the Services whose load balancer an object observes.
func (g *GateReconciler) servicesOfObject(ctx context.Context, object client.Object) []reconcile.Request {
	return requestsFor(object.GetNamespace(), g.servicesOf(ctx, object.(*v1alpha1.LoadBalancerHealth)))
}

// servicesOf returns the Service that an object references, or those that its Ingress names.
func (g *GateReconciler) servicesOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth) []string {
	switch reference := object.Spec.Reference(); reference.Kind {
	case v1alpha1.ReferenceService:
		return []string{reference.Name}
	case v1alpha1.ReferenceIngress:
		// The cache returns it: with an error, or without the Ingress, no Service is known.
		if ingress, _ := g.Ingresses.Get(ctx, client.ObjectKey{Namespace: object.Namespace, Name: reference.Name}); ingress != nil {
			return cluster.IngressServices(ingress)
		}
	}
	return nil
}

// Awaited reports whether a pod waits for an observation of a target.
func (g *GateReconciler) Awaited(target alicloud.Target) bool {
	return g != nil && g.states.awaited(target)
}

// waitingFor are the Services of an object for which pods wait.
func (g *GateReconciler) waitingFor(ctx context.Context, object *v1alpha1.LoadBalancerHealth) []types.NamespacedName {
	if object.Spec.Suspend {
		return nil
	}
	var waiting []types.NamespacedName
	for _, service := range g.servicesOf(ctx, object) {
		if key := (types.NamespacedName{Namespace: object.Namespace, Name: service}); g.states.waits(key) {
			waiting = append(waiting, key)
		}
	}
	return waiting
}

// observed passes an observation on to the Services for which pods wait. It
// passes every row of it: a status may omit normal ones.
func (g *GateReconciler) observed(ctx context.Context, e *evaluation) {
	if g == nil {
		return
	}
	inputs := gateInputs{evaluation: e, byService: map[types.NamespacedName]*gateInput{}}
	for i := range e.objects {
		object := &e.objects[i]
		waiting := g.waitingFor(ctx, object)
		if len(waiting) == 0 || e.inputFor(object).Observation == nil {
			continue
		}
		for _, key := range waiting {
			inputs.add(key, object)
		}
	}
	for key, input := range inputs.byService {
		g.states.observed(key, e.target, input.complete())
		if queue := g.queue.Load(); queue != nil {
			(*queue).Add(reconcile.Request{NamespacedName: key})
		}
	}
}

// Reconcile implements reconcile.Reconciler. It decides on every closed gate of
// a Service.
func (g *GateReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	pods, err := g.pods(ctx, request.NamespacedName, gateClosed)
	if err != nil || len(pods) == 0 {
		if err == nil {
			g.states.delete(request.NamespacedName)
		}
		return reconcile.Result{}, err
	}
	pass := &gatePass{key: request.NamespacedName, now: g.Now(), state: g.states.get(request.NamespacedName), timeout: g.UnknownTimeout}
	if err := errors.Join(g.readService(ctx, pass), g.readObservations(ctx, pass)); err != nil {
		return reconcile.Result{}, err
	}
	pass.decide(pods)
	if targets := g.states.publish(pass); g.Wake != nil {
		g.Wake(targets...)
	}
	if err := g.write(ctx, pass); err != nil {
		return reconcile.Result{}, unlessStopping(ctx, err)
	}
	if pass.requeueAt.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(pass.requeueAt.Sub(g.Now()), time.Millisecond)}, nil
}

// pods lists the pods of a Service by gateClosed or gateCarried. They belong to
// the cache: read only.
func (g *GateReconciler) pods(ctx context.Context, service types.NamespacedName, which string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := g.Client.List(ctx, &list, client.InNamespace(service.Namespace), client.MatchingFields{podsByGate: which + service.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the pods with a gate for Service %s: %w", service, err)
	}
	return list.Items, nil
}

// readObservations sets the last observation of each target of the Service, and
// which of its listeners list a pod with the gate.
func (g *GateReconciler) readObservations(ctx context.Context, pass *gatePass) error {
	used := map[alicloud.Target]usedObservation{}
	var ips []string
	for _, target := range pass.targets() {
		arrived := g.states.observation(pass.key, target)
		observation := pass.state.used[target]
		if arrived != observation.arrived { // no pod that came later is in it
			if ips == nil {
				var err error
				if ips, err = g.addresses(ctx, pass.key); err != nil {
					return err
				}
			}
			observation = usedObservation{withPods: arrived.WithPods(ips), arrived: arrived}
		}
		used[target] = observation
		pass.observations = append(pass.observations, observation.withPods)
	}
	pass.state.used = used
	return nil
}

// addresses are those of all pods with the gate of a Service.
func (g *GateReconciler) addresses(ctx context.Context, service types.NamespacedName) ([]string, error) {
	pods, err := g.pods(ctx, service, gateCarried)
	ips := []string{}
	for i := range pods {
		if !pods[i].Spec.HostNetwork && pods[i].DeletionTimestamp == nil {
			ips = append(ips, cluster.Addresses(&pods[i])...)
		}
	}
	return ips, err
}

// readService reads what the cluster says of the Service and the objects that reference it.
func (g *GateReconciler) readService(ctx context.Context, pass *gatePass) error {
	service := &corev1.Service{}
	err := g.Client.Get(ctx, pass.key, service)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Service %s: %w", pass.key, err)
	}
	if err != nil || !service.DeletionTimestamp.IsZero() {
		service = nil
	}
	objects, err := g.objectsOf(ctx, pass.key, service)
	if err != nil {
		return fmt.Errorf("listing the objects of Service %s: %w", pass.key, err)
	}
	for i := range objects {
		object := &objects[i]
		if !object.Spec.Suspend {
			pass.objects = append(pass.objects, object)
			pass.service.Interval = max(pass.service.Interval, health.Interval(&object.Spec))
		}
		pass.ofIngress = pass.ofIngress || object.Spec.IngressRef != nil
	}
	if service != nil && len(objects) == 0 {
		if pass.elsewhere, err = g.inAnotherShard(ctx, pass); err != nil {
			return err
		}
	}
	facts := &pass.service
	facts.Name = pass.key.Name
	facts.Off = service != nil && service.Labels[v1alpha1.ReadinessGateLabel] == v1alpha1.ReadinessGateOff
	facts.NotObserved = pass.whyNotObserved(service, len(objects))
	facts.NotObservedSince = pass.state.notObserved(facts.NotObserved != "" && !pass.elsewhere, pass.now)
	facts.Unknown = unknownOf(pass.objects)
	return nil
}

// inAnotherShard reports whether an object that the cache of this shard does not
// have references the Service. Another operator decides on its gates then.
func (g *GateReconciler) inAnotherShard(ctx context.Context, pass *gatePass) (bool, error) {
	if g.Selector == nil || g.Selector.Empty() {
		return false, nil
	}
	state := pass.state
	if pass.now.Sub(state.searchedAt) >= gateSearch {
		ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
		defer cancel()
		found, err := g.search(ctx, pass.key)
		if err != nil {
			return false, fmt.Errorf("searching the object of Service %s in other shards: %w", pass.key, err)
		}
		state.searchedAt, state.elsewhere = pass.now, found
	}
	pass.requeueAt = earliest(pass.requeueAt, state.searchedAt.Add(gateSearch))
	return state.elsewhere, nil
}

// search reports whether any object references a Service, or an Ingress that names it.
func (g *GateReconciler) search(ctx context.Context, service types.NamespacedName) (bool, error) {
	ingresses, err := g.Ingresses.Of(ctx, service)
	if err != nil {
		return false, err
	}
	fields := []client.MatchingFields{{"spec.serviceRef.name": service.Name}}
	for _, ingress := range ingresses {
		fields = append(fields, client.MatchingFields{"spec.ingressRef.name": ingress})
	}
	for _, field := range fields {
		var list v1alpha1.LoadBalancerHealthList
		if err := g.Live.List(ctx, &list, client.InNamespace(service.Namespace), field, client.Limit(1)); err != nil || len(list.Items) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// write sends the patches of a pass, several at once.
func (g *GateReconciler) write(ctx context.Context, pass *gatePass) error {
	results := g.patchAll(ctx, pass)
	var failed error
	failures := 0
	for i := range pass.writes {
		write, err := &pass.writes[i], results[i]
		if err != nil && write.decision.Open && !write.state.readyAt.IsZero() {
			pass.count(write.state, write.decision.Reason) // the alert must see that it cannot be opened
		}
		switch {
		case isConflict(err): // the pod changed, or another one has its name
			pass.requeueAt = earliest(pass.requeueAt, pass.now.Add(gateConflictRetry))
		case client.IgnoreNotFound(err) != nil:
			failures++
			if failures == 1 {
				failed = fmt.Errorf("patching the readiness gate of pod %s: %w", client.ObjectKeyFromObject(write.pod), err)
			}
		case err == nil:
			write.state.wrote(write.pod, &write.decision, g.Now())
			g.record(ctx, pass, write)
		}
	}
	g.recordUnknown(pass, results)
	g.states.publish(pass)
	if failures > 1 {
		failed = fmt.Errorf("%w; and those of %d other pods", failed, failures-1)
	}
	return failed
}
