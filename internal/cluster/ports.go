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
	if err := client.IgnoreNotFound(s.Reader.Get(ctx, key, service, shared)); err != nil {
		return nil, fmt.Errorf("reading the ports of Service %s: %w", key, err)
	}
	if service.Labels[v1alpha1.ServiceLoadBalancerLabel] != id {
		return nil, nil // it does not exist, or has another load balancer now
	}
	return portsOf(service), nil
}

// portsOf returns the listeners that the cloud controller manager keeps for a Service.
func portsOf(service *corev1.Service) []health.ServicePort {
	if isUserManaged(service.Annotations) {
		return nil
	}
	var ports []health.ServicePort
	for _, l := range listenersOf(service) {
		ports = append(ports, l.ServicePort)
	}
	return ports
}

// listener is a listener of a load balancer, and the port of the Service that it is for.
type listener struct {
	health.ServicePort
	port *corev1.ServicePort
	// serverGroupID is the server group of an ALB that it is about; "": the only one.
	serverGroupID string
	// anyPort is true for a range of ports: its backends have no port of their own.
	anyPort bool
}

// listenersOf returns the listeners with backends that a Service defines; none
// for a Service that has no load balancer, or will have none.
func listenersOf(service *corev1.Service) []listener {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || !service.DeletionTimestamp.IsZero() {
		return nil
	}
	var forwards []pair
	ranges := annotationOf(service.Annotations, annotationPortRange)
	if !isNLB(service) {
		forwards, ranges = pairsOf(annotationOf(service.Annotations, annotationForward)), ""
	}
	protocols := pairsOf(annotationOf(service.Annotations, annotationProtocols))
	var listeners []listener
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		number := strconv.Itoa(int(port.Port))
		if slices.ContainsFunc(forwards, func(p pair) bool { return p.key == number }) {
			continue
		}
		l := listener{ServicePort: health.ServicePort{Port: port.Port, Protocol: strings.ToLower(string(port.Protocol))}, port: port}
		if at := slices.IndexFunc(protocols, func(p pair) bool { return p.value == number }); at >= 0 {
			l.Protocol = strings.ToLower(protocols[at].key)
		}
		if first, ok := firstPortOf(ranges, number); ok && first != 0 {
			l.Port, l.anyPort = first, true
		}
		listeners = append(listeners, l)
	}
	return listeners
}

// firstPortOf returns the first front-end port of the range that the annotation
// listener-port-range gives a port of a Service; 0: none. ok is false where the cloud
// controller manager cannot read the annotation: it reads no further than the entry of
// the port.
func firstPortOf(ranges, number string) (first int32, ok bool) {
	if ranges == "" {
		return 0, true
	}
	for entry := range strings.SplitSeq(ranges, ",") {
		bounds, port, found := strings.Cut(entry, ":")
		if !found || strings.Contains(port, ":") {
			return 0, false
		}
		if port != number {
			continue
		}
		from, to, found := strings.Cut(bounds, "-")
		start, err := strconv.ParseUint(from, 10, 16)
		end, otherErr := strconv.ParseUint(to, 10, 16)
		if !found || err != nil || otherErr != nil || start == 0 || start >= end {
			return 0, false
		}
		return int32(start), true
	}
	return 0, true
}

// isUserManaged reports whether the user, and not the cloud controller manager,
// manages the listeners or the backends of a Service's load balancer.
func isUserManaged(annotations map[string]string) bool {
	if annotationOf(annotations, annotationOwnServerGroups) != "" {
		return true
	}
	return annotationOf(annotations, annotationOwnLoadBalancer) != "" && annotationOf(annotations, annotationOverride) != "true"
}
