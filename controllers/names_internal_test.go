// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/slb"
)

func TestTheInstanceOfANode(t *testing.T) {
	for providerID, want := range map[string][]string{
		"cn-hangzhou.i-bp1":            {"i-bp1"},
		"alicloud://cn-hangzhou.i-bp1": {"i-bp1"},
		"ack-hybrid://x.node-1":        nil,
		"i-bp1":                        nil,
		"":                             nil,
	} {
		node := aNode(providerID, "")
		if got := instanceOf(&node); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", providerID, got, want)
		}
	}
}

func TestAddressesHaveOneSpelling(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "FD00:0:0::1"}}}}
	if got, want := addressesOf(slimPod(pod)), []string{"10.0.0.1", "fd00::1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestANodeIsNotReadyWhenItSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		conditions []corev1.NodeCondition
		want       bool
	}{
		"new":     {nil, false},
		"Ready":   {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}, false},
		"not":     {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}, true},
		"silent":  {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}, true},
		"its lot": {[]corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}}, false},
	} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Conditions: test.conditions}}
		equal(t, name, placeOfNode(slimNode(node)), health.Place{Node: "n", NodeNotReady: test.want})
	}
}

func TestAPodIsReadySince(t *testing.T) {
	at := metav1.NewTime(start)
	pod := func(status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: status, LastTransitionTime: at},
		}}}
	}
	ready, ending := pod(corev1.ConditionTrue), pod(corev1.ConditionTrue)
	ending.DeletionTimestamp = &at
	equal(t, "a Ready one", readySince(slimPod(ready)), start)
	equal(t, "one that is not", readySince(slimPod(pod(corev1.ConditionFalse))).IsZero(), true)
	equal(t, "one on its way out", readySince(slimPod(ending)).IsZero(), true)
	equal(t, "a new one", readySince(slimPod(&corev1.Pod{})).IsZero(), true)
}

func TestTheCacheKeepsOfAPodWhatIsRead(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-1", UID: "u", ResourceVersion: "7", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "x"}}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	kept, err := Slim(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-1", UID: "u", ResourceVersion: "7"},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	if !apiequality.Semantic.DeepEqual(kept, want) {
		t.Errorf("kept %+v", kept)
	}
}

func TestNobodyLooksWithoutNames(t *testing.T) {
	sample := &slb.Sample{Backends: []slb.Backend{{ServerID: "i-1"}, {ServerID: "eni-1", ServerIP: "10.0.0.1", Type: health.TypeENI}}}
	for _, n := range []*Names{nil, {}} {
		if places, err := n.placesOf(t.Context(), "cn-hangzhou", sample); places != nil || err != nil {
			t.Errorf("got %v, %v", places, err)
		}
	}
}

// What a cache may watch no more it would go on showing.
func TestWhatMayBeReadNoMoreIsLeftOut(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no"))
	n := &Names{}
	n.nodes.Store(true)
	n.pods.Store(true)
	pods := toolscache.NewReflectorWithOptions(&toolscache.ListWatch{}, &corev1.Pod{}, toolscache.NewStore(toolscache.MetaNamespaceKeyFunc), toolscache.ReflectorOptions{})
	n.watchFailed(t.Context(), pods, errors.New("connection refused"))
	equal(t, "pods after a cut", n.pods.Load(), true)
	n.watchFailed(t.Context(), pods, forbidden)
	equal(t, "pods", n.pods.Load(), false)
	equal(t, "nodes", n.nodes.Load(), true)
	(*Names)(nil).watchFailed(t.Context(), pods, forbidden)
}
