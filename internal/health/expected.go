// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// TypeECS is the type of a backend that is a server.
const TypeECS = "ecs"

// BackendPolicy is how the cloud controller manager chooses the backends of a Service.
type BackendPolicy string

// Values of BackendPolicy.
const (
	// PolicyENI: the backends are the addresses of pods.
	PolicyENI BackendPolicy = "ENI"
	// PolicyLocal: the backends are the nodes with pods of the Service, externalTrafficPolicy Local.
	PolicyLocal BackendPolicy = "Local"
	// PolicyCluster: the backends are all nodes, externalTrafficPolicy Cluster.
	PolicyCluster BackendPolicy = "Cluster"
)

// NotDeterminedReason is why nothing can be said about the backends that the
// cluster expects. "": it can be said.
type NotDeterminedReason string

// Values of NotDeterminedReason.
const (
	// EndpointSlicesUnknown: the operator may not read EndpointSlices.
	EndpointSlicesUnknown NotDeterminedReason = "EndpointSlicesUnknown"
	// NodesUnknown: the backends are nodes, which the operator may not read.
	NodesUnknown NotDeterminedReason = "NodesUnknown"
	// ReusedLoadBalancer: the user created the load balancer or its server groups.
	// Several clusters may share it.
	ReusedLoadBalancer NotDeterminedReason = "ReusedLoadBalancer"
	// Weights: the Service sets the weights of its backends.
	Weights NotDeterminedReason = "Weights"
	// OtherController: another controller serves the class of the Service.
	OtherController NotDeterminedReason = "OtherController"
	// BackendTypeUnknown: neither the Service nor a registered backend shows
	// whether the backends are nodes or pods, or IPv4 or IPv6 addresses.
	BackendTypeUnknown NotDeterminedReason = "BackendTypeUnknown"
	// HybridNodes: a pod runs on a node outside of Alibaba Cloud.
	HybridNodes NotDeterminedReason = "HybridNodes"
	// EndpointWithoutNode: an endpoint has no nodeName.
	EndpointWithoutNode NotDeterminedReason = "EndpointWithoutNode"
	// AmbiguousNode: two EndpointSlices have an address on different nodes.
	AmbiguousNode NotDeterminedReason = "AmbiguousNode"
	// InvalidProviderID: the providerID of a node has no instance.
	InvalidProviderID NotDeterminedReason = "InvalidProviderID"
	// InvalidAnnotation: the cloud controller manager cannot parse an annotation of the Service.
	InvalidAnnotation NotDeterminedReason = "InvalidAnnotation"
	// NoNodePort: the backends are nodes, and the port has no nodePort.
	NoNodePort NotDeterminedReason = "NoNodePort"
	// NodeAddresses: the backends are addresses of nodes.
	NodeAddresses NotDeterminedReason = "NodeAddresses"
	// IngressesUnknown: the operator may not read Ingresses.
	IngressesUnknown NotDeterminedReason = "IngressesUnknown"
	// IngressChanged: the Ingress does not exist, or has another load balancer now.
	IngressChanged NotDeterminedReason = "IngressChanged"
	// ServerGroupUnknown: no server group of the ALB has backends of a Service.
	ServerGroupUnknown NotDeterminedReason = "ServerGroupUnknown"
	// InvalidAction: an action of the Ingress cannot be read.
	InvalidAction NotDeterminedReason = "InvalidAction"
)

// NotDetermined says why the expected backends are not known. The zero value: they are known.
type NotDetermined struct {
	Reason NotDeterminedReason
	// Object is the annotation, node, endpoint or Service that causes it; "": none.
	Object string
}

// notDeterminedMessages explain each reason; %s stands for the object.
var notDeterminedMessages = map[NotDeterminedReason]string{
	EndpointSlicesUnknown: "the operator may not read EndpointSlices: apply config/service-discovery or upgrade the chart, and restart the operator",
	NodesUnknown:          "the backends are nodes, which the operator may not read: apply config/backend-names, or set backendNames.enabled of the chart (nodes require a ClusterRole)",
	ReusedLoadBalancer:    "the user created the load balancer or its server groups, which others may share",
	Weights:               "the annotation %s sets weights, which may be 0",
	OtherController:       "the class of the Service is that of another controller",
	BackendTypeUnknown:    "the registered backends do not show whether the cloud controller manager registers nodes or pods, and IPv4 or IPv6 addresses: set the annotation service.beta.kubernetes.io/backend-type",
	HybridNodes:           "a pod runs on the hybrid node %s, which the load balancer may not reach",
	EndpointWithoutNode:   "the endpoint %s has no node, so the cloud controller manager registers none",
	AmbiguousNode:         "the endpoint %s is on different nodes in two EndpointSlices",
	InvalidProviderID:     "the providerID of node %s has no instance, so the cloud controller manager registers none",
	InvalidAnnotation:     "the cloud controller manager cannot parse the annotation %s, so it registers none",
	NoNodePort:            "the backends are nodes, and the port of the Service has no nodePort",
	NodeAddresses:         "the annotation server-group-type makes the backends addresses of nodes",
	IngressesUnknown:      "the operator may not read Ingresses: apply config/service-discovery or upgrade the chart, and restart the operator",
	IngressChanged:        "the Ingress does not exist, or has another load balancer now",
	ServerGroupUnknown:    "no server group has the backends of %s: " + seeIngressController,
	InvalidAction:         "the annotation %s of the Ingress is not a list of actions: fix it",
}

// Message says what keeps the expected backends from being known; "": nothing does.
func (n NotDetermined) Message() string {
	return strings.Replace(notDeterminedMessages[n.Reason], "%s", n.Object, 1)
}

// ExclusionReason is why the cloud controller manager does not register a node or an endpoint.
type ExclusionReason string

// Values of ExclusionReason. The first ones are about nodes.
const (
	ExcludedByLabel        ExclusionReason = "Label"        // Detail: the label
	ExcludedByBackendLabel ExclusionReason = "BackendLabel" // Detail: the label that the node lacks
	ExcludedByTaint        ExclusionReason = "Taint"        // Detail: the taint
	ExcludedUnschedulable  ExclusionReason = "Unschedulable"
	ExcludedNodeNotReady   ExclusionReason = "NodeNotReady"
	ExcludedNodeIsNew      ExclusionReason = "NodeWithoutConditions"
	ExcludedHybridNode     ExclusionReason = "HybridNode"

	ExcludedTerminating        ExclusionReason = "Terminating"
	ExcludedNotReady           ExclusionReason = "NotReady"           // without a gate of the cloud controller manager
	ExcludedContainersNotReady ExclusionReason = "ContainersNotReady" // with the gate
	ExcludedNoPod              ExclusionReason = "NoPod"              // not ready, and no pod is known
	ExcludedPodUnknown         ExclusionReason = "PodUnknown"         // not ready, and the operator may not read pods
	ExcludedNode               ExclusionReason = "Node"               // its node is excluded
	ExcludedNoNode             ExclusionReason = "NoNode"             // its node does not exist
	ExcludedNoPort             ExclusionReason = "NoPort"             // the EndpointSlice has no port of the name
	ExcludedAmbiguous          ExclusionReason = "Ambiguous"          // two EndpointSlices have it with different ports
)

// Excluded is a node or an endpoint that the cloud controller manager does not register.
type Excluded struct {
	// Node is the node, or the one that the endpoint is on; "": not known.
	Node string
	// ServerIP is the address of the endpoint, and Pod its pod as namespace/name;
	// "" for a node.
	ServerIP, Pod string
	Reason        ExclusionReason
	Detail        string
}

// BackendOrigin is why the cluster expects a backend.
type BackendOrigin string

// Values of BackendOrigin.
const (
	FromReadyEndpoint BackendOrigin = "ReadyEndpoint"
	// FromGatedEndpoint: the pod only waits for the readiness gate that the cloud
	// controller manager opens once it has registered the pod.
	FromGatedEndpoint BackendOrigin = "GatedEndpoint"
	// FromNode: the node may serve each Service, externalTrafficPolicy Cluster.
	FromNode BackendOrigin = "Node"
	// FromLocalEndpoint: the node has an endpoint, externalTrafficPolicy Local.
	FromLocalEndpoint BackendOrigin = "LocalEndpoint"
)

// ExpectedBackend is a backend that the cluster expects behind a listener.
type ExpectedBackend struct {
	// Type is TypeECS or TypeENI.
	Type string
	// ServerID is the instance of a server; "" for a pod, whose network interface the cluster does not know.
	ServerID string
	// ServerIP is the address of a pod; "" for a server.
	ServerIP string
	Port     int32
	Origin   BackendOrigin
	// Pod is the pod of an endpoint, as namespace/name; "": none.
	Pod string
	// Since is since when the cluster expects the backend, as far as the operator has
	// read that: since a node, or a pod on it, is Ready. Zero: not known.
	Since time.Time
	// Location is the node and the pod as far as the operator has read them.
	Location Location
	// BlockedBy is the NetworkPolicy, as namespace/name, that keeps health checks
	// from the pod, or from each pod on the node; "": none, or not known.
	BlockedBy string
}

// ExpectedListener is what the cluster expects behind one listener of a Service.
type ExpectedListener struct {
	ServicePort
	// ServerGroupID is the server group of an ALB; "" for a listener with one group, or none.
	ServerGroupID string
	// NotDetermined is why the backends are not known. Then the other fields are zero.
	NotDetermined NotDetermined
	// Policy is how the backends were chosen.
	Policy BackendPolicy
	// NodePort and TargetPorts are the ports that the Service has for servers and for pods. A
	// named target port has as many numbers as the EndpointSlices have.
	NodePort    int32
	TargetPorts []int32
	// Backends are sorted by type, serverID, serverIP and port.
	Backends []ExpectedBackend
	// Excluded are the endpoints that are no backends, sorted by address.
	Excluded []Excluded
}

// Expected is what the cluster expects behind the load balancer of a Service or an Ingress.
type Expected struct {
	// NotDetermined is why nothing is known of any listener. Then the other fields are zero.
	NotDetermined NotDetermined
	// ExcludedNodes are the nodes that are no backends of the Service, sorted by name.
	ExcludedNodes []Excluded
	// Listeners are sorted by port, protocol and server group.
	Listeners []ExpectedListener
	// Groups are, with spec.ingressRef, the server groups of the Services of the Ingress,
	// sorted by id.
	Groups []OwnGroup
	// ServicesWithoutGroup are the Services with a port whose server group is not known, sorted.
	ServicesWithoutGroup []string
	// GroupsNotDetermined is why those of some Services are not known.
	GroupsNotDetermined NotDetermined
}

// OwnGroup is a server group of an ALB that belongs to an Ingress.
type OwnGroup struct {
	ID string
	// Services are those of the Ingress that it has the backends of; none where that is not known.
	Services []string
}

// GroupsOf are the ids of the server groups that have the backends of a Service.
func (e *Expected) GroupsOf(service string) []string {
	var ids []string
	for i := range e.Groups {
		if slices.Contains(e.Groups[i].Services, service) {
			ids = append(ids, e.Groups[i].ID)
		}
	}
	return ids
}

// Listener returns the expectation of a listener and its server group; nil: none, or
// not determined. A protocol that is "" matches the only listener of the port, and an
// expectation without a server group is that of any.
func (e *Expected) Listener(port int32, protocol, serverGroupID string) *ExpectedListener {
	if e == nil {
		return nil
	}
	var found *ExpectedListener
	for i := range e.Listeners {
		l := &e.Listeners[i]
		if l.Port == port && (protocol == "" || l.Protocol == protocol) && (l.ServerGroupID == "" || l.ServerGroupID == serverGroupID) {
			if found != nil {
				return nil
			}
			found = l
		}
	}
	if found == nil || found.NotDetermined.Reason != "" {
		return nil
	}
	return found
}

// listenerOf returns the expectation of the listener of a row; nil: none, or not determined.
func (e *Expected) listenerOf(row *v1alpha1.BackendStatus) *ExpectedListener {
	return e.Listener(row.ListenerPort, row.ListenerProtocol, row.ServerGroupID)
}

// excludedNode returns why a node is no backend; nil: it is one, or not known.
func (e *Expected) excludedNode(name string) *Excluded {
	at, found := slices.BinarySearchFunc(e.ExcludedNodes, name, func(x Excluded, name string) int { return cmp.Compare(x.Node, name) })
	if !found {
		return nil
	}
	return &e.ExcludedNodes[at]
}

// Missing returns the expected backends of the listener that are not among the
// rows of an observation. A row without a field matches any value of it: such
// rows may be those that seem to be missing.
func (l *ExpectedListener) Missing(rows []v1alpha1.BackendStatus) []ExpectedBackend {
	type portKey struct {
		key  string
		port int32
	}
	registered := make(map[portKey]bool, len(rows))
	for i := range rows {
		if row := &rows[i]; l.has(row) {
			registered[portKey{LocationKey(row.Type, row.ServerID, row.ServerIP), row.Port}] = true
		}
	}
	var missing []ExpectedBackend
	for i := range l.Backends {
		b := &l.Backends[i]
		found := false
		for _, key := range []portKey{{b.key(), b.Port}, {b.key(), 0}, {"", b.Port}, {"", 0}} {
			found = found || registered[key]
		}
		if !found {
			missing = append(missing, *b)
		}
	}
	return missing
}

// has returns whether a row is, or may be, of the listener.
func (l *ExpectedListener) has(row *v1alpha1.BackendStatus) bool {
	return (row.ListenerPort == 0 || row.ListenerPort == l.Port) && (row.ListenerProtocol == "" || compareProtocols(row.ListenerProtocol, l.Protocol) == 0)
}

// key is the LocationKey of the backend.
func (b *ExpectedBackend) key() string { return LocationKey(b.Type, b.ServerID, b.ServerIP) }

// byKey indexes backends by their LocationKeys.
func byKey(backends []ExpectedBackend) map[string]*ExpectedBackend {
	index := make(map[string]*ExpectedBackend, len(backends))
	for i := range backends {
		index[backends[i].key()] = &backends[i]
	}
	return index
}
