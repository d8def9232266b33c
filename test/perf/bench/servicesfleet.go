// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// creators is how many objects the operator creates at once, and the bare client, too.
	creators = 4
	// firstStartTimeout is for all writes of the first start.
	firstStartTimeout = 15 * time.Minute
)

// A monitorFleet is one operator with its own namespace and its own simulator, which counts
// the calls of ten thousand load balancers and no more.
type monitorFleet struct {
	*env
	name string // of the namespace
	// kubeconfig is that of the operator; "": it may do everything.
	kubeconfig string
	args       []string // further flags of the operator
	kind       string   // the type of the backends
	services   bool     // the operator creates the objects of Services; else a bare client creates them
	operator   *harness.Process
	measured   *monitorMeasured
}

func (f *monitorFleet) namespace() string { return f.name }

// open starts the simulator, with all load balancers.
func (f *monitorFleet) open(ctx context.Context, common *env, size fleetSize) error {
	var err error
	if f.env, err = common.withSimulator(ctx, f.namespace()); err != nil {
		return err
	}
	f.size = size
	err = parallel(setupConcurrency, size.balancerIDs(), func(_ int, id string) error { return f.simulator.putKind(ctx, id, size.Rows, f.kind) })
	if err != nil {
		return err
	}
	return f.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace()}})
}

func (f *monitorFleet) close() {
	if f.operator != nil {
		f.operator.Stop()
	}
	if f.env != nil {
		f.simulator.Stop()
	}
}

// start runs the operator until all objects exist, are observed, and have their Events.
func (f *monitorFleet) start(ctx context.Context) error {
	if f.services {
		if err := f.createServices(ctx); err != nil {
			return err
		}
	}
	before, err := f.api.requested(ctx)
	if err != nil {
		return err
	}
	f.watcher.reset()
	began := time.Now()
	if !f.services {
		if err := f.createObjects(ctx); err != nil {
			return err
		}
	}
	if err := f.startOperator(ctx); err != nil {
		return err
	}
	if f.measured.Exist, err = f.awaitAll(ctx, began, func(u update) bool { return u.added }); err != nil {
		return fmt.Errorf("the objects: %w", err)
	}
	if f.measured.Observed, err = f.awaitAll(ctx, began, func(u update) bool { return u.requestID != "" }); err != nil {
		return fmt.Errorf("the observations: %w", err)
	}
	return f.finishStart(ctx, before)
}

// finishStart waits for the Events, reads the counters, and stops the operator.
func (f *monitorFleet) finishStart(ctx context.Context, before requested) error {
	err := wait.PollUntilContextTimeout(ctx, time.Second, firstStartTimeout, true, func(ctx context.Context) (bool, error) {
		now, err := f.api.requested(ctx)
		f.measured.First.Requests = now.since(before)
		return !f.services || f.measured.First.Requests.events >= f.size.Balancers, err
	})
	if err != nil {
		return fmt.Errorf("%d events: %w", f.measured.First.Requests.events, err)
	}
	usage, err := f.operator.Usage()
	f.measured.First.PeakRSS = usage.Peak
	f.operator.Stop()
	return err
}

// awaitAll returns how long it took until there was an update that counts of each object.
func (f *monitorFleet) awaitAll(ctx context.Context, began time.Time, counts func(update) bool) (time.Duration, error) {
	first, err := f.watcher.waitFor(ctx, f.size.Balancers, firstStartTimeout, counts)
	if err != nil {
		return 0, err
	}
	if len(first) < f.size.Balancers {
		return 0, fmt.Errorf("only %d of %d within %s", len(first), f.size.Balancers, firstStartTimeout)
	}
	return first[len(first)-1].at.Sub(began), nil
}

func (f *monitorFleet) createServices(ctx context.Context) error {
	return parallel(setupConcurrency, f.size.balancerIDs(), func(_ int, id string) error {
		return f.api.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(), Name: "web-" + id, Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: id}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: new(false),
				Selector: map[string]string{"app": id}, Ports: []corev1.ServicePort{{Port: 443}},
			},
		})
	})
}

func (f *monitorFleet) createObjects(ctx context.Context) error {
	return parallel(creators, f.size.objects(), func(_ int, object *v1alpha1.LoadBalancerHealth) error {
		object.Namespace = f.namespace()
		return f.api.Create(ctx, object)
	})
}

func (f *monitorFleet) startOperator(ctx context.Context) (err error) {
	f.operator, err = f.startOperatorOf(ctx, f.namespace(), f.builtOperator(),
		append([]string{"--kubeconfig", cmp.Or(f.kubeconfig, f.Plane.Kubeconfig())}, f.args...)...)
	return err
}

// startOperatorOf runs a build of the operator for the objects of one namespace, without
// a limit of calls.
func (s *env) startOperatorOf(ctx context.Context, namespace, program string, args ...string) (*harness.Process, error) {
	return harness.Start(ctx, s.Folder, namespace, s.Environment(accessKeyID, accessKeySecret), program, slices.Concat([]string{
		"--kubeconfig", s.Plane.Kubeconfig(), "--slb-endpoint", s.simulator.URL, "--watch-namespace", namespace,
		"--slb-qps", "1000000", "--slb-burst", "1000000", "--status-heartbeat", "1h", "--metrics-bind-address", "0", "--health-probe-bind-address", "0",
	}, args)...)
}
