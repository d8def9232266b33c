// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// backendsEnv is a ServiceBackends that may read everything, and what it reads.
type backendsEnv struct {
	*ServiceBackends
	now   time.Time
	reads map[string]int
	fails string // a kind
}

func newBackendsEnv(c *cluster) *backendsEnv {
	env := &backendsEnv{now: start, reads: map[string]int{}}
	c.service.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"}
	objects := []client.Object{c.service}
	for _, slice := range c.slices {
		objects = append(objects, slice)
	}
	for _, pod := range c.pods {
		objects = append(objects, pod)
	}
	for _, node := range c.nodes {
		objects = append(objects, node)
	}
	for _, policy := range c.policies {
		objects = append(objects, policy)
	}
	if c.ingress != nil {
		objects = append(objects, c.ingress)
	}
	read := func(object any) error {
		kind := fmt.Sprintf("%T", object)
		env.reads[kind]++
		if kind == env.fails {
			return errors.New("no informer")
		}
		return nil
	}
	reader := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).
		WithIndex(&discoveryv1.EndpointSlice{}, slicesByService, serviceOfSlice).
		WithIndex(&networkingv1.Ingress{}, ingressesByService, servicesOfIngress).
		WithIndex(&corev1.Service{}, "metadata.name", func(object client.Object) []string { return []string{object.GetName()} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				return errors.Join(read(object), c.Get(ctx, key, object, options...))
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				return errors.Join(read(list), c.List(ctx, list, options...))
			},
		}).Build()
	locator := &BackendLocator{}
	for _, kind := range []interface{ Store(bool) }{&locator.nodes, &locator.pods, &locator.endpointSlices, &locator.policies, &locator.ingresses} {
		kind.Store(true)
	}
	env.ServiceBackends = &ServiceBackends{Locator: locator, Ingresses: &Ingresses{Locator: locator, reader: reader}, Now: func() time.Time { return env.now }, reader: reader, liveReader: reader}
	return env
}

func serviceObject(loadBalancer string) *v1alpha1.LoadBalancerHealth {
	return &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "object"},
		Spec:       v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: "web"}},
		Status:     v1alpha1.LoadBalancerHealthStatus{ServiceLoadBalancer: &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: loadBalancer}},
	}
}

func (env *backendsEnv) expect(t *testing.T, registered ...alicloud.Backend) (*health.Expected, error) {
	t.Helper()
	expectation, err := env.For(t.Context(), serviceObject("lb-1"), Registered{Backends: registered}, Expectation{})
	return expectation.Expected, err
}

func (env *backendsEnv) format(t *testing.T, registered ...alicloud.Backend) string {
	t.Helper()
	expected, err := env.expect(t, registered...)
	if err != nil || expected == nil {
		t.Fatal(expected, err)
	}
	return format(expected)
}

func TestServiceBackendsReadsTheCluster(t *testing.T) {
	other := newCluster(eni).slices[0]
	other.Name, other.Labels = "api", map[string]string{discoveryv1.LabelServiceName: "api"}
	other.Endpoints[0].Addresses[0] = "10.0.9.9"
	env := newBackendsEnv(newCluster(notReady(1), gate(1, registering), func(c *cluster) { c.slices = append(c.slices, other) }))
	pods, servers := "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", "80/tcp: i-1:30080 i-2:30080 i-3:30080"
	equal(t, "pods are registered", env.format(t, alicloud.Backend{Type: health.TypeENI, ServerIP: "10.9.9.9"}), pods)
	equal(t, "nodes are registered", env.format(t, alicloud.Backend{Type: health.TypeECS, ServerID: "i-9"}), servers)
	equal(t, "only the pod that is not ready was read, each time", env.reads["*v1.Pod"], 2)
	equal(t, "the nodes were read once", env.reads["*v1.NodeList"], 1)
	env.now = start.Add(nodesMaxAge)
	equal(t, "later", env.format(t, alicloud.Backend{Type: health.TypeECS}), servers)
	equal(t, "the nodes were read again", env.reads["*v1.NodeList"], 2)
}

func TestServiceBackendsReadsPodsForPolicies(t *testing.T) {
	env := newBackendsEnv(newCluster(eni, func(c *cluster) { c.policies = []*networkingv1.NetworkPolicy{blocking("deny")} }))
	expected, err := env.expect(t)
	if err != nil || expected.Listeners[0].Backends[1].BlockedBy != "prod/deny" {
		t.Errorf("got %+v, %v", expected, err)
	}
	env.Locator.policies.Store(false)
	if expected, err = env.expect(t); err != nil || expected.Listeners[0].Backends[1].BlockedBy != "" {
		t.Errorf("policies may not be read: got %+v, %v", expected, err)
	}
}

// Confirm reads what the cache does not show yet.
func TestServiceBackendsConfirmsPastTheCache(t *testing.T) {
	env := newBackendsEnv(newCluster(eni))
	env.liveReader = newBackendsEnv(newCluster(eni, func(c *cluster) {
		c.slices[0].Endpoints = c.slices[0].Endpoints[:1]
		c.service.Spec.Ports[0].TargetPort = intstr.FromInt32(9090)
	})).reader
	equal(t, "cached", env.format(t), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080")
	confirmed, err := env.Confirm(t.Context(), serviceObject("lb-1"), Registered{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "live", format(confirmed.Expected), "80/tcp: 10.0.0.1:9090")
	env.liveReader = newBackendsEnv(newCluster(eni, func(c *cluster) { c.service.Name = "other" })).reader
	if confirmed, err = env.Confirm(t.Context(), serviceObject("lb-1"), Registered{}); confirmed.Expected != nil || err != nil {
		t.Errorf("the Service does not exist any more: got %+v, %v", confirmed, err)
	}
}

// Since when a backend is expected matters once it would be missing. It is not read before.
func TestServiceBackendsConfirmsSinceWhen(t *testing.T) {
	later := func(minutes int) metav1.Time { return metav1.NewTime(start.Add(time.Duration(minutes) * time.Minute)) }
	restarted := func(c *cluster) {
		c.nodes[1].Status.Conditions[1].LastTransitionTime = later(1)
		c.pods[1].Status.Conditions[1].LastTransitionTime = later(2)
	}
	anotherPod := func(c *cluster) {
		c.pods = append(c.pods, podOn("web-3", "n2"))
		c.slices[0].Endpoints = append(c.slices[0].Endpoints, endpointOn("10.0.0.3", "n2", "web-3"))
	}
	unknownPod := func(c *cluster) {
		c.slices[0].Endpoints = append(c.slices[0].Endpoints, endpointOn("10.0.0.3", "n2", "web-3"))
	}
	for name, test := range map[string]struct {
		edits           []edit
		cached, confirm int // minutes after the start; -1: not known
	}{
		"the address of a pod":                {[]edit{eni}, -1, 2},
		"a node":                              {[]edit{annotate(annotationBackendType, "ecs")}, 1, 1},
		"a node with a pod":                   {[]edit{local}, 1, 2},
		"a node with another pod":             {[]edit{local, anotherPod}, 1, 1},
		"a node with a pod that is not known": {[]edit{local, unknownPod}, 1, 1},
	} {
		env := newBackendsEnv(newCluster(append(test.edits, restarted)...))
		env.liveReader = env.reader
		cached, err := env.expect(t)
		confirmed, confirmErr := env.Confirm(t.Context(), serviceObject("lb-1"), Registered{})
		if err != nil || confirmErr != nil {
			t.Fatal(err, confirmErr)
		}
		for i, expected := range []*health.Expected{cached, confirmed.Expected} {
			b, want := &expected.Listeners[0].Backends[1], time.Time{}
			if when := []int{test.cached, test.confirm}[i]; when >= 0 {
				want = later(when).Time
			}
			since := b.Since
			if b.Type == health.TypeENI {
				since = b.Location.PodReadySince
			}
			if !since.Equal(want) {
				t.Errorf("%s: expected since %s, want %s", name, since, want)
			}
		}
	}
}

func TestServiceBackendsNeedsPermissions(t *testing.T) {
	for name, test := range map[string]struct {
		revoke func(*BackendLocator)
		want   string
	}{
		"none":           {func(*BackendLocator) {}, "80/tcp: i-2:30080"},
		"EndpointSlices": {func(l *BackendLocator) { l.endpointSlices.Store(false) }, "? EndpointSlicesUnknown()"},
		"nodes":          {func(l *BackendLocator) { l.nodes.Store(false) }, "80/tcp: ? NodesUnknown()"},
		"pods":           {func(l *BackendLocator) { l.pods.Store(false) }, "80/tcp: i-2:30080"},
	} {
		env := newBackendsEnv(newCluster(local, notReady(1)))
		test.revoke(env.Locator)
		equal(t, name, env.format(t), test.want)
	}
}

func TestServiceBackendsExpectsNothing(t *testing.T) {
	env := newBackendsEnv(newCluster(eni))
	direct, absent := serviceObject("lb-1"), serviceObject("lb-1")
	direct.Spec.ServiceRef, absent.Spec.ServiceRef.Name, absent.Status.ServiceLoadBalancer.ServiceName = nil, "api", "api"
	for name, test := range map[string]struct {
		backends *ServiceBackends
		object   *v1alpha1.LoadBalancerHealth
	}{
		"no reader":                     {nil, serviceObject("lb-1")},
		"no serviceRef":                 {env.ServiceBackends, direct},
		"no load balancer yet":          {env.ServiceBackends, &v1alpha1.LoadBalancerHealth{Spec: absent.Spec}},
		"another load balancer":         {env.ServiceBackends, serviceObject("lb-0")},
		"a Service that does not exist": {env.ServiceBackends, absent},
	} {
		if expected, err := test.backends.For(t.Context(), test.object, Registered{}, Expectation{}); expected.Expected != nil || err != nil {
			t.Errorf("%s: got %+v, %v", name, expected, err)
		}
	}
}

func TestServiceBackendsReturnsErrors(t *testing.T) {
	for _, kind := range []string{"*v1.Service", "*v1.EndpointSliceList", "*v1.NodeList", "*v1.NetworkPolicyList", "*v1.Pod"} {
		env := newBackendsEnv(newCluster(eni, notReady(1)))
		env.fails = kind
		if expected, err := env.expect(t); err == nil {
			t.Errorf("%s: got %+v", kind, expected)
		}
	}
}

// Once a permission is revoked, the cache keeps showing the contents of before.
func TestServiceBackendsDropsForbiddenKinds(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("x"), "", errors.New("no"))
	l := newBackendsEnv(newCluster()).Locator
	for _, kind := range []struct {
		object client.Object
		may    interface{ Load() bool }
	}{{&discoveryv1.EndpointSlice{}, &l.endpointSlices}, {&networkingv1.NetworkPolicy{}, &l.policies}} {
		equal(t, "before", kind.may.Load(), true)
		l.watchFailed(t.Context(), toolscache.NewReflectorWithOptions(&toolscache.ListWatch{}, kind.object, toolscache.NewStore(toolscache.MetaNamespaceKeyFunc), toolscache.ReflectorOptions{}), forbidden)
		equal(t, "after", kind.may.Load(), false)
	}
}

// listReader records the kind that is listed.
type listReader struct {
	client.Reader
	kind string
}

func (r *listReader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	r.kind = list.GetObjectKind().GroupVersionKind().String()
	return nil
}

func TestCanListUsesTheGroupOfTheKind(t *testing.T) {
	for kind, want := range map[string]string{
		KindPod: "/v1, Kind=PodList", KindEndpointSlice: "discovery.k8s.io/v1, Kind=EndpointSliceList", KindNetworkPolicy: "networking.k8s.io/v1, Kind=NetworkPolicyList",
	} {
		reader := &listReader{}
		if err := CanList(t.Context(), reader, kind, nil); err != nil || reader.kind != want {
			t.Errorf("%s: listed %s, %v", kind, reader.kind, err)
		}
	}
}
