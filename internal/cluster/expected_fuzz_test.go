// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// choices decides what a generated cluster is.
type choices interface {
	// IntN returns a number of 0 to n-1.
	IntN(n int) int
}

// byteChoices are those of a fuzzer, and then zeros.
type byteChoices struct{ data []byte }

func (c *byteChoices) IntN(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

// generator makes clusters of what the rules distinguish. Ordinary values are
// more frequent, or most clusters would have no backends.
type generator struct{ choices }

// rarely is true once in n times.
func (g generator) rarely(n int) bool { return g.IntN(n) == n-1 }

func one[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// cluster generates a cluster.
func (g generator) cluster() *cluster {
	c := newCluster(func(c *cluster) { c.nodes, c.pods, c.slices[0].Endpoints = nil, nil, nil })
	one(g, eni, allNodes, local, func(*cluster) {})(c)
	g.service(c)
	for i := range 1 + g.IntN(5) {
		c.nodes = append(c.nodes, g.node(i))
	}
	for range g.IntN(3) {
		secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Name, s.Endpoints = fmt.Sprintf("web-%d", len(c.slices)), nil
			s.Ports[0].Port = new(one(g, int32(8080), 8080, 9090))
			if g.rarely(4) {
				s.Ports = nil
			}
			if g.rarely(6) {
				s.AddressType = one(g, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
			}
		})(c)
	}
	for i := range g.IntN(8) {
		g.endpoint(c, i)
	}
	return c
}

func (g generator) service(c *cluster) {
	if g.rarely(3) {
		named(c)
	}
	if g.rarely(3) {
		c.service.Spec.Ports = append(c.service.Spec.Ports, corev1.ServicePort{
			Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: one(g, intstr.FromInt32(5353), intstr.FromString("dns")), NodePort: 30053,
		})
	}
	if g.rarely(4) {
		prefix := one(g, newPrefix, oldPrefix)
		annotate(one(g,
			[]string{prefix + "backend-label", one(g, "pool=web", "pool=web,zone=b", "pool", "pool=web,zone", "pool=web=x", "=")},
			[]string{prefix + "remove-unscheduled-backend", one(g, "on", "off", "")},
			[]string{prefix + "default-weight", one(g, "50", "-1", "x", "0")},
			[]string{prefix + "weight", "60"},
			[]string{prefix + "backend-ip-version", "ipv6"},
		)...)(c)
	}
}

func (g generator) node(i int) *corev1.Node {
	n := ecsNode(fmt.Sprintf("n%d", i), fmt.Sprintf("i-%d", g.IntN(8)))
	for _, change := range []struct {
		every int
		to    func()
	}{
		{2, func() { n.Labels["pool"] = one(g, "web", "web", "db") }},
		{4, func() { n.Labels["zone"] = "b" }},
		{4, func() { n.Labels[labelType] = one(g, typeVirtual, typeVirtual, "gpu") }},
		{8, func() { n.Labels[one(g, append(labelsExclude[:], labelMaster)...)] = one(g, "", "true", "false") }},
		{8, func() { n.Spec.Taints = []corev1.Taint{{Key: one(g, taintAutoscaler, "other")}} }},
		{6, func() { n.Spec.Unschedulable = true }},
		{8, func() {
			n.Spec.ProviderID = one(g, "", "x", "alicloud://cn-hangzhou.i-9", "ack-hybrid://h", "cn-hangzhou.i-1.x")
		}},
		{8, func() {
			n.Status.Conditions = one(g, nil, []corev1.NodeCondition{{Type: corev1.NodeReady, Status: one(g, corev1.ConditionFalse, corev1.ConditionUnknown)}},
				[]corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}})
		}},
	} {
		if g.rarely(change.every) {
			change.to()
		}
	}
	return n
}

// endpoint adds an endpoint to one or two EndpointSlices, and its pod.
func (g generator) endpoint(c *cluster, i int) {
	name, address := fmt.Sprintf("web-%d", i), fmt.Sprintf("10.0.0.%d", i)
	if g.rarely(8) {
		address = fmt.Sprintf("10.0.0.%d", g.IntN(9))
	}
	e := endpointOn(address, fmt.Sprintf("n%d", g.IntN(len(c.nodes)+1)), name)
	pod := podOn(name, *e.NodeName)
	e.Conditions.Ready = one(g, new(true), new(true), new(true), new(false), nil)
	e.Conditions.Terminating = one(g, nil, new(false), new(false), new(true))
	if g.rarely(2) {
		pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: one[corev1.PodConditionType](g, registering, "example.com/other")}}
	}
	if g.rarely(3) {
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
	}
	switch g.IntN(12) {
	case 11:
		e.NodeName = nil
	case 10:
		e.TargetRef = nil
	case 9:
		e.TargetRef.Kind = "Other"
	}
	if !g.rarely(5) {
		c.pods = append(c.pods, pod)
	}
	for range 1 + g.IntN(4)/3 {
		slice := c.slices[g.IntN(len(c.slices))]
		slice.Endpoints = append(slice.Endpoints, *e.DeepCopy())
	}
}

// extras adds what the cloud controller manager does not read.
func (g generator) extras(c *cluster) {
	for range g.IntN(3) {
		c.state.Registered = append(c.state.Registered, alicloud.Backend{ServerID: "x", ServerIP: fmt.Sprintf("10.0.0.%d", g.IntN(9)), Type: one(g, "ecs", "eni")})
	}
	c.noPods, c.noNodes = g.rarely(9), g.rarely(9)
	for i := range g.IntN(3) {
		policy := blocking(fmt.Sprintf("p%d", i))
		policy.Spec.PodSelector = one(g, metav1.LabelSelector{}, metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}})
		if g.rarely(2) {
			policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{
				CIDR: one(g, "0.0.0.0/0", "100.64.0.0/10", "10.0.0.0/8", "::/0", "x"), Except: one(g, nil, []string{"100.64.0.0/11", "100.96.0.0/11"}, []string{"100.64.0.1/32"}),
			}}}}}
		}
		c.policies = append(c.policies, policy)
	}
}

// checkExpectation checks what holds of every cluster.
func checkExpectation(t *testing.T, c *cluster) {
	t.Helper()
	got := Expect(c.input(false))
	for _, l := range got.Listeners {
		for i, b := range l.Backends {
			if i > 0 && compareBackends(l.Backends[i-1], b) >= 0 {
				t.Errorf("the backends are not sorted, or one occurs twice: %s", format(&got))
			}
			if (b.Type == health.TypeECS) != (b.ServerID != "" && b.ServerIP == "") || b.Port == 0 || b.Origin == "" {
				t.Errorf("incomplete: %+v", b)
			}
		}
		if l.NotDetermined.Reason != "" && len(l.Backends) > 0 {
			t.Errorf("not determined, but %+v", l.Backends)
		}
	}
	if slim := Expect(c.input(true)); !reflect.DeepEqual(slim, got) {
		t.Errorf("from the cache: %+v\nnot from it: %+v", slim, got)
	}
	for seed := range uint64(4) {
		c.shuffle(rand.New(rand.NewPCG(seed, 0)))
		if other := Expect(c.input(false)); !reflect.DeepEqual(other, got) {
			t.Errorf("in another order: %+v\nbefore: %+v", other, got)
		}
	}
}

func TestExpectGeneratedClusters(t *testing.T) {
	determined := 0
	for seed := range uint64(2000) {
		g := generator{rand.New(rand.NewPCG(seed, 16))}
		c := g.cluster()
		g.extras(c)
		checkExpectation(t, c)
		expected := Expect(c.input(false))
		for _, l := range expected.Listeners {
			if len(l.Backends) > 0 {
				determined++
				break
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if determined < 500 {
		t.Errorf("only %d of 2000 clusters have an expected backend", determined)
	}
}

func FuzzExpect(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		data := make([]byte, 120)
		for i := range data {
			data[i] = byte(random.UintN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := generator{&byteChoices{data}}
		c := g.cluster()
		g.extras(c)
		checkExpectation(t, c)
	})
}
