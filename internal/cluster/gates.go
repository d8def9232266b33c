// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxGates is how many readiness gates of ours a pod may have. The operator ignores
// further ones: one pod with thousands, which fits into the API server, would
// keep it from serving all others.
const maxGates = 50

// GateServices returns the names of the Services that a pod has a readiness gate
// of ours for, up to maxGates.
func GateServices(pod *corev1.Pod) []string {
	var services []string
	for _, gate := range pod.Spec.ReadinessGates {
		service, found := strings.CutPrefix(string(gate.ConditionType), v1alpha1.ReadinessGatePrefix)
		if found && service != "" && !slices.Contains(services, service) {
			services = append(services, service)
		}
		if len(services) == maxGates {
			break
		}
	}
	return services
}

// ClosedGates returns the names of the Services whose gate of a pod is not
// open; none for a pod that is terminating.
func ClosedGates(pod *corev1.Pod) []string {
	if pod.DeletionTimestamp != nil {
		return nil
	}
	return slices.DeleteFunc(GateServices(pod), func(service string) bool {
		return isTrue(Condition(pod, GateOf(service)))
	})
}

// GateOf is the condition type of the gate for a Service.
func GateOf(service string) corev1.PodConditionType {
	return corev1.PodConditionType(v1alpha1.ReadinessGatePrefix + service)
}

// Condition returns a condition of a pod; nil: it has none of the type.
func Condition(pod *corev1.Pod, conditionType corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == conditionType {
			return c
		}
	}
	return nil
}

func isTrue(c *corev1.PodCondition) bool { return c != nil && c.Status == corev1.ConditionTrue }

// ContainersReady reports whether the containers of a pod are ready, and since
// when; zero: a virtual kubelet may write no time.
func ContainersReady(pod *corev1.Pod) (since time.Time, ready bool) {
	if c := Condition(pod, corev1.ContainersReady); isTrue(c) {
		return c.LastTransitionTime.Time, true
	}
	return time.Time{}, false
}

// IsRegistered reports whether the cloud controller manager has opened its
// gate of a pod for a Service, and those for Ingresses, or the pod has no such gate.
func IsRegistered(pod *corev1.Pod, service string) bool { return UnregisteredGate(pod, service) == "" }

// UnregisteredGate is the first of these gates that is not open; "": none.
func UnregisteredGate(pod *corev1.Pod, service string) string {
	for _, gate := range pod.Spec.ReadinessGates {
		ours := gate.ConditionType == corev1.PodConditionType(v1alpha1.RegistrationGatePrefix+service) || isIngressGate(gate.ConditionType)
		if ours && !isTrue(Condition(pod, gate.ConditionType)) {
			return string(gate.ConditionType)
		}
	}
	return ""
}

// ingressGates are the readiness gates of a pod that the ALB Ingress controller opens once
// it has registered the pod: the first by its open source, the second by the
// documentation of ACK. Each is also the prefix of a gate for each Ingress.
var ingressGates = []string{"target-health.alb.k8s.alicloud", "target-health.alb.k8s.alibabacloud"}

// isIngressGate reports whether the ALB Ingress controller opens a gate.
func isIngressGate(conditionType corev1.PodConditionType) bool {
	name, _, _ := strings.Cut(string(conditionType), "/")
	return slices.Contains(ingressGates, name)
}

// readsGate reports whether the operator reads a condition: of a gate for one of
// the Services.
func readsGate(conditionType corev1.PodConditionType, services []string) bool {
	if isIngressGate(conditionType) {
		return len(services) > 0
	}
	for _, prefix := range [...]string{v1alpha1.ReadinessGatePrefix, v1alpha1.RegistrationGatePrefix} {
		if service, found := strings.CutPrefix(string(conditionType), prefix); found {
			return slices.Contains(services, service)
		}
	}
	return false
}
