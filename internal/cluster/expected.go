// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// ServiceState is what the cluster knows of one Service: the input of Expect.
type ServiceState struct {
	Service *corev1.Service
	// Slices are the EndpointSlices of the Service.
	Slices []*discoveryv1.EndpointSlice
	// Pods are those of the endpoints: with Policies all, else at least those that
	// are not ready. nil: the operator may not read pods.
	Pods map[types.NamespacedName]*corev1.Pod
	// Nodes are all nodes; nil: the operator may not read nodes.
	Nodes *Nodes
	// Policies are the NetworkPolicies of the namespace; none where the operator may not read them.
	Policies []*networkingv1.NetworkPolicy
	// everyPod is whether Pods are those of all endpoints, also without Policies.
	everyPod bool
	// Registered are the backends of the latest observation that had any. They
	// show whether the backends of the Service are nodes or pods.
	Registered []alicloud.Backend
	// ofIngress is true for a Service behind an Ingress.
	ofIngress bool
}

// Expect returns the backends that Alibaba Cloud's cloud controller manager
// registers for a Service, by the rules of its version eeb0ddc. The result does not
// depend on the order of the input.
func Expect(s *ServiceState) health.Expected {
	listeners := listenersOf(s.Service)
	if len(listeners) == 0 {
		return health.Expected{}
	}
	if why := undeterminedService(s.Service); why.Reason != "" {
		return health.Expected{NotDetermined: why}
	}
	nodes, why := candidatesFor(s.Service, s.Nodes)
	if why.Reason != "" {
		return health.Expected{NotDetermined: why}
	}
	expected := health.Expected{ExcludedNodes: nodes.excluded(), Listeners: make([]health.ExpectedListener, 0, len(listeners))}
	variants := s.variants()
	for _, l := range listeners {
		expected.Listeners = append(expected.Listeners, s.expectListener(l, nodes, variants))
	}
	slices.SortFunc(expected.Listeners, func(a, b health.ExpectedListener) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return expected
}

// undeterminedService returns why the backends of a Service cannot be known from the cluster.
func undeterminedService(service *corev1.Service) health.NotDetermined {
	switch {
	case isUserManaged(service.Annotations):
		return health.NotDetermined{Reason: health.ReusedLoadBalancer}
	case hasOtherController(service):
		return health.NotDetermined{Reason: health.OtherController}
	}
	if why := undeterminedWeights(service); why.Reason != "" {
		return why
	}
	if annotation := invalidAnnotation(service); annotation != "" {
		return health.NotDetermined{Reason: health.InvalidAnnotation, Object: annotation}
	}
	return health.NotDetermined{}
}

// hasOtherController reports whether another controller than the one of the
// Service's load balancer serves the Service.
func hasOtherController(service *corev1.Service) bool {
	class, product := service.Spec.LoadBalancerClass, service.Annotations[annotationPrefix+annotationProduct]
	if isNLB(service) {
		return (class == nil || *class != classNLB) && product != "nlb"
	}
	_, tunnel := service.Annotations[annotationPrefix+annotationTunnel]
	return class != nil || service.Annotations[annotationClass] != "" || product != "" || tunnel
}

// undeterminedWeights returns why weights keep the backends from being known. A CLB
// does not list which backends have weight 0; an NLB does.
func undeterminedWeights(service *corev1.Service) health.NotDetermined {
	annotations := service.Annotations
	weight := annotationOf(annotations, annotationDefaultWeight)
	number, err := strconv.Atoi(weight)
	switch {
	case !isNLB(service) && annotationOf(annotations, annotationWeight) != "":
		return health.NotDetermined{Reason: health.Weights, Object: annotationWeight}
	case weight == "":
	case err != nil || number < 0 || number > 100:
		return health.NotDetermined{Reason: health.InvalidAnnotation, Object: annotationDefaultWeight}
	case number == 0 && !isNLB(service):
		return health.NotDetermined{Reason: health.Weights, Object: annotationDefaultWeight}
	}
	return health.NotDetermined{}
}

// invalidAnnotation returns the annotation that the cloud controller manager cannot
// read for a port of the Service; "": it can read all.
func invalidAnnotation(service *corev1.Service) string {
	protocols, ranges := annotationOf(service.Annotations, annotationProtocols), annotationOf(service.Annotations, annotationPortRange)
	group := annotationOf(service.Annotations, annotationServerGroupType)
	for i := range service.Spec.Ports {
		number := strconv.Itoa(int(service.Spec.Ports[i].Port))
		if !isProtocol(protocols, number, isNLB(service)) {
			return annotationProtocols
		}
		if !isNLB(service) {
			continue
		}
		if _, ok := firstPortOf(ranges, number); !ok {
			return annotationPortRange
		}
		if group != "" && !strings.EqualFold(group, "ip") && !strings.EqualFold(group, "instance") {
			return annotationServerGroupType
		}
	}
	return ""
}

// isProtocol reports whether the cloud controller manager can read the annotation
// protocol-port for a port. It trims no spaces, and reads no further than the entry of
// the port. For an NLB it ignores case.
func isProtocol(list, number string, nlb bool) bool {
	if list == "" {
		return true
	}
	for entry := range strings.SplitSeq(list, ",") {
		parts := strings.Split(entry, ":")
		allowed := []string{"http", "https", "tcp", "udp"}
		if nlb {
			allowed, parts[0] = []string{"tcp", "udp", "tcpssl"}, strings.ToLower(parts[0])
		}
		if len(parts) < 2 || !slices.Contains(allowed, parts[0]) {
			return false
		}
		if parts[1] == number {
			return true
		}
	}
	return true
}

// variant is one way to choose the backends of a Service.
type variant struct {
	policy health.BackendPolicy
	family discoveryv1.AddressType
}

// variants returns the ways in which the cloud controller manager may choose the
// backends: several where its configuration, which the cluster does not show,
// decides, and no registered backend shows which one.
func (s *ServiceState) variants() []variant {
	nodePolicy := health.PolicyCluster
	if s.Service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		nodePolicy = health.PolicyLocal
	}
	policies := []health.BackendPolicy{nodePolicy, health.PolicyENI}
	switch kind := s.Service.Annotations[annotationBackendType]; {
	case kind == health.TypeENI, s.ofIngress && s.Service.Spec.Type == corev1.ServiceTypeClusterIP, s.hasRange():
		policies = policies[1:]
	case kind != "":
		policies = policies[:1]
	default:
		nodes, pods := s.registeredTypes()
		if nodes && !pods {
			policies = policies[:1]
		} else if pods && !nodes {
			policies = policies[1:]
		}
	}
	families := s.families()
	all := make([]variant, 0, len(policies)*len(families))
	for _, policy := range policies {
		for _, family := range families {
			all = append(all, variant{policy, family})
		}
	}
	return all
}

// hasRange reports whether a listener of the Service has a range of ports, for which
// only pods can be backends.
func (s *ServiceState) hasRange() bool {
	return isNLB(s.Service) && annotationOf(s.Service.Annotations, annotationPortRange) != "" && !s.ofIngress
}

// families returns the address families that the backends may have. Any but IPv4
// needs a feature gate of the controller, which a registered pod shows.
func (s *ServiceState) families() []discoveryv1.AddressType {
	other := s.requestedFamily()
	if other == "" {
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4}
	}
	families := []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, other}
	isIPv6 := func(b alicloud.Backend) bool { return strings.Contains(b.ServerIP, ":") }
	pods := slices.DeleteFunc(slices.Clone(s.Registered), func(b alicloud.Backend) bool { return b.Type != health.TypeENI || b.ServerIP == "" })
	switch {
	case len(pods) == 0:
		return families
	case !slices.ContainsFunc(pods, isIPv6):
		return families[:1]
	case other == dualStack || !slices.ContainsFunc(pods, func(b alicloud.Backend) bool { return !isIPv6(b) }):
		return families[1:]
	default:
		return families
	}
}

// dualStack stands for both families.
const dualStack discoveryv1.AddressType = "DualStack"

// requestedFamily is the family other than IPv4 that the annotations request; "": none.
func (s *ServiceState) requestedFamily() discoveryv1.AddressType {
	listeners, backends := annotationOf(s.Service.Annotations, annotationIPVersion), annotationOf(s.Service.Annotations, annotationBackendIPVersion)
	want := "ipv6"
	if isNLB(s.Service) {
		want = string(dualStack)
	}
	switch {
	case s.ofIngress || !strings.EqualFold(listeners, want):
		return ""
	case strings.EqualFold(backends, "ipv6"):
		return discoveryv1.AddressTypeIPv6
	case isNLB(s.Service) && strings.EqualFold(backends, want):
		return dualStack
	default:
		return ""
	}
}

// registeredTypes reports whether the registered backends show that the backends of
// the Service are nodes, or that they are pods. Pods on virtual nodes are
// backends either way.
func (s *ServiceState) registeredTypes() (nodes, pods bool) {
	var regular map[string]bool // addresses of endpoints that are not on virtual nodes
	for i := range s.Registered {
		b := &s.Registered[i]
		switch {
		case !health.IsAddress(b.Type):
			nodes = true
		case b.Type != health.TypeENI: // either way
		case s.Nodes == nil || pods:
		case !s.Nodes.virtual:
			pods = true
		default:
			if regular == nil {
				regular = s.regularAddresses()
			}
			pods = regular[health.Address(b.ServerIP)]
		}
	}
	return nodes, pods
}

// regularAddresses returns the addresses of the endpoints whose nodes are known not to be virtual.
func (s *ServiceState) regularAddresses() map[string]bool {
	regular := map[string]bool{}
	for _, slice := range s.Slices {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if e.NodeName == nil {
				continue
			}
			if node := s.Nodes.node(*e.NodeName); node == nil || node.virtual {
				continue
			}
			for _, address := range e.Addresses {
				regular[health.Address(address)] = true
			}
		}
	}
	return regular
}

// expectListener returns the expectation on which all variants agree, or that they do not.
func (s *ServiceState) expectListener(l listener, nodes candidates, variants []variant) health.ExpectedListener {
	expected := s.expectBy(l, nodes, variants[0])
	for _, v := range variants[1:] {
		other := s.expectBy(l, nodes, v)
		if !sameBackends(&expected, &other) {
			return l.notDetermined(health.NotDetermined{Reason: health.BackendTypeUnknown})
		}
	}
	return expected
}

// notDetermined is the expectation of a listener whose backends are not known.
func (l *listener) notDetermined(why health.NotDetermined) health.ExpectedListener {
	return health.ExpectedListener{ServicePort: l.ServicePort, ServerGroupID: l.serverGroupID, NotDetermined: why}
}

func sameBackends(a, b *health.ExpectedListener) bool {
	return a.NotDetermined.Reason == b.NotDetermined.Reason &&
		slices.EqualFunc(a.Backends, b.Backends, func(a, b health.ExpectedBackend) bool { return compareBackends(a, b) == 0 })
}

func compareBackends(a, b health.ExpectedBackend) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ServerID, b.ServerID), cmp.Compare(a.ServerIP, b.ServerIP), cmp.Compare(a.Port, b.Port))
}

func compareExcluded(a, b health.Excluded) int {
	return cmp.Or(cmp.Compare(a.ServerIP, b.ServerIP), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
}
