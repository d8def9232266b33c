// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	gatesNamespace = "bench-gates"
	gatedService   = "web"
	gatedBalancer  = "lb-gates-web"
	// gateTimeout limits the time until the last gate is written.
	gateTimeout = 3 * time.Minute
)

// A gatesFleet is one operator, its load balancers, and the pods of the first one.
type gatesFleet struct {
	*env
	form     gatesForm
	operator *harness.Process
	metrics  string // the address of the operator's metrics
	pods     []*corev1.Pod
	watch    *gateWatch
}

func (f *gatesFleet) balancer(i int) string { return fmt.Sprintf("lb-gates-%03d", i) }

// open creates the load balancers and objects, and starts the operator.
func (f *gatesFleet) open(ctx context.Context) error {
	if err := f.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: gatesNamespace}}); err != nil {
		return err
	}
	gated := newObject(gatedBalancer, 0, f.form.Interval)
	gated.Spec.LoadBalancerID, gated.Spec.RegionID = "", ""
	gated.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: gatedService}
	objects := []*v1alpha1.LoadBalancerHealth{gated}
	for i := range f.form.Balancers {
		if err := f.simulator.put(ctx, f.balancer(i), rolloutPods); err != nil {
			return err
		}
		objects = append(objects, newObject(f.balancer(i), 0, f.form.Interval))
	}
	for i := range f.form.Pods {
		f.pods = append(f.pods, newGatedPod(i))
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: gatesNamespace, Name: gatedService, Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: gatedBalancer}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	if err := errors.Join(f.putRows(ctx, v1alpha1.StatusUnavailable), f.api.Create(ctx, service)); err != nil {
		return err
	}
	err := parallel(setupConcurrency, objects, func(_ int, object *v1alpha1.LoadBalancerHealth) error {
		object.Namespace = gatesNamespace
		return f.api.Create(ctx, object)
	})
	if err == nil {
		f.watch, err = watchGates(ctx, f.env)
	}
	if err != nil {
		return err
	}
	return f.startOperator(ctx)
}

// newGatedPod returns a pod with both gates that the cloud controller manager registered.
func newGatedPod(i int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: gatesNamespace, Name: fmt.Sprintf("%s-7d4b9c6f5d-%04d", gatedService, i)},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	ip := fmt.Sprintf("10.120.%d.%d", i/250, i%250+1)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	for _, prefix := range []string{v1alpha1.RegistrationGatePrefix, v1alpha1.ReadinessGatePrefix} {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(prefix + gatedService)})
	}
	for _, kind := range []string{string(corev1.ContainersReady), v1alpha1.RegistrationGatePrefix + gatedService} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(kind), Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	return pod
}

// putRows gives all pods a health. Beside them, one backend is always normal: a load
// balancer whose backends are all unavailable might not check health.
func (f *gatesFleet) putRows(ctx context.Context, health string) error {
	newBackend := func(server, ip, health string) map[string]any {
		return map[string]any{
			"serverId": server, "serverIp": ip, "type": "eni", "serverHealthStatus": health,
			"listenerPort": 443, "listenerProtocol": "https", "port": 8443,
		}
	}
	rows := make([]map[string]any, 0, 1+len(f.pods))
	rows = append(rows, newBackend("eni-other", "10.121.0.1", v1alpha1.StatusNormal))
	for _, pod := range f.pods {
		rows = append(rows, newBackend("eni-"+pod.Name, pod.Status.PodIP, health))
	}
	return f.simulator.Admin(ctx, http.MethodPut, "loadbalancers/"+gatedBalancer, map[string]any{"regionId": region, "backends": rows}, nil)
}

// becomeReady creates the pods, whose health is unavailable, and waits until every gate is closed.
func (f *gatesFleet) becomeReady(ctx context.Context) (time.Time, error) {
	err := parallel(setupConcurrency, f.pods, func(_ int, pod *corev1.Pod) error {
		status := pod.Status
		if err := f.api.Create(ctx, pod); err != nil {
			return err
		}
		pod.Status = status
		return f.api.Status().Update(ctx, pod)
	})
	if err != nil {
		return time.Time{}, err
	}
	return time.Time{}, f.watch.await(ctx, corev1.ConditionFalse, f.form.Pods)
}

// becomeNormal makes all pods normal, waits until every gate is open, and returns when
// the SLB API responded.
func (f *gatesFleet) becomeNormal(ctx context.Context) (time.Time, error) {
	if err := f.putRows(ctx, v1alpha1.StatusNormal); err != nil {
		return time.Time{}, err
	}
	changed := time.Now()
	if err := f.watch.await(ctx, corev1.ConditionTrue, f.form.Pods); err != nil {
		return time.Time{}, err
	}
	report, err := f.simulator.calls(ctx, keptCalls)
	if err != nil {
		return time.Time{}, err
	}
	for _, call := range report.Calls {
		if call.LoadBalancerID == gatedBalancer && call.Time.After(changed) {
			return call.Time, nil
		}
	}
	return time.Time{}, errors.New("the simulator reports no call after the change")
}

// remove deletes everything that later measurements would observe.
func (f *gatesFleet) remove(ctx context.Context) error {
	f.operator.Stop()
	for _, kind := range []client.Object{&v1alpha1.LoadBalancerHealth{}, &corev1.Service{}, &corev1.Pod{}} {
		if err := f.api.DeleteAllOf(ctx, kind, client.InNamespace(gatesNamespace), client.GracePeriodSeconds(0)); err != nil {
			return err
		}
	}
	for i := range f.form.Balancers {
		if err := f.simulator.remove(ctx, f.balancer(i)); err != nil {
			return err
		}
	}
	return f.simulator.remove(ctx, gatedBalancer)
}

// A gateWatch watches the gates of all pods.
type gateWatch struct {
	changed chan struct{}
	stop    context.CancelFunc

	mu       sync.Mutex
	statuses map[string]corev1.ConditionStatus // by pod
	at       time.Time                         // of the last change
}

// watchGates uses an informer: the API server ends the watch of a client that is slow.
func watchGates(ctx context.Context, e *env) (*gateWatch, error) {
	pods, err := cache.New(e.Plane.Config, cache.Options{DefaultNamespaces: map[string]cache.Config{gatesNamespace: {}}})
	if err != nil {
		return nil, err
	}
	informer, err := pods.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	w := &gateWatch{changed: make(chan struct{}, 1), statuses: map[string]corev1.ConditionStatus{}}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: w.add, UpdateFunc: func(_, pod any) { w.add(pod) },
	}); err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(ctx)
	go func() { _ = pods.Start(ctx) }()
	if !pods.WaitForCacheSync(ctx) {
		return nil, errors.Join(errors.New("the pods are not watched"), context.Cause(ctx))
	}
	return w, nil
}

func (w *gateWatch) add(object any) {
	pod := object.(*corev1.Pod)
	w.mu.Lock()
	for _, c := range pod.Status.Conditions {
		if string(c.Type) == v1alpha1.ReadinessGatePrefix+gatedService && w.statuses[pod.Name] != c.Status {
			w.statuses[pod.Name], w.at = c.Status, time.Now()
		}
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// last returns when the last gate changed.
func (w *gateWatch) last() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *gateWatch) count(status corev1.ConditionStatus) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.statuses {
		if s == status {
			n++
		}
	}
	return n
}

// await waits until so many gates have a status.
func (w *gateWatch) await(ctx context.Context, status corev1.ConditionStatus, want int) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	for {
		n := w.count(status)
		if n == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d gates are %s: %w", n, want, status, context.Cause(ctx))
		case <-w.changed:
		}
	}
}
