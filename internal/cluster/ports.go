// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
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
)

var annotationPrefixes = [...]string{
	"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-",
	"service.beta.kubernetes.io/alicloud-loadbalancer-",
}

// readAnnotations are the annotations of a Service that the operator reads.
var readAnnotations = append(
	withPrefixes(annotationOwnLoadBalancer, annotationOverride, annotationOwnServerGroups, annotationForward, annotationProtocols),
	v1alpha1.MonitorAnnotation)

func withPrefixes(names ...string) []string {
	keys := make([]string, 0, len(names)*len(annotationPrefixes)+1)
	for _, prefix := range annotationPrefixes {
		for _, name := range names {
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// ServicePorts reads which listeners Services define. A nil ServicePorts reads none.
type ServicePorts struct {
	// Reader reads Services from the cache.
	Reader client.Reader
}

// For returns the listeners that the Service of an object defines; nil when
// there is no Service, and when the user manages the listeners or backends.
func (s *ServicePorts) For(ctx context.Context, object *v1alpha1.LoadBalancerHealth) ([]health.ServicePort, error) {
	id, _, ok := object.LoadBalancer()
	if s == nil || object.Spec.ServiceRef == nil || !ok {
		return nil, nil
	}
	service := &corev1.Service{}
	key := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.ServiceRef.Name}
	if err := client.IgnoreNotFound(s.Reader.Get(ctx, key, service)); err != nil {
		return nil, fmt.Errorf("reading the ports of Service %s: %w", key, err)
	}
	if service.Labels[v1alpha1.ServiceLoadBalancerLabel] != id {
		return nil, nil // it does not exist, or has another load balancer now
	}
	return portsOf(service), nil
}

// portsOf returns the listeners that the cloud controller manager keeps for a Service.
func portsOf(service *corev1.Service) []health.ServicePort {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || !service.DeletionTimestamp.IsZero() || isUserManaged(service.Annotations) {
		return nil
	}
	forwards := pairsOf(annotationOf(service.Annotations, annotationForward))
	protocols := pairsOf(annotationOf(service.Annotations, annotationProtocols))
	var ports []health.ServicePort
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		number := strconv.Itoa(int(port.Port))
		if slices.ContainsFunc(forwards, func(p pair) bool { return p.key == number }) {
			continue
		}
		listener := health.ServicePort{Port: port.Port, Protocol: strings.ToLower(string(port.Protocol))}
		if at := slices.IndexFunc(protocols, func(p pair) bool { return p.value == number }); at >= 0 {
			listener.Protocol = strings.ToLower(protocols[at].key)
		}
		ports = append(ports, listener)
	}
	return ports
}

// isUserManaged reports whether the user, and not the cloud controller manager,
// manages the listeners or the backends of a Service's load balancer.
func isUserManaged(annotations map[string]string) bool {
	if annotationOf(annotations, annotationOwnServerGroups) != "" {
		return true
	}
	return annotationOf(annotations, annotationOwnLoadBalancer) != "" && annotationOf(annotations, annotationOverride) != "true"
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
