// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const webGate = corev1.PodConditionType(v1alpha1.ReadinessGatePrefix + "web")

// gateEnv is a GateReconciler of Service prod/web, and a cluster whose cache
// may lag behind what is stored.
type gateEnv struct {
	client.Client
	t     *testing.T
	clock *clock
	gates *GateReconciler

	mu              sync.Mutex
	stored, cached  map[string]*corev1.Pod
	service         *corev1.Service
	objects, live   []v1alpha1.LoadBalancerHealth
	searches        int
	patches         []string
	patchErr        error
	lagging         bool
	opened          []string
	waited          int
	version, events int
}

func newGateEnv(t *testing.T) *gateEnv {
	env := &gateEnv{t: t, clock: newClock(), stored: map[string]*corev1.Pod{}, cached: map[string]*corev1.Pod{}}
	env.service = &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	env.objects = []v1alpha1.LoadBalancerHealth{newObject(withServiceRef("web", &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-1", RegionID: "cn-hangzhou"}), wasObserved)}
	env.restart()
	return env
}

func wasObserved(o *v1alpha1.LoadBalancerHealth) {
	o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionObserved, Status: metav1.ConditionTrue}}
}

func failsToObserve(o *v1alpha1.LoadBalancerHealth) {
	o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionObserved, Status: metav1.ConditionFalse, Reason: "Throttled", Message: "slow down"}}
}

// restart starts a new process.
func (env *gateEnv) restart() {
	env.gates = &GateReconciler{Client: env, Live: liveObjects{env}, Events: env, Metrics: env, UnknownTimeout: 10 * time.Minute, Now: env.clock.Now}
}

func (env *gateEnv) GateOpened(reason string) { env.opened = append(env.opened, reason) }
func (env *gateEnv) GateWaited(time.Duration) { env.waited++ }

// Eventf implements EventRecorder.
func (env *gateEnv) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	equal(env.t, "event", reason, v1alpha1.EventReadinessGateOpened)
	env.events++
}

func (env *gateEnv) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	env.mu.Lock()
	defer env.mu.Unlock()
	var o client.ListOptions
	o.ApplyOptions(options)
	switch list := list.(type) {
	case *v1alpha1.LoadBalancerHealthList:
		list.Items = env.objects
	case *corev1.PodList:
		for _, pod := range env.cached {
			closed, carried := cluster.ClosedGates(pod), cluster.GateServices(pod)
			if key := o.FieldSelector.Requirements()[0].Value; key == gateClosed+"web" && slices.Contains(closed, "web") || key == gateCarried+"web" && slices.Contains(carried, "web") {
				list.Items = append(list.Items, *pod)
			}
		}
	}
	return nil
}

func (env *gateEnv) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if env.service == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, "web")
	}
	env.service.DeepCopyInto(object.(*corev1.Service))
	return nil
}

// liveObjects are the objects of every shard.
type liveObjects struct{ *gateEnv }

func (l liveObjects) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	l.searches++
	list.(*v1alpha1.LoadBalancerHealthList).Items = l.live
	return nil
}

func (env *gateEnv) Status() client.SubResourceWriter { return gatePatcher{env: env} }

// gatePatcher patches the stored pods with the preconditions of the API server.
type gatePatcher struct {
	client.SubResourceWriter
	env *gateEnv
}

func (w gatePatcher) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := patch.Data(object)
	if err != nil || patch.Type() != types.StrategicMergePatchType {
		return errors.Join(err, fmt.Errorf("type %s", patch.Type()))
	}
	var body struct {
		Metadata struct{ UID, ResourceVersion string }
		Status   struct{ Conditions []corev1.PodCondition }
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	env := w.env
	env.mu.Lock()
	defer env.mu.Unlock()
	pod := env.stored[object.GetName()]
	switch {
	case env.patchErr != nil:
		return env.patchErr
	case pod == nil:
		return apierrors.NewNotFound(schema.GroupResource{}, object.GetName())
	case string(pod.UID) != body.Metadata.UID, body.Metadata.ResourceVersion != "" && body.Metadata.ResourceVersion != pod.ResourceVersion:
		return apierrors.NewConflict(schema.GroupResource{}, object.GetName(), errors.New("precondition"))
	}
	c := body.Status.Conditions[0]
	if was := cluster.Condition(pod, c.Type); was != nil && was.Status == corev1.ConditionTrue && c.Status != corev1.ConditionTrue {
		env.t.Errorf("the gate of pod %s was closed again", object.GetName())
	}
	env.patches = append(env.patches, object.GetName()+" "+string(c.Status)+" "+c.Reason)
	env.setLocked(object.GetName(), c)
	return nil
}

func (env *gateEnv) set(name string, conditions ...corev1.PodCondition) {
	env.mu.Lock()
	defer env.mu.Unlock()
	for _, c := range conditions {
		env.setLocked(name, c)
	}
}

// setLocked sets a condition of a stored pod, which the cache shows unless it lags.
func (env *gateEnv) setLocked(name string, c corev1.PodCondition) {
	pod := env.stored[name].DeepCopy()
	pod.Status.Conditions = append(slices.DeleteFunc(pod.Status.Conditions, func(was corev1.PodCondition) bool { return was.Type == c.Type }), c)
	env.version++
	pod.ResourceVersion = strconv.Itoa(env.version)
	env.stored[name] = pod
	if !env.lagging {
		env.cached[name] = pod
	}
}

// add adds a pod with the gate and an address of the last number of its name.
func (env *gateEnv) add(name string, conditions ...corev1.PodCondition) {
	env.stored[name] = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: webGate}}},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.9.0." + name[strings.LastIndex(name, "-")+1:]}}},
	}
	env.set(name, append([]corev1.PodCondition{{Type: corev1.PodScheduled}}, conditions...)...)
}

// ready is ContainersReady as the kubelet writes it now: with whole seconds.
func (env *gateEnv) ready() corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(env.clock.Now().Truncate(time.Second))}
}

// reconcile decides on the gates, and returns until when they need no other decision.
func (env *gateEnv) reconcile() time.Duration {
	env.t.Helper()
	result, err := env.gates.Reconcile(env.t.Context(), webRequest)
	if err != nil {
		env.t.Fatal(err)
	}
	return result.RequeueAfter.Round(time.Second)
}

// observe makes an observation with rows such as "1 normal": the pod's number and its status.
func (env *gateEnv) observe(rows ...string) {
	o := &alicloud.Observation{RequestedAt: env.clock.Now(), At: env.clock.Now()}
	for _, row := range rows {
		number, status, _ := strings.Cut(row, " ")
		o.Backends = append(o.Backends, alicloud.Backend{
			ServerID: "eni-" + number, ServerIP: "10.9.0." + number, Type: health.TypeENI, ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: status,
		})
	}
	env.gates.observed(&evaluation{
		reconciliation: &reconciliation{target: testTarget, objects: env.objects, state: &targetState{}, observation: o, observed: true},
		at:             env.clock.Now(), options: health.Options{MaxBackends: 1},
	})
	env.reconcile()
}

func (env *gateEnv) want(patches ...string) {
	env.t.Helper()
	slices.Sort(env.patches)
	if !slices.Equal(env.patches, patches) {
		env.t.Errorf("patches %q, not %q", env.patches, patches)
	}
	env.patches = nil
}

func TestGateOfANormalPodCostsOnePatch(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	equal(t, "the first condition is written", env.reconcile(), 10*time.Second)
	env.clock.advance(5 * time.Second)
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
	equal(t, "histogram", env.waited, 1)
	equal(t, "counter", strings.Join(env.opened, " "), "BackendNormal")
	equal(t, "requeue", env.reconcile(), 0)
	if env.gates.states.byService[webRequest.NamespacedName] != nil {
		t.Error("the state is kept though no pod waits")
	}
}

func TestGateChangesItsReasonAtMostEvery30Seconds(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observe()
	env.want("web-1 False NotRegistered")
	for range 5 {
		env.clock.advance(5 * time.Second)
		env.observe("1 unavailable", "2 normal")
		env.observe("1 abnormal")
	}
	env.want()
	equal(t, "requeue", env.reconcile(), 5*time.Second)
	env.clock.advance(5 * time.Second)
	env.reconcile()
	env.want("web-1 False BackendAbnormal")
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
}

func TestGateWaitsForAnObservationRequestedLater(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-2", env.ready())
	env.reconcile()
	env.add("web-1", env.ready())
	env.observe("1 normal", "2 abnormal") // requested before this process saw web-1
	env.want("web-2 False BackendAbnormal")
	env.clock.advance(10 * time.Second)
	env.reconcile()
	env.want("web-1 False WaitingForObservation")
	env.observe("1 normal", "2 abnormal")
	env.want("web-1 True BackendNormal")
}

func TestGateOfContainersThatRestartedNeedsAnotherObservation(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observe("1 abnormal")
	env.want("web-1 False BackendAbnormal")
	env.clock.advance(time.Minute)
	env.set("web-1", env.ready()) // not ready in between
	env.reconcile()
	env.lagging = true
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
}

func TestGateOfAServiceThatIsNotObserved(t *testing.T) {
	for name, change := range map[string]func(*gateEnv){
		"Service web does not exist":                                            func(env *gateEnv) { env.service = nil },
		"Service web is not of type LoadBalancer":                               func(env *gateEnv) { env.service.Spec.Type = corev1.ServiceTypeClusterIP },
		"the load balancer of Service web is of a product that is not observed": func(env *gateEnv) { env.service.Labels[v1alpha1.ServiceLoadBalancerLabel] = "gwlb-1" },
		"no LoadBalancerHealth references Service web":                          func(env *gateEnv) { env.objects = nil },
		"the observation of the load balancer of Service web is suspended":      func(env *gateEnv) { suspended(&env.objects[0]) },
		"Service web does not exist ":                                           func(env *gateEnv) { env.service.DeletionTimestamp = &metav1.Time{Time: start} },
	} {
		t.Run(name, func(t *testing.T) {
			env := newGateEnv(t)
			env.add("web-1", env.ready())
			env.reconcile()
			env.clock.advance(20 * time.Second)
			change(env)
			env.reconcile()
			env.want("web-1 False WaitingForObservation")
			env.clock.advance(59 * time.Second)
			equal(t, "requeue", env.reconcile(), time.Second)
			env.want()
			env.clock.advance(time.Second)
			env.reconcile()
			env.want("web-1 True NotObserved")
			equal(t, "message", cluster.Condition(env.stored["web-1"], webGate).Message, strings.TrimSpace(name))
		})
	}
}

// TestGateOfAServiceWhoseObjectComesLater checks that only the time without interruption counts.
func TestGateOfAServiceWhoseObjectComesLater(t *testing.T) {
	env := newGateEnv(t)
	objects := env.objects
	env.objects = nil
	env.add("web-1", env.ready())
	env.reconcile()
	env.clock.advance(50 * time.Second)
	env.objects = objects
	env.reconcile()
	env.clock.advance(50 * time.Second)
	env.objects = nil
	env.reconcile()
	env.clock.advance(50 * time.Second)
	env.reconcile()
	env.want("web-1 False WaitingForObservation", "web-1 False WaitingForObservation") // with another message
}

// TestGateOfAnotherShard checks that an operator does not open the gates of a
// Service that the operator of another shard observes.
func TestGateOfAnotherShard(t *testing.T) {
	env := newGateEnv(t)
	env.gates.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	env.live, env.objects = env.objects, nil
	env.add("web-1", env.ready())
	for range 100 {
		env.clock.advance(time.Minute)
		env.reconcile()
		env.reconcile()
	}
	env.want()
	equal(t, "searches", env.searches, 100)
	env.gates.EachWaiting(func(_, _, reason string, _ int, _ time.Time) { t.Errorf("the metric has %s", reason) })

	env.live = nil
	env.clock.advance(time.Minute)
	env.reconcile()
	env.clock.advance(time.Minute)
	env.reconcile()
	env.want("web-1 False WaitingForObservation", "web-1 True NotObserved")
}

func TestGateIsOpenedThoughHealthIsUnknown(t *testing.T) {
	env := newGateEnv(t)
	failsToObserve(&env.objects[0])
	env.add("web-1", env.ready())
	env.add("web-2", env.ready())
	env.reconcile()
	env.clock.advance(10 * time.Second)
	env.reconcile()
	env.want("web-1 False WaitingForObservation", "web-2 False WaitingForObservation")
	equal(t, "requeue", env.reconcile(), 590*time.Second)
	env.clock.advance(590 * time.Second)
	env.reconcile()
	env.want("web-1 True HealthUnknown", "web-2 True HealthUnknown")
	equal(t, "events: two pods and an object", env.events, 3)
	equal(t, "counter", strings.Join(env.opened, " "), "HealthUnknown HealthUnknown")
}

func TestGateOfAKnownBadPodStaysClosed(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observe("1 abnormal")
	env.clock.advance(24 * time.Hour)
	env.reconcile()
	env.restart()
	env.reconcile()
	env.want("web-1 False BackendAbnormal")

	failsToObserve(&env.objects[0])
	env.clock.advance(9 * time.Minute)
	env.reconcile()
	env.want()
	env.clock.advance(time.Minute)
	env.reconcile()
	env.want("web-1 True HealthUnknown")
}

func TestFailedGatePatchIsTriedAgain(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observe()
	env.want("web-1 False NotRegistered")
	env.patchErr = errors.New("refused")
	env.gates.states.observed(webRequest.NamespacedName, health.GateInput{
		Service: "web", LoadBalancerID: "lb-1", Scopes: []health.GateScope{{}},
		Observation: &alicloud.Observation{RequestedAt: env.clock.Now(), At: env.clock.Now(), Backends: []alicloud.Backend{{ServerIP: "10.9.0.1", Type: health.TypeENI, ServerHealthStatus: "normal"}}},
	})
	if _, err := env.gates.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "opened", len(env.opened), 0)
	env.patchErr = nil
	env.reconcile()
	env.want("web-1 True BackendNormal")
	env.lagging = true
	env.reconcile()
	env.want()
}

func TestWakeIsCalledWhenAPodBeginsToWait(t *testing.T) {
	env := newGateEnv(t)
	var woken []alicloud.Target
	env.gates.Wake = func(target alicloud.Target) { woken = append(woken, target) }
	env.add("web-1")
	env.reconcile()
	equal(t, "before the containers are ready", len(woken), 0)
	equal(t, "waits", env.gates.Waits(&env.objects[0]), false)
	env.set("web-1", env.ready())
	env.reconcile()
	env.reconcile()
	equal(t, "once", len(woken), 1)
	equal(t, "target", woken[0], testTarget)
	equal(t, "waits", env.gates.Waits(&env.objects[0]), true)
	suspended(&env.objects[0])
	equal(t, "waits for a suspended object", env.gates.Waits(&env.objects[0]), false)
	equal(t, "without gates", (*GateReconciler)(nil).Waits(&env.objects[0]), false)
}

// TestOpenGateNeverCloses lets random things happen, with a cache that lags,
// processes that restart, and an earlier leader that still writes. The
// gatePatcher fails the test when an open gate is closed.
func TestOpenGateNeverCloses(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		env := newGateEnv(t)
		for i := range 4 {
			env.add("web-" + strconv.Itoa(i))
		}
		var former *GateReconciler
		for range 60 {
			env.step(random, &former)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// step does one random thing.
func (env *gateEnv) step(random *rand.Rand, former **GateReconciler) {
	pod := "web-" + strconv.Itoa(random.IntN(4))
	env.clock.advance(time.Duration(random.IntN(60)) * time.Second)
	switch random.IntN(9) {
	case 0, 1:
		env.set(pod, env.ready())
	case 2:
		env.set(pod, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse})
	case 3:
		env.lagging = true
	case 4:
		env.mu.Lock()
		env.lagging, env.cached = false, maps.Clone(env.stored)
		env.mu.Unlock()
	case 5:
		*former = env.gates
		env.restart()
	case 6:
		if *former != nil {
			_, _ = (*former).Reconcile(env.t.Context(), webRequest)
		}
	default:
		var rows []string
		for i := range 4 {
			rows = append(rows, strconv.Itoa(i)+" "+[]string{"normal", "abnormal", "unavailable"}[random.IntN(3)])
		}
		env.observe(rows...)
	}
	env.reconcile()
}
