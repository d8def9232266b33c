// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	nodes = 3
	// workers are how many pods the kubelets work on at a time.
	workers = 8
	// beforeFirstAddress is the address before that of the first pod.
	beforeFirstAddress = "10.128.0.0"
)

// Admin calls the simulator's admin API.
type Admin func(ctx context.Context, method, path string, body any) error

// Options of a Cluster.
type Options struct {
	Scheme *runtime.Scheme
	Admin  Admin
	// StartDelay is the time that containers need to become ready.
	StartDelay time.Duration
	// Requeue is when the cloud controller reconciles a Service again that has pods
	// with its gate whose containers are not ready. The original waits 10 s.
	Requeue time.Duration
	// RunContainer runs a container of a Job's pod until it ends; nil is exit code 0.
	// Without it, such a pod runs for ever, as the others do.
	RunContainer func(ctx context.Context, pod *corev1.Pod, container *corev1.Container) error
	// Watch are further objects whose changes Await reacts to.
	Watch []client.Object
}

// Cluster is the stand-ins at work. Its client reads from a cache.
type Cluster struct {
	client.Client

	ctx     context.Context
	manager ctrl.Manager
	options Options
	changes broadcast
	gates   gateLog
	missing missingLog
	kubelet *kubelet

	mu        sync.Mutex
	pods      map[string]*corev1.Pod // by address
	balancers map[types.NamespacedName]*balancer
	failures  []error
}

// balancer is the load balancer of a Service.
type balancer struct {
	*LoadBalancer
	recorder *Recorder
}

// Start runs the stand-ins until ctx is done.
func Start(ctx context.Context, kubeconfig *rest.Config, options Options) (*Cluster, error) {
	manager, err := ctrl.NewManager(kubeconfig, ctrl.Options{
		Scheme: options.Scheme, Metrics: server.Options{BindAddress: "0"}, Logger: logr.Discard(),
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		Client: manager.GetClient(), ctx: ctx, manager: manager, options: options,
		pods: map[string]*corev1.Pod{}, balancers: map[types.NamespacedName]*balancer{},
	}
	if err := errors.Join(c.runKubelet(), c.runCloudController(), c.watch(ctx)); err != nil {
		return nil, err
	}
	go func() {
		if err := manager.Start(ctx); err != nil {
			c.fail(err)
		}
	}()
	if !manager.GetCache().WaitForCacheSync(ctx) {
		return nil, errors.New("the stand-ins have no cache")
	}
	return c, nil
}

func (c *Cluster) runKubelet() error {
	c.kubelet = &kubelet{
		Client: c.Client, ctx: c.ctx, startDelay: c.options.StartDelay, runContainer: c.options.RunContainer, failed: c.fail,
		last: netip.MustParseAddr(beforeFirstAddress), pods: map[types.UID]*runningPod{},
	}
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i+1)
		if err := c.AddNode(c.ctx, name, nil); err != nil {
			return err
		}
		c.kubelet.nodes = append(c.kubelet.nodes, name)
	}
	return ctrl.NewControllerManagedBy(c.manager).Named("kubelet").For(&corev1.Pod{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(c.reported(c.kubelet))
}

func (c *Cluster) runCloudController() error {
	reconciler := &cloudController{Client: c.Client, requeue: c.options.Requeue, loadBalancer: c.loadBalancerOf}
	return ctrl.NewControllerManagedBy(c.manager).Named("cloud-controller").For(&corev1.Service{}).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(serviceOf)).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(c.servicesWithNodes)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(c.reported(reconciler))
}

func serviceOf(_ context.Context, slice client.Object) []reconcile.Request {
	name := slice.GetLabels()[discoveryv1.LabelServiceName]
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: slice.GetNamespace(), Name: name}}}
}

// servicesWithNodes are the Services whose backends are nodes.
func (c *Cluster) servicesWithNodes(context.Context, client.Object) []reconcile.Request {
	c.mu.Lock()
	balancers := maps.Clone(c.balancers)
	c.mu.Unlock() // a health check locks its load balancer, and then the cluster
	var all []reconcile.Request
	for service, lb := range balancers {
		if lb.usesNodes() {
			all = append(all, reconcile.Request{NamespacedName: service})
		}
	}
	return all
}

// watch makes Await react to changes, and records those of pods.
func (c *Cluster) watch(ctx context.Context) error {
	for _, object := range append([]client.Object{&corev1.Pod{}, &corev1.Node{}, &discoveryv1.EndpointSlice{}}, c.options.Watch...) {
		informer, err := c.manager.GetCache().GetInformer(ctx, object)
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { c.observe(object, false) },
			UpdateFunc: func(_, object any) { c.observe(object, false) },
			DeleteFunc: func(object any) { c.observe(object, true) },
		}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) observe(object any, deleted bool) {
	if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	switch object := object.(type) {
	case *corev1.Pod:
		c.gates.record(object)
		if object.Status.PodIP != "" {
			c.setPod(object, deleted)
			c.record(object.Namespace)
		}
	case *v1alpha1.LoadBalancerHealth:
		c.missing.record(object)
	}
	c.changes.notify()
}

// setPod keeps which pod has an address. One that is deleted may have it no more.
func (c *Cluster) setPod(pod *corev1.Pod, deleted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ip := pod.Status.PodIP
	switch {
	case !deleted:
		c.pods[ip] = pod
	case c.pods[ip] != nil && c.pods[ip].UID == pod.UID:
		delete(c.pods, ip)
	}
}

// record updates the recorders of a namespace.
func (c *Cluster) record(namespace string) {
	c.mu.Lock()
	var recorders []*Recorder
	for service, lb := range c.balancers {
		if service.Namespace == namespace {
			recorders = append(recorders, lb.recorder)
		}
	}
	c.mu.Unlock()
	for _, recorder := range recorders {
		recorder.record()
	}
}

// PodAt returns the pod that has an address; nil if there is none.
func (c *Cluster) PodAt(ip string) *corev1.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[ip]
}

// AddLoadBalancer gives a Service, which need not exist yet, a load balancer of the
// simulator without backends.
func (c *Cluster) AddLoadBalancer(service types.NamespacedName, id string, check Check, listeners ...Listener) (*LoadBalancer, *Recorder, error) {
	described := make([]map[string]any, 0, len(listeners))
	for _, listener := range listeners {
		described = append(described, map[string]any{"listenerPort": listener.Port, "listenerProtocol": listener.Protocol})
	}
	body := map[string]any{"regionId": harness.Region, "backends": []any{}, "listeners": described}
	if err := c.options.Admin(c.ctx, "PUT", "loadbalancers/"+id, body); err != nil {
		return nil, nil, err
	}
	lb := &LoadBalancer{
		ID: id, listeners: listeners, admin: c.options.Admin, ctx: c.ctx, failed: c.fail,
		check: check, backends: map[string]*registered{},
	}
	recorder := &Recorder{count: func() int { return c.serving(lb) }}
	lb.changed = func() {
		recorder.record()
		c.changes.notify()
	}
	c.mu.Lock()
	c.balancers[service] = &balancer{lb, recorder}
	c.mu.Unlock()
	recorder.Restart()
	return lb, recorder, nil
}

func (c *Cluster) loadBalancerOf(service types.NamespacedName) *LoadBalancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if lb := c.balancers[service]; lb != nil {
		return lb.LoadBalancer
	}
	return nil
}

// serving counts the backends that are normal, and whose pod is not being deleted.
func (c *Cluster) serving(lb *LoadBalancer) (serving int) {
	for _, ip := range lb.normal() {
		if pod := c.PodAt(ip); pod != nil && pod.DeletionTimestamp == nil {
			serving++
		}
	}
	return serving
}

// Await returns once done returns true or an error. It calls done after each change
// that the stand-ins see.
func (c *Cluster) Await(ctx context.Context, done func() (bool, error)) error {
	for {
		changed := c.changes.next()
		isDone, err := done()
		if isDone || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), c.Failures())
		case <-changed:
		}
	}
}

// Failures returns what went wrong in the stand-ins and is no conflict of versions.
func (c *Cluster) Failures() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.failures...)
}

func (c *Cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, err)
}

// reported keeps the failures of a reconciler, which is called again after one.
func (c *Cluster) reported(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		result, err := r.Reconcile(ctx, request)
		if err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
			c.fail(fmt.Errorf("%s: %w", request, err))
		}
		return result, err
	})
}

// ignoreDeleted ignores that an object was deleted or replaced meanwhile.
func ignoreDeleted(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// broadcast wakes those who wait for a change.
type broadcast struct {
	mu   sync.Mutex
	wait chan struct{}
}

// next returns a channel that the next change closes.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wait == nil {
		b.wait = make(chan struct{})
	}
	return b.wait
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wait != nil {
		close(b.wait)
		b.wait = nil
	}
}
