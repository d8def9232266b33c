// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// readyPod is a Ready pod with an address.
func readyPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-1", Labels: map[string]string{"app": "web", "tier": "front"}},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)},
		}},
	}
}

func TestPodChanged(t *testing.T) {
	now := metav1.NewTime(start.Add(time.Minute))
	pending := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web-1"}}
	edited := func(edit func(*corev1.Pod)) *corev1.Pod {
		pod := readyPod()
		edit(pod)
		return pod
	}
	for name, test := range map[string]struct {
		before, after *corev1.Pod
		want          bool
	}{
		"created without an address":   {nil, pending, false},
		"deleted without an address":   {pending, nil, false},
		"scheduled":                    {pending, &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}}, false},
		"got an address":               {pending, edited(func(p *corev1.Pod) { p.Status.Conditions = nil }), true},
		"created with an address":      {nil, readyPod(), true},
		"deleted":                      {readyPod(), nil, true},
		"terminates":                   {readyPod(), edited(func(p *corev1.Pod) { p.DeletionTimestamp = &now }), true},
		"not Ready":                    {readyPod(), edited(func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }), true},
		"Ready":                        {edited(func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }), readyPod(), true},
		"not Ready and Ready again":    {readyPod(), edited(func(p *corev1.Pod) { p.Status.Conditions[1].LastTransitionTime = now }), true},
		"waits for its readiness gate": {edited(func(p *corev1.Pod) { p.Status.Conditions = nil }), edited(func(p *corev1.Pod) { p.Status.Conditions = p.Status.Conditions[:1] }), true},
		"another label":                {readyPod(), edited(func(p *corev1.Pod) { p.Labels = map[string]string{"app": "api"} }), true},
		"another address":              {readyPod(), edited(func(p *corev1.Pod) { p.Status.PodIPs[0].IP = "10.0.0.2" }), true},
		"nothing":                      {readyPod(), edited(func(p *corev1.Pod) { p.ResourceVersion = "8" }), false},
		"an annotation":                {readyPod(), edited(func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }), false},
		"another condition":            {readyPod(), edited(func(p *corev1.Pod) { p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "x"}) }), false},
		"still not Ready": {
			edited(func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }),
			edited(func(p *corev1.Pod) {
				p.Status.Conditions[1].Status, p.Status.Conditions[1].LastTransitionTime = corev1.ConditionFalse, now
			}), false},
	} {
		equal(t, name, PodChanged(test.before, test.after), test.want)
	}
}

// readyNode is a Ready node of the instance i-1.
func readyNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "cn-hangzhou.i-1"}, Spec: corev1.NodeSpec{ProviderID: "cn-hangzhou.i-1"},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

func TestNodeChanged(t *testing.T) {
	edited := func(edit func(*corev1.Node)) *corev1.Node {
		node := readyNode()
		edit(node)
		return node
	}
	for name, test := range map[string]struct {
		before, after *corev1.Node
		want          bool
	}{
		"created":       {nil, readyNode(), true},
		"deleted":       {readyNode(), nil, true},
		"not Ready":     {readyNode(), edited(func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }), true},
		"terminates":    {readyNode(), edited(func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: start} }), true},
		"instance":      {edited(func(n *corev1.Node) { n.Spec.ProviderID = "" }), readyNode(), true},
		"address":       {edited(func(n *corev1.Node) { n.Status.Addresses = nil }), readyNode(), true},
		"heartbeat":     {readyNode(), edited(func(n *corev1.Node) { n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(start) }), false},
		"excluded":      {readyNode(), edited(func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} }), true},
		"tainted":       {readyNode(), edited(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: taintAutoscaler}} }), true},
		"another taint": {readyNode(), edited(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }), false},
		"cordoned":      {readyNode(), edited(func(n *corev1.Node) { n.Spec.Unschedulable = true }), true},
		"label":         {readyNode(), edited(func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} }), false},
		"remains not Ready": {
			edited(func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }),
			edited(func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }), false},
	} {
		equal(t, name, NodeChanged(test.before, test.after), test.want)
	}
}

func TestEndpointSliceChanged(t *testing.T) {
	slice := func(edit func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
		slice := &discoveryv1.EndpointSlice{
			Ports:     []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		}
		edit(slice)
		return slice
	}
	none := func(*discoveryv1.EndpointSlice) {}
	empty := slice(func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
	for name, test := range map[string]struct {
		before, after *discoveryv1.EndpointSlice
		want          bool
	}{
		"created":         {nil, slice(none), true},
		"created empty":   {nil, empty, false},
		"deleted":         {slice(none), nil, true},
		"deleted empty":   {empty, nil, false},
		"an endpoint":     {empty, slice(none), true},
		"no longer ready": {slice(none), slice(func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = new(false) }), true},
		"terminates":      {slice(none), slice(func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Terminating = new(true) }), true},
		"another port":    {slice(none), slice(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Port = new(int32(8081)) }), true},
		"nothing":         {slice(none), slice(none), false},
		"a label":         {slice(none), slice(func(s *discoveryv1.EndpointSlice) { s.Labels = map[string]string{"a": "b"} }), false},
	} {
		equal(t, name, EndpointSliceChanged(test.before, test.after), test.want)
	}
}

func TestBackendKeysOfNodes(t *testing.T) {
	unnamed, foreign, virtual := readyNode(), readyNode(), readyNode()
	unnamed.Spec.ProviderID, foreign.Spec.ProviderID = "", "aws:///eu-west-1a/i-1"
	virtual.Spec.ProviderID, virtual.Labels = "", map[string]string{labelType: typeVirtual}
	for name, test := range map[string]struct {
		node  *corev1.Node
		keys  []string
		ready bool
	}{
		"a node":                   {readyNode(), []string{"i-1", "10.0.0.1"}, true},
		"one without a providerID": {unnamed, []string{"i-1", "10.0.0.1"}, true},
		"one of another provider":  {foreign, []string{"10.0.0.1"}, true},
		"a virtual node":           {virtual, []string{"10.0.0.1"}, false},
		"one that is not Ready":    {&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "i-1"}}, []string{"i-1"}, false},
	} {
		if keys := BackendKeys(test.node); !slices.Equal(keys, test.keys) {
			t.Errorf("%s: keys %v", name, keys)
		}
		equal(t, name, IsReadyBackend(test.node), test.ready)
	}
	pod := readyPod()
	equal(t, "the addresses of a pod", fmt.Sprint(BackendAddresses(pod)), "[10.0.0.1]")
	pod.Spec.HostNetwork = true
	equal(t, "the addresses of a pod on its node's network", len(BackendAddresses(pod)), 0)
}

func TestServiceChanged(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*corev1.Service)
		want bool
	}{
		"a port":         {func(s *corev1.Service) { s.Spec.Ports = s.Spec.Ports[:1] }, true},
		"a target port":  {func(s *corev1.Service) { s.Spec.Ports[1].TargetPort.IntVal = 9443 }, true},
		"a node port":    {func(s *corev1.Service) { s.Spec.Ports[1].NodePort = 30443 }, true},
		"the selector":   {func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "green"} }, true},
		"the nodes":      {func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }, true},
		"a redirection":  {func(s *corev1.Service) { s.Annotations = map[string]string{newPrefix + "forward-port": "80:443"} }, true},
		"a label":        {func(s *corev1.Service) { s.Labels["a"] = "b" }, false},
		"the annotation": {func(s *corev1.Service) { s.Annotations = map[string]string{v1alpha1.MonitorAnnotation: "true"} }, false},
		"nothing":        {func(*corev1.Service) {}, false},
	} {
		before := webPorts(nil)
		after := before.DeepCopy()
		if after.Labels == nil {
			after.Labels = map[string]string{}
		}
		test.edit(after)
		equal(t, name, ServiceChanged(before, after), test.want)
	}
	equal(t, "a new Service", ServiceChanged(nil, webPorts(nil)), false)
	equal(t, "a deleted Service", ServiceChanged(webPorts(nil), nil), false)
}

// indexedServices lists Services by the index of their selectors.
type indexedServices struct {
	client.Reader
	services []corev1.Service
	lists    int
	err      error
}

func (c *indexedServices) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	c.lists++
	var o client.ListOptions
	o.ApplyOptions(options)
	for i := range c.services {
		service := &c.services[i]
		if service.Namespace == o.Namespace && slices.Contains(selectorKey(service), o.FieldSelector.Requirements()[0].Value) {
			found := list.(*corev1.ServiceList)
			found.Items = append(found.Items, *service)
		}
	}
	return c.err
}

func (c *indexedServices) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	for i := range c.services {
		if client.ObjectKeyFromObject(&c.services[i]) == key {
			c.services[i].DeepCopyInto(object.(*corev1.Service))
			return nil
		}
	}
	return errors.New("not found")
}

func TestServicesThatSelectAPod(t *testing.T) {
	service := func(name string, selector map[string]string) corev1.Service {
		s := webPorts(nil)
		s.Name, s.Spec.Selector = name, selector
		return *s
	}
	other, internal := service("other-namespace", map[string]string{"app": "web"}), service("internal", map[string]string{"app": "web"})
	other.Namespace, internal.Spec.Type = "test", corev1.ServiceTypeClusterIP
	cache := &indexedServices{services: []corev1.Service{
		service("web", map[string]string{"app": "web"}), service("front", map[string]string{"tier": "front", "app": "web"}),
		service("api", map[string]string{"app": "api"}), service("canary", map[string]string{"app": "web", "track": "canary"}),
		service("manual", nil), other, internal,
	}}
	selectors := &ServiceSelectors{cache}
	names, err := selectors.Selecting(t.Context(), readyPod())
	slices.Sort(names)
	equal(t, "the Services", fmt.Sprint(names, err), "[front web] <nil>")
	equal(t, "the lists for two labels", cache.lists, 2)
	cache.err = errors.New("no informer")
	if _, err := selectors.Selecting(t.Context(), readyPod()); err == nil {
		t.Error("an error of the cache is ignored")
	}
	names, err = (*ServiceSelectors)(nil).Selecting(t.Context(), readyPod())
	equal(t, "without permission", fmt.Sprint(names, err), "[] <nil>")
}

func TestSelectsAllNodes(t *testing.T) {
	local, every := webPorts(nil), webPorts(nil)
	local.Name, local.Spec.ExternalTrafficPolicy = "local", corev1.ServiceExternalTrafficPolicyLocal
	selectors := &ServiceSelectors{&indexedServices{services: []corev1.Service{*local, *every}}}
	for name, want := range map[string]bool{"web": true, "local": false, "deleted": false} {
		object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: "prod"}}
		object.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: name}
		equal(t, name, selectors.SelectsAllNodes(t.Context(), object), want)
		equal(t, name+", without permission", (*ServiceSelectors)(nil).SelectsAllNodes(t.Context(), object), false)
	}
	equal(t, "without a Service", selectors.SelectsAllNodes(t.Context(), &v1alpha1.LoadBalancerHealth{}), false)
}
