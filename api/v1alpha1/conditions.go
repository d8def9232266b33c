// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a LoadBalancerHealth. Each condition has the
// observedGeneration of the spec that it is about.
const (
	// ConditionObserved has normal-true polarity and is always present: True
	// when the last observation succeeded, False when it failed, Unknown before the
	// first one and while suspended.
	ConditionObserved = "Observed"

	// ConditionHealthy has normal-true polarity and is always present: True
	// when every listener that affects the verdict meets healthPolicy, False when
	// one does not, Unknown when a listener is missing, when backends without a
	// health-check result could decide, when the server groups of an Ingress are not
	// known, or when the last observation is too old.
	ConditionHealthy = "Healthy"

	// ConditionReady has normal-true polarity and is always present: GitOps
	// tools wait for it. It equals Healthy, but is False while Stalled.
	ConditionReady = "Ready"

	// ConditionStalled has abnormal-true polarity and is present only while
	// True: observations fail for a reason that requires manual action.
	ConditionStalled = "Stalled"

	// ConditionReconciling has abnormal-true polarity and is present only
	// while True: this generation was not observed yet, or an observation that
	// an annotation requested has not succeeded.
	ConditionReconciling = "Reconciling"

	// ConditionRegistered has normal-true polarity and is present with
	// spec.serviceRef or spec.ingressRef only: True when the load balancer has every backend that the
	// cluster expects, False when it lacks one, Unknown while that is not known.
	ConditionRegistered = "Registered"
)

// Reasons of Observed, and of Stalled where they require manual action.
const (
	// ReasonObservationSucceeded: every call of the observation succeeded.
	ReasonObservationSucceeded = "ObservationSucceeded"
	// ReasonThrottled: the API refused the call because of a rate limit.
	ReasonThrottled = "Throttled"
	// ReasonForbidden: the identity lacks a permission of RAM, which the message names. Stalls.
	ReasonForbidden = "Forbidden"
	// ReasonInvalidCredentials: the API refused the access key, token or signature. Stalls.
	ReasonInvalidCredentials = "InvalidCredentials"
	// ReasonCredentialsNotFound: the operator found no usable credentials. Stalls.
	ReasonCredentialsNotFound = "CredentialsNotFound"
	// ReasonLoadBalancerNotFound: the region has no such load balancer. Stalls
	// after three such observations in a row.
	ReasonLoadBalancerNotFound = "LoadBalancerNotFound"
	// ReasonEndpointUnreachable: there was no response: DNS, connection, TLS or timeout.
	ReasonEndpointUnreachable = "EndpointUnreachable"
	// ReasonServiceError: the API responded with an internal error.
	ReasonServiceError = "ServiceError"
	// ReasonInvalidResponse: the response is not one that the API documents.
	ReasonInvalidResponse = "InvalidResponse"
	// ReasonInvalidRequest: the API or the operator refused the parameters.
	// Stalls at once if the operator refused them, else after three such
	// observations in a row over at least 30 s.
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
	// ReasonNoBackends: there are no backends, or a running listener has none.
	ReasonNoBackends = "NoBackends"
	// ReasonHealthCheckUnavailable: the verdict depends on backends without a
	// health-check result.
	ReasonHealthCheckUnavailable = "HealthCheckUnavailable"
	// ReasonListenerMissing: the observation of a CLB lacks a listener that had
	// backends, and it is not known whether the listener still exists.
	ReasonListenerMissing = "ListenerMissing"
	// ReasonObservationStale: the last observation is too old for a verdict.
	ReasonObservationStale = "ObservationStale"
)

// Reasons that Observed, Healthy and Ready share, and those of Reconciling.
const (
	// ReasonPending: no observation has succeeded yet.
	ReasonPending = "Pending"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonProgressing: the first observation of this generation is under way.
	ReasonProgressing = "Progressing"
	// ReasonObservationRequested: an observation that an annotation requested
	// was attempted and has not succeeded yet.
	ReasonObservationRequested = "ObservationRequested"
)

// Reasons of Registered; while Unknown, also ReasonPending.
const (
	// ReasonAllRegistered: the load balancer has every backend that the cluster expects.
	ReasonAllRegistered = "AllRegistered"
	// ReasonBackendsMissing: the load balancer has lacked an expected backend for
	// 30 s, and in two observations at the least.
	ReasonBackendsMissing = "BackendsMissing"
	// ReasonNotDetermined: which backends the cluster expects cannot be known; the
	// message says why. Also of Healthy and Ready: it is not known which server groups
	// of an ALB belong to the Ingress.
	ReasonNotDetermined = "NotDetermined"
)

// Annotations of a LoadBalancerHealth.
const (
	// ObserveRequestedAtAnnotation requests one observation now, with any new
	// value. status.lastHandledObserveRequest repeats the value once the
	// observation succeeded.
	ObserveRequestedAtAnnotation = "slb.lbhealth.dev/observe-requested-at"
	// ListenersAcceptedAtAnnotation has an RFC 3339 time: it removes the missing
	// listeners whose missingSince is not later.
	ListenersAcceptedAtAnnotation = "slb.lbhealth.dev/listeners-accepted-at"
)

// Labels and annotations of a Service.
const (
	// ServiceLoadBalancerLabel has the id of the Service's load balancer. Alibaba
	// Cloud's cloud controller manager sets it.
	ServiceLoadBalancerLabel = "service.k8s.alibaba/loadbalancer-id"
	// MonitorAnnotation with the value true makes the operator create a
	// LoadBalancerHealth with the Service's name. The Service owns it. The value
	// false opts out where the operator creates one for every load balancer.
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
	EventBackendsMissing           = "BackendsMissing"
	EventBackendsRegistered        = "BackendsRegistered"
)

// Reasons of the events about a Service and its LoadBalancerHealth.
const (
	// EventMonitorCreated: the operator created the LoadBalancerHealth of the Service.
	EventMonitorCreated = "MonitorCreated"
	// EventMonitorDeleted: the operator deleted it, because the Service has none any more.
	EventMonitorDeleted = "MonitorDeleted"
	// EventMonitorRefused: the operator could not create the LoadBalancerHealth
	// of the Service: its name is in use, or a quota or policy refused it.
	EventMonitorRefused = "MonitorRefused"
	// EventMonitorAnnotationInvalid: the value of MonitorAnnotation is not a boolean.
	EventMonitorAnnotationInvalid = "MonitorAnnotationInvalid"
)
