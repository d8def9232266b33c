// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// endpoint is an address that the cloud controller manager may register for one port.
type endpoint struct {
	address string
	port    int32
	// node is its nodeName; "": none.
	node string
	// pod is the pod that it refers to; zero: none.
	pod    types.NamespacedName
	origin health.BackendOrigin
	// ambiguousPort and ambiguousNode are true when EndpointSlices contradict each
	// other. The controller uses the EndpointSlice that it happens to list first.
	ambiguousPort, ambiguousNode bool
}

// endpoints are the addresses for one port of a Service.
type endpoints struct {
	// usable are sorted by address.
	usable   []endpoint
	excluded []health.Excluded
	// ports are the numbers of the target port, sorted.
	ports []int32
}

// endpointsFor returns the endpoints of one address family for a port of the Service.
func (s *ServiceState) endpointsFor(port *corev1.ServicePort, family discoveryv1.AddressType) endpoints {
	var all endpoints
	usable := map[string]endpoint{}
	for _, slice := range s.Slices {
		if slice.AddressType != family && family != dualStack {
			continue
		}
		number := targetPort(slice, port)
		if number != 0 && !slices.Contains(all.ports, number) {
			all.ports = append(all.ports, number)
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			origin, why := s.stateOf(e)
			if number == 0 {
				why = health.ExcludedNoPort
			}
			for _, address := range e.Addresses {
				found := endpoint{address: address, port: number, pod: podOf(e), origin: origin}
				if e.NodeName != nil {
					found.node = *e.NodeName
				}
				if why != "" {
					all.excluded = append(all.excluded, found.excluded(why, ""))
				} else {
					usable[address] = merge(usable, found)
				}
			}
		}
	}
	slices.Sort(all.ports)
	all.usable = slices.SortedFunc(maps.Values(usable), func(a, b endpoint) int { return cmp.Compare(a.address, b.address) })
	all.excluded = slices.DeleteFunc(all.excluded, func(e health.Excluded) bool { _, ok := usable[e.ServerIP]; return ok })
	return all
}

// merge returns an endpoint merged with the one of the same address, if any. The
// result does not depend on the order of the EndpointSlices.
func merge(known map[string]endpoint, e endpoint) endpoint {
	was, ok := known[e.address]
	if !ok {
		return e
	}
	merged := was
	if c := cmp.Or(cmp.Compare(e.node, was.node), cmp.Compare(e.port, was.port), cmp.Compare(was.origin, e.origin), comparePods(e.pod, was.pod)); c < 0 {
		merged = e
	}
	merged.ambiguousPort = was.ambiguousPort || e.port != was.port
	merged.ambiguousNode = was.ambiguousNode || e.node != was.node
	return merged
}

func comparePods(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (e *endpoint) excluded(why health.ExclusionReason, detail string) health.Excluded {
	return health.Excluded{Node: e.node, ServerIP: e.address, Pod: nameOf(e.pod), Reason: why, Detail: detail}
}

// nameOf is namespace/name; "" for none.
func nameOf(pod types.NamespacedName) string {
	if pod.Name == "" {
		return ""
	}
	return pod.String()
}

// targetPort is the number of a Service's port in an EndpointSlice; 0: it has
// none. An EndpointSlice names its ports after those of the Service.
func targetPort(slice *discoveryv1.EndpointSlice, port *corev1.ServicePort) int32 {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal
	}
	for i := range slice.Ports {
		p := &slice.Ports[i]
		if p.Name == nil || *p.Name != port.Name {
			continue
		}
		if p.Port == nil {
			return 0
		}
		return *p.Port
	}
	return 0
}

// podOf is the pod that an endpoint refers to; zero: none.
func podOf(e *discoveryv1.Endpoint) types.NamespacedName {
	if e.TargetRef == nil || e.TargetRef.Kind != KindPod {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: e.TargetRef.Namespace, Name: e.TargetRef.Name}
}

// stateOf returns whether the cloud controller manager registers an endpoint. One
// that is not ready counts when its pod only waits for the gate that the
// controller opens after the registration.
func (s *ServiceState) stateOf(e *discoveryv1.Endpoint) (health.BackendOrigin, health.ExclusionReason) {
	name := podOf(e)
	switch {
	case isSet(e.Conditions.Terminating):
		return "", health.ExcludedTerminating
	case isSet(e.Conditions.Ready):
		return health.FromReadyEndpoint, ""
	case name.Name == "":
		return "", health.ExcludedNoPod
	case s.Pods == nil:
		return "", health.ExcludedPodUnknown
	}
	pod := s.Pods[name]
	switch {
	case pod == nil:
		return "", health.ExcludedNoPod
	case !slices.ContainsFunc(pod.Spec.ReadinessGates, s.opensGate):
		return "", health.ExcludedNotReady
	case !isTrue(Condition(pod, corev1.ContainersReady)):
		return "", health.ExcludedContainersNotReady
	default:
		return health.FromGatedEndpoint, ""
	}
}

// opensGate reports whether the controller that registers the Service's pods opens a
// readiness gate.
func (s *ServiceState) opensGate(gate corev1.PodReadinessGate) bool {
	if s.ofIngress {
		return isIngressGate(gate.ConditionType)
	}
	return gate.ConditionType == corev1.PodConditionType(v1alpha1.RegistrationGatePrefix+s.Service.Name)
}

func isSet(condition *bool) bool { return condition != nil && *condition }
