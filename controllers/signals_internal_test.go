// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
)

// Signals from before the controller started, and those after, are in the queue
// with a lower priority than routine targets.
func TestSignalsAreQueuedBelowRoutineTargets(t *testing.T) {
	test := newFastTest(t, newObject())
	early, late, routine := testTarget, testTarget, testTarget
	late.LoadBalancerID, routine.LoadBalancerID = "lb-late", "lb-routine"
	test.Signal(early)
	queue := priorityqueue.New[alicloud.Target]("test")
	defer queue.ShutDown()
	if err := test.signals.start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	test.Signal(late)
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(routinePriority)}, routine)
	for _, want := range []struct {
		target   alicloud.Target
		priority int
	}{{routine, routinePriority}, {early, fastPriority}, {late, fastPriority}} {
		target, priority, _ := queue.GetWithPriority()
		equal(t, "the target", target, want.target)
		equal(t, "its priority", priority, want.priority)
	}
}

func TestSignalsAreIgnoredWhileFastObservationIsOff(t *testing.T) {
	test := newFastTest(t, newObject())
	test.FastInterval = 0
	test.Signal(testTarget)
	equal(t, "the pending signals", len(test.signals.pending), 0)
}

type handlerOfPods = handler.TypedEventHandler[client.Object, alicloud.Target]

func TestOnlyChangesThatCountAreSignaled(t *testing.T) {
	pod := func(ip string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: ip}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: ip}}}}
	}
	a, b := pod("10.0.0.1"), pod("10.0.0.2")
	for name, test := range map[string]struct {
		fire func(h handlerOfPods)
		want string
	}{
		"the initial list": {func(h handlerOfPods) { h.Create(t.Context(), event.CreateEvent{Object: a, IsInInitialList: true}, nil) }, ""},
		"a new pod":        {func(h handlerOfPods) { h.Create(t.Context(), event.CreateEvent{Object: a}, nil) }, "10.0.0.1 "},
		"a deleted pod":    {func(h handlerOfPods) { h.Delete(t.Context(), event.DeleteEvent{Object: a}, nil) }, "10.0.0.1 "},
		"a changed pod":    {func(h handlerOfPods) { h.Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: b}, nil) }, "10.0.0.1 10.0.0.2 "},
		"the same pod":     {func(h handlerOfPods) { h.Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: a}, nil) }, ""},
	} {
		signaled := ""
		test.fire(onChange(cluster.PodChanged, func(_ context.Context, pod *corev1.Pod) { signaled += pod.Name + " " }))
		equal(t, name, signaled, test.want)
	}
}

// noIndex is a cache without the indexes that signals need.
type noIndex struct{ client.Reader }

func (noIndex) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("no index")
}

// The rows of a target are known without the cache.
func TestSignalOfAPodWithoutTheCache(t *testing.T) {
	test := newFastTest(t, newObject())
	test.Reader, test.Services = noIndex{}, &cluster.ServiceSelectors{Reader: noIndex{}}
	test.backends.replace(&indexedTarget{target: testTarget}, backendKeys(&alicloud.Observation{
		Backends: []alicloud.Backend{{Type: "eni", ServerID: "eni-1", ServerIP: "10.0.0.1"}},
	}, false))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}}
	test.signalPod(t.Context(), pod)
	equal(t, "the pending signals", len(test.signals.pending), 1)
	test.signalService(t.Context(), &corev1.Service{})
	equal(t, "the pending signals", len(test.signals.pending), 1)
}
