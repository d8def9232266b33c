// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/health"
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

func TestAddressesAreThoseThatAPodHasToItself(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*corev1.Pod)
		want []string
	}{
		"running":              {func(*corev1.Pod) {}, []string{"10.0.0.1", "fd00::1"}},
		"on its node's":        {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, nil},
		"ended":                {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, nil},
		"failed":               {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, nil},
		"waiting for its node": {func(p *corev1.Pod) { p.Status.PodIPs = nil }, nil},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}}}
		test.edit(pod)
		if got := addressesOf(slimPod(pod)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
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
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	if !apiequality.Semantic.DeepEqual(kept, want) {
		t.Errorf("kept %+v", kept)
	}
}

func TestNobodyLooksWithoutNames(t *testing.T) {
	for _, n := range []*Names{nil, {}} {
		if places, err := n.placesOf(t.Context(), nil); places != nil || err != nil {
			t.Errorf("got %v, %v", places, err)
		}
	}
}
