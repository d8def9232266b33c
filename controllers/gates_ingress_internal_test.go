// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// readerManager is a manager whose cache and API server are a client.
type readerManager struct {
	ctrl.Manager
	client client.Client
	live   client.Reader
}

func (m readerManager) GetClient() client.Client             { return m.client }
func (m readerManager) GetAPIReader() client.Reader          { return m.live }
func (m readerManager) GetLogger() logr.Logger               { return logr.Discard() }
func (m readerManager) GetFieldIndexer() client.FieldIndexer { return m }

func (m readerManager) IndexField(context.Context, client.Object, string, client.IndexerFunc) error {
	return nil
}

// listsAll permits to list everything, and listsNone nothing.
type (
	listsAll  struct{ client.Reader }
	listsNone struct{ client.Reader }
)

func (listsAll) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }
func (listsNone) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "ingresses"}, "", nil)
}

// ingressesOf reads Ingresses from a client, if live permits to list them.
func ingressesOf(t *testing.T, from client.Client, live client.Reader) *cluster.Ingresses {
	t.Helper()
	ingresses := &cluster.Ingresses{Locator: &cluster.BackendLocator{}}
	if err := ingresses.SetupWithManager(t.Context(), readerManager{client: from, live: live}, nil); err != nil {
		t.Fatal(err)
	}
	return ingresses
}

func ofALB(o *v1alpha1.LoadBalancerHealth) {
	o.Spec.LoadBalancerID, o.Spec.RegionID, o.Spec.IngressRef = "", "", &v1alpha1.IngressReference{Name: "shop"}
	o.Status.IngressLoadBalancer = &v1alpha1.IngressLoadBalancer{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: testTarget.RegionID}
	o.Status.ObservedTarget = &v1alpha1.ObservedTarget{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: testTarget.RegionID}
}

// newALBEnv returns a gateEnv whose Service web is of type ClusterIP, behind the Ingress shop with an ALB.
func newALBEnv(t *testing.T) *gateEnv {
	env := newGateEnv(t)
	env.service.Spec.Type, env.service.Labels = corev1.ServiceTypeClusterIP, nil
	env.objects = []v1alpha1.LoadBalancerHealth{newObject(ofALB, wasObserved)}
	env.ingress = &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "shop"},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
		}},
	}
	env.gates.Ingresses = ingressesOf(t, env, listsAll{})
	return env
}

// webGroup is the server group of Service web.
func webGroup() *health.Expected {
	return &health.Expected{Groups: []health.OwnGroup{{ID: "sgp-web", Services: []string{"web"}}}}
}

// albOf is an observation of an ALB, requested now. Rows are such as "sgp-web 1 normal":
// a server group, the number of a pod and its status.
func (env *gateEnv) albOf(rows ...string) *alicloud.Observation {
	now := env.clock.Now()
	o := &alicloud.Observation{RequestedAt: now, At: now, Groups: &alicloud.Groups{}}
	for _, id := range []string{"sgp-other", "sgp-web"} {
		o.Groups.Listeners = append(o.Groups.Listeners, alicloud.GroupListener{
			Listener: alicloud.Listener{Port: 443, Protocol: "https", Status: "running", HealthCheck: "on"}, EndPort: 443, ServerGroupID: id, MembersAt: now,
		})
	}
	for _, row := range rows {
		words := strings.Fields(row)
		o.Groups.Rows = append(o.Groups.Rows, alicloud.GroupRow{ServerGroupID: words[0]})
		o.Backends = append(o.Backends, alicloud.Backend{
			ServerID: "eni-" + words[1], ServerIP: "10.9.0." + words[1], Type: health.TypeENI,
			ListenerPort: 443, ListenerProtocol: "https", Port: 8080, ServerHealthStatus: words[2],
		})
	}
	return o
}

// observeALB evaluates an observation of the ALB.
func (env *gateEnv) observeALB(expected *health.Expected, o *alicloud.Observation) {
	target, _ := TargetOf(&env.objects[0])
	state := &targetState{}
	state.expected.of(env.objects[0].UID).expectation.Expected = expected
	env.gates.observed(env.t.Context(), &evaluation{
		reconciliation: &reconciliation{target: target, objects: env.objects, state: state, observation: o, observed: true},
		at:             env.clock.Now(), options: health.Options{MaxBackends: 1},
	})
	env.reconcile()
}

func TestGateBehindAnALBOpensAtANormalServer(t *testing.T) {
	env := newALBEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observeALB(webGroup(), env.albOf("sgp-other 7 abnormal"))
	env.want("web-1 False NotRegistered")
	env.clock.advance(gateRewrite)
	env.observeALB(webGroup(), env.albOf("sgp-other 7 abnormal", "sgp-other 1 normal"))
	env.want() // still not registered in a group of the Service
	env.observeALB(webGroup(), env.albOf("sgp-web 1 abnormal", "sgp-other 1 normal"))
	env.want("web-1 False BackendAbnormal")
	env.clock.advance(24 * time.Hour)
	env.observeALB(webGroup(), env.albOf("sgp-web 1 abnormal"))
	env.want()
	env.observeALB(webGroup(), env.albOf("sgp-web 1 normal", "sgp-other 7 abnormal"))
	env.want("web-1 True BackendNormal")
}

// An observation that was requested before the pod was ready, or whose members were, is
// about another pod that may have had the address.
func TestGateBehindAnALBNeedsAnAnswerAboutThePod(t *testing.T) {
	env := newALBEnv(t)
	before := env.albOf("sgp-web 1 normal")
	env.add("web-1", env.ready())
	env.reconcile()
	env.observeALB(webGroup(), before)
	kept := env.albOf("sgp-web 1 normal")
	kept.Groups.Listeners[1].MembersAt = before.RequestedAt
	env.observeALB(webGroup(), kept)
	env.want()
	others := env.albOf("sgp-web 1 normal")
	others.Groups.Listeners[0].MembersAt = before.RequestedAt // of another team
	env.observeALB(webGroup(), others)
	env.want("web-1 True BackendNormal")
}

// One pod replaces another one: the group has as many servers as before.
func TestGateOfAPodThatReplacesAnotherOneBehindAnALB(t *testing.T) {
	env := newALBEnv(t)
	env.add("web-2", env.ready())
	env.reconcile()
	env.observeALB(webGroup(), env.albOf("sgp-web 1 normal"))
	env.want("web-2 False NotRegistered")
	env.observeALB(webGroup(), env.albOf("sgp-web 2 normal"))
	env.want("web-2 True BackendNormal")
}

func TestGateBehindAnALBWhoseServerGroupsAreNotKnown(t *testing.T) {
	lacks := webGroup()
	lacks.ServicesWithoutGroup = []string{"web"}
	lacks.GroupsNotDetermined = health.NotDetermined{Reason: health.ServerGroupUnknown, Object: "port 81 of Service web"}
	unread := &health.Expected{Groups: []health.OwnGroup{{ID: "sgp-web"}}, GroupsNotDetermined: health.NotDetermined{Reason: health.EndpointSlicesUnknown}}
	for name, test := range map[string]struct {
		expected    *health.Expected
		soon, later string
	}{
		"of one port":                    {lacks, "web-1 False NotRegistered", ""},
		"of any: the pod is in none":     {&health.Expected{}, "web-1 False NotRegistered", ""},
		"without EndpointSlices: opens":  {unread, "web-1 False WaitingForObservation", "web-1 True HealthUnknown"},
		"nothing was read yet, and ever": {nil, "web-1 False WaitingForObservation", "web-1 True HealthUnknown"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newALBEnv(t)
			env.add("web-1", env.ready())
			env.reconcile()
			env.clock.advance(gateRewrite)
			env.observeALB(test.expected, env.albOf("sgp-web 1 normal"))
			env.want(test.soon)
			env.clock.advance(10 * time.Minute)
			env.observeALB(test.expected, env.albOf("sgp-web 1 normal"))
			if test.later == "" {
				env.want()
			} else {
				env.want(test.later)
			}
		})
	}
}

// Without the permission to read Ingresses it is not known which object is about the
// Service: the gate waits for the timeout, as after a failure.
func TestGateBehindAnALBWithoutPermissionForIngresses(t *testing.T) {
	env := newALBEnv(t)
	env.gates.Ingresses = ingressesOf(t, env, listsNone{})
	env.objects[0].Status.IngressLoadBalancer = nil
	failsToObserve(&env.objects[0])
	env.add("web-1", env.ready())
	env.reconcile()
	env.clock.advance(9 * time.Minute)
	env.reconcile()
	env.want("web-1 False WaitingForObservation")
	env.clock.advance(time.Minute)
	env.reconcile()
	env.want("web-1 True HealthUnknown")

	env = newALBEnv(t)
	env.gates.Ingresses, env.objects = ingressesOf(t, env, listsNone{}), nil
	env.add("web-1", env.ready())
	env.reconcile()
	env.clock.advance(gateRewrite + 30*time.Second)
	env.reconcile()
	env.want("web-1 True NotObserved") // no object can be about it
}

// gatedGroupsTest is a groupsTest whose gates wait for pod web-1.
func gatedGroupsTest(t *testing.T, env *gateEnv, calls, burst int) (*reconcileTest, *fakeGroups) {
	t.Helper()
	test := newReconcileTest(t, env.objects...)
	api := &fakeGroups{clock: test.clock, calls: calls}
	test.ServerGroups = map[string]ServerGroupsAPI{test.target.Product(): api}
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 1, Burst: burst, Concurrency: 32})
	test.clock.advance(test.step())
	env.clock, env.gates.Now = test.clock, test.clock.Now
	env.add("web-1", env.ready())
	env.reconcile()
	test.Gates = env.gates
	return test, api
}

// Neither a failed attempt nor one that lacks a permit passes anything on to the gates.
func TestGateOfAnNLBGetsWholeObservations(t *testing.T) {
	env := newGateEnv(t)
	env.service.Labels[v1alpha1.ServiceLoadBalancerLabel] = "nlb-1"
	env.objects = []v1alpha1.LoadBalancerHealth{newObject(
		withServiceRef("web", &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "nlb-1", RegionID: testTarget.RegionID}), wasObserved)}
	env.objects[0].Status.ObservedTarget = &v1alpha1.ObservedTarget{ServiceName: "web", LoadBalancerID: "nlb-1", RegionID: testTarget.RegionID}
	test, api := gatedGroupsTest(t, env, 3, 2)
	passedOn := func() bool { return env.gates.states.observation(webRequest.NamespacedName, test.target) != nil }
	requeueAfter := test.step()
	equal(t, "the number of calls of a part", api.made, 2)
	equal(t, "a part is passed on", passedOn(), false)
	test.clock.advance(requeueAfter)
	api.fail = &alicloud.Error{Kind: alicloud.Throttled, Code: "Throttling.User", Message: "m"}
	requeueAfter = test.step()
	equal(t, "a failure is passed on", passedOn(), false)
	env.clock.advance(gateRewrite)
	env.reconcile()
	env.want("web-1 False WaitingForObservation")
	for range 3 {
		test.clock.advance(requeueAfter)
		requeueAfter = test.step()
	}
	equal(t, "a whole observation is passed on", passedOn(), true)
}

// While a pod waits, the members of its server groups are read, and not only counted.
func TestAwaitedServerGroupsAreRead(t *testing.T) {
	env := newALBEnv(t)
	test, api := gatedGroupsTest(t, env, 1, 100)
	test.Expected = fixedExpectation{&health.Expected{Groups: []health.OwnGroup{
		{ID: "sgp-api", Services: []string{"api"}}, {ID: "sgp-lost"}, {ID: "sgp-web", Services: []string{"web", "api"}},
	}}}
	awaited := func() []string {
		t.Helper()
		requested(test.clock.Now().String())(&test.cluster.objects[0])
		test.step()
		return api.requests[len(api.requests)-1].Awaited
	}
	equal(t, "before the groups are known", len(awaited()), 0)
	equal(t, "once they are", strings.Join(awaited(), " "), "sgp-lost sgp-web")
	env.stored, env.cached = map[string]*corev1.Pod{}, map[string]*corev1.Pod{}
	env.reconcile()
	equal(t, "once no pod waits", len(awaited()), 0)
	equal(t, "without gates", len((*GateReconciler)(nil).groupsAwaited(t.Context(), &reconciliation{})), 0)
}

// fixedExpectation always expects the same.
type fixedExpectation struct{ expected *health.Expected }

func (fixedExpectation) Reads() bool { return true }

func (f fixedExpectation) For(context.Context, *v1alpha1.LoadBalancerHealth, cluster.Registered, cluster.Expectation) (cluster.Expectation, error) {
	return cluster.Expectation{Expected: f.expected}, nil
}

func (f fixedExpectation) Confirm(context.Context, *v1alpha1.LoadBalancerHealth, cluster.Registered) (cluster.Expectation, error) {
	return cluster.Expectation{Expected: f.expected}, nil
}

// A change of a Service, or of its endpoints, wakes the ALB of the Ingress that names it.
func TestServiceBehindAnIngressSignalsItsALB(t *testing.T) {
	env := newALBEnv(t)
	test := newFastTest(t, env.objects...)
	test.Reader, test.Ingresses = env, env.gates.Ingresses
	signaled := func(service string) bool {
		test.signalService(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: service}})
		return !test.signals.pop(test.target).IsZero()
	}
	equal(t, "the target", test.target.LoadBalancerID, "alb-1")
	equal(t, "the Service of the Ingress", signaled("web"), true)
	env.ingress = nil
	equal(t, "a Service that no Ingress names", signaled("web"), false)
}
