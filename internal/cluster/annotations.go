// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Annotations of a Service that Alibaba Cloud's cloud controller manager reads,
// after one of annotationPrefixes; the first prefix that is present counts.
const (
	// annotationOwnLoadBalancer is the id of a load balancer that the user created.
	annotationOwnLoadBalancer = "id"
	// annotationOverride with the value true lets the controller replace the
	// listeners of a load balancer that the user created.
	annotationOverride = "force-override-listeners"
	// annotationOwnServerGroups are server groups that the user created.
	annotationOwnServerGroups = "vgroup-port"
	// annotationForward are ports that only redirect, and their targets: 80:443.
	annotationForward = "forward-port"
	// annotationProtocols gives ports a protocol: https:443,http:80.
	annotationProtocols = "protocol-port"
	// annotationBackendLabel are labels that a node must have to be a backend: k1=v1,k2=v2.
	annotationBackendLabel = "backend-label"
	// annotationRemoveUnscheduled with the value on excludes unschedulable nodes.
	annotationRemoveUnscheduled = "remove-unscheduled-backend"
	// annotationWeight is the sum of the weights of the backends.
	annotationWeight = "weight"
	// annotationDefaultWeight is the weight of each backend, 0 to 100.
	annotationDefaultWeight = "default-weight"
	// annotationIPVersion and annotationBackendIPVersion with the value ipv6 make
	// the backends IPv6 addresses, if a feature gate of the controller is on.
	annotationIPVersion        = "ip-version"
	annotationBackendIPVersion = "backend-ip-version"
	// annotationCheckPort is the port that the health check connects to.
	annotationCheckPort = "health-check-connect-port"
	// annotationPortRange gives ports of an NLB a range of front-end ports: 1000-2000:80.
	annotationPortRange = "listener-port-range"
	// annotationServerGroupType is Instance or Ip: the servers of an NLB are instances
	// and network interfaces, or addresses.
	annotationServerGroupType = "server-group-type"
	// annotationProduct chooses another product than SLB (CLB), if a feature gate
	// of the controller is on. It has no legacy prefix, as annotationTunnel.
	annotationProduct = "type"
	annotationTunnel  = "tunnel-type"
)

// Annotations of a Service with one name each.
const (
	// annotationBackendType is eni or ecs; without it, the configuration of the controller decides.
	annotationBackendType = "service.beta.kubernetes.io/backend-type"
	// annotationClass is a controller of its own.
	annotationClass = "service.beta.kubernetes.io/class"
)

const annotationPrefix = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"

var annotationPrefixes = [...]string{annotationPrefix, "service.beta.kubernetes.io/alicloud-loadbalancer-"}

// readAnnotations are the annotations of a Service that the operator reads.
var readAnnotations = append(
	withPrefixes(annotationOwnLoadBalancer, annotationOverride, annotationOwnServerGroups, annotationForward, annotationProtocols,
		annotationBackendLabel, annotationRemoveUnscheduled, annotationWeight, annotationDefaultWeight, annotationIPVersion,
		annotationBackendIPVersion, annotationCheckPort, annotationPortRange, annotationServerGroupType),
	annotationPrefix+annotationProduct, annotationPrefix+annotationTunnel, annotationBackendType, annotationClass,
	v1alpha1.MonitorAnnotation)

func withPrefixes(names ...string) []string {
	keys := make([]string, 0, len(names)*len(annotationPrefixes)+5)
	for _, prefix := range annotationPrefixes {
		for _, name := range names {
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

func annotationOf(annotations map[string]string, name string) string {
	for _, prefix := range annotationPrefixes {
		if value, ok := annotations[prefix+name]; ok {
			return value
		}
	}
	return ""
}

// pair is one key:value of a list that is separated by commas.
type pair struct{ key, value string }

func pairsOf(list string) []pair {
	var pairs []pair
	for entry := range strings.SplitSeq(list, ",") {
		if key, value, found := strings.Cut(entry, ":"); found {
			pairs = append(pairs, pair{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return pairs
}
