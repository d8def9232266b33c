// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a LoadBalancerHealth. Each condition carries the
// observedGeneration that it was decided for.
const (
	// ConditionObserved has normal-true polarity and is always present: True
	// when the last DescribeHealthStatus answered, False when it did not,
	// Unknown before the first call and while suspended.
	ConditionObserved = "Observed"

	// ConditionHealthy has normal-true polarity and is always present: True
	// when healthPolicy is met on every listener that decides, False when it is
	// not, Unknown when a listener is missing, or when the last answer does not
	// tell or is too old.
	ConditionHealthy = "Healthy"

	// ConditionReady has normal-true polarity and is always present: what
	// GitOps tools wait for. It follows Healthy, and is False while Stalled.
	ConditionReady = "Ready"

	// ConditionStalled has abnormal-true polarity and is present only while
	// True: observations fail for a reason that does not heal by itself.
	ConditionStalled = "Stalled"

	// ConditionReconciling has abnormal-true polarity and is present only
	// while True: this generation has not been observed yet, or an observation
	// that was requested by annotation has not been answered.
	ConditionReconciling = "Reconciling"
)

// Reasons of Observed, and of Stalled where they need a person.
const (
	// ReasonObservationSucceeded: DescribeHealthStatus answered.
	ReasonObservationSucceeded = "ObservationSucceeded"
	// ReasonThrottled: the API refused the call to protect itself.
	ReasonThrottled = "Throttled"
	// ReasonForbidden: the identity lacks slb:DescribeHealthStatus. Stalls.
	ReasonForbidden = "Forbidden"
	// ReasonInvalidCredentials: the API refused the access key, token or signature. Stalls.
	ReasonInvalidCredentials = "InvalidCredentials"
	// ReasonCredentialsNotFound: no usable credentials were found to sign with. Stalls.
	ReasonCredentialsNotFound = "CredentialsNotFound"
	// ReasonLoadBalancerNotFound: the region has no such load balancer. Stalls
	// once three observations in a row said so.
	ReasonLoadBalancerNotFound = "LoadBalancerNotFound"
	// ReasonEndpointUnreachable: no answer came: DNS, connection, TLS, time.
	ReasonEndpointUnreachable = "EndpointUnreachable"
	// ReasonServiceError: the API answered that it failed.
	ReasonServiceError = "ServiceError"
	// ReasonInvalidResponse: something answered, but not what the API documents.
	ReasonInvalidResponse = "InvalidResponse"
	// ReasonInvalidRequest: the API refused the parameters, or the operator did.
	// Stalls at once where the operator did, else once three observations in a
	// row over at least 30 s said so.
	ReasonInvalidRequest = "InvalidRequest"
)

// Reasons of Healthy and Ready.
const (
	// ReasonAllBackendsNormal: the policy is met and every backend is normal.
	ReasonAllBackendsNormal = "AllBackendsNormal"
	// ReasonMinHealthyMet: the policy is met, though some backends are not normal.
	ReasonMinHealthyMet = "MinHealthyMet"
	// ReasonBelowMinHealthy: a listener has too few healthy backends.
	ReasonBelowMinHealthy = "BelowMinHealthy"
	// ReasonNoBackends: there are no backends, or a listener that serves has none.
	ReasonNoBackends = "NoBackends"
	// ReasonHealthCheckUnavailable: backends without a health-check result
	// could tip the verdict either way.
	ReasonHealthCheckUnavailable = "HealthCheckUnavailable"
	// ReasonListenerMissing: a listener that had backends is not in the answer,
	// and it is not known whether it still exists.
	ReasonListenerMissing = "ListenerMissing"
	// ReasonObservationStale: the last answer is too old to be a verdict.
	ReasonObservationStale = "ObservationStale"
)

// Reasons that Observed, Healthy and Ready share, and that of Reconciling.
const (
	// ReasonPending: there is no answer yet.
	ReasonPending = "Pending"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonProgressing: the first observation of this generation is under way.
	ReasonProgressing = "Progressing"
	// ReasonObservationRequested: an observation that was requested by
	// annotation was attempted and has not been answered yet.
	ReasonObservationRequested = "ObservationRequested"
)

// Annotations of a LoadBalancerHealth.
const (
	// ObserveRequestedAtAnnotation requests one observation now: any new value
	// does; status.lastHandledObserveRequest repeats it once answered.
	ObserveRequestedAtAnnotation = "slb.lbhealth.dev/observe-requested-at"
	// ListenersAcceptedAtAnnotation holds an RFC 3339 time: listeners whose
	// missingSince is not later are forgotten.
	ListenersAcceptedAtAnnotation = "slb.lbhealth.dev/listeners-accepted-at"
)

// What a Service says of its load balancer, in the words of Alibaba Cloud's cloud controller manager.
const (
	// ServiceLoadBalancerLabel holds the id of the load balancer that a Service got.
	ServiceLoadBalancerLabel = "service.k8s.alibaba/loadbalancer-id"
	// MonitorAnnotation with the value true asks, on a Service, for a
	// LoadBalancerHealth of the Service's name, owned by it.
	MonitorAnnotation = "slb.lbhealth.dev/monitor"
)

// Reasons of the events (events.k8s.io/v1) about a LoadBalancerHealth.
const (
	EventBackendAbnormal           = "BackendAbnormal"
	EventBackendNormal             = "BackendNormal"
	EventBackendUnavailable        = "BackendUnavailable"
	EventBackendAdded              = "BackendAdded"
	EventBackendRemoved            = "BackendRemoved"
	EventBackendsChanged           = "BackendsChanged"
	EventLoadBalancerHealthy       = "LoadBalancerHealthy"
	EventLoadBalancerUnhealthy     = "LoadBalancerUnhealthy"
	EventLoadBalancerHealthUnknown = "LoadBalancerHealthUnknown"
	EventObservationFailed         = "ObservationFailed"
	EventObservationRecovered      = "ObservationRecovered"
	EventLoadBalancerChanged       = "LoadBalancerChanged"
	EventListenerMissing           = "ListenerMissing"
	EventListenerReturned          = "ListenerReturned"
)

// Reasons of the events about a Service that asks to be monitored.
const (
	// EventMonitorRefused: the LoadBalancerHealth of the Service could not be
	// created: its name is taken, or a quota or policy refused it.
	EventMonitorRefused = "MonitorRefused"
	// EventMonitorAnnotationInvalid: the value of MonitorAnnotation is no boolean.
	EventMonitorAnnotationInvalid = "MonitorAnnotationInvalid"
)
