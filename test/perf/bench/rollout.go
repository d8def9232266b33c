// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// How a rollout proceeds: the cloud controller manager registers a pod, the health
// check passes, and the next pod follows.
const (
	registerAfter = time.Second
	healthCheck   = 6 * time.Second
	nextPodAfter  = 4 * time.Second
	rolloutPods   = 4
)

// A fastFleet is one operator and its load balancers. The first ones have a Service
// with pods, the others ECS instances.
type fastFleet struct {
	*env
	form     fastForm
	name     string
	operator *harness.Process
	metrics  string // the address of the operator's metrics
	calls    int    // in the window

	mu          sync.Mutex
	pods        map[int][]fastPod // by load balancer
	created     int
	transitions []transition
}

// A fastPod is a pod and its row.
type fastPod struct {
	*corev1.Pod
	health string // "": not registered
}

// A transition is a change of the rows of a load balancer.
type transition struct {
	balancer string
	at       time.Time
	signaled bool
}

func (f *fastFleet) namespace() string              { return "bench-" + f.name }
func (f *fastFleet) balancer(i int) string          { return fmt.Sprintf("lb-%s-%03d", f.name, i) }
func (f *fastFleet) service(i int) string           { return fmt.Sprintf("web-%d", i) }
func (f *fastFleet) labels(i int) map[string]string { return map[string]string{"app": f.service(i)} }

// open creates the load balancers and objects, and starts the operator.
func (f *fastFleet) open(ctx context.Context, fastInterval string) error {
	f.pods = map[int][]fastPod{}
	if err := f.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace()}}); err != nil {
		return err
	}
	for i := range f.form.Balancers {
		object := newObject(f.balancer(i), 0, f.form.Interval)
		object.Namespace, object.Name = f.namespace(), f.balancer(i)
		var err error
		if i < f.form.Rollouts {
			object.Spec.LoadBalancerID, object.Spec.RegionID = "", ""
			object.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: f.service(i)}
			err = f.createService(ctx, i)
		} else {
			err = f.simulator.put(ctx, f.balancer(i), rolloutPods)
		}
		if err == nil {
			err = f.api.Create(ctx, object)
		}
		if err != nil {
			return err
		}
	}
	return f.startOperator(ctx, fastInterval)
}

// remove deletes everything that later measurements would observe.
func (f *fastFleet) remove(ctx context.Context) error {
	f.operator.Stop()
	for _, kind := range []client.Object{&v1alpha1.LoadBalancerHealth{}, &corev1.Service{}, &corev1.Pod{}} {
		if err := f.api.DeleteAllOf(ctx, kind, client.InNamespace(f.namespace()), client.GracePeriodSeconds(0)); err != nil {
			return err
		}
	}
	for i := range f.form.Balancers {
		if err := f.simulator.remove(ctx, f.balancer(i)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fastFleet) createService(ctx context.Context, i int) error {
	err := f.api.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: f.service(i), Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: f.balancer(i)}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: f.labels(i), Ports: []corev1.ServicePort{{Port: 443}}},
	})
	if err != nil {
		return err
	}
	for range rolloutPods {
		if err := f.addPod(ctx, i); err != nil {
			return err
		}
		f.setHealth(i, len(f.pods[i])-1, v1alpha1.StatusNormal)
	}
	return f.putRows(ctx, i)
}

// addPod creates a Ready pod.
func (f *fastFleet) addPod(ctx context.Context, i int) error {
	f.mu.Lock()
	f.created++
	n := f.created
	f.mu.Unlock()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: fmt.Sprintf("%s-%d", f.service(i), n), Labels: f.labels(i)},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	if err := f.api.Create(ctx, pod); err != nil {
		return err
	}
	ip := fmt.Sprintf("10.%d.%d.%d", 100+len(f.name), n/250, n%250+1) // the names differ in length
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}},
	}
	if err := f.api.Status().Update(ctx, pod); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[i] = append(f.pods[i], fastPod{Pod: pod})
	return nil
}

func (f *fastFleet) setHealth(i, n int, health string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[i][n].health = health
}

// putRows updates the load balancer, and returns after it has the registered pods as rows.
func (f *fastFleet) putRows(ctx context.Context, i int) error {
	rows := []map[string]any{}
	f.mu.Lock()
	for _, pod := range f.pods[i] {
		if pod.health != "" {
			rows = append(rows, map[string]any{
				"serverId": "eni-" + pod.Name, "serverIp": pod.Status.PodIP, "type": "eni", "serverHealthStatus": pod.health,
				"listenerPort": 443, "listenerProtocol": "https", "port": 8443,
			})
		}
	}
	f.mu.Unlock()
	return f.simulator.Admin(ctx, http.MethodPut, "loadbalancers/"+f.balancer(i), map[string]any{"regionId": region, "backends": rows}, nil)
}

// transition makes a change of a load balancer, and records it.
func (f *fastFleet) transition(i int, signaled bool, change func() error) error {
	at := time.Now()
	err := change()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.transitions = append(f.transitions, transition{f.balancer(i), at, signaled})
	}
	return err
}

// onAll does the same to each fleet.
func onAll(fleets []*fastFleet, do func(f *fastFleet) error) error {
	for _, f := range fleets {
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// rollOut replaces the pods of one load balancer, one after the other, until ctx ends.
func rollOut(ctx context.Context, fleets []*fastFleet, i int) error {
	setNewest := func(health string) func(*fastFleet) error {
		return func(f *fastFleet) error {
			f.setHealth(i, rolloutPods, health)
			return f.transition(i, true, func() error { return f.putRows(context.WithoutCancel(ctx), i) })
		}
	}
	if err := harness.Wait(ctx, time.Duration(i)*2*time.Second); err != nil {
		return err
	}
	for {
		for _, step := range []struct {
			do   func(f *fastFleet) error
			wait time.Duration
		}{
			{func(f *fastFleet) error { return f.addPod(context.WithoutCancel(ctx), i) }, registerAfter},
			{setNewest(v1alpha1.StatusUnavailable), healthCheck},
			{setNewest(v1alpha1.StatusNormal), 0},
			{func(f *fastFleet) error { return f.deleteOldest(context.WithoutCancel(ctx), i) }, registerAfter},
			{func(f *fastFleet) error { return f.deregisterOldest(context.WithoutCancel(ctx), i) }, nextPodAfter},
		} {
			if err := onAll(fleets, step.do); err != nil {
				return err
			}
			if err := harness.Wait(ctx, step.wait); err != nil {
				return err
			}
		}
	}
}

func (f *fastFleet) deleteOldest(ctx context.Context, i int) error {
	f.mu.Lock()
	oldest := f.pods[i][0].Pod
	f.mu.Unlock()
	return f.api.Delete(ctx, oldest, client.GracePeriodSeconds(0))
}

func (f *fastFleet) deregisterOldest(ctx context.Context, i int) error {
	return f.transition(i, true, func() error {
		f.mu.Lock()
		f.pods[i] = f.pods[i][1:]
		f.mu.Unlock()
		return f.putRows(ctx, i)
	})
}

// failSilently makes a backend abnormal, and normal again, one load balancer after the
// other, until ctx ends.
func failSilently(ctx context.Context, fleets []*fastFleet) error {
	for n := 0; ; n++ {
		i := fleets[0].form.Rollouts + n*37%(fleets[0].form.Balancers-fleets[0].form.Rollouts)
		for _, abnormal := range []bool{true, false} {
			if err := harness.Wait(ctx, fleets[0].form.FailEvery/2); err != nil {
				return err
			}
			err := onAll(fleets, func(f *fastFleet) error {
				return f.transition(i, false, func() error { return f.simulator.set(context.WithoutCancel(ctx), f.balancer(i), abnormal) })
			})
			if err != nil {
				return err
			}
		}
	}
}

// countCalls counts the calls for the fleet since the simulator's counters were reset.
func (f *fastFleet) countCalls(ctx context.Context) error {
	report, err := f.simulator.calls(ctx, 1)
	for i := range f.form.Balancers {
		f.calls += report.ByLoadBalancer[f.balancer(i)]
	}
	return err
}
