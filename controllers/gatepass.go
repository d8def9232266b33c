// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// gatePass is one decision on all closed gates of a Service.
type gatePass struct {
	key   types.NamespacedName
	now   time.Time
	state *gateState
	// timeout is the unknown timeout.
	timeout time.Duration
	service health.GateService
	// objects reference the Service, and are not suspended.
	objects []*v1alpha1.LoadBalancerHealth
	// ofIngress is true when an object references an Ingress that names the Service.
	ofIngress bool
	// elsewhere is true when the operator of another shard decides.
	elsewhere bool
	// observations are the last of each target; nil where there is none.
	observations []*health.GateObservation

	// begins is true when a pod waits that did not before.
	begins    bool
	waiting   map[string]waitingGates
	writes    []gateWrite
	requeueAt time.Time
}

// gateWrite is a decision that must be written.
type gateWrite struct {
	pod      *corev1.Pod
	state    *podGate
	decision health.GateDecision
}

// targets are those of the objects.
func (p *gatePass) targets() []alicloud.Target {
	var targets []alicloud.Target
	for _, object := range p.objects {
		if target, ok := TargetOf(object); ok && !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets
}

// decide decides on each pod, and collects what to write.
func (p *gatePass) decide(pods []corev1.Pod) {
	existing := make(map[types.UID]*podGate, len(pods))
	p.waiting = map[string]waitingGates{}
	for i := range pods {
		pod := &pods[i]
		gate, begins := p.state.see(pod, p.key.Name, p.now)
		existing[pod.UID] = gate
		p.begins = p.begins || begins
		facts := p.podFacts(pod, gate)
		if gate.openedFrom == pod.ResourceVersion || p.elsewhere && !facts.OptedOut && !p.service.Off {
			continue
		}
		decision := health.DecideGate(facts, &p.service, p.observations, p.now, p.timeout)
		gate.observedAt = decision.ObservedAt
		p.add(pod, gate, decision)
	}
	p.state.pods = existing
}

// podFacts is what the decision must know of a pod.
func (p *gatePass) podFacts(pod *corev1.Pod, gate *podGate) *health.GatePod {
	facts := &health.GatePod{
		IPs: cluster.Addresses(pod), HostNetwork: pod.Spec.HostNetwork,
		OptedOut: pod.Labels[v1alpha1.ReadinessGateLabel] == v1alpha1.ReadinessGateDisabled,
		ReadyAt:  gate.readyAt, ReadySeenAt: gate.readySeenAt, RegisteredSeenAt: gate.registeredSeenAt, ObservedAt: gate.observedAt,
		Reason: gate.reason, Message: gate.message, RegistrationGate: cluster.UnregisteredGate(pod, p.key.Name),
	}
	if c := cluster.Condition(pod, cluster.GateOf(p.key.Name)); c != nil && facts.Reason == "" {
		facts.Reason, facts.Message = c.Reason, c.Message
	}
	return facts
}

// add adds the decision on one pod.
func (p *gatePass) add(pod *corev1.Pod, gate *podGate, d health.GateDecision) {
	if !d.Open && d.Reason != "" {
		p.count(gate, d.Reason)
	}
	p.requeueAt = earliest(p.requeueAt, d.RecheckAt)
	at := gate.writeAt(&d, cluster.Condition(pod, cluster.GateOf(p.key.Name)), p.now)
	switch {
	case at.IsZero():
	case at.After(p.now):
		p.requeueAt = earliest(p.requeueAt, at)
	default:
		p.writes = append(p.writes, gateWrite{pod, gate, d})
	}
}

// count counts a pod whose gate stays closed, for a reason.
func (p *gatePass) count(gate *podGate, reason string) {
	w := p.waiting[reason]
	w.pods, w.oldest = w.pods+1, earliest(w.oldest, gate.readyAt)
	p.waiting[reason] = w
}

// unknownOf is why the last observation of an object is not current; "": each is.
func unknownOf(objects []*v1alpha1.LoadBalancerHealth) string {
	for _, object := range objects {
		c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionObserved)
		healthy := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionHealthy)
		if healthy != nil && healthy.Reason == v1alpha1.ReasonObservationStale && c != nil && c.Status == metav1.ConditionTrue {
			c = healthy
		}
		if c != nil && (c == healthy || c.Status != metav1.ConditionTrue) {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

// whyNotObserved is why nothing observes the load balancer of the Service, which
// is nil when it does not exist; "": one of the active objects does.
func (p *gatePass) whyNotObserved(service *corev1.Service, objects int) string {
	name := p.key.Name
	if service == nil {
		return "Service " + name + " does not exist"
	}
	switch support := cluster.SupportFor(service); {
	case support == cluster.NoLoadBalancer && !p.ofIngress:
		return "Service " + name + " is not of type LoadBalancer"
	case support == cluster.Unsupported && !p.ofIngress:
		return "the load balancer of Service " + name + " is of a product that is not observed"
	case objects == 0:
		return "no LoadBalancerHealth references Service " + name
	case len(p.objects) == 0:
		return "the observation of the load balancer of Service " + name + " is suspended"
	default:
		return ""
	}
}
