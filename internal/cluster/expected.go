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
	annotations := service.Annotations
	_, tunnel := annotations[annotationPrefix+annotationTunnel]
	weight := annotationOf(annotations, annotationDefaultWeight)
	number, err := strconv.Atoi(weight)
	class := service.Spec.LoadBalancerClass
	switch {
	case isUserManaged(annotations):
		return health.NotDetermined{Reason: health.ReusedLoadBalancer}
	case class != nil, annotations[annotationClass] != "", annotations[annotationPrefix+annotationProduct] != "", tunnel:
		return health.NotDetermined{Reason: health.OtherController}
	case annotationOf(annotations, annotationWeight) != "":
		return health.NotDetermined{Reason: health.Weights, Object: annotationWeight}
	case weight == "":
	case err != nil || number < 0 || number > 100:
		return health.NotDetermined{Reason: health.InvalidAnnotation, Object: annotationDefaultWeight}
	case number == 0:
		return health.NotDetermined{Reason: health.Weights, Object: annotationDefaultWeight}
	}
	if !areProtocols(service) {
		return health.NotDetermined{Reason: health.InvalidAnnotation, Object: annotationProtocols}
	}
	return health.NotDetermined{}
}

// areProtocols reports whether the cloud controller manager can read the annotation protocol-port
// for each port. It trims no spaces, and reads no further than the entry of the port.
func areProtocols(service *corev1.Service) bool {
	list := annotationOf(service.Annotations, annotationProtocols)
	if list == "" {
		return true
	}
	for i := range service.Spec.Ports {
		number := strconv.Itoa(int(service.Spec.Ports[i].Port))
		for entry := range strings.SplitSeq(list, ",") {
			parts := strings.Split(entry, ":")
			if len(parts) < 2 || !slices.Contains([]string{"http", "https", "tcp", "udp"}, parts[0]) {
				return false
			}
			if parts[1] == number {
				break
			}
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
	case kind == health.TypeENI:
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

// families returns the address families that the backends may have. The one of
// IPv6 needs a feature gate of the controller, which a registered pod shows.
func (s *ServiceState) families() []discoveryv1.AddressType {
	families := []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	for _, name := range []string{annotationIPVersion, annotationBackendIPVersion} {
		if !strings.EqualFold(annotationOf(s.Service.Annotations, name), "ipv6") {
			return families[:1]
		}
	}
	isIPv6 := func(b alicloud.Backend) bool { return strings.Contains(b.ServerIP, ":") }
	pods := slices.DeleteFunc(slices.Clone(s.Registered), func(b alicloud.Backend) bool { return b.Type != health.TypeENI || b.ServerIP == "" })
	switch {
	case len(pods) == 0:
		return families
	case !slices.ContainsFunc(pods, isIPv6):
		return families[:1]
	case !slices.ContainsFunc(pods, func(b alicloud.Backend) bool { return !isIPv6(b) }):
		return families[1:]
	default:
		return families
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
		case b.Type != health.TypeENI:
			nodes = true
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
			return health.ExpectedListener{ServicePort: l.ServicePort, NotDetermined: health.NotDetermined{Reason: health.BackendTypeUnknown}}
		}
	}
	return expected
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
