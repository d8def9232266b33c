// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

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

// TestGateWaitsForARoutineObservation checks a gate without fast observation,
// whose object has an interval that is longer than the timeout.
func TestGateWaitsForARoutineObservation(t *testing.T) {
	env := newGateEnv(t)
	every(time.Hour)(&env.objects[0])
	env.add("web-1", env.ready())
	env.reconcile()
	env.clock.advance(time.Hour)
	env.reconcile()
	env.want("web-1 False WaitingForObservation")
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
}

// TestPassesListThePodsOfAServiceOnce checks that they do so once for each
// observation: a pod causes several passes, and a Service may have thousands.
func TestPassesListThePodsOfAServiceOnce(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	for want := range 3 {
		equal(t, "lists", env.carriedLists, want)
		env.observe("1 abnormal")
		env.reconcile()
		env.reconcile()
	}
}

// TestGateOfAVirtualKubeletThatWritesNoTimes checks that such a pod is observed,
// and that its time without an observation counts from when it was seen ready.
func TestGateOfAVirtualKubeletThatWritesNoTimes(t *testing.T) {
	env := newGateEnv(t)
	ready := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	env.add("web-1", ready)
	env.add("web-2", ready)
	env.reconcile()
	env.clock.advance(5 * time.Second)
	env.observe("1 normal", "2 abnormal")
	env.want("web-1 True BackendNormal", "web-2 False BackendAbnormal")
	failsToObserve(&env.objects[0])
	env.add("web-3", ready)
	equal(t, "requeue", env.reconcile(), 10*time.Second)
	env.clock.advance(10 * time.Minute)
	env.reconcile()
	env.want("web-2 True HealthUnknown", "web-3 True HealthUnknown")
}

func TestWakeIsCalledWhenAPodBeginsToWait(t *testing.T) {
	env := newGateEnv(t)
	var woken []alicloud.Target
	env.gates.Wake = func(targets ...alicloud.Target) { woken = append(woken, targets...) }
	env.add("web-1")
	env.reconcile()
	equal(t, "before the containers are ready", len(woken), 0)
	equal(t, "awaited", env.gates.Awaited(testTarget), false)
	env.set("web-1", env.ready())
	env.reconcile()
	env.reconcile()
	equal(t, "once", len(woken), 1)
	equal(t, "target", woken[0], testTarget)
	equal(t, "awaited", env.gates.Awaited(testTarget), true)
	equal(t, "another target is awaited", env.gates.Awaited(alicloud.Target{}), false)
	equal(t, "without gates", (*GateReconciler)(nil).Awaited(testTarget), false)
	env.observe("1 normal")
	env.reconcile()
	equal(t, "awaited though the gate is open", env.gates.Awaited(testTarget), false)
}

// TestWakeIsCalledForANewTarget checks a pod that waits already when its Service
// gets a load balancer, and another one.
func TestWakeIsCalledForANewTarget(t *testing.T) {
	env := newGateEnv(t)
	var woken []string
	env.gates.Wake = func(targets ...alicloud.Target) {
		for _, target := range targets {
			woken = append(woken, target.LoadBalancerID)
		}
	}
	found := env.objects[0].Status.ServiceLoadBalancer
	env.objects[0].Status.ServiceLoadBalancer = nil
	env.add("web-1", env.ready())
	env.reconcile()
	for _, id := range []string{"lb-1", "lb-2"} {
		env.objects[0].Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: id, RegionID: found.RegionID}
		env.reconcile()
		env.reconcile()
	}
	equal(t, "woken", strings.Join(woken, " "), "lb-1 lb-2")
}

// TestGateIgnoresTheFormerLoadBalancer checks that an observation counts only
// while an object of the Service has that load balancer.
func TestGateIgnoresTheFormerLoadBalancer(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.objects[0].Status.ServiceLoadBalancer.LoadBalancerID = "lb-2"
	env.observe("1 normal")
	env.want()
	env.objects[0].Status.ServiceLoadBalancer.LoadBalancerID = "lb-1"
	env.reconcile()
	env.want()
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
}

// TestGateOfSeveralObjects checks that the objects of a Service which observe
// different listeners decide together.
func TestGateOfSeveralObjects(t *testing.T) {
	env := newGateEnv(t)
	env.objects = append(env.objects, *env.objects[0].DeepCopy())
	env.objects[1].UID, env.objects[1].Name = "uid-other", "other"
	onPort(443)(&env.objects[0])
	onPort(80)(&env.objects[1])
	env.add("web-1", env.ready())
	env.reconcile()
	rows := []alicloud.Backend{
		{ServerID: "eni-1", ServerIP: "10.9.0.1", Type: health.TypeENI, ListenerPort: 443, ServerHealthStatus: "normal"},
		{ServerID: "eni-1", ServerIP: "10.9.0.1", Type: health.TypeENI, ListenerPort: 80, ServerHealthStatus: "abnormal"},
		{ServerID: "eni-1", ServerIP: "10.9.0.1", Type: health.TypeENI, ListenerPort: 8080, ServerHealthStatus: "abnormal"},
	}
	env.observeRows(rows)
	env.want("web-1 False BackendAbnormal")
	rows[1].ServerHealthStatus = "normal"
	env.observeRows(rows)
	env.want("web-1 True BackendNormal")
}

// TestGateOfSeveralAccounts checks that objects with different credentials, which are
// observed apart, decide together, too: no observation of a part opens a gate.
func TestGateOfSeveralAccounts(t *testing.T) {
	env := newGateEnv(t)
	env.objects = append(env.objects, *env.objects[0].DeepCopy())
	env.objects[1].UID, env.objects[1].Name = "uid-other", "other"
	onPort(443)(&env.objects[0])
	onPort(80)(&env.objects[1])
	withSecret(&env.objects[1])
	other, _ := TargetOf(&env.objects[1])
	row := func(port int32, status string) []alicloud.Backend {
		return []alicloud.Backend{{ServerID: "eni-1", ServerIP: "10.9.0.1", Type: health.TypeENI, ListenerPort: port, ServerHealthStatus: status}}
	}
	env.add("web-1", env.ready())
	env.reconcile()
	env.observeTarget(testTarget, env.objects[:1], row(443, "normal"))
	env.want()
	env.observeTarget(other, env.objects[1:], row(80, "abnormal"))
	env.want("web-1 False BackendAbnormal")
	env.observeTarget(testTarget, env.objects[:1], row(443, "normal"))
	env.want()
	env.observeTarget(other, env.objects[1:], row(80, "normal"))
	env.want("web-1 True BackendNormal")

	env.add("web-2", env.ready())
	env.reconcile()
	env.observeTarget(testTarget, env.objects[:1], row(443, "normal"))
	env.patches = nil
	failsToObserve(&env.objects[1])
	env.clock.advance(9 * time.Minute)
	env.observeTarget(testTarget, env.objects[:1], []alicloud.Backend{{ServerID: "eni-2", ServerIP: "10.9.0.2", Type: health.TypeENI, ListenerPort: 443, ServerHealthStatus: "normal"}})
	env.patches = nil
	env.clock.advance(2 * time.Minute)
	env.reconcile()
	env.want("web-2 True HealthUnknown")
}

func TestUnknownOf(t *testing.T) {
	stale := func(o *v1alpha1.LoadBalancerHealth) {
		wasObserved(o)
		o.Status.Conditions = append(o.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonObservationStale, Message: "too old"})
	}
	for want, edits := range map[string][]func(*v1alpha1.LoadBalancerHealth){
		"":                          {wasObserved},
		"Throttled: slow down":      {failsToObserve},
		"Throttled: slow down  ":    {failsToObserve, wasObserved},
		"ObservationStale: too old": {stale},
		"Throttled: slow down ":     {failsToObserve, stale},
		"  ":                        {},
	} {
		var objects []*v1alpha1.LoadBalancerHealth
		for _, edit := range edits {
			objects = append(objects, new(newObject(edit)))
		}
		equal(t, want, unknownOf(objects), strings.TrimSpace(want))
	}
}
