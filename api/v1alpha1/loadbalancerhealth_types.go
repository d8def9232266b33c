// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ListenerProtocol is the front-end protocol of a listener, as the API spells it.
// +kubebuilder:validation:Enum=tcp;udp;http;https;tcpssl;quic
type ListenerProtocol string

// Front-end protocols of listeners.
const (
	ProtocolTCP   ListenerProtocol = "tcp"
	ProtocolUDP   ListenerProtocol = "udp"
	ProtocolHTTP  ListenerProtocol = "http"
	ProtocolHTTPS ListenerProtocol = "https"
	// ProtocolTCPSSL is of NLB.
	ProtocolTCPSSL ListenerProtocol = "tcpssl"
	// ProtocolQUIC is of ALB.
	ProtocolQUIC ListenerProtocol = "quic"
)

// Health is the verdict on a listener or a load balancer.
// +kubebuilder:validation:Enum=Healthy;Unhealthy;Unknown
type Health string

// Verdicts.
const (
	Healthy   Health = "Healthy"
	Unhealthy Health = "Unhealthy"
	Unknown   Health = "Unknown"
)

// Values of a backend's ServerHealthStatus that the API documents.
const (
	// StatusNormal: the health check passes.
	StatusNormal = "normal"
	// StatusAbnormal: the health check fails.
	StatusAbnormal = "abnormal"
	// StatusUnavailable: the health check has no result. This differs from abnormal.
	StatusUnavailable = "unavailable"
	// StatusUnused: an NLB or ALB backend has weight 0. It counts nowhere else, and is in no event.
	StatusUnused = "unused"
)

// LoadBalancerHealthSpec says which load balancer to observe, how often, and what counts as healthy.
// +kubebuilder:validation:XValidation:rule="has(self.serviceRef) || has(self.ingressRef) || has(self.loadBalancerId)",fieldPath=".loadBalancerId",reason=FieldValueRequired,message="write loadBalancerId, such as lb-bp1qjwo61pqz3ahltv0mw, or serviceRef or ingressRef instead of loadBalancerId and regionId"
// +kubebuilder:validation:XValidation:rule="has(self.serviceRef) || has(self.ingressRef) || has(self.regionId)",fieldPath=".regionId",reason=FieldValueRequired,message="write regionId, such as cn-hangzhou, or serviceRef or ingressRef instead of loadBalancerId and regionId"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceRef) || !has(self.loadBalancerId)",fieldPath=".loadBalancerId",reason=FieldValueForbidden,message="serviceRef names the load balancer: remove loadBalancerId, or serviceRef"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceRef) || !has(self.regionId)",fieldPath=".regionId",reason=FieldValueForbidden,message="serviceRef names the load balancer: remove regionId, or serviceRef"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressRef) || !has(self.loadBalancerId)",fieldPath=".loadBalancerId",reason=FieldValueForbidden,message="ingressRef names the load balancer: remove loadBalancerId, or ingressRef"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressRef) || !has(self.regionId)",fieldPath=".regionId",reason=FieldValueForbidden,message="ingressRef names the load balancer: remove regionId, or ingressRef"
// +kubebuilder:validation:XValidation:rule="!has(self.ingressRef) || !has(self.serviceRef)",fieldPath=".ingressRef",reason=FieldValueForbidden,message="serviceRef names the load balancer: remove ingressRef, or serviceRef"
type LoadBalancerHealthSpec struct {
	// loadBalancerId is the id of the CLB, NLB or ALB instance, such as lb-bp1qjwo61pqz3ahltv0mw. The
	// prefixes nlb- and alb- show the product; any other id is that of a CLB instance.
	// The id of a Gateway Load Balancer (gwlb-) is refused: it serves network appliances and no Kubernetes cluster.
	// Required unless serviceRef or ingressRef is set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="loadBalancerId must be the id of a CLB, NLB or ALB instance: letters, digits, '-' and '_' only, such as lb-bp1qjwo61pqz3ahltv0mw"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('gwlb-')",message="loadBalancerId names a Gateway Load Balancer, which serves network appliances and no Kubernetes cluster and which the operator does not observe: write the id of a CLB, NLB or ALB instance, such as lb-bp1qjwo61pqz3ahltv0mw"
	LoadBalancerID string `json:"loadBalancerId,omitempty"`

	// regionId is the region of the load balancer, such as cn-hangzhou. Its first part is one of
	// cn, ap, us, eu, me, na, sa, af, ca and rus, because it becomes part of a host name. Required
	// unless serviceRef or ingressRef is set.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^(cn|ap|us|eu|me|na|sa|af|ca|rus)(-[a-z0-9]+)+$`
	// +kubebuilder:validation:XValidation:rule="self.matches('^(cn|ap|us|eu|me|na|sa|af|ca|rus)(-[a-z0-9]+)+$')",message="regionId must be an Alibaba Cloud region id in lower case, such as cn-hangzhou or ap-southeast-1; it begins with cn, ap, us, eu, me, na, sa, af, ca or rus"
	RegionID string `json:"regionId,omitempty"`

	// serviceRef names a Service of type LoadBalancer in the same namespace, instead of
	// loadBalancerId and regionId: the operator observes the CLB or NLB instance of the Service. The
	// id is in the Service's label service.k8s.alibaba/loadbalancer-id, and the region is that of
	// the cluster's nodes. The operator must run with --service-discovery.
	// +optional
	ServiceRef *ServiceReference `json:"serviceRef,omitempty"`

	// ingressRef names an Ingress in the same namespace, instead of loadBalancerId and regionId: the
	// operator observes the ALB instance of the Ingress, and of that only the server groups of the
	// Ingress's own Services. Id and region are in the host name of the Ingress's status. The
	// operator must run with --service-discovery.
	// +optional
	IngressRef *IngressReference `json:"ingressRef,omitempty"`

	// listenerPort is the front-end port of one listener. Default: every listener of the load balancer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ListenerPort *int32 `json:"listenerPort,omitempty"`

	// listenerProtocol is the front-end protocol of the listener: tcp, udp, http or https, tcpssl of
	// an NLB, or quic of an ALB.
	// Required only to select one of a TCP and a UDP listener that share listenerPort.
	// +optional
	ListenerProtocol ListenerProtocol `json:"listenerProtocol,omitempty"`

	// interval is the time between two observations, from 5s to 1h. With ACK's defaults, a health
	// check reports a failing server as abnormal after about 19 s, and a starting one as normal
	// after about 4 s: a short interval is useful while pods start.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('1h')",message="interval must be a duration from 5s to 1h, such as 30s, 1m30s or 1h"
	Interval metav1.Duration `json:"interval,omitzero"`

	// suspend suspends observation. The status keeps the last observed backends; Observed, Healthy
	// and Ready become Unknown with the reason Suspended.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// healthPolicy says what counts as healthy. Default: each listener needs one
	// normal backend, and backends without a health-check result count neither way.
	// +optional
	HealthPolicy *HealthPolicy `json:"healthPolicy,omitempty"`

	// credentials is the identity that calls the API. Default: the operator's own.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`
}

// HealthPolicy defines the verdict on each listener from its counts of backends: with n normal,
// u unavailable and minimum m, a listener is Healthy when n >= m, Unhealthy when n+u < m,
// and Unknown between. The verdict on the load balancer is that on its worst listener.
type HealthPolicy struct {
	// minHealthy is how many backends of each listener must be healthy: a count such as 2,
	// or a percentage of the listener's backends such as "50%", rounded up. With serviceRef or
	// ingressRef, the percentage is of the registered and the missing backends. Default 1.
	// With 0, a load balancer or listener without backends is healthy too, and none is missing.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^(100|[1-9]?[0-9])%$')",message="minHealthy must be a count of 0 or more such as 2, or a percentage from 0% to 100% such as \"50%\""
	MinHealthy *intstr.IntOrString `json:"minHealthy,omitempty"`

	// unavailable says how a backend without a health-check result counts. Unknown (the
	// default): it can make the verdict Unknown, never Unhealthy. Healthy: it counts as normal,
	// for listeners whose health check is disabled on purpose. Unhealthy: it counts as abnormal.
	// +optional
	// +kubebuilder:default=Unknown
	Unavailable Health `json:"unavailable,omitempty"`
}

// Credentials is the identity that calls the API.
type Credentials struct {
	// secretRef names a Secret in the same namespace with the keys accessKeyId and
	// accessKeySecret, and securityToken for temporary credentials.
	// +required
	SecretRef SecretReference `json:"secretRef"`
}

// SecretReference names a Secret in the namespace of the object that refers to it.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret in this namespace: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// ServiceReference names a Service in the namespace of the object that refers to it.
type ServiceReference struct {
	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be the name of a Service in this namespace: lower case letters, digits and '-'"
	Name string `json:"name"`
}

// IngressReference names an Ingress in the namespace of the object that refers to it.
type IngressReference struct {
	// name of the Ingress.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of an Ingress in this namespace: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// LoadBalancerHealthStatus is the result of the last observation. The operator writes it when
// it changes and, as a heartbeat, every few minutes; it does not write an observation that finds
// no difference.
type LoadBalancerHealthStatus struct {
	// observedGeneration is the generation that was observed last; -1 before the first observation.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Observed, Healthy and Ready, with serviceRef or ingressRef also Registered, and
	// Stalled and Reconciling while they are True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() <= 9999)",message="lastTransitionTime must be a time such as 2026-01-02T03:04:05Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// serviceLoadBalancer is the load balancer of the Service that spec.serviceRef names; absent
	// while the Service has none, and without serviceRef.
	// +optional
	ServiceLoadBalancer *ServiceLoadBalancer `json:"serviceLoadBalancer,omitempty"`

	// ingressLoadBalancer is the load balancer of the Ingress that spec.ingressRef names; absent
	// while the Ingress has none, and without ingressRef.
	// +optional
	IngressLoadBalancer *IngressLoadBalancer `json:"ingressLoadBalancer,omitempty"`

	// observedTarget is what the backends below belong to. When the spec names another target,
	// the operator removes them without events.
	// +optional
	ObservedTarget *ObservedTarget `json:"observedTarget,omitempty"`

	// summary counts every listener of listeners, and every backend of the last observation, also
	// those that backends omits.
	// +optional
	Summary *Summary `json:"summary,omitempty"`

	// listeners are those of the last observation, and those without backends that exist or may
	// exist, sorted by port and protocol.
	// +optional
	// +listType=atomic
	Listeners []ListenerStatus `json:"listeners,omitempty"`

	// backends are the backends of the last observation, sorted by listenerPort, listenerProtocol,
	// serverId, serverIp and port.
	// +optional
	// +listType=atomic
	Backends []BackendStatus `json:"backends,omitempty"`

	// omittedBackends is how many backends are omitted to keep the object small; the operator
	// keeps abnormal ones first, then unavailable ones.
	// +optional
	OmittedBackends int32 `json:"omittedBackends,omitempty"`

	// missingBackends are the backends that the cluster expects and the load balancer lacks, sorted
	// like backends; the first 20. summary.missing is their number. Only with serviceRef or ingressRef.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	MissingBackends []MissingBackend `json:"missingBackends,omitempty"`

	// history is the last 10 changes of the condition Healthy between True, False and Unknown, the
	// newest first. The first observation, suspending and resuming are no changes. It starts again
	// for another load balancer or listener.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []HealthChange `json:"history,omitempty"`

	// lastObservedTime is the time of the observation that this status was written from.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="lastObservedTime must be a time such as 2026-01-02T03:04:05Z"
	LastObservedTime *metav1.Time `json:"lastObservedTime,omitempty"`

	// lastRequestId is Alibaba Cloud's RequestId of that observation, for a support ticket.
	// +optional
	LastRequestID string `json:"lastRequestId,omitempty"`

	// lastHandledObserveRequest repeats the annotation slb.lbhealth.dev/observe-requested-at
	// once an observation that started after the request succeeded.
	// +optional
	LastHandledObserveRequest string `json:"lastHandledObserveRequest,omitempty"`

	// lastAttemptedObserveRequest repeats the annotation once an observation that started after
	// the request failed: then a failure in the conditions is not older than the request. The next
	// observation that succeeds removes it.
	// +optional
	LastAttemptedObserveRequest string `json:"lastAttemptedObserveRequest,omitempty"`
}

// ServiceLoadBalancer is the load balancer of a Service.
type ServiceLoadBalancer struct {
	// serviceName is the name of the Service, as in the spec.
	// +required
	ServiceName string `json:"serviceName"`
	// loadBalancerId is the id of the CLB or NLB instance.
	// +required
	LoadBalancerID string `json:"loadBalancerId"`
	// regionId is its region.
	// +required
	RegionID string `json:"regionId"`
}

// IngressLoadBalancer is the load balancer of an Ingress.
type IngressLoadBalancer struct {
	// ingressName is the name of the Ingress, as in the spec.
	// +required
	IngressName string `json:"ingressName"`
	// loadBalancerId is the id of the ALB instance.
	// +required
	LoadBalancerID string `json:"loadBalancerId"`
	// regionId is its region.
	// +required
	RegionID string `json:"regionId"`
}

// ObservedTarget is the part of a spec that says which backends to observe.
type ObservedTarget struct {
	// serviceName is the name of the Service, as in the spec.
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// ingressName is the name of the Ingress, as in the spec.
	// +optional
	IngressName string `json:"ingressName,omitempty"`
	// loadBalancerId as in the spec, or in serviceLoadBalancer or ingressLoadBalancer.
	// +required
	LoadBalancerID string `json:"loadBalancerId"`
	// regionId as in the spec, or in serviceLoadBalancer or ingressLoadBalancer.
	// +required
	RegionID string `json:"regionId"`
	// listenerPort as in the spec.
	// +optional
	ListenerPort int32 `json:"listenerPort,omitempty"`
	// listenerProtocol as in the spec.
	// +optional
	ListenerProtocol ListenerProtocol `json:"listenerProtocol,omitempty"`
}

// Counts are numbers of backends by ServerHealthStatus. A status that the API adds later counts as unavailable.
type Counts struct {
	// backends is the total.
	// +required
	Backends int32 `json:"backends"`
	// normal is the number of those whose health check passes.
	// +required
	Normal int32 `json:"normal"`
	// abnormal is the number of those whose health check fails.
	// +required
	Abnormal int32 `json:"abnormal"`
	// unavailable is the number of those whose health check has no result.
	// +required
	Unavailable int32 `json:"unavailable"`
}

// Summary counts the listeners of the status, and the backends of the last observation.
type Summary struct {
	// listeners is the number of listeners, including those without backends.
	// +required
	Listeners int32 `json:"listeners"`

	Counts `json:",inline"`

	// missing is the number of backends that the cluster expects and the load balancer lacks; absent
	// where that is not known, and without serviceRef or ingressRef.
	// +optional
	Missing *int32 `json:"missing,omitempty"`
	// unused is the number of backends with weight 0, of an NLB or ALB; they are in no other count.
	// +optional
	Unused int32 `json:"unused,omitempty"`
	// disruptionsAllowed is how many healthy backends may fail before the load balancer is
	// Unhealthy or Unknown: the least, over the listeners that affect the verdict, of healthy
	// backends minus minHealthy. It is absent where there is no such listener or the verdict is
	// Unknown.
	// +optional
	DisruptionsAllowed *int32 `json:"disruptionsAllowed,omitempty"`
}

// ListenerState is whether a listener serves.
// +kubebuilder:validation:Enum=Running;Stopped;Redirect
type ListenerState string

// States of a listener.
const (
	// ListenerRunning: the listener forwards requests to its backends.
	ListenerRunning ListenerState = "Running"
	// ListenerStopped: the listener accepts no connection.
	ListenerStopped ListenerState = "Stopped"
	// ListenerRedirect: the listener redirects every request and has no backends.
	ListenerRedirect ListenerState = "Redirect"
)

// HealthCheckState is whether a listener checks the health of its backends.
// +kubebuilder:validation:Enum=Enabled;Disabled
type HealthCheckState string

// States of a listener's health check.
const (
	HealthCheckEnabled  HealthCheckState = "Enabled"
	HealthCheckDisabled HealthCheckState = "Disabled"
)

// ListenerStatus is the health of one listener, for an NLB or ALB of one of its server groups. The
// health of a CLB lists backends only. The status has a listener without backends because the API
// lists it, because a port of the Service names it, or because it had backends and it is not known
// whether it still exists.
type ListenerStatus struct {
	// port is the front-end port; absent where the API omits it.
	// +optional
	Port int32 `json:"port,omitempty"`
	// protocol is the front-end protocol; absent where the API omits it.
	// +optional
	Protocol string `json:"protocol,omitempty"`
	// serverGroupId is the server group of an NLB or ALB listener: each group of a listener has an
	// entry, and a verdict of its own. Absent for a CLB, and for a listener without a group.
	// +optional
	ServerGroupID string `json:"serverGroupId,omitempty"`
	// health is the verdict of healthPolicy on this listener: Healthy, Unhealthy or Unknown. It is
	// Unknown for a listener that does not affect the verdict on the load balancer: one that only
	// redirects, or one that is stopped and that neither the spec nor the Service names.
	// +required
	Health Health `json:"health"`

	Counts `json:",inline"`

	// lastTransitionTime is when health changed to its value; absent before its first change.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="lastTransitionTime must be a time such as 2026-01-02T03:04:05Z"
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
	// state is Running, Stopped or Redirect (the listener only redirects); absent where the
	// listeners of a CLB could not be listed, and while the listener starts, stops or is being
	// configured.
	// +optional
	State ListenerState `json:"state,omitempty"`
	// healthCheck is Enabled or Disabled; absent where the listeners of a CLB could not be listed, or
	// the API does not say.
	// +optional
	HealthCheck HealthCheckState `json:"healthCheck,omitempty"`
	// missingSince is the time of the first observation without the listener, which had backends,
	// while it is not known whether the listener still exists. It is removed when the listener has
	// backends again, when a list of the listeners shows whether it exists, or by the
	// annotation slb.lbhealth.dev/listeners-accepted-at.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="missingSince must be a time such as 2026-01-02T03:04:05Z"
	MissingSince *metav1.Time `json:"missingSince,omitempty"`
	// expected is the number of backends that the cluster expects behind the listener; absent where
	// that is not known, for a listener that does not affect the verdict, and without serviceRef or
	// ingressRef.
	// +optional
	Expected *int32 `json:"expected,omitempty"`
	// missing is how many of the expected backends the load balancer lacks; absent for none.
	// +optional
	Missing int32 `json:"missing,omitempty"`
	// unused is the number of backends with weight 0, of an NLB or ALB; they are in no other count.
	// +optional
	Unused int32 `json:"unused,omitempty"`
}

// MissingBackend is a backend that the cluster expects behind a listener, and that the load
// balancer lacks.
type MissingBackend struct {
	// listenerPort is the front-end port.
	// +optional
	ListenerPort int32 `json:"listenerPort,omitempty"`
	// listenerProtocol is the front-end protocol.
	// +optional
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
	// serverGroupId is the server group of an NLB or ALB listener; absent for a CLB.
	// +optional
	ServerGroupID string `json:"serverGroupId,omitempty"`
	// serverId is the id of the ECS instance; absent for a pod, whose network interface (ENI) the
	// cluster does not know.
	// +optional
	ServerID string `json:"serverId,omitempty"`
	// serverIp is the address of the pod; absent for a node.
	// +optional
	ServerIP string `json:"serverIp,omitempty"`
	// port is the back-end port: the targetPort or nodePort of the Service.
	// +optional
	Port int32 `json:"port,omitempty"`
	// pod is the pod that is expected, as namespace/name; absent where the backend is a node.
	// +optional
	Pod string `json:"pod,omitempty"`
	// node is the name of the node that is expected, or that the pod runs on.
	// +optional
	Node string `json:"node,omitempty"`
	// diagnosis is the most probable cause; absent where none is known. PortMismatch: the backend is
	// registered with another port. With --backend-names also NodeNotReady, NodeDraining,
	// PodNotReady and PodTerminating. Later versions may add others.
	// +optional
	Diagnosis Diagnosis `json:"diagnosis,omitempty"`
	// since is the time of the first observation that lacked the backend.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="since must be a time such as 2026-01-02T03:04:05Z"
	Since metav1.Time `json:"since"`
}

// HealthChange is one change of the condition Healthy.
type HealthChange struct {
	// time is when the condition changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="time must be a time such as 2026-01-02T03:04:05Z"
	Time metav1.Time `json:"time"`
	// status is the condition's new status: True, False or Unknown.
	// +required
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status"`
	// reason is the condition's new reason.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// message is the beginning of the condition's new message.
	// +required
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message"`
}

// BackendStatus is the health of one backend behind one listener. Names and values are those
// of the API of CLB (DescribeHealthStatus); a field that the API omits is absent.
type BackendStatus struct {
	// serverId is the id of the ECS instance or of the elastic network interface (ENI).
	// +required
	ServerID string `json:"serverId"`
	// serverIp is the address of the backend.
	// +optional
	ServerIP string `json:"serverIp,omitempty"`
	// eniHost is the address of the ENI.
	// +optional
	EniHost string `json:"eniHost,omitempty"`
	// type is ecs or eni; of an NLB or ALB also eci, ip or fc.
	// +optional
	Type string `json:"type,omitempty"`
	// listenerPort is the front-end port.
	// +optional
	ListenerPort int32 `json:"listenerPort,omitempty"`
	// listenerProtocol is the front-end protocol.
	// +optional
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
	// serverGroupId is the server group of an NLB or ALB; absent for a CLB.
	// +optional
	ServerGroupID string `json:"serverGroupId,omitempty"`
	// port is the back-end port.
	// +optional
	Port int32 `json:"port,omitempty"`
	// reason is the API's code for a health check of an NLB or ALB that failed, with what the check
	// got and expected where the API says it, such as RESPONSE_MISMATCH: 502, expected HTTP_2xx.
	// +optional
	Reason string `json:"reason,omitempty"`
	// serverHealthStatus is normal, abnormal or unavailable (the health check has no result); that of
	// an NLB or ALB may also be unused (weight 0). The API may add others, which count as unavailable.
	// +required
	ServerHealthStatus string `json:"serverHealthStatus"`
	// lastTransitionTime is when serverHealthStatus was first observed at its value.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() >= 1970 && self.getFullYear() <= 9999",message="lastTransitionTime must be a time such as 2026-01-02T03:04:05Z"
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`
	// node is the name of the cluster's node that the backend is, or that its pod runs on. node,
	// pod and diagnosis require that the operator runs with --backend-names.
	// +optional
	Node string `json:"node,omitempty"`
	// pod is the pod that has serverIp, as namespace/name.
	// +optional
	Pod string `json:"pod,omitempty"`
	// diagnosis is the most probable cause of an abnormal backend, or what contradicts its health;
	// absent where none is known. Of any object: NodeNotReady (also of a normal backend),
	// PodNotReady, PodReadyButAbnormal, or Orphan for a backend that the cluster does not have.
	// With serviceRef or ingressRef also PodTerminating, NodeDraining, NodeExcluded, NoLocalEndpoint,
	// PortMismatch, NetworkPolicyBlocks and HealthCheckOff. Later versions may add others.
	// +optional
	Diagnosis Diagnosis `json:"diagnosis,omitempty"`
}

// LoadBalancerHealth is the health of the backends of one Alibaba Cloud load balancer: a CLB, NLB or
// ALB. The operator observes it in every interval, updates status and conditions, and records events.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=lbh,categories=slb,path=loadbalancerhealths,singular=loadbalancerhealth
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Normal",type=integer,JSONPath=`.status.summary.normal`
// +kubebuilder:printcolumn:name="Backends",type=integer,JSONPath=`.status.summary.backends`
// +kubebuilder:printcolumn:name="LoadBalancer",type=string,JSONPath=`.status.observedTarget.loadBalancerId`
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.status.observedTarget.regionId`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.spec.listenerPort`,priority=1
// +kubebuilder:printcolumn:name="Abnormal",type=integer,JSONPath=`.status.summary.abnormal`,priority=1
// +kubebuilder:printcolumn:name="Unavailable",type=integer,JSONPath=`.status.summary.unavailable`,priority=1
// +kubebuilder:printcolumn:name="DisruptionsAllowed",type=integer,JSONPath=`.status.summary.disruptionsAllowed`,priority=1
// +kubebuilder:printcolumn:name="Observed",type=date,JSONPath=`.status.lastObservedTime`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:selectablefield:JSONPath=`.spec.loadBalancerId`
// +kubebuilder:selectablefield:JSONPath=`.spec.regionId`
// +kubebuilder:selectablefield:JSONPath=`.spec.serviceRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.ingressRef.name`
type LoadBalancerHealth struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which load balancer to observe, how often, and what counts as healthy.
	// +required
	Spec LoadBalancerHealthSpec `json:"spec"` //nolint:kubeapilinter // required, although a rule and no field of it says so

	// status is the result of the last observation. Its observedGeneration starts at -1, so that
	// an object that was not observed yet never counts as current.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status LoadBalancerHealthStatus `json:"status,omitempty"`
}

// LoadBalancerHealthList is a list of LoadBalancerHealth.
//
// +kubebuilder:object:root=true
type LoadBalancerHealthList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LoadBalancerHealth `json:"items"`
}
