// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Readiness gates of pods. A gate is the condition type of a prefix and the name of a Service.
const (
	// ReadinessGatePrefix starts the gates that the operator opens: such a gate
	// waits until the pod is normal on the load balancer of the Service.
	ReadinessGatePrefix = "health.slb.lbhealth.dev/"
	// RegistrationGatePrefix starts the gates that Alibaba Cloud's cloud controller
	// manager opens, once it has registered the pod with the load balancer.
	RegistrationGatePrefix = "service.readiness.alibabacloud.com/"
)

// ReadinessGateLabel is a label of Services and pods.
const (
	ReadinessGateLabel = "slb.lbhealth.dev/readiness-gate"
	// ReadinessGateEnabled on a Service requests the gate for the Service's pods.
	ReadinessGateEnabled = "enabled"
	// ReadinessGateOff on a Service opens all its gates at once.
	ReadinessGateOff = "off"
	// ReadinessGateDisabled on a pod opens its gates at once.
	ReadinessGateDisabled = "disabled"
)

// Reasons of a gate's condition while it is False.
const (
	// GateWaitingForObservation: no observation since the pod's containers became ready.
	GateWaitingForObservation = "WaitingForObservation"
	// GateNotRegistered: the load balancer does not list the pod on a listener of
	// the Service, or the cloud controller manager has not registered it.
	GateNotRegistered = "NotRegistered"
	// GateHealthCheckPending: the pod has no health-check result yet.
	GateHealthCheckPending = "HealthCheckPending"
	// GateBackendAbnormal: the load balancer's health check of the pod fails.
	GateBackendAbnormal = "BackendAbnormal"
)

// Reasons of a gate's condition once it is True. It then never changes again.
const (
	// GateBackendNormal: the pod is normal on every listener of the Service.
	GateBackendNormal = "BackendNormal"
	// GateHealthCheckOff: a listener of the Service has no health check.
	GateHealthCheckOff = "HealthCheckOff"
	// GateBackendsAreNodes: the backends of the Service are nodes, not pods.
	GateBackendsAreNodes = "BackendsAreNodes"
	// GateNotObserved: nothing observes the load balancer of the Service.
	GateNotObserved = "NotObserved"
	// GateDisabled: ReadinessGateLabel of the Service or the pod opened the gate.
	GateDisabled = "Disabled"
	// GateHealthUnknown: no observation succeeded within the operator's
	// --readiness-gate-unknown-timeout.
	GateHealthUnknown = "HealthUnknown"
)

// EventReadinessGateOpened is the reason of the events about a pod and its
// LoadBalancerHealth: a gate was opened though the pod's health is unknown.
const EventReadinessGateOpened = "ReadinessGateOpened"
