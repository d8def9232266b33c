// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// namespace is that of config/samples.
const namespace = "default"

// A watcher follows the objects, the events about them, and pods.
type watcher struct {
	cache   cache.Cache
	changed chan struct{}
}

// A snapshot is the newest state of the API server, and when the step began.
type snapshot struct {
	objects []v1alpha1.LoadBalancerHealth
	events  []eventsv1.Event
	pods    []corev1.Pod
	since   time.Time
	// fewest is how few backends of shop served since then.
	fewest int
}

func newWatcher(ctx context.Context, config *rest.Config) (*watcher, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := cache.New(config, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}, storeNamespace: {}, shopNamespace: {}}})
	if err != nil {
		return nil, fmt.Errorf("watch the control plane: %w", err)
	}
	w := &watcher{cache: c, changed: make(chan struct{}, 1)}
	for _, object := range []client.Object{&v1alpha1.LoadBalancerHealth{}, &eventsv1.Event{}, &corev1.Pod{}} {
		informer, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc:    func(any) { w.wake() },
				UpdateFunc: func(any, any) { w.wake() },
				DeleteFunc: func(any) { w.wake() },
			})
		}
		if err != nil {
			return nil, fmt.Errorf("watch the control plane: %w", err)
		}
	}
	go func() { _ = c.Start(ctx) }() // it ends with ctx, or the steps time out
	if !c.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("watch the control plane: %w", context.Cause(ctx))
	}
	return w, nil
}

func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watcher) snapshot(ctx context.Context, since time.Time) (snapshot, error) {
	var objects v1alpha1.LoadBalancerHealthList
	var events eventsv1.EventList
	var pods corev1.PodList
	if err := errors.Join(w.cache.List(ctx, &objects), w.cache.List(ctx, &events), w.cache.List(ctx, &pods)); err != nil {
		return snapshot{}, fmt.Errorf("read what is watched: %w", err)
	}
	return snapshot{objects: objects.Items, events: events.Items, pods: pods.Items, since: since}, nil
}

// await returns once all expectations are met at the same time. Its error names the
// expectations that are not, and what it saw instead.
func (s *env) await(ctx context.Context, expected []expectation, since time.Time, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		now, err := s.watcher.snapshot(context.WithoutCancel(ctx), since)
		if err != nil {
			return err
		}
		if s.shop != nil {
			now.fewest = s.shop.fewest()
		}
		unmet := unmet(expected, now)
		if unmet == "" {
			return nil
		}
		select {
		case <-s.watcher.changed:
		case <-s.simulator.Ended():
			return s.simulator.Alive()
		case <-s.operator.Ended():
			return s.operator.Alive()
		case <-ctx.Done():
			return fmt.Errorf("not seen within %s:\n%s\nthe operator's last log lines:\n%s", timeout, unmet, s.operator.Tail())
		}
	}
}
