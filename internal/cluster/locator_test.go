// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

func TestInstanceOf(t *testing.T) {
	for providerID, want := range map[string][]string{
		"cn-hangzhou.i-bp1":            {"i-bp1"},
		"alicloud://cn-hangzhou.i-bp1": {"i-bp1"},
		"ack-hybrid://x.node-1":        nil,
		"i-bp1":                        {noInstance},
		"":                             {noInstance},
	} {
		node := nodeWith(providerID, "")
		if got := instanceOf(slimNode(&node)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", providerID, got, want)
		}
	}
	virtual := corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"type": "virtual-kubelet"}}}
	if got := instanceOf(slimNode(&virtual)); got != nil {
		t.Errorf("a virtual node: got %q", got)
	}
}

func TestAddressesAreNormalized(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "FD00:0:0::1"}}}}
	if got, want := Addresses(slimPod(pod)), []string{"10.0.0.1", "fd00::1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNodeNotReady(t *testing.T) {
	for name, test := range map[string]struct {
		conditions []corev1.NodeCondition
		want       bool
	}{
		"new":     {nil, false},
		"Ready":   {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}, false},
		"not":     {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}, true},
		"unknown": {[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}, true},
		"other":   {[]corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}}, false},
	} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Conditions: test.conditions}}
		equal(t, name, locationOf(slimNode(node)), health.Location{Node: "n", NodeNotReady: test.want})
	}
}

func TestReadySince(t *testing.T) {
	at := metav1.NewTime(start)
	pod := func(status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: status, LastTransitionTime: at},
		}}}
	}
	ready, terminating := pod(corev1.ConditionTrue), pod(corev1.ConditionTrue)
	terminating.DeletionTimestamp = &at
	equal(t, "a Ready pod", readySince(slimPod(ready)), start)
	equal(t, "a pod that is not Ready", readySince(slimPod(pod(corev1.ConditionFalse))).IsZero(), true)
	equal(t, "a terminating pod", readySince(slimPod(terminating)).IsZero(), true)
	waiting := pod(corev1.ConditionFalse)
	waiting.Status.Conditions[0].LastTransitionTime = at
	waiting.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/other"}}
	equal(t, "a pod that is not Ready because of a gate", readySince(slimPod(waiting)), start)
	waiting.Status.Conditions[0].Status = corev1.ConditionFalse
	equal(t, "a pod with a gate whose containers are not ready", readySince(slimPod(waiting)).IsZero(), true)
	equal(t, "a new pod", readySince(slimPod(&corev1.Pod{})).IsZero(), true)
}

func TestSlimPod(t *testing.T) {
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
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-1", UID: "u", ResourceVersion: "7", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	if !apiequality.Semantic.DeepEqual(kept, want) {
		t.Errorf("kept %+v", kept)
	}
}

func TestLocatorWithoutSetup(t *testing.T) {
	observation := &alicloud.Observation{Backends: []alicloud.Backend{{ServerID: "i-1"}, {ServerID: "eni-1", ServerIP: "10.0.0.1", Type: health.TypeENI}}}
	for _, l := range []*BackendLocator{nil, {}} {
		if locations, err := l.Locate(t.Context(), "cn-hangzhou", observation); locations != nil || err != nil {
			t.Errorf("got %v, %v", locations, err)
		}
	}
}

// The cache would keep showing the old contents of a kind that it may not watch.
func TestLocatorDropsForbiddenKind(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no"))
	l := &BackendLocator{}
	l.nodes.Store(true)
	l.pods.Store(true)
	pods := toolscache.NewReflectorWithOptions(&toolscache.ListWatch{}, &corev1.Pod{}, toolscache.NewStore(toolscache.MetaNamespaceKeyFunc), toolscache.ReflectorOptions{})
	l.watchFailed(t.Context(), pods, errors.New("connection refused"))
	equal(t, "pods after a lost connection", l.pods.Load(), true)
	l.watchFailed(t.Context(), pods, forbidden)
	equal(t, "pods", l.pods.Load(), false)
	equal(t, "nodes", l.nodes.Load(), true)
	(*BackendLocator)(nil).watchFailed(t.Context(), pods, forbidden)
}

// nodeCache lists nodes and pods by their indexes, as the manager's cache does.
type nodeCache struct {
	client.Reader
	nodes []corev1.Node
	pods  []corev1.Pod
	lists int
}

func (c *nodeCache) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	c.lists++
	var chosen client.ListOptions
	chosen.ApplyOptions(options)
	key := chosen.FieldSelector.Requirements()[0].Value
	switch list := list.(type) {
	case *corev1.NodeList:
		for i := range c.nodes {
			if node := slimNode(&c.nodes[i]); slices.Contains(instanceOf(node), key) {
				list.Items = append(list.Items, *node)
			}
		}
	case *corev1.PodList:
		for i := range c.pods {
			if pod := slimPod(&c.pods[i]); slices.Contains(Addresses(pod), key) {
				list.Items = append(list.Items, *pod)
			}
		}
	}
	return nil
}

func namedNode(name, providerID, ip string) corev1.Node {
	node := nodeWith(providerID, "")
	node.Name = name
	if ip != "" {
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeExternalIP, Address: "47.0.0.1"}}
	}
	return node
}

// A node may be the backend until the cloud controller manager sets its providerID.
func TestBackendIsNotOrphanWhileNodeLacksProviderID(t *testing.T) {
	ours, hybrid := namedNode("node-1", "cn-hangzhou.i-1", "10.0.0.1"), namedNode("idc-1", "ack-hybrid://idc-1", "10.9.0.1")
	distant := namedNode("distant", "", "10.0.0.2")
	distant.Labels = map[string]string{corev1.LabelTopologyRegion: "cn-beijing"}
	virtual := namedNode("virtual-kubelet", "", "")
	virtual.Labels = map[string]string{"type": "virtual-kubelet"}
	ecs, pod := alicloud.Backend{ServerID: "i-2", ServerIP: "10.0.0.2"}, alicloud.Backend{ServerID: "eni-1", ServerIP: "10.0.0.2", Type: health.TypeENI}
	orphan, nothing := health.Location{Missing: true}, health.Location{}
	for name, test := range map[string]struct {
		backend alicloud.Backend
		nodes   []corev1.Node
		want    health.Location
	}{
		"every node has a providerID":       {ecs, []corev1.Node{ours, hybrid, virtual}, orphan},
		"a node without any address":        {ecs, []corev1.Node{ours, namedNode("new", "", "")}, nothing},
		"a node with another address":       {ecs, []corev1.Node{ours, namedNode("new", "", "10.0.0.3")}, nothing},
		"the node of its address":           {ecs, []corev1.Node{ours, namedNode("new", "", "10.0.0.2")}, health.Location{Node: "new"}},
		"the node of its id":                {ecs, []corev1.Node{ours, namedNode("cn-hangzhou.i-2", "", "")}, health.Location{Node: "cn-hangzhou.i-2"}},
		"two nodes of its address":          {ecs, []corev1.Node{namedNode("a", "", "10.0.0.2"), namedNode("b", "", "10.0.0.2")}, nothing},
		"a node of another region":          {ecs, []corev1.Node{ours, distant}, nothing},
		"its providerID":                    {alicloud.Backend{ServerID: "i-1"}, []corev1.Node{ours, namedNode("new", "", "")}, health.Location{Node: "node-1"}},
		"an address that is not its own":    {alicloud.Backend{ServerID: "i-2", ServerIP: "47.0.0.1"}, []corev1.Node{namedNode("new", "", "10.0.0.2")}, nothing},
		"without an address":                {alicloud.Backend{ServerID: "i-2"}, []corev1.Node{namedNode("new", "", "")}, nothing},
		"a pod's, every node known":         {pod, []corev1.Node{ours}, orphan},
		"a pod's, other addresses known":    {pod, []corev1.Node{ours, namedNode("new", "", "10.0.0.3")}, orphan},
		"a pod's, an address not known":     {pod, []corev1.Node{ours, namedNode("new", "", "")}, nothing},
		"a pod's, the node of it":           {pod, []corev1.Node{ours, namedNode("new", "", "10.0.0.2")}, health.Location{Node: "new"}},
		"a pod's, a node in another region": {pod, []corev1.Node{ours, distant}, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			l := &BackendLocator{reader: &nodeCache{nodes: test.nodes}, allNamespaces: true}
			l.nodes.Store(true)
			l.pods.Store(true)
			locations, err := l.Locate(t.Context(), "cn-hangzhou", &alicloud.Observation{Backends: []alicloud.Backend{test.backend}})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "the location", locations[health.LocationKey(test.backend.Type, test.backend.ServerID, test.backend.ServerIP)], test.want)
		})
	}
}

// A load balancer of another cluster has thousands of backends that match no node.
func TestNodesWithoutProviderIDAreListedOnce(t *testing.T) {
	cache := &nodeCache{nodes: []corev1.Node{namedNode("new", "", "")}}
	l := &BackendLocator{reader: cache, allNamespaces: true}
	l.nodes.Store(true)
	observation := &alicloud.Observation{Backends: []alicloud.Backend{{ServerID: "i-1"}, {ServerID: "i-2"}, {ServerID: "i-3"}}}
	if _, err := l.Locate(t.Context(), "cn-hangzhou", observation); err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of lists", cache.lists, 4)
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}
