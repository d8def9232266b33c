// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	ingress         *networkingv1.Ingress
	objects, live   []v1alpha1.LoadBalancerHealth
	searches        int
	patches         []string
	patchErr        error
	attempts        int
	carriedLists    int
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
		ofIngress := o.FieldSelector != nil && o.FieldSelector.Requirements()[0].Field == ingressIndex
		for i := range env.objects {
			if o.FieldSelector == nil || ofIngress == (env.objects[i].Spec.IngressRef != nil) {
				list.Items = append(list.Items, env.objects[i])
			}
		}
	case *networkingv1.IngressList:
		if env.ingress != nil {
			list.Items = []networkingv1.Ingress{*env.ingress}
		}
	case *corev1.PodList:
		if o.FieldSelector.Requirements()[0].Value == gateCarried+"web" {
			env.carriedLists++
		}
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
	if ingress, ok := object.(*networkingv1.Ingress); ok && env.ingress != nil {
		env.ingress.DeepCopyInto(ingress)
		return nil
	}
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
	env.attempts++
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
	if was := cluster.Condition(pod, c.Type); was != nil && was.Status == corev1.ConditionTrue {
		env.t.Errorf("the open gate of pod %s was written again", object.GetName())
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
	var backends []alicloud.Backend
	for _, row := range rows {
		number, status, _ := strings.Cut(row, " ")
		backends = append(backends, alicloud.Backend{
			ServerID: "eni-" + number, ServerIP: "10.9.0." + number, Type: health.TypeENI, ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: status,
		})
	}
	env.observeRows(backends)
}

func (env *gateEnv) observeRows(rows []alicloud.Backend) {
	env.observeTarget(testTarget, env.objects, rows)
}

// observeTarget makes an observation of one target of the Service for some of its objects.
func (env *gateEnv) observeTarget(target alicloud.Target, objects []v1alpha1.LoadBalancerHealth, rows []alicloud.Backend) {
	o := &alicloud.Observation{RequestedAt: env.clock.Now(), At: env.clock.Now(), Backends: rows}
	env.gates.observed(env.t.Context(), &evaluation{
		reconciliation: &reconciliation{target: target, objects: objects, state: &targetState{}, observation: o, observed: true},
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
