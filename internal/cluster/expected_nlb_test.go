// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	nlbListeners = "service/nlbv2/listeners.go "
	nlbGroups    = "service/nlbv2/server_groups.go "
	families     = "service/reconcile/backend/backend.go setAddressIpVersion "
)

// nlb makes the load balancer of the Service an NLB.
func nlb(c *cluster) {
	c.service.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: "nlb-1"}
	c.service.Spec.LoadBalancerClass = new(classNLB)
}

func annotated(name, value string) edit { return annotate(newPrefix+name, value) }

func dualStackEndpoints(c *cluster) {
	annotate(newPrefix+"ip-version", "DualStack", newPrefix+"backend-ip-version", "dualstack")(c)
	secondSlice(func(s *discoveryv1.EndpointSlice) {
		s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{"fd00::3"}
	})(c)
}

func registered(backends ...alicloud.Backend) edit {
	return func(c *cluster) { c.state.Registered = backends }
}

func TestExpectedBackendsOfNLB(t *testing.T) {
	const pods, nodes = "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", "80/tcp: i-1:30080 i-2:30080 i-3:30080"
	runSourceCases(t, []sourceCase{
		{"pods", nlbGroups + "buildENIBackends 840", newCluster(nlb, eni), pods, ""},
		{"the nodes of the pods", nlbGroups + "buildLocalBackends 905", newCluster(nlb, local), "80/tcp: i-1:30080 i-2:30080", ""},
		{"every node", nlbGroups + "buildClusterBackends 954", newCluster(nlb, allNodes), nodes, ""},
		{"pods on a virtual node", nlbGroups + "buildLocalBackends 877", newCluster(nlb, local, virtual(1)), "80/tcp: i-2:30080 10.0.0.1:8080", "*"},
		{"the class of another controller", "helper/service_utils.go NeedNLB 118", newCluster(nlb, eni, func(c *cluster) {
			c.service.Spec.LoadBalancerClass = new("example.com/nlb")
		}), "? OtherController()", ""},
		{"chosen by the annotation", "helper/service_utils.go NeedNLB 121", newCluster(nlb, eni, annotated("type", "nlb"), func(c *cluster) {
			c.service.Spec.LoadBalancerClass = nil
		}), pods, ""},
		{"neither class nor annotation", "helper/service_utils.go NeedNLB 124", newCluster(nlb, eni, func(c *cluster) { c.service.Spec.LoadBalancerClass = nil }),
			"? OtherController()", ""},
		{"the class of NLB, and a CLB instance", "helper/service_utils.go NeedNLB 118", newCluster(nlb, eni, func(c *cluster) {
			c.service.Labels[v1alpha1.ServiceLoadBalancerLabel] = "lb-1"
		}), "? OtherController()", ""},
		{"a load balancer of the user", "service/nlbv2/loadbalancer.go BuildLocalModel 47", newCluster(nlb, eni, annotated("id", "nlb-1")), "? ReusedLoadBalancer()", ""},

		{"TLS", nlbListeners + "nlbListenerProtocol 640", newCluster(nlb, eni, annotated("protocol-port", "TCPSSL:80")), "80/tcpssl: 10.0.0.1:8080 10.0.0.2:8080", ""},
		{"a protocol of CLB", nlbListeners + "nlbListenerProtocol 634", newCluster(nlb, eni, annotated("protocol-port", "https:80")), "? InvalidAnnotation(protocol-port)", ""},
		{"a port that only a CLB redirects", nlbListeners + "BuildLocalModel 115", newCluster(nlb, eni, annotated("forward-port", "80:443")), pods, ""},
		{"a range of ports", nlbListeners + "buildListenerFromServicePort 161", newCluster(nlb, eni, annotated("listener-port-range", "1000-2000:80")),
			"1000/tcp: 10.0.0.1:0 10.0.0.2:0", ""},
		{"a range of another port", nlbListeners + "portRange 110", newCluster(nlb, eni, annotated("listener-port-range", "1000-2000:81")), pods, ""},
		{"a range without its end", nlbListeners + "portRange 86", newCluster(nlb, eni, annotated("listener-port-range", "1000:80")), "? InvalidAnnotation(listener-port-range)", ""},
		{"a range that ends before it starts", nlbListeners + "portRange 99", newCluster(nlb, eni, annotated("listener-port-range", "2000-1000:80")), "? InvalidAnnotation(listener-port-range)", ""},
		{"a CLB has no ranges", "service/clbv1/listeners.go protocol 714", newCluster(eni, annotated("listener-port-range", "1000-2000:80")), pods, ""},

		{"weights", nlbGroups + "setServerGroupServers 573", newCluster(nlb, eni, annotated("weight", "50")), pods, ""},
		{"weight 0", nlbGroups + "setServerGroupAttributeFromAnno 1301", newCluster(nlb, eni, annotated("default-weight", "0")), pods, ""},
		{"no weight", nlbGroups + "setServerGroupAttributeFromAnno 1301", newCluster(nlb, eni, annotated("default-weight", "101")), "? InvalidAnnotation(default-weight)", ""},
		{"groups of addresses, of pods", nlbGroups + "updateENIBackends 1034", newCluster(nlb, eni, annotated("server-group-type", "IP")), pods, ""},
		{"groups of addresses, of nodes", nlbGroups + "buildClusterBackends 966", newCluster(nlb, allNodes, annotated("server-group-type", "Ip")), "80/tcp: ? NodeAddresses()", ""},
		{"groups of instances", nlbGroups + "setServerGroupAttributeFromAnno 1207", newCluster(nlb, allNodes, annotated("server-group-type", "instance")), nodes, ""},
		{"groups of another type", nlbGroups + "setServerGroupAttributeFromAnno 1210", newCluster(nlb, eni, annotated("server-group-type", "Fc")), "? InvalidAnnotation(server-group-type)", ""},

		{"IPv6 as for a CLB", families + "108", newCluster(nlb, eni, annotate(newPrefix+"ip-version", "ipv6", newPrefix+"backend-ip-version", "ipv6")), pods, ""},
		{"dual stack, if the feature gate is on", families + "98", newCluster(nlb, eni, dualStackEndpoints), "80/tcp: ? BackendTypeUnknown()", ""},
		{"dual stack, as registered", families + "117", newCluster(nlb, eni, dualStackEndpoints, registered(
			alicloud.Backend{Type: "eni", ServerIP: "10.0.0.1"}, alicloud.Backend{Type: "eni", ServerIP: "fd00::3"})),
			"80/tcp: 10.0.0.1:8080 10.0.0.2:8080 fd00::3:8080", ""},
		{"IPv4, as registered", families + "98", newCluster(nlb, eni, dualStackEndpoints, registered(alicloud.Backend{Type: "eni", ServerIP: "10.0.0.1"})), pods, ""},
	})
}

func TestPortsOfNLB(t *testing.T) {
	service := webPorts(map[string]string{
		newPrefix + "protocol-port": "tcpssl:443", newPrefix + "listener-port-range": "9000-9100:80", newPrefix + "forward-port": "80:443",
	})
	service.Labels[v1alpha1.ServiceLoadBalancerLabel] = "nlb-1"
	service.Spec.Ports[0].TargetPort = intstr.FromInt32(8080)
	kept, err := Slim(service)
	if err != nil {
		t.Fatal(err)
	}
	want := []health.ServicePort{{Port: 9000, Protocol: "tcp"}, {Port: 443, Protocol: "tcpssl"}, {Port: 53, Protocol: "udp"}}
	if got := portsOf(kept.(*corev1.Service)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
