// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
)

// signalStore is the signals that no reconcile has processed yet, by target.
type signalStore struct {
	mu      sync.Mutex
	pending map[alicloud.Target]time.Time
	// enqueue adds a target to the queue; nil before the controller starts.
	enqueue func(alicloud.Target)
}

func (s *signalStore) add(target alicloud.Target, now time.Time) {
	s.mu.Lock()
	if s.pending == nil {
		s.pending = map[alicloud.Target]time.Time{}
	}
	s.pending[target] = now
	enqueue := s.enqueue
	s.mu.Unlock()
	if enqueue != nil {
		enqueue(target)
	}
}

// pop returns the last signal of a target, and removes it; zero: none.
func (s *signalStore) pop(target alicloud.Target) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.pending[target]
	delete(s.pending, target)
	return at
}

// start implements source.TypedFunc. It enqueues the signals from before.
func (s *signalStore) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[alicloud.Target]) error {
	enqueue := func(target alicloud.Target) {
		if byPriority, ok := queue.(priorityqueue.PriorityQueue[alicloud.Target]); ok {
			byPriority.AddWithOpts(priorityqueue.AddOpts{Priority: new(fastPriority)}, target)
		} else {
			queue.Add(target)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue = enqueue
	for target := range s.pending {
		enqueue(target)
	}
	return nil
}

// Signal makes targets due for fast observation: at once, and then at the fast
// interval until they are steady. It does not block, and is safe for concurrent use.
func (r *Reconciler) Signal(targets ...alicloud.Target) {
	if r.FastInterval <= 0 {
		return
	}
	for _, target := range targets {
		r.signals.add(target, r.Now())
	}
}

// watchSignals adds the watches whose changes make targets due for fast
// observation: of the kinds that the operator reads anyway.
func (r *Reconciler) watchSignals(b *builder.TypedBuilder[alicloud.Target]) {
	if r.FastInterval <= 0 {
		return
	}
	b.WatchesRawSource(source.TypedFunc[alicloud.Target](r.signals.start))
	pods, nodes := r.Locator.Reads()
	if r.indexes = pods || nodes; pods {
		b.Watches(&corev1.Pod{}, onChange(cluster.PodChanged, r.signalPod))
	}
	if nodes {
		b.Watches(&corev1.Node{}, onChange(cluster.NodeChanged, r.signalNode))
	}
	if r.Expected != nil && r.Expected.Reads() {
		b.Watches(&discoveryv1.EndpointSlice{}, onChange(cluster.EndpointSliceChanged, r.signalEndpointSlice))
	}
	if r.Services != nil {
		b.Watches(&corev1.Service{}, onChange(cluster.ServiceChanged, r.signalService))
	}
}

// onChange calls signal with the object before and after a change that counts;
// nil where the object did not exist. It ignores what the cache had at its start.
func onChange[T client.Object](counts func(before, after T) bool, signal func(context.Context, T)) handler.TypedEventHandler[client.Object, alicloud.Target] {
	type queue = workqueue.TypedRateLimitingInterface[alicloud.Target]
	var none T
	return handler.TypedFuncs[client.Object, alicloud.Target]{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, _ queue) {
			if after := e.Object.(T); !e.IsInInitialList && counts(none, after) {
				signal(ctx, after)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, _ queue) {
			if before, after := e.ObjectOld.(T), e.ObjectNew.(T); counts(before, after) {
				signal(ctx, before) // its address or labels may have changed
				signal(ctx, after)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, _ queue) {
			if before := e.Object.(T); counts(before, none) {
				signal(ctx, before)
			}
		},
	}
}

// signalPod signals the targets that have a pod as backend, and those of the
// Services that select it.
func (r *Reconciler) signalPod(ctx context.Context, pod *corev1.Pod) {
	for _, address := range cluster.BackendAddresses(pod) {
		r.Signal(r.backends.of(address)...)
	}
	services, err := r.Services.Selecting(ctx, pod)
	if err != nil {
		log.FromContext(ctx).Error(err, "the Services of a pod are not known", "namespace", pod.Namespace, "name", pod.Name)
	}
	for _, name := range services {
		r.signalObjectsOf(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name})
	}
}

// signalNode signals the targets that have a node as backend and, if it is Ready,
// those that should have it. onChange also calls it with the node as it was before.
func (r *Reconciler) signalNode(_ context.Context, node *corev1.Node) {
	for _, key := range cluster.BackendKeys(node) {
		r.Signal(r.backends.of(key)...)
	}
	if cluster.IsReadyBackend(node) {
		r.Signal(r.backends.of(anyNode)...)
	}
}

func (r *Reconciler) signalService(ctx context.Context, service *corev1.Service) {
	r.signalObjectsOf(ctx, client.ObjectKeyFromObject(service))
}

func (r *Reconciler) signalEndpointSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) {
	if service := cluster.ServiceOf(slice); service != "" {
		r.signalObjectsOf(ctx, client.ObjectKey{Namespace: slice.Namespace, Name: service})
	}
}

// signalObjectsOf signals the targets of the objects that reference a Service, or an
// Ingress that names it.
func (r *Reconciler) signalObjectsOf(ctx context.Context, service client.ObjectKey) {
	objects, err := objectsOfService(ctx, r.Reader, r.Ingresses, service)
	if err != nil {
		log.FromContext(ctx).Error(err, "the objects of a Service are not known", "namespace", service.Namespace, "name", service.Name)
	}
	for i := range objects {
		if target, ok := TargetOf(&objects[i]); ok {
			r.Signal(target)
		}
	}
}

// indexBackends keeps the backends of a target for signals: those of the last
// observation or, before the first one of this process, of the statuses.
func (r *Reconciler) indexBackends(ctx context.Context, rec *reconciliation) {
	if !r.indexes {
		return
	}
	indexed := rec.state.indexed
	switch {
	case indexed == nil:
		indexed = &indexedTarget{target: rec.target}
		rec.state.indexed = indexed
		if rec.observation == nil {
			r.backends.replace(indexed, statusKeys(rec.objects))
			return
		}
	case !rec.observed || rec.observation == nil:
		return
	}
	allNodes := false
	for i := range rec.objects {
		allNodes = allNodes || r.Services.SelectsAllNodes(ctx, &rec.objects[i])
	}
	r.backends.replace(indexed, backendKeys(rec.observation, allNodes))
}
