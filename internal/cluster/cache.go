// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// CacheOptions are the options of the manager's cache: which objects it
// contains, and which of their fields. It excludes finished pods: they are no
// backends, and in some clusters they are the most numerous.
func CacheOptions(namespaces []string, selector labels.Selector, locator *BackendLocator) cache.Options {
	served := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		served[namespace] = cache.Config{}
	}
	running := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
	return cache.Options{
		DefaultNamespaces: served,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.LoadBalancerHealth{}: {Label: selector},
			&corev1.Pod{}:                  {Field: running},
		},
		DefaultTransform:         Slim,
		DefaultWatchErrorHandler: locator.watchFailed,
	}
}

// Slim is the cache's transform. It drops the fields that the operator never
// reads, and interns the few words that most rows repeat. The operator writes a
// status as a patch of the differences, so a dropped field is not lost.
func Slim(object any) (any, error) {
	switch object := object.(type) {
	case *v1alpha1.LoadBalancerHealth:
		slimLoadBalancerHealth(object)
	case *corev1.Service:
		return slimService(object), nil
	case *corev1.Node:
		return slimNode(object), nil
	case *corev1.Pod:
		return slimPod(object), nil
	case *discoveryv1.EndpointSlice:
		return slimEndpointSlice(object), nil
	case *networkingv1.NetworkPolicy:
		return slimNetworkPolicy(object), nil
	case *networkingv1.Ingress:
		return slimIngress(object), nil
	}
	return object, nil
}

// only keeps the entries with one of the keys; nil when there are none.
func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		value, ok := all[key]
		if !ok {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[key] = value
	}
	return kept
}

func slimLoadBalancerHealth(lbh *v1alpha1.LoadBalancerHealth) {
	lbh.ManagedFields = nil
	delete(lbh.Annotations, corev1.LastAppliedConfigAnnotation)
	status := &lbh.Status
	for i := range status.Backends {
		row := &status.Backends[i]
		for _, word := range []*string{&row.Type, &row.ListenerProtocol, &row.ServerHealthStatus} {
			shareWord(word)
		}
		if row.Node != "" {
			shareWord(&row.Node)
		}
		if row.Diagnosis != "" {
			shareWord(&row.Diagnosis)
		}
	}
	for i := range status.Listeners {
		shareWord(&status.Listeners[i].Protocol)
		shareWord(&status.Listeners[i].Health)
	}
	for i := range status.Conditions {
		shareCondition(&status.Conditions[i])
	}
}

func shareCondition(c *metav1.Condition) {
	shareWord(&c.Status)
	for _, word := range []*string{&c.Type, &c.Reason, &c.Message} {
		shareWord(word)
	}
}

// shareWord interns a word.
func shareWord[T ~string](word *T) { *word = unique.Make(*word).Value() }

// shareLabels returns labels whose words are interned: the pods of a Deployment
// repeat them.
func shareLabels(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	shared := make(map[string]string, len(all))
	for key, value := range all {
		shareWord(&key)
		shareWord(&value)
		shared[key] = value
	}
	return shared
}

// slimNode keeps the region, instance, internal addresses, termination and labels
// of a node, and what keeps it from being a backend.
func slimNode(node *corev1.Node) *corev1.Node {
	slim := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, DeletionTimestamp: node.DeletionTimestamp,
			Labels: shareLabels(node.Labels), // the annotation backend-label of a Service can name any
		},
		Spec:   corev1.NodeSpec{ProviderID: node.Spec.ProviderID, Unschedulable: node.Spec.Unschedulable},
		Status: corev1.NodeStatus{Conditions: slimNodeConditions(node.Status.Conditions)},
	}
	if hasTaint(node, taintAutoscaler) {
		slim.Spec.Taints = []corev1.Taint{{Key: taintAutoscaler}}
	}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			slim.Status.Addresses = append(slim.Status.Addresses, address)
		}
	}
	return slim
}

// slimNodeConditions keeps the Ready condition. Of a node without one it keeps
// another: the cloud controller manager refuses only a node without any.
func slimNodeConditions(conditions []corev1.NodeCondition) []corev1.NodeCondition {
	if len(conditions) == 0 {
		return nil
	}
	kept := &conditions[0]
	for i := range conditions {
		if conditions[i].Type == corev1.NodeReady {
			kept = &conditions[i]
		}
	}
	slim := corev1.NodeCondition{Type: kept.Type, Status: kept.Status, LastTransitionTime: kept.LastTransitionTime}
	shareWord(&slim.Type)
	shareWord(&slim.Status)
	return []corev1.NodeCondition{slim}
}

// slimPod keeps the addresses, the node, the named ports and the readiness of a pod,
// and the conditions of the readiness gates that the operator reads.
func slimPod(pod *corev1.Pod) *corev1.Pod {
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp, Labels: shareLabels(pod.Labels)},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork, Containers: sharePorts(pod)},
		Status:     corev1.PodStatus{PodIPs: pod.Status.PodIPs},
	}
	for _, gate := range pod.Spec.ReadinessGates {
		shareWord(&gate.ConditionType)
		slim.Spec.ReadinessGates = append(slim.Spec.ReadinessGates, gate)
	}
	services := GateServices(pod)
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		kept := corev1.PodCondition{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}
		switch {
		case c.Type == corev1.PodReady || c.Type == corev1.ContainersReady:
		case readsGate(c.Type, services):
			kept.Reason, kept.Message = c.Reason, c.Message
			for _, word := range []*string{(*string)(&kept.Type), &kept.Reason, &kept.Message} {
				shareWord(word)
			}
		default:
			continue
		}
		slim.Status.Conditions = append(slim.Status.Conditions, kept)
	}
	return slim
}

// readinessOf is the condition that says whether a pod can serve. A pod with
// readiness gates may be not Ready because it is abnormal: then the one must not
// explain the other.
func readinessOf(pod *corev1.Pod) corev1.PodConditionType {
	if len(pod.Spec.ReadinessGates) > 0 {
		return corev1.ContainersReady
	}
	return corev1.PodReady
}

// slimService keeps the fields with the load balancer, the listeners and the pods of a Service.
func slimService(service *corev1.Service) *corev1.Service {
	slim := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name, UID: service.UID,
			ResourceVersion: service.ResourceVersion, DeletionTimestamp: service.DeletionTimestamp,
			Labels: service.Labels, Annotations: only(service.Annotations, readAnnotations...),
		},
		Spec: corev1.ServiceSpec{
			Type: service.Spec.Type, LoadBalancerClass: service.Spec.LoadBalancerClass,
			ExternalTrafficPolicy: service.Spec.ExternalTrafficPolicy, Selector: service.Spec.Selector,
		},
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		slim.Spec.Ports = append(slim.Spec.Ports, corev1.ServicePort{
			Name: port.Name, Protocol: port.Protocol, Port: port.Port, TargetPort: port.TargetPort, NodePort: port.NodePort,
		})
	}
	return slim
}
