// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// blocking is a NetworkPolicy that admits nothing to any pod of the namespace.
func blocking(name string, edits ...func(*networkingv1.NetworkPolicySpec)) *networkingv1.NetworkPolicy {
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
	for _, e := range edits {
		e(&policy.Spec)
	}
	return policy
}

type rule = networkingv1.NetworkPolicyIngressRule

func admit(rules ...rule) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) { s.Ingress = append(s.Ingress, rules...) }
}

func from(cidr string, except ...string) rule {
	return rule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}}}
}

func toPort(protocol corev1.Protocol, port intstr.IntOrString, endPort ...int32) rule {
	p := networkingv1.NetworkPolicyPort{Port: &port}
	if protocol != "" {
		p.Protocol = &protocol
	}
	if len(endPort) > 0 {
		p.EndPort = &endPort[0]
	}
	return rule{Ports: []networkingv1.NetworkPolicyPort{p}}
}

func selecting(selector metav1.LabelSelector) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) { s.PodSelector = selector }
}

func policyTypes(types ...networkingv1.PolicyType) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = types }
}

func labelIn(operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: operator, Values: values}}}
}

// Each case is one pod at 10.0.0.1:8080 with the label app=web and the port 8080 named http.
func TestBlockedByNetworkPolicy(t *testing.T) {
	pods := metav1.LabelSelector{}
	for name, test := range map[string]struct {
		policies []*networkingv1.NetworkPolicy
		want     string
	}{
		"no policy":                      {nil, ""},
		"no rule":                        {[]*networkingv1.NetworkPolicy{blocking("deny")}, "prod/deny"},
		"an empty rule":                  {[]*networkingv1.NetworkPolicy{blocking("allow", admit(rule{}))}, ""},
		"no policyTypes: ingress":        {[]*networkingv1.NetworkPolicy{blocking("deny", policyTypes())}, "prod/deny"},
		"egress alone":                   {[]*networkingv1.NetworkPolicy{blocking("deny", policyTypes(networkingv1.PolicyTypeEgress))}, ""},
		"both types":                     {[]*networkingv1.NetworkPolicy{blocking("deny", policyTypes(networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress))}, "prod/deny"},
		"another namespace":              {[]*networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "deny"}}}, ""},
		"the label of the pod":           {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}))}, "prod/deny"},
		"another label":                  {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}}))}, ""},
		"In":                             {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(labelIn(metav1.LabelSelectorOpIn, "api", "web")))}, "prod/deny"},
		"NotIn":                          {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(labelIn(metav1.LabelSelectorOpNotIn, "web")))}, ""},
		"Exists":                         {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(labelIn(metav1.LabelSelectorOpExists)))}, "prod/deny"},
		"DoesNotExist":                   {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(labelIn(metav1.LabelSelectorOpDoesNotExist)))}, ""},
		"an invalid selector":            {[]*networkingv1.NetworkPolicy{blocking("deny", selecting(labelIn("Near", "web")))}, ""},
		"pods alone":                     {[]*networkingv1.NetworkPolicy{blocking("deny", admit(rule{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &pods}, {NamespaceSelector: &pods}}}))}, "prod/deny"},
		"pods or the range":              {[]*networkingv1.NetworkPolicy{blocking("allow", admit(rule{From: append([]networkingv1.NetworkPolicyPeer{{PodSelector: &pods}}, from("100.64.0.0/10").From...)}))}, ""},
		"the range":                      {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("100.64.0.0/10")))}, ""},
		"every address":                  {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("0.0.0.0/0")))}, ""},
		"part of the range":              {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("100.100.0.0/16")))}, ""},
		"another range":                  {[]*networkingv1.NetworkPolicy{blocking("deny", admit(from("10.0.0.0/8"), from("100.128.0.0/9"), from("::/0")))}, "prod/deny"},
		"every address except the range": {[]*networkingv1.NetworkPolicy{blocking("deny", admit(from("0.0.0.0/0", "100.64.0.0/10")))}, "prod/deny"},
		"every address except more than the range":   {[]*networkingv1.NetworkPolicy{blocking("deny", admit(from("0.0.0.0/0", "100.0.0.0/8")))}, "prod/deny"},
		"every address except half of the range":     {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("0.0.0.0/0", "100.64.0.0/11")))}, ""},
		"every address except both halves":           {[]*networkingv1.NetworkPolicy{blocking("deny", admit(from("0.0.0.0/0", "100.96.0.0/11", "100.64.0.0/11")))}, "prod/deny"},
		"every address except three quarters":        {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("100.64.0.0/10", "100.64.0.0/11", "100.96.0.0/12")))}, ""},
		"every address except another range":         {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("0.0.0.0/0", "10.0.0.0/8")))}, ""},
		"a range that is no range":                   {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("everything")))}, ""},
		"the port":                                   {[]*networkingv1.NetworkPolicy{blocking("allow", admit(toPort("", intstr.FromInt32(8080))))}, ""},
		"the port of the listener":                   {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort("", intstr.FromInt32(80))))}, "prod/deny"},
		"the port by UDP":                            {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort(corev1.ProtocolUDP, intstr.FromInt32(8080))))}, "prod/deny"},
		"every port by TCP":                          {[]*networkingv1.NetworkPolicy{blocking("allow", admit(rule{Ports: []networkingv1.NetworkPolicyPort{{}}}))}, ""},
		"ports to and including it":                  {[]*networkingv1.NetworkPolicy{blocking("allow", admit(toPort("", intstr.FromInt32(8000), 8080)))}, ""},
		"ports below it":                             {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort("", intstr.FromInt32(8000), 8079)))}, "prod/deny"},
		"ports above it":                             {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort("", intstr.FromInt32(8081), 9000)))}, "prod/deny"},
		"its name":                                   {[]*networkingv1.NetworkPolicy{blocking("allow", admit(toPort("", intstr.FromString("http"))))}, ""},
		"the name of another port":                   {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort("", intstr.FromString("metrics"))))}, "prod/deny"},
		"a name that no port has":                    {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort("", intstr.FromString("web"))))}, "prod/deny"},
		"its name by UDP":                            {[]*networkingv1.NetworkPolicy{blocking("deny", admit(toPort(corev1.ProtocolUDP, intstr.FromString("http"))))}, "prod/deny"},
		"the address in one rule, the port in other": {[]*networkingv1.NetworkPolicy{blocking("deny", admit(rule{From: from("10.0.0.0/8").From, Ports: toPort("", intstr.FromInt32(8080)).Ports}, rule{From: from("100.64.0.0/10").From, Ports: toPort("", intstr.FromInt32(9090)).Ports}))}, "prod/deny"},
		"the second rule admits":                     {[]*networkingv1.NetworkPolicy{blocking("allow", admit(from("10.0.0.0/8"), rule{From: from("100.64.0.0/10").From, Ports: toPort("", intstr.FromInt32(8080)).Ports}))}, ""},
		"another policy admits":                      {[]*networkingv1.NetworkPolicy{blocking("deny"), blocking("allow", admit(from("100.64.0.0/10")))}, ""},
		"another policy admits other pods":           {[]*networkingv1.NetworkPolicy{blocking("deny"), blocking("allow", selecting(labelIn(metav1.LabelSelectorOpIn, "api")), admit(from("100.64.0.0/10")))}, "prod/deny"},
		"two policies":                               {[]*networkingv1.NetworkPolicy{blocking("z"), blocking("a", admit(from("10.0.0.0/8")))}, "prod/a, prod/z"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(eni, func(c *cluster) { c.policies = test.policies }, podAt(1, func(p *corev1.Pod) {
				p.Spec.Containers = []corev1.Container{{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090, Protocol: corev1.ProtocolTCP}, {ContainerPort: 7070}}}}
			}))
			for _, slim := range []bool{false, true} {
				expected := Expect(c.input(slim))
				if got := expected.Listeners[0].Backends[0].BlockedBy; got != test.want {
					t.Errorf("from the cache %t: got %q, want %q", slim, got, test.want)
				}
			}
		})
	}
}

// A policy that blocks is no accusation where it does not apply, or where the
// health check does not show it.
func TestBlockedByNetworkPolicyDependsOnTheBackend(t *testing.T) {
	deny := func(c *cluster) { c.policies = []*networkingv1.NetworkPolicy{blocking("deny")} }
	port := func(port int32) edit {
		return func(c *cluster) {
			c.policies = []*networkingv1.NetworkPolicy{blocking("allow", admit(toPort("", intstr.FromInt32(port))))}
		}
	}
	first := func(c *cluster) { c.policies[0].Spec.PodSelector.MatchLabels = map[string]string{"version": "1"} }
	version := podAt(1, func(p *corev1.Pod) { p.Labels["version"] = "1" })
	for name, test := range map[string]struct {
		cluster *cluster
		want    string
	}{
		"a pod":                               {newCluster(eni, deny), "prod/deny"},
		"a node with one pod":                 {newCluster(local, deny), "prod/deny"},
		"a node with an open pod":             {newCluster(local, deny, first, version, endpointAt(2, onNode("n1"))), ""},
		"a node with two closed pods":         {newCluster(local, deny, endpointAt(2, onNode("n1"))), "prod/deny"},
		"any node":                            {newCluster(allNodes, deny), ""},
		"a pod of the host network":           {newCluster(eni, deny, podAt(1, func(p *corev1.Pod) { p.Spec.HostNetwork = true })), ""},
		"a pod on a virtual node":             {newCluster(eni, deny, virtual(1)), ""},
		"pods may not be read":                {newCluster(eni, deny, func(c *cluster) { c.noPods = true }), ""},
		"nodes may not be read":               {newCluster(eni, deny, func(c *cluster) { c.noNodes = true }), "prod/deny"},
		"a pod behind an NLB":                 {newCluster(eni, nlb, deny), ""},
		"a node of an NLB":                    {newCluster(local, nlb, deny), ""},
		"the health check's own port":         {newCluster(eni, port(9000), annotate(newPrefix+"health-check-connect-port", "9000")), ""},
		"another port than the health check":  {newCluster(eni, port(8080), annotate(newPrefix+"health-check-connect-port", "9000")), "prod/allow"},
		"no port of the health check":         {newCluster(eni, port(8080), annotate(newPrefix+"health-check-connect-port", "-520")), ""},
		"the health check's port on the node": {newCluster(local, deny, annotate(newPrefix+"health-check-connect-port", "9000")), ""},
		"UDP":                                 {newCluster(eni, port(8080), servicePort(func(p *corev1.ServicePort) { p.Protocol = corev1.ProtocolUDP })), "prod/allow"},
	} {
		expected := Expect(test.cluster.input(true))
		if got := expected.Listeners[0].Backends[0].BlockedBy; got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// The addresses that an ALB checks from are those of its vSwitches, and not those of a CLB.
func TestNetworkPolicyIsNotBlamedBehindAnIngress(t *testing.T) {
	c := newCluster(eni, clusterIP, func(c *cluster) { c.policies = []*networkingv1.NetworkPolicy{blocking("deny")} })
	expected := ExpectIngress(&IngressState{
		Ingress: newIngress("web:80"), Services: map[string]*ServiceState{"web": c.input(true)},
		Observation: albGroups(t, "443 sgp-web 10.0.0.1:8080 10.0.0.2:8080"),
	})
	for _, b := range expected.Listeners[0].Backends {
		equal(t, "the policy of "+b.ServerIP, b.BlockedBy, "")
	}
	equal(t, "the number of backends", len(expected.Listeners[0].Backends), 2)
}
