// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/internal/health"
)

// expectation collects the backends of one listener, by one variant.
type expectation struct {
	state    *ServiceState
	nodes    candidates
	port     *corev1.ServicePort
	anyPort  bool
	blocks   blocks
	listener health.ExpectedListener
	// servers are the instances that are expected already.
	servers map[string]bool
	// open are the instances with a pod that health checks reach, and closed the
	// NetworkPolicies of those with another one.
	open   map[string]bool
	closed map[string]string
	// since is since when each instance has a pod that is ready; zero: not known.
	since map[string]time.Time
}

// expectBy returns the expectation of a listener by one variant.
func (s *ServiceState) expectBy(l listener, nodes candidates, v variant) health.ExpectedListener {
	found := s.endpointsFor(l.port, v.family)
	x := &expectation{
		state: s, nodes: nodes, port: l.port, anyPort: l.anyPort, blocks: s.blocksFor(l.port, v),
		listener: health.ExpectedListener{
			ServicePort: l.ServicePort, ServerGroupID: l.serverGroupID,
			Policy: v.policy, NodePort: l.port.NodePort, TargetPorts: found.ports, Excluded: found.excluded,
		},
		servers: map[string]bool{}, open: map[string]bool{}, closed: map[string]string{}, since: map[string]time.Time{},
	}
	if l.anyPort {
		x.listener.TargetPorts = nil
	}
	var why health.NotDetermined
	switch {
	case v.policy == health.PolicyENI:
		why = x.pods(found.usable)
	case s.hasAddressGroups():
		why.Reason = health.NodeAddresses
	case nodes.nodes == nil:
		why.Reason = health.NodesUnknown
	default:
		why = x.serversAndVirtualPods(found.usable)
	}
	if why.Reason != "" {
		return l.notDetermined(why)
	}
	slices.SortFunc(x.listener.Backends, compareBackends)
	slices.SortFunc(x.listener.Excluded, compareExcluded)
	x.listener.Excluded = slices.Compact(x.listener.Excluded)
	return x.listener
}

// hasAddressGroups reports whether the servers of an NLB are addresses, also those of nodes.
func (s *ServiceState) hasAddressGroups() bool {
	return isNLB(s.Service) && strings.EqualFold(annotationOf(s.Service.Annotations, annotationServerGroupType), "ip")
}

// pods expects every endpoint. Whether a pod of a hybrid node has an address that
// the load balancer can serve, the cluster does not show.
func (x *expectation) pods(usable []endpoint) health.NotDetermined {
	for i := range usable {
		e := &usable[i]
		node := x.nodes.nodes.node(e.node)
		if node != nil && node.hybrid {
			return health.NotDetermined{Reason: health.HybridNodes, Object: node.node.Name}
		}
		x.addPod(e, node)
	}
	return health.NotDetermined{}
}

// serversAndVirtualPods expects nodes, and the pods on virtual nodes.
func (x *expectation) serversAndVirtualPods(usable []endpoint) health.NotDetermined {
	local := x.listener.Policy == health.PolicyLocal
	if !local {
		if why := x.allNodes(); why.Reason != "" {
			return why
		}
	}
	for i := range usable {
		e := &usable[i]
		switch {
		case e.node == "":
			return health.NotDetermined{Reason: health.EndpointWithoutNode, Object: e.address}
		case e.ambiguousNode:
			return health.NotDetermined{Reason: health.AmbiguousNode, Object: e.address}
		}
		node := x.nodes.nodes.node(e.node)
		switch {
		case node == nil:
			x.exclude(e, health.ExcludedNoNode, "")
		case !local && !node.virtual: // the node is a backend whatever its pods
		case x.nodes.early(node) != nil:
			x.exclude(e, health.ExcludedNode, string(x.nodes.early(node).Reason))
		case node.virtual:
			x.addPod(e, node)
		case node.late != nil:
			x.exclude(e, health.ExcludedNode, string(node.late.Reason))
		default:
			if why := x.addServer(node, health.FromLocalEndpoint); why.Reason != "" {
				return why
			}
			x.reach(node, e)
		}
	}
	x.completeServers()
	return health.NotDetermined{}
}

// allNodes expects every candidate node. Virtual nodes that no label excludes
// count as servers, too.
func (x *expectation) allNodes() health.NotDetermined {
	for i := range x.nodes.nodes.sorted {
		node := &x.nodes.nodes.sorted[i]
		if x.nodes.early(node) != nil || node.late != nil {
			continue
		}
		if why := x.addServer(node, health.FromNode); why.Reason != "" {
			return why
		}
	}
	return health.NotDetermined{}
}

func (x *expectation) exclude(e *endpoint, why health.ExclusionReason, detail string) {
	x.listener.Excluded = append(x.listener.Excluded, e.excluded(why, detail))
}

func (x *expectation) addPod(e *endpoint, node *nodeFacts) {
	if e.ambiguousPort {
		x.exclude(e, health.ExcludedAmbiguous, "")
		return
	}
	backend := health.ExpectedBackend{Type: health.TypeENI, ServerIP: e.address, Port: e.port, Origin: e.origin, Pod: nameOf(e.pod), Location: health.Location{Node: e.node}}
	if x.anyPort {
		backend.Port = 0
	}
	if node != nil {
		backend.Location = locationOf(node.node)
	}
	pod := x.state.Pods[e.pod]
	if pod != nil {
		setPod(&backend.Location, pod)
	}
	if node == nil || !node.virtual { // where no NetworkPolicy applies
		backend.BlockedBy = x.blocks.by(pod, e.port)
	}
	x.listener.Backends = append(x.listener.Backends, backend)
}

// addServer expects a node once. The cloud controller manager fails on one without an instance.
func (x *expectation) addServer(node *nodeFacts, origin health.BackendOrigin) health.NotDetermined {
	if node.instance == "" {
		return health.NotDetermined{Reason: health.InvalidProviderID, Object: node.node.Name}
	}
	if x.port.NodePort == 0 {
		return health.NotDetermined{Reason: health.NoNodePort}
	}
	if x.servers[node.instance] {
		return health.NotDetermined{}
	}
	x.servers[node.instance] = true
	x.listener.Backends = append(x.listener.Backends, health.ExpectedBackend{
		Type: health.TypeECS, ServerID: node.instance, Port: x.port.NodePort, Origin: origin, Since: node.readySince, Location: locationOf(node.node),
	})
	return health.NotDetermined{}
}

// reach records whether health checks that a node forwards reach an endpoint on it, and
// since when there is one.
func (x *expectation) reach(node *nodeFacts, e *endpoint) {
	pod := x.state.Pods[e.pod]
	policies := x.blocks.by(pod, e.port)
	if policies == "" || e.ambiguousPort {
		x.open[node.instance] = true
	} else if was, ok := x.closed[node.instance]; !ok || policies < was {
		x.closed[node.instance] = policies
	}
	since := time.Time{}
	if pod != nil {
		since = readySince(pod)
	}
	if was, ok := x.since[node.instance]; !ok || since.Before(was) {
		x.since[node.instance] = since
	}
}

// completeServers sets what the pods on a node decide: whether health checks reach any,
// and since when the node is a backend.
func (x *expectation) completeServers() {
	for i := range x.listener.Backends {
		b := &x.listener.Backends[i]
		if b.Type != health.TypeECS {
			continue
		}
		if !x.open[b.ServerID] {
			b.BlockedBy = x.closed[b.ServerID]
		}
		if since := x.since[b.ServerID]; since.After(b.Since) {
			b.Since = since
		}
	}
}
