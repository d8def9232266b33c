// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const (
	vgroups     = "service/clbv1/vgroups.go "
	fromSlices  = vgroups + "setBackendsFromEndpointSlices "
	registering = "service.readiness.alibabacloud.com/web"
)

// The cloud controller manager decides in the same way for pods and, with
// externalTrafficPolicy Local, for nodes, which endpoints count.
func TestExpectedEndpoints(t *testing.T) {
	const both = "80/tcp: 10.0.0.1:8080 10.0.0.2:8080"
	ipv6 := func(c *cluster) {
		annotate(newPrefix+"backend-ip-version", "ipv6", newPrefix+"ip-version", "ipv6")(c)
		secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{"fd00::3"}
		})(c)
	}
	runSourceCases(t, []sourceCase{
		{"ready endpoints", fromSlices + "739", newCluster(eni), both, ""},
		{"no EndpointSlice", fromSlices + "704", newCluster(eni, func(c *cluster) { c.slices = nil }), "80/tcp:", ""},
		{"an EndpointSlice without endpoints", fromSlices + "728", newCluster(eni, func(c *cluster) { c.slices[0].Endpoints = nil }), "80/tcp:", ""},
		{"ready is absent", fromSlices + "739", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.Conditions.Ready = nil })),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NotReady()"},
		{"terminating", fromSlices + "730", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.Conditions.Terminating = new(true) })),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 Terminating()"},
		{"terminating is absent", fromSlices + "730", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.Conditions.Terminating = nil })), both, ""},
		{"serving does not matter", fromSlices + "739", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.Conditions.Serving = new(false) })), both, ""},
		{"an address in two EndpointSlices", fromSlices + "735", newCluster(eni, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = append(s.Endpoints, endpointOn("10.0.0.1", "n1", "web-1"))
		})), both + " 10.0.0.3:8080", ""},
		{"terminating in one EndpointSlice, ready in another", fromSlices + "730", newCluster(eni, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0] = endpointOn("10.0.0.1", "n1", "web-1")
			s.Endpoints[0].Conditions.Terminating = new(true)
		})), both, ""},
		{"several addresses of an endpoint", fromSlices + "734", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.Addresses = append(e.Addresses, "10.0.1.1") })),
			"80/tcp: 10.0.0.1:8080 10.0.0.2:8080 10.0.1.1:8080", ""},
		{"ready without a pod", fromSlices + "739", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.TargetRef = nil })), both, ""},
		{"pods without nodes", vgroups + "buildENIBackends 802", newCluster(eni, endpointAt(1, func(e *discoveryv1.Endpoint) { e.NodeName = nil })), both, ""},

		{"not ready", fromSlices + "772", newCluster(eni, notReady(1)), "80/tcp: 10.0.0.2:8080", "10.0.0.1 NotReady()"},
		{"not ready, without a pod", fromSlices + "754", newCluster(eni, notReady(1), endpointAt(1, func(e *discoveryv1.Endpoint) { e.TargetRef = nil })),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NoPod()"},
		{"not ready, another kind than a pod", fromSlices + "754", newCluster(eni, notReady(1), gate(1, registering), endpointAt(1, func(e *discoveryv1.Endpoint) { e.TargetRef.Kind = "Node" })),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NoPod()"},
		{"not ready, its pod does not exist", fromSlices + "762", newCluster(eni, notReady(1), func(c *cluster) { c.pods = c.pods[1:] }),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NoPod()"},
		{"waits for the gate of the registration", fromSlices + "782", newCluster(eni, notReady(1), gate(1, registering)), both, ""},
		{"waits for the gate of another Service", fromSlices + "772", newCluster(eni, notReady(1), gate(1, "service.readiness.alibabacloud.com/api")),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NotReady()"},
		{"waits for a gate of the operator", fromSlices + "772", newCluster(eni, notReady(1), gate(1, "readiness.slb.lbhealth.dev/web")),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 NotReady()"},
		{"waits for the gates of both", fromSlices + "782", newCluster(eni, notReady(1), gate(1, "readiness.slb.lbhealth.dev/web", registering)), both, ""},
		{"has the gate, containers are not ready", fromSlices + "776", newCluster(eni, notReady(1), gate(1, registering), podAt(1, func(p *corev1.Pod) {
			p.Status.Conditions[0].Status = corev1.ConditionFalse
		})), "80/tcp: 10.0.0.2:8080", "10.0.0.1 ContainersNotReady()"},
		{"has the gate, and no condition yet", "helper/pod_utils.go IsPodContainersReady 51", newCluster(eni, notReady(1), gate(1, registering), podAt(1, func(p *corev1.Pod) {
			p.Status.Conditions = nil
		})), "80/tcp: 10.0.0.2:8080", "10.0.0.1 ContainersNotReady()"},
		{"has the gate, and terminates", fromSlices + "730", newCluster(eni, notReady(1), gate(1, registering), endpointAt(1, func(e *discoveryv1.Endpoint) {
			e.Conditions.Terminating = new(true)
		})), "80/tcp: 10.0.0.2:8080", "10.0.0.1 Terminating()"},
		{"Local: waits for the gate of the registration", fromSlices + "782", newCluster(local, notReady(1), gate(1, registering)), "80/tcp: i-1:30080 i-2:30080", ""},
		{"Local: not ready", fromSlices + "772", newCluster(local, notReady(1)), "80/tcp: i-2:30080", "10.0.0.1 NotReady()"},

		{"an EndpointSlice of IPv6", "service/reconcile/backend/backend.go getEndpointByEndpointSlice 263", newCluster(eni, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{"fd00::3"}
		})), both, ""},
		{"an EndpointSlice of names", "service/reconcile/backend/backend.go getEndpointByEndpointSlice 263", newCluster(eni, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeFQDN, []string{"db.example.com"}
		})), both, ""},
		{"backends of IPv6 behind a load balancer of IPv4", "service/reconcile/backend/backend.go setAddressIpVersion 107", newCluster(eni,
			annotate(newPrefix+"backend-ip-version", "ipv6")), both, ""},
		{"IPv6, if the feature gate is on", "service/reconcile/backend/backend.go setAddressIpVersion 98", newCluster(eni,
			annotate(newPrefix+"backend-ip-version", "IPv6", newPrefix+"ip-version", "ipv6")), "80/tcp: ? BackendTypeUnknown()", ""},
		{"IPv6, as registered", "service/reconcile/backend/backend.go setAddressIpVersion 113", newCluster(eni, ipv6,
			func(c *cluster) { c.state.Registered = []alicloud.Backend{{Type: "eni", ServerIP: "fd00::1"}} }), "80/tcp: fd00::3:8080", ""},
		{"IPv4, as registered", "service/reconcile/backend/backend.go setAddressIpVersion 98", newCluster(eni, ipv6,
			func(c *cluster) {
				c.state.Registered = []alicloud.Backend{{Type: "eni", ServerIP: "10.0.0.9"}, {Type: "eni"}}
			}), both, ""},
		{"IPv4 and IPv6 are registered", "service/reconcile/backend/backend.go setAddressIpVersion 98", newCluster(eni, ipv6,
			func(c *cluster) {
				c.state.Registered = []alicloud.Backend{{Type: "eni", ServerIP: "10.0.0.9"}, {Type: "eni", ServerIP: "fd00::1"}}
			}), "80/tcp: ? BackendTypeUnknown()", ""},
		{"dual stack is for NLB", "service/reconcile/backend/backend.go setAddressIpVersion 114", newCluster(eni,
			annotate(newPrefix+"backend-ip-version", "DualStack", newPrefix+"ip-version", "ipv6")), both, ""},
	})
}

func TestExpectedPorts(t *testing.T) {
	renamed := func(c *cluster) { c.slices[0].Ports[0].Name = new("web") }
	runSourceCases(t, []sourceCase{
		{"a number ignores the ports of the EndpointSlice", fromSlices + "710", newCluster(eni, renamed), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a named target port has the number of the Service's port name", fromSlices + "715", newCluster(eni, named), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"not the name of the target port", fromSlices + "722", newCluster(eni, named, renamed), "80/tcp:", "10.0.0.1 NoPort(), 10.0.0.2 NoPort()"},
		{"the only port of a Service has no name", fromSlices + "715", newCluster(eni, named, servicePort(func(p *corev1.ServicePort) { p.Name = "" }), func(c *cluster) {
			c.slices[0].Ports[0].Name = new("")
		}), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a port without a name", fromSlices + "715", newCluster(eni, named, func(c *cluster) { c.slices[0].Ports[0].Name = nil }),
			"80/tcp:", "10.0.0.1 NoPort(), 10.0.0.2 NoPort()"},
		{"a port without a number", fromSlices + "716", newCluster(eni, named, func(c *cluster) { c.slices[0].Ports[0].Port = nil }),
			"80/tcp:", "10.0.0.1 NoPort(), 10.0.0.2 NoPort()"},
		{"two numbers for one name", fromSlices + "717", newCluster(eni, named, secondSlice(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Port = new(int32(9090)) })),
			"80/tcp: 10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:9090", ""},
		{"two numbers for one address", fromSlices + "735", newCluster(eni, named, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Ports[0].Port, s.Endpoints = new(int32(9090)), []discoveryv1.Endpoint{endpointOn("10.0.0.1", "n1", "web-1")}
		})), "80/tcp: 10.0.0.2:8080", "10.0.0.1 Ambiguous()"},
		{"Local: an EndpointSlice without the port", fromSlices + "724", newCluster(local, named, secondSlice(func(s *discoveryv1.EndpointSlice) { s.Ports = nil })),
			"80/tcp: i-1:30080 i-2:30080", "10.0.0.3 NoPort()"},
		{"Cluster: nodes whatever the port", vgroups + "buildClusterBackends 898", newCluster(allNodes, named, renamed),
			"80/tcp: i-1:30080 i-2:30080 i-3:30080", "10.0.0.1 NoPort(), 10.0.0.2 NoPort()"},
		{"several ports", vgroups + "BuildLocalModel 78", newCluster(eni, func(c *cluster) {
			c.service.Spec.Ports = append(c.service.Spec.Ports, corev1.ServicePort{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(5353), NodePort: 30053})
		}), "53/udp: 10.0.0.1:5353 10.0.0.2:5353; 80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"one port fails", vgroups + "BuildLocalModel 81", newCluster(local, named, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Ports, s.Endpoints[0].NodeName = []discoveryv1.EndpointPort{{Name: new("admin"), Port: new(int32(9000))}}, nil
		}), func(c *cluster) {
			c.service.Spec.Ports = append(c.service.Spec.Ports, corev1.ServicePort{Name: "admin", Protocol: corev1.ProtocolTCP, Port: 90, TargetPort: intstr.FromString("admin"), NodePort: 30090})
		}), "80/tcp: i-1:30080 i-2:30080; 90/tcp: ? EndpointWithoutNode(10.0.0.3)", "*"},
		{"the protocol of the listener", "service/clbv1/listeners.go protocol 731", newCluster(eni, annotate(newPrefix+"protocol-port", "https:80")),
			"80/https: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a protocol of another port", "service/clbv1/listeners.go protocol 736", newCluster(eni, annotate(newPrefix+"protocol-port", "https:443")),
			"80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a protocol with a space", "service/clbv1/listeners.go protocol 723", newCluster(eni, annotate(newPrefix+"protocol-port", "https:443, http:80")),
			"? InvalidAnnotation(protocol-port)", ""},
		{"a protocol without a port", "service/clbv1/listeners.go protocol 718", newCluster(eni, annotate(newPrefix+"protocol-port", "https")),
			"? InvalidAnnotation(protocol-port)", ""},
		{"what follows the entry of the port is not read", "service/clbv1/listeners.go protocol 733", newCluster(eni, annotate(newPrefix+"protocol-port", "https:80,x")),
			"80/https: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a port that redirects", "service/clbv1/listeners.go buildListenerFromServicePort 231", newCluster(eni, annotate(newPrefix+"protocol-port", "http:80", newPrefix+"forward-port", "80:443")),
			"", ""},
	})
}

// The registered backends show whether the controller's configuration makes pods or nodes the
// backends, where the Service does not say so.
func TestExpectedBackendType(t *testing.T) {
	const pods, servers = "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", "80/tcp: i-1:30080 i-2:30080 i-3:30080"
	registered := func(backends ...alicloud.Backend) edit { return func(c *cluster) { c.state.Registered = backends } }
	ecsRow := alicloud.Backend{ServerID: "i-0", Type: "ecs"}
	eniRow := func(ip string) alicloud.Backend {
		return alicloud.Backend{ServerID: "eni-1", ServerIP: ip, Type: "eni"}
	}
	const helper = "helper/service_utils.go IsENIBackendType "
	runSourceCases(t, []sourceCase{
		{"the annotation eni", helper + "80", newCluster(eni, registered(ecsRow)), pods, ""},
		{"the annotation ecs", helper + "80", newCluster(allNodes, registered(eniRow("10.0.0.1"))), servers, ""},
		{"another word counts as nodes", helper + "80", newCluster(annotate(annotationBackendType, "ENI")), servers, ""},
		{"no annotation, nothing registered", helper + "83", newCluster(), "80/tcp: ? BackendTypeUnknown()", ""},
		{"no annotation, nodes are registered", helper + "87", newCluster(registered(ecsRow)), servers, ""},
		{"no annotation, pods are registered", helper + "87", newCluster(registered(eniRow("10.9.9.9"))), pods, ""},
		{"no annotation, both are registered", helper + "87", newCluster(registered(ecsRow, eniRow("10.0.0.1"))), "80/tcp: ? BackendTypeUnknown()", ""},
		{"nodes, and pods on a virtual node", vgroups + "buildLocalBackends 832", newCluster(virtual(2), labelled(2, labelsExclude[0], ""), registered(ecsRow, eniRow("10.0.0.2"))),
			"80/tcp: i-1:30080 i-3:30080 10.0.0.2:8080", "n2 Label(node.kubernetes.io/exclude-from-external-load-balancers)"},
		{"only pods on a virtual node are registered", helper + "87", newCluster(virtual(2), registered(eniRow("10.0.0.2"))), "80/tcp: ? BackendTypeUnknown()", ""},
		{"a pod beside those on a virtual node", helper + "87", newCluster(virtual(2), registered(eniRow("10.0.0.2"), eniRow("10.0.0.1"))), pods, ""},
		{"all nodes are virtual, so both agree", helper + "87", newCluster(func(c *cluster) {
			for i := range c.nodes {
				virtual(i + 1)(c)
				labelled(i+1, labelsExclude[3], "true")(c)
			}
		}), pods, "*"},
		{"nodes may not be read", "service/reconcile/backend/backend.go GetNodes 124", newCluster(local, func(c *cluster) { c.noNodes = true }), "80/tcp: ? NodesUnknown()", ""},
		{"nodes may not be read, pods are the backends", vgroups + "buildENIBackends 802", newCluster(eni, func(c *cluster) { c.noNodes = true }), pods, ""},
		{"pods may not be read", fromSlices + "760", newCluster(eni, notReady(1), gate(1, registering), func(c *cluster) { c.noPods = true }),
			"80/tcp: 10.0.0.2:8080", "10.0.0.1 PodUnknown()"},
	})
}
