// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// Several Ingresses, of several namespaces and clusters, may share an ALB. The API says
// which servers a server group has, and not whose it is. So a group belongs to a Service
// whose pods or nodePort its servers are.

// IngressState is what the cluster and the ALB say of one Ingress: the input of ExpectIngress.
type IngressState struct {
	Ingress *networkingv1.Ingress
	// Services are the states of the Services that the Ingress names, by name. The
	// Service of a state is nil if it does not exist.
	Services map[string]*ServiceState
	// Observation is the last one of the whole ALB.
	Observation *alicloud.Observation
	// Known are the server groups that belonged to the Ingress before.
	Known []health.OwnGroup
}

// ExpectIngress returns the server groups of an ALB that belong to an Ingress, and the
// backends that the ALB Ingress controller registers in them.
func ExpectIngress(s *IngressState) health.Expected {
	backends, groups := backendsOf(s.Ingress), groupsOf(s.Observation)
	serving := servingGroups(s.Observation)
	ports := s.portsOf(backends.ports)
	own := map[string][]*servedPort{}
	for _, id := range backends.groups {
		own[id] = nil
	}
	for _, port := range ports {
		for id, servers := range groups {
			if port.has(servers) {
				own[id], port.found = append(own[id], port), port.found || serving[id]
			}
		}
	}
	var expected health.Expected
	expected.ServicesWithoutGroup, expected.GroupsNotDetermined = s.assignRest(own, groups, ports)
	if backends.unknown != "" {
		expected.GroupsNotDetermined = health.NotDetermined{Reason: health.InvalidAction, Object: backends.unknown}
	}
	for id, ports := range own {
		expected.Groups = append(expected.Groups, health.OwnGroup{ID: id, Services: servicesOf(ports)})
	}
	slices.SortFunc(expected.Groups, func(a, b health.OwnGroup) int { return cmp.Compare(a.ID, b.ID) })
	s.expectListeners(&expected, own, groups)
	return expected
}

// assignRest assigns groups that belonged to the Ingress before to the ports without a
// group, one to each: such a group may have lost its servers. It returns the Services of
// which a port still has none, and why.
func (s *IngressState) assignRest(own map[string][]*servedPort, groups map[string][]alicloud.Backend, ports []*servedPort) ([]string, health.NotDetermined) {
	var without []*servedPort
	for _, port := range ports {
		if !port.found {
			without = append(without, port)
		}
	}
	if len(without) == 0 {
		return nil, health.NotDetermined{}
	}
	serving := servingGroups(s.Observation)
	var rest []string
	for _, known := range s.Known {
		if _, assigned := own[known.ID]; serving[known.ID] && !assigned {
			rest = append(rest, known.ID)
		}
	}
	slices.SortFunc(rest, func(a, b string) int { // those without servers first
		return cmp.Or(cmp.Compare(min(1, len(groups[a])), min(1, len(groups[b]))), cmp.Compare(a, b))
	})
	rest = rest[:min(len(rest), len(without))]
	for _, id := range rest {
		own[id] = nil
	}
	if len(rest) == 1 && len(without) == 1 {
		own[rest[0]] = without
		return nil, health.NotDetermined{}
	}
	services := servicesOf(without)
	if len(rest) < len(without) {
		return services, health.NotDetermined{Reason: health.ServerGroupUnknown, Object: without[0].String()}
	}
	return services, health.NotDetermined{} // which of them has which one is not known
}

// servicesOf are the Services of ports, which are sorted by Service.
func servicesOf(ports []*servedPort) (services []string) {
	for _, port := range ports {
		if !slices.Contains(services, port.service) {
			services = append(services, port.service)
		}
	}
	return services
}

// servedPort is a port of a Service that an Ingress names.
type servedPort struct {
	ingressPort
	// state and port are nil if the Service, or its port, does not exist.
	state *ServiceState
	port  *corev1.ServicePort
	// endpoints are the addresses of all endpoints with the target port, also those that
	// are not ready or terminate.
	endpoints map[addressPort]bool
	// found is set when a server group has the servers of the port.
	found bool
}

type addressPort struct {
	address string
	port    int32
}

func (p *servedPort) String() string {
	return fmt.Sprintf("port %s of Service %s", cmp.Or(p.name, strconv.Itoa(int(p.number))), p.service)
}

// portsOf finds the ports that an Ingress names in its Services.
func (s *IngressState) portsOf(named []ingressPort) []*servedPort {
	ports := make([]*servedPort, 0, len(named))
	for _, name := range named {
		found := &servedPort{ingressPort: name, endpoints: map[addressPort]bool{}}
		ports = append(ports, found)
		state := s.Services[name.service]
		if state == nil || state.Service == nil {
			continue
		}
		at := slices.IndexFunc(state.Service.Spec.Ports, func(p corev1.ServicePort) bool {
			return name.name != "" && p.Name == name.name || name.name == "" && p.Port == name.number
		})
		if at < 0 {
			continue
		}
		found.state, found.port = state, &state.Service.Spec.Ports[at]
		found.addEndpoints()
	}
	return ports
}

func (p *servedPort) addEndpoints() {
	for _, slice := range p.state.Slices {
		number := targetPort(slice, p.port)
		for i := range slice.Endpoints {
			for _, address := range slice.Endpoints[i].Addresses {
				p.endpoints[addressPort{health.Address(address), number}] = true
			}
		}
	}
}

// has reports whether a server group is that of the port: at least half of its servers
// are endpoints or nodes of the Service. A few may be pods that are gone, whose
// addresses pods of another Service may have now.
func (p *servedPort) has(servers []alicloud.Backend) bool {
	found := 0
	for i := range servers {
		if p.hasServer(&servers[i]) {
			found++
		}
	}
	return found > 0 && 2*found >= len(servers)
}

func (p *servedPort) hasServer(b *alicloud.Backend) bool {
	if p.port == nil {
		return false
	}
	if p.endpoints[addressPort{health.Address(b.ServerIP), b.Port}] {
		return true
	}
	isNodePort := p.port.NodePort != 0 && p.port.NodePort == b.Port && !health.IsAddress(b.Type)
	return isNodePort && p.state.Nodes.hasInstance(b.ServerID)
}

// servingGroups are the server groups that users depend on: those with more than copies of requests.
func servingGroups(observation *alicloud.Observation) map[string]bool {
	serving := map[string]bool{}
	if observation == nil || observation.Groups == nil {
		return serving
	}
	for i := range observation.Groups.Listeners {
		if l := &observation.Groups.Listeners[i]; l.ServerGroupID != "" && !l.Mirror {
			serving[l.ServerGroupID] = true
		}
	}
	return serving
}

// groupsOf are the servers of each server group of an ALB, each once.
func groupsOf(observation *alicloud.Observation) map[string][]alicloud.Backend {
	groups := map[string][]alicloud.Backend{}
	if observation == nil || observation.Groups == nil {
		return groups
	}
	for i := range observation.Groups.Listeners {
		if id := observation.Groups.Listeners[i].ServerGroupID; id != "" && groups[id] == nil {
			groups[id] = []alicloud.Backend{}
		}
	}
	type server struct {
		group, id, ip string
		port          int32
	}
	seen := map[server]bool{}
	for i := range observation.Backends {
		b, group := &observation.Backends[i], observation.Group(i).ServerGroupID
		key := server{group, b.ServerID, b.ServerIP, b.Port}
		if group == "" || seen[key] {
			continue
		}
		seen[key] = true
		groups[group] = append(groups[group], *b)
	}
	return groups
}

// expectListeners sets what is expected in each own server group of each listener.
func (s *IngressState) expectListeners(expected *health.Expected, own map[string][]*servedPort, groups map[string][]alicloud.Backend) {
	for i := range s.Observation.Groups.Listeners {
		entry := &s.Observation.Groups.Listeners[i]
		ports := own[entry.ServerGroupID]
		if entry.Mirror || len(ports) == 0 || ports[0].port == nil {
			continue
		}
		l := listener{
			ServicePort: health.ServicePort{Port: entry.Port, Protocol: entry.Protocol}, port: ports[0].port, serverGroupID: entry.ServerGroupID,
		}
		expected.Listeners = append(expected.Listeners, ports[0].state.expectBehind(l, groups[entry.ServerGroupID]))
	}
	slices.SortFunc(expected.Listeners, func(a, b health.ExpectedListener) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ServerGroupID, b.ServerGroupID))
	})
}

// expectBehind returns what is expected in a server group of an ALB.
func (s *ServiceState) expectBehind(l listener, registered []alicloud.Backend) health.ExpectedListener {
	nodes, why := candidatesFor(s.Service, s.Nodes)
	if why.Reason != "" {
		return l.notDetermined(why)
	}
	of := *s
	of.Registered, of.ofIngress = registered, true
	return of.expectListener(l, nodes, of.variants())
}
