// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/internal/health"
)

// cluster is the input of Expect while a test edits it.
type cluster struct {
	service  *corev1.Service
	slices   []*discoveryv1.EndpointSlice
	pods     []*corev1.Pod
	nodes    []*corev1.Node
	policies []*networkingv1.NetworkPolicy
	ingress  *networkingv1.Ingress // nil: none
	state    ServiceState
	// noPods and noNodes are true where the operator may not read the kind.
	noPods, noNodes bool
}

// edit changes a cluster.
type edit func(*cluster)

// newCluster is a Service with the pods web-1 on n1 and web-2 on n2, and three nodes.
func newCluster(edits ...edit) *cluster {
	c := &cluster{
		service: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Annotations: map[string]string{}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster, Selector: map[string]string{"app": "web"},
				Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080), NodePort: 30080}},
			},
		},
		slices: []*discoveryv1.EndpointSlice{{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "prod", Name: "web-a", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
			Endpoints:   []discoveryv1.Endpoint{endpointOn("10.0.0.1", "n1", "web-1"), endpointOn("10.0.0.2", "n2", "web-2")},
		}},
		pods:  []*corev1.Pod{podOn("web-1", "n1"), podOn("web-2", "n2")},
		nodes: []*corev1.Node{ecsNode("n1", "i-1"), ecsNode("n2", "i-2"), ecsNode("n3", "i-3")},
	}
	for _, e := range edits {
		e(c)
	}
	return c
}

func endpointOn(address, node, pod string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses: []string{address}, NodeName: &node,
		Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		TargetRef:  &corev1.ObjectReference{Kind: KindPod, Namespace: "prod", Name: pod},
	}
}

func podOn(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)},
		}},
	}
}

func ecsNode(name, instance string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyRegion: "cn-hangzhou"}},
		Spec:       corev1.NodeSpec{ProviderID: "cn-hangzhou." + instance},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue},
		}},
	}
}

// input returns the ServiceState, of objects as the cache keeps them if slim.
func (c *cluster) input(slim bool) *ServiceState {
	kept := func(object any) any {
		if slim {
			object, _ = Slim(object)
		}
		return object
	}
	s := c.state
	s.Service = kept(c.service).(*corev1.Service)
	for _, slice := range c.slices {
		s.Slices = append(s.Slices, kept(slice).(*discoveryv1.EndpointSlice))
	}
	for _, policy := range c.policies {
		s.Policies = append(s.Policies, kept(policy).(*networkingv1.NetworkPolicy))
	}
	if !c.noPods {
		s.Pods = map[types.NamespacedName]*corev1.Pod{}
		for _, pod := range c.pods {
			s.Pods[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = kept(pod).(*corev1.Pod)
		}
	}
	if !c.noNodes {
		nodes := make([]*corev1.Node, 0, len(c.nodes))
		for _, node := range c.nodes {
			nodes = append(nodes, kept(node).(*corev1.Node))
		}
		s.Nodes = NewNodes(nodes)
	}
	return &s
}

// shuffle changes the order of everything that has none.
func (c *cluster) shuffle(random *rand.Rand) {
	shuffle(random, c.nodes)
	shuffle(random, c.slices)
	shuffle(random, c.pods)
	shuffle(random, c.policies)
	shuffle(random, c.state.Registered)
	for _, slice := range c.slices {
		shuffle(random, slice.Endpoints)
		shuffle(random, slice.Ports)
	}
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// format writes an expectation as "80/tcp: i-1:30080 10.0.0.1:8080".
func format(expected *health.Expected) string {
	if expected.NotDetermined.Reason != "" {
		return formatNotDetermined(expected.NotDetermined)
	}
	listeners := make([]string, 0, len(expected.Listeners))
	for i := range expected.Listeners {
		l := &expected.Listeners[i]
		words := []string{fmt.Sprintf("%d/%s:", l.Port, l.Protocol)}
		if l.NotDetermined.Reason != "" {
			words = append(words, formatNotDetermined(l.NotDetermined))
		}
		for _, b := range l.Backends {
			words = append(words, fmt.Sprintf("%s%s:%d", b.ServerID, b.ServerIP, b.Port))
		}
		listeners = append(listeners, strings.Join(words, " "))
	}
	return strings.Join(listeners, "; ")
}

func formatNotDetermined(n health.NotDetermined) string {
	return fmt.Sprintf("? %s(%s)", n.Reason, n.Object)
}

// formatExcluded writes the nodes and the endpoints that are no backends.
func formatExcluded(expected *health.Expected) string {
	var words []string
	add := func(all []health.Excluded) {
		for _, e := range all {
			subject := e.ServerIP
			if subject == "" {
				subject = e.Node
			}
			words = append(words, fmt.Sprintf("%s %s(%s)", subject, e.Reason, e.Detail))
		}
	}
	add(expected.ExcludedNodes)
	for i := range expected.Listeners {
		add(expected.Listeners[i].Excluded)
	}
	return strings.Join(words, ", ")
}

// sourceCase is one rule of the cloud controller manager.
type sourceCase struct {
	name string
	// source is the file below pkg/controller, the function and the line of
	// kubernetes/cloud-provider-alibaba-cloud eeb0ddc that decides.
	source   string
	cluster  *cluster
	want     string
	excluded string // "*": not compared
}

var sourceForm = regexp.MustCompile(`^[a-z0-9_/]+\.go [A-Za-z]+ \d+$`)

func runSourceCases(t *testing.T, cases []sourceCase) {
	t.Helper()
	names := map[string]bool{}
	for _, test := range cases {
		if names[test.name] || !sourceForm.MatchString(test.source) {
			t.Errorf("the case %q of %q occurs twice, or names no source", test.name, test.source)
		}
		names[test.name] = true
		t.Run(test.name, func(t *testing.T) {
			got := Expect(test.cluster.input(false))
			if format(&got) != test.want {
				t.Errorf("%s: got  %s\nwant %s", test.source, format(&got), test.want)
			}
			if excluded := formatExcluded(&got); test.excluded != "*" && excluded != test.excluded {
				t.Errorf("%s: excluded %s\nwant %s", test.source, excluded, test.excluded)
			}
			if slim := Expect(test.cluster.input(true)); !reflect.DeepEqual(slim, got) {
				t.Errorf("from the cache: %s, %s", format(&slim), formatExcluded(&slim))
			}
			test.cluster.shuffle(rand.New(rand.NewPCG(1, 2)))
			if shuffled := Expect(test.cluster.input(false)); !reflect.DeepEqual(shuffled, got) {
				t.Errorf("in another order: %s, %s", format(&shuffled), formatExcluded(&shuffled))
			}
		})
	}
}

// Edits of a cluster.

func annotate(pairs ...string) edit {
	return func(c *cluster) {
		for i := 0; i < len(pairs); i += 2 {
			c.service.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

func eni(c *cluster) { annotate(annotationBackendType, "eni")(c) }

func local(c *cluster) {
	annotate(annotationBackendType, "ecs")(c)
	c.service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func allNodes(c *cluster) { annotate(annotationBackendType, "ecs")(c) }

func node(i int, change func(*corev1.Node)) edit {
	return func(c *cluster) { change(c.nodes[i-1]) }
}

func labelled(i int, key, value string) edit {
	return node(i, func(n *corev1.Node) { n.Labels[key] = value })
}

func tainted(i int, key string) edit {
	return node(i, func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key}) })
}

func virtual(i int) edit { return labelled(i, "type", "virtual-kubelet") }

func conditions(i int, all ...corev1.NodeCondition) edit {
	return node(i, func(n *corev1.Node) { n.Status.Conditions = all })
}

func providerID(i int, id string) edit {
	return node(i, func(n *corev1.Node) { n.Spec.ProviderID = id })
}

func unschedulable(i int) edit {
	return node(i, func(n *corev1.Node) { n.Spec.Unschedulable = true })
}

func endpointAt(i int, change func(*discoveryv1.Endpoint)) edit {
	return func(c *cluster) { change(&c.slices[0].Endpoints[i-1]) }
}

func notReady(i int) edit {
	return endpointAt(i, func(e *discoveryv1.Endpoint) { e.Conditions.Ready, e.Conditions.Serving = new(false), new(false) })
}

func onNode(name string) func(*discoveryv1.Endpoint) {
	return func(e *discoveryv1.Endpoint) { e.NodeName = &name }
}

func podAt(i int, change func(*corev1.Pod)) edit { return func(c *cluster) { change(c.pods[i-1]) } }

func gate(i int, gates ...corev1.PodConditionType) edit {
	return podAt(i, func(p *corev1.Pod) {
		for _, g := range gates {
			p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: g})
		}
		p.Status.Conditions[1].Status = corev1.ConditionFalse
	})
}

func servicePort(change func(*corev1.ServicePort)) edit {
	return func(c *cluster) { change(&c.service.Spec.Ports[0]) }
}

func named(c *cluster) { c.service.Spec.Ports[0].TargetPort = intstr.FromString("web") }

// secondSlice adds an EndpointSlice with one endpoint.
func secondSlice(change func(*discoveryv1.EndpointSlice)) edit {
	return func(c *cluster) {
		slice := c.slices[0].DeepCopy()
		slice.Name = "web-b"
		slice.Endpoints = []discoveryv1.Endpoint{endpointOn("10.0.0.3", "n3", "web-3")}
		change(slice)
		c.slices = append(c.slices, slice)
	}
}
