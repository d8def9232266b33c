// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// slimEndpointSlice keeps the Service of an EndpointSlice, and the ports, addresses, readiness,
// nodes and pods of its endpoints.
func slimEndpointSlice(slice *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	slim := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: slice.Namespace, Name: slice.Name, UID: slice.UID, ResourceVersion: slice.ResourceVersion,
			DeletionTimestamp: slice.DeletionTimestamp, Labels: only(slice.Labels, discoveryv1.LabelServiceName),
		},
		AddressType: slice.AddressType,
	}
	shareWord(&slim.AddressType)
	if len(slim.Labels) == 0 {
		return slim // of no Service
	}
	for i := range slice.Ports {
		slim.Ports = append(slim.Ports, discoveryv1.EndpointPort{Name: slice.Ports[i].Name, Port: slice.Ports[i].Port})
	}
	if len(slice.Endpoints) > 0 {
		slim.Endpoints = make([]discoveryv1.Endpoint, 0, len(slice.Endpoints))
	}
	nodes := map[string]*string{}
	for i := range slice.Endpoints {
		slim.Endpoints = append(slim.Endpoints, slimEndpoint(&slice.Endpoints[i], nodes))
	}
	return slim
}

// The conditions of all endpoints share these.
var isTrueCondition, isFalseCondition = true, false

// slimEndpoint keeps what endpointsFor reads. nodes are the names of nodes that
// the endpoints of the EndpointSlice share.
func slimEndpoint(e *discoveryv1.Endpoint, nodes map[string]*string) discoveryv1.Endpoint {
	slim := discoveryv1.Endpoint{
		Addresses:  e.Addresses,
		Conditions: discoveryv1.EndpointConditions{Ready: shareFlag(e.Conditions.Ready), Terminating: shareFlag(e.Conditions.Terminating)},
	}
	if e.NodeName != nil {
		name := unique.Make(*e.NodeName).Value()
		if nodes[name] == nil {
			nodes[name] = &name
		}
		slim.NodeName = nodes[name]
	}
	if ref := e.TargetRef; ref != nil && ref.Kind == KindPod {
		slim.TargetRef = &corev1.ObjectReference{Kind: KindPod, Namespace: ref.Namespace, Name: ref.Name}
		shareWord(&slim.TargetRef.Namespace)
	}
	return slim
}

// shareFlag returns a pointer to an equal condition that is shared; nil for nil.
func shareFlag(condition *bool) *bool {
	switch {
	case condition == nil:
		return nil
	case *condition:
		return &isTrueCondition
	default:
		return &isFalseCondition
	}
}

// slimNetworkPolicy keeps the pods and the ingress of a NetworkPolicy.
func slimNetworkPolicy(policy *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: policy.Namespace, Name: policy.Name, UID: policy.UID, ResourceVersion: policy.ResourceVersion,
			DeletionTimestamp: policy.DeletionTimestamp,
		},
		Spec: networkingv1.NetworkPolicySpec{PodSelector: policy.Spec.PodSelector, Ingress: policy.Spec.Ingress, PolicyTypes: policy.Spec.PolicyTypes},
	}
}

// maxSharedPorts bounds the lists of named ports that pods share.
const maxSharedPorts = 4096

var (
	sharedPorts      sync.Map // of string to []corev1.Container
	sharedPortsCount atomic.Int32
)

// sharePorts returns one container with the named ports of a pod. The pods of a
// Deployment share it, because it is much larger than all else that is kept of a pod.
func sharePorts(pod *corev1.Pod) []corev1.Container {
	var ports []corev1.ContainerPort
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			ports = append(ports, namedPorts(containers[i].Ports)...)
		}
	}
	if len(ports) == 0 {
		return nil
	}
	var key strings.Builder
	for i := range ports {
		fmt.Fprintf(&key, "%s %s %d,", ports[i].Name, ports[i].Protocol, ports[i].ContainerPort)
	}
	if shared, ok := sharedPorts.Load(key.String()); ok {
		return shared.([]corev1.Container)
	}
	containers := []corev1.Container{{Ports: ports}}
	if sharedPortsCount.Load() < maxSharedPorts {
		if shared, loaded := sharedPorts.LoadOrStore(key.String(), containers); loaded {
			return shared.([]corev1.Container)
		}
		sharedPortsCount.Add(1)
	}
	return containers
}
