// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/internal/health"
)

// healthCheckers are the addresses that health checks of SLB (CLB) come from.
var healthCheckers = netip.MustParsePrefix("100.64.0.0/10")

// blocks decides which NetworkPolicies keep health checks from pods. The zero value: none.
type blocks struct {
	policies []ingressPolicy
	protocol corev1.Protocol
	// port is the port that the health check connects to; 0: that of the backend.
	port int32
}

// ingressPolicy is a NetworkPolicy that restricts the ingress of the pods that it selects.
type ingressPolicy struct {
	*networkingv1.NetworkPolicy
	pods labels.Selector
}

// blocksFor prepares the policies for the backends of a port. Where nodes forward
// to pods of other nodes, the pods do not see the address of the load balancer. NLB and
// ALB check from addresses of their vSwitches, which the cluster does not know.
func (s *ServiceState) blocksFor(port *corev1.ServicePort, v variant) blocks {
	checked, _ := strconv.ParseInt(annotationOf(s.Service.Annotations, annotationCheckPort), 10, 32)
	b := blocks{protocol: cmp.Or(port.Protocol, corev1.ProtocolTCP), port: int32(max(checked, 0))}
	switch {
	case s.ofIngress || isNLB(s.Service):
		return blocks{}
	case v.policy == health.PolicyCluster || v.family != discoveryv1.AddressTypeIPv4:
		return blocks{}
	case v.policy == health.PolicyLocal && b.port != 0:
		return blocks{} // it is a port of the node
	}
	for _, policy := range s.Policies {
		types := policy.Spec.PolicyTypes
		if len(types) > 0 && !slices.Contains(types, networkingv1.PolicyTypeIngress) {
			continue
		}
		if pods, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector); err == nil {
			b.policies = append(b.policies, ingressPolicy{policy, pods})
		}
	}
	return b
}

// by returns the policies, as namespace/name, that select a pod while no rule of
// any of them admits health checks to the port; "": none. The node's network does
// not restrict pods of the host network.
func (b *blocks) by(pod *corev1.Pod, port int32) string {
	if pod == nil || pod.Spec.HostNetwork {
		return ""
	}
	if b.port != 0 {
		port = b.port
	}
	var names []string
	for i := range b.policies {
		policy := &b.policies[i]
		if policy.Namespace != pod.Namespace || !policy.pods.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for i := range policy.Spec.Ingress {
			rule := &policy.Spec.Ingress[i]
			if admitsHealthCheckers(rule) && b.admitsPort(rule, pod, port) {
				return ""
			}
		}
		names = append(names, policy.Namespace+"/"+policy.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// admitsHealthCheckers reports whether a rule admits any address of the health
// checkers. The other kinds of peers are pods, which these are not.
func admitsHealthCheckers(rule *networkingv1.NetworkPolicyIngressRule) bool {
	return len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.IPBlock != nil && admitsAny(peer.IPBlock)
	})
}

// admitsAny reports whether a block has an address of the health checkers that
// it does not except. It says so of a block that it cannot parse.
func admitsAny(block *networkingv1.IPBlock) bool {
	admitted, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return true
	}
	if !admitted.Overlaps(healthCheckers) {
		return false
	}
	if admitted.Bits() < healthCheckers.Bits() {
		admitted = healthCheckers
	}
	var except []netip.Prefix
	for _, cidr := range block.Except {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			except = append(except, prefix)
		}
	}
	return !covers(except, admitted.Masked())
}

// covers reports whether prefixes together have every address of another one.
func covers(prefixes []netip.Prefix, all netip.Prefix) bool {
	overlap := false
	for _, p := range prefixes {
		if !p.Overlaps(all) {
			continue
		}
		if p.Bits() <= all.Bits() {
			return true
		}
		overlap = true
	}
	if !overlap {
		return false
	}
	low := netip.PrefixFrom(all.Addr(), all.Bits()+1)
	return covers(prefixes, low) && covers(prefixes, upperHalf(low))
}

// upperHalf returns the IPv4 prefix of the same length that follows a prefix.
func upperHalf(low netip.Prefix) netip.Prefix {
	address := low.Addr().As4()
	bit := low.Bits() - 1
	address[bit/8] |= 1 << (7 - bit%8)
	return netip.PrefixFrom(netip.AddrFrom4(address), low.Bits())
}

func (b *blocks) admitsPort(rule *networkingv1.NetworkPolicyIngressRule, pod *corev1.Pod, port int32) bool {
	return len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case protocol != b.protocol:
			return false
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return hasNamedPort(pod, p.Port.StrVal, protocol, port)
		case p.EndPort != nil:
			return p.Port.IntVal <= port && port <= *p.EndPort
		default:
			return p.Port.IntVal == port
		}
	})
}

// hasNamedPort reports whether a container of a pod names a port.
func hasNamedPort(pod *corev1.Pod, name string, protocol corev1.Protocol, port int32) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return slices.Contains(namedPorts(c.Ports), corev1.ContainerPort{Name: name, Protocol: protocol, ContainerPort: port})
	})
}

// namedPorts returns the ports that have a name, and of each what hasNamedPort compares.
func namedPorts(ports []corev1.ContainerPort) []corev1.ContainerPort {
	var named []corev1.ContainerPort
	for i := range ports {
		if p := &ports[i]; p.Name != "" {
			named = append(named, corev1.ContainerPort{Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), ContainerPort: p.ContainerPort})
		}
	}
	return named
}
