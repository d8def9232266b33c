// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// An expectedResult compares an operator that compares every observation with the expected
// backends of a Service, with one that may not read EndpointSlices, and so cannot.
type expectedResult struct {
	Size          fleetSize
	Window        time.Duration
	With, Without monitorMeasured
	Writes        int
}

// expectedCPU is the most CPU that the comparison may add.
const expectedCPU = 1.1

func expectedOnly() form {
	return form{
		name: "expected", timeout: 15 * time.Minute, uptime: 100 * time.Second, window: 60 * time.Second,
		expected: &fleetSize{Balancers: 1_000, Objects: 1, Rows: usualRows, Interval: minInterval},
	}
}

func (b *bench) measureExpected(ctx context.Context) (err error) {
	r := &expectedResult{Size: *b.form.expected, Window: b.form.window}
	b.logf("%s: with and without EndpointSlices", r.Size)
	args := []string{"--service-discovery", "--region-id", region}
	with := &monitorFleet{name: "bench-with", kind: "eni", args: args, measured: &r.With}
	without := &monitorFleet{name: "bench-without", kind: "eni", args: args, measured: &r.Without}
	fleets := []*monitorFleet{with, without}
	defer closeAll(fleets)
	for _, f := range fleets {
		if err := f.open(ctx, b.env, r.Size); err != nil {
			return err
		}
		var hidden []string
		if f == without {
			hidden = []string{"endpointslices"}
		}
		if err := f.addUser(ctx, hidden...); err != nil {
			return err
		}
		if err := f.observeAll(ctx, f == with); err != nil {
			return err
		}
	}
	b.logf("  both, while nothing changes")
	b.results.Expected = r
	r.Writes, err = b.measureRest(ctx, fleets)
	return err
}

// addUser gives the operator the permissions of its roles, without some resources.
func (f *monitorFleet) addUser(ctx context.Context, without ...string) error {
	user, err := f.Plane.AddUser(envtest.User{Name: f.name})
	if err != nil {
		return err
	}
	content, err := user.KubeConfig()
	if err != nil {
		return err
	}
	for _, file := range []string{"role.yaml", "../service-discovery/role.yaml"} {
		if err := harness.Grant(ctx, f.api, harness.User(f.name), "", file, without...); err != nil {
			return err
		}
	}
	f.kubeconfig = filepath.Join(f.Folder, f.name+".kubeconfig")
	return os.WriteFile(f.kubeconfig, content, 0o600)
}

// observeAll creates Services with endpoints and an object for each, and runs the operator
// until all are observed. Their backends are registered if the operator can compare them.
func (f *monitorFleet) observeAll(ctx context.Context, compares bool) error {
	f.watcher.reset()
	err := parallel(setupConcurrency, f.size.objects(), func(_ int, object *v1alpha1.LoadBalancerHealth) error {
		object.Namespace = f.namespace()
		id := object.Spec.LoadBalancerID
		object.Spec.LoadBalancerID, object.Spec.RegionID, object.Spec.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: id}
		return errors.Join(f.api.Create(ctx, f.serviceOfPods(id)), f.createEndpoints(ctx, id), f.api.Create(ctx, object))
	})
	if err != nil {
		return err
	}
	if err := f.startOperator(ctx); err != nil {
		return err
	}
	if f.measured.Observed, err = f.awaitAll(ctx, time.Now(), func(u update) bool { return u.requestID != "" }); err != nil {
		return fmt.Errorf("the observations of %s: %w", f.name, err)
	}
	f.operator.Stop()
	return f.checkRegistered(ctx, compares)
}

// checkRegistered checks that the statuses have the result of the comparison: else
// the operator does not do what is measured.
func (f *monitorFleet) checkRegistered(ctx context.Context, compares bool) error {
	var list v1alpha1.LoadBalancerHealthList
	if err := f.api.List(ctx, &list, client.InNamespace(f.namespace())); err != nil {
		return err
	}
	for i := range list.Items {
		registered := meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionRegistered)
		if registered != compares {
			return fmt.Errorf("%s/%s: Registered is %t", f.name, list.Items[i].Name, registered)
		}
	}
	return nil
}

// serviceOfPods has the pods of endpoints as backends.
func (f *monitorFleet) serviceOfPods(id string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace(), Name: id, Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: id},
			Annotations: map[string]string{
				"service.beta.kubernetes.io/backend-type":                             "eni",
				"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port": "https:443",
			},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: new(false),
			Selector: map[string]string{"app": id}, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}},
		},
	}
}

// sliceSize is how many endpoints the endpoint controller puts into one EndpointSlice.
const sliceSize = 100

// createEndpoints creates those of the rows of a load balancer.
func (f *monitorFleet) createEndpoints(ctx context.Context, id string) error {
	for from := 0; from < f.size.Rows; from += sliceSize {
		if err := f.api.Create(ctx, f.endpoints(id, from, min(from+sliceSize, f.size.Rows))); err != nil {
			return err
		}
	}
	return nil
}

func (f *monitorFleet) endpoints(id string, from, to int) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace(), Name: fmt.Sprintf("%s-%d", id, from/sliceSize), Labels: map[string]string{discoveryv1.LabelServiceName: id},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new(""), Port: new(int32(8443)), Protocol: new(corev1.ProtocolTCP)}},
	}
	for j := from; j < to; j++ {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{newRow(id, j, metav1.Time{}).ServerIP}, NodeName: new(fmt.Sprintf("node-%d", j)),
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: f.namespace(), Name: fmt.Sprintf("%s-%05d", id, j)},
		})
	}
	return slice
}

// check reports what differs from what the documentation promises.
func (r *expectedResult) check() error {
	var wrong []error
	for name, m := range map[string]monitorMeasured{"with EndpointSlices": r.With, "without": r.Without} {
		if math.Abs(m.Rest.CallsPerInterval-1) > windowTolerance {
			wrong = append(wrong, fmt.Errorf("%s: %.3f calls per load balancer and interval", name, m.Rest.CallsPerInterval))
		}
	}
	if ratio := r.With.Rest.CPUPerObservation / r.Without.Rest.CPUPerObservation; ratio > expectedCPU {
		wrong = append(wrong, fmt.Errorf("%.2f times the CPU, not at most %.1f", ratio, expectedCPU))
	}
	if r.Writes > 0 {
		wrong = append(wrong, fmt.Errorf("%d writes while nothing changed", r.Writes))
	}
	return errors.Join(wrong...)
}

func printExpected(out io.Writer, r *expectedResult) {
	with, without := r.With.Rest, r.Without.Rest
	fmt.Fprintf(out, "%d Services with %d endpoints each; interval %s; nothing changes.\n\n", r.Size.Balancers, r.Size.Rows, r.Size.Interval)
	fmt.Fprint(out, "| | expected backends | without | ratio |\n| --- | ---: | ---: | ---: |\n")
	row := func(name, format string, a, b float64) {
		fmt.Fprintf(out, "| %s | "+format+" | "+format+" | %.2f |\n", name, a, b, a/b)
	}
	row("API calls per load balancer and interval", "%.2f", with.CallsPerInterval, without.CallsPerInterval)
	row("CPU per observation, µs", "%.0f", with.CPUPerObservation, without.CPUPerObservation)
	row("memory, MiB", "%.0f", float64(with.RSS)/(1<<20), float64(without.RSS)/(1<<20))
	endpoints := float64(r.Size.Balancers * r.Size.Rows)
	fmt.Fprintf(out, "| memory for each endpoint, bytes | %.0f | | |\n", float64(with.RSS-without.RSS)/endpoints)
	fmt.Fprintf(out, "| writes, of both | %d | | |\n", r.Writes)
}
