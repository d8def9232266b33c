// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// fakeExpected expects servers, as the cache shows them and as the API server does.
type fakeExpected struct {
	cached, live []string
	confirms     int
	err          error // of Confirm
	// liveSince is since when the API server shows i-2 as Ready.
	liveSince  func() time.Time
	registered []alicloud.Backend
}

func expectationOf(servers []string) cluster.Expectation {
	l := health.ExpectedListener{ServicePort: health.ServicePort{Port: 443, Protocol: "https"}, Policy: health.PolicyCluster, NodePort: 8443}
	for _, server := range servers {
		l.Backends = append(l.Backends, health.ExpectedBackend{Type: health.TypeECS, ServerID: server, Port: 8443, Origin: health.FromNode})
	}
	return cluster.Expectation{Expected: &health.Expected{Listeners: []health.ExpectedListener{l}}}
}

func (*fakeExpected) Reads() bool { return true }

func (f *fakeExpected) For(_ context.Context, _ *v1alpha1.LoadBalancerHealth, registered cluster.Registered, _ cluster.Expectation) (cluster.Expectation, error) {
	f.registered = registered.Backends
	return expectationOf(f.cached), nil
}

func (f *fakeExpected) Confirm(context.Context, *v1alpha1.LoadBalancerHealth, cluster.Registered) (cluster.Expectation, error) {
	f.confirms++
	if f.err != nil {
		return cluster.Expectation{}, f.err
	}
	confirmed := expectationOf(f.live)
	if f.liveSince != nil {
		confirmed.Expected.Listeners[0].Backends[1].Since = f.liveSince()
	}
	return confirmed, nil
}

// expectedTest is an object of a Service whose load balancer has the backend i-1.
type expectedTest struct {
	*reconcileTest
	expected *fakeExpected
}

func newExpectedTest(t *testing.T, servers ...string) *expectedTest {
	t.Helper()
	object := newObject(fresh, every(10*time.Second))
	id, region := object.Spec.LoadBalancerID, object.Spec.RegionID
	object.Spec.LoadBalancerID, object.Spec.RegionID, object.Spec.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: "web"}
	object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: id, RegionID: region}
	test := &expectedTest{newReconcileTest(t, object), &fakeExpected{cached: servers, live: servers}}
	test.Expected, test.Status.Client = test.expected, storingCluster{test.cluster}
	return test
}

// storingCluster stores the statuses that are written.
type storingCluster struct{ *fakeCluster }

func (c storingCluster) UpdateStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) (string, error) {
	version, err := c.fakeCluster.UpdateStatus(ctx, object, next)
	if err == nil {
		c.objects[0].Status = *next.DeepCopy()
	}
	return version, err
}

// observeFor reconciles when the target is due, for a duration.
func (t *expectedTest) observeFor(duration time.Duration) {
	t.Helper()
	for end := t.clock.Now().Add(duration); t.clock.Now().Before(end); {
		t.clock.advance(t.step())
	}
}

func (t *expectedTest) expectRegistered(when, want string) {
	t.Helper()
	got := ""
	for _, c := range t.cluster.objects[0].Status.Conditions {
		if c.Type == v1alpha1.ConditionRegistered {
			got = string(c.Status) + " " + c.Reason
		}
	}
	equal(t.T, when, got, want)
}

func TestMissingBackendsAreConfirmed(t *testing.T) {
	test := newExpectedTest(t, "i-1", "i-2")
	test.step()
	test.expectRegistered("at first", "Unknown Pending")
	test.observeFor(20 * time.Second)
	equal(t, "confirmations in the grace", test.expected.confirms, 0)
	test.observeFor(30 * time.Second)
	test.expectRegistered("after the grace", "False BackendsMissing")
	equal(t, "confirmations", test.expected.confirms, 1)
	test.observeFor(time.Minute)
	equal(t, "confirmations while nothing changes", test.expected.confirms, 1)
}

// The watch is interrupted: the cache still has a node that was deleted.
func TestBackendsOfAnOldCacheAreNotMissing(t *testing.T) {
	test := newExpectedTest(t, "i-1", "i-2")
	test.expected.live = []string{"i-1"}
	test.observeFor(2 * time.Minute)
	test.expectRegistered("with the old cache", "True AllRegistered")
	if test.expected.confirms == 0 {
		t.Error("nothing was confirmed")
	}
}

// A backend that restarts again and again was registered between observations.
func TestBackendsThatRestartAreNotMissing(t *testing.T) {
	test := newExpectedTest(t, "i-1")
	test.step()
	test.expected.cached, test.expected.live = []string{"i-1", "i-2"}, []string{"i-1", "i-2"}
	test.expected.liveSince = func() time.Time { return test.clock.Now().Add(-time.Second) }
	test.observeFor(2 * time.Minute)
	test.expectRegistered("while it restarts", "True AllRegistered")
	restarted := test.clock.Now()
	test.expected.liveSince = func() time.Time { return restarted }
	test.observeFor(90 * time.Second)
	test.expectRegistered("once it does not", "False BackendsMissing")
}

// What the status says is kept while the API server does not answer.
func TestUnconfirmedBackendsAreNotMissing(t *testing.T) {
	test := newExpectedTest(t, "i-1")
	test.step()
	test.expected.cached, test.expected.err = []string{"i-1", "i-2"}, errors.New("timeout")
	test.expected.live = nil
	test.observeFor(time.Minute)
	test.expectRegistered("unconfirmed", "True AllRegistered")
	test.expected.err, test.expected.live = nil, test.expected.cached
	test.observeFor(10 * time.Second)
	test.expectRegistered("confirmed", "False BackendsMissing")
}

// Absences count also while the status cannot be written.
func TestAbsencesAreKeptWithoutAWrite(t *testing.T) {
	test := newExpectedTest(t, "i-1", "i-2")
	test.step()
	test.cluster.writeErr = errors.New("down")
	test.clock.advance(20 * time.Second)
	_, _ = test.Reconcile(t.Context(), test.target)
	test.clock.advance(20 * time.Second)
	test.cluster.writeErr = nil
	test.step()
	test.expectRegistered("40 s after the first absence", "False BackendsMissing")
}

func TestTypesOfBackendsAreKeptForEmptyObservations(t *testing.T) {
	test := newExpectedTest(t, "i-1")
	test.step()
	equal(t, "the backends of the observation", len(test.expected.registered), 1)
	test.api.respond = func(request alicloud.Request) (*alicloud.Observation, error) {
		return &alicloud.Observation{RequestID: "r", Scope: request.Scope, At: test.clock.Now()}, nil
	}
	test.observeFor(time.Minute)
	equal(t, "the backends of the last one that had any", len(test.expected.registered), 1)
}

func TestSamplesHaveEachKind(t *testing.T) {
	var backends []alicloud.Backend
	for range 100 {
		backends = append(backends, alicloud.Backend{Type: "ecs"}, alicloud.Backend{Type: "eni", ServerIP: "10.0.0.1"}, alicloud.Backend{Type: "eni", ServerIP: "2001:db8::1"})
	}
	counts := map[alicloud.Backend]int{}
	for _, b := range samplesOf(backends) {
		counts[b]++
	}
	equal(t, "kinds", len(counts), 3)
	for b, n := range counts {
		equal(t, b.Type+" "+b.ServerIP, n, maxKindSamples)
	}
	missing := v1alpha1.LoadBalancerHealthStatus{MissingBackends: []v1alpha1.MissingBackend{{ServerIP: "10.0.0.1", Since: metav1.Now()}, {ServerID: "i-1"}}}
	for i, want := range []string{"eni", "ecs"} {
		equal(t, "from missing backends", kindsIn(&missing)[i].Type, want)
	}
}
