// SPDX-License-Identifier: Apache-2.0

// Package cluster reads what the Kubernetes cluster knows of load balancers
// and their backends: which node or pod a backend is, which load balancer,
// listeners and backends a Service has, and which region the nodes are in.
//
//	cache.go            what the manager's cache keeps of each kind
//	cacheservice.go     the same of what expected.go reads
//	access.go           whether the operator may list a kind
//	locator.go          the node or pod that a backend is
//	region.go           the region and the instance of a node
//	reference.go            the load balancer of a Service or an Ingress:
//	service.go          that of a Service
//	ingress.go          that of an Ingress, and what the Ingress forwards to
//	albconfig.go        the AlbConfig of an Ingress
//	annotations.go      the annotations of a Service
//	ports.go            the listeners that a Service defines
//	servicebackends.go  what expected.go needs, read from the cache
//	ingressgroups.go    which server groups of an ALB belong to an Ingress
//	ingressbackends.go  what that needs, read from the cache
//	expected.go         the backends that a Service should have:
//	nodes.go            which nodes may be backends
//	endpoints.go        which endpoints may be backends
//	backends.go         the backends of one listener
//	networkpolicy.go    which NetworkPolicies block health checks
//	gates.go            the readiness gates of a pod
//	signals.go          which changes can change the backends of a load balancer
//
// It reads the cache, and past it only AlbConfigs, and what confirms that backends are
// missing. It knows the annotations and labels of Alibaba
// Cloud's controllers, and not its API.
package cluster

// Kinds of Kubernetes' own that the operator may read.
const (
	KindService = "Service"
	KindNode    = "Node"
	KindPod     = "Pod"

	KindEndpointSlice = "EndpointSlice"
	KindNetworkPolicy = "NetworkPolicy"
	KindIngress       = "Ingress"
)
