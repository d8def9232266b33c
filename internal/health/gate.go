// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// gateGrace is how long a state must last in which a gate waits for nothing:
	// tools apply a Deployment and its Service or object together, in any order.
	gateGrace = time.Minute
	// gateQuiet is until a gate without an observation gets its first condition:
	// a pod that is normal before then costs one write, not two.
	gateQuiet = 10 * time.Second
)

// GatePod is a pod with a readiness gate that is not open.
type GatePod struct {
	// IPs are the addresses of the pod, as Address returns them.
	IPs []string
	// HostNetwork is true when the addresses are those of its node.
	HostNetwork bool
	// OptedOut is true when the label of the pod disables its gates.
	OptedOut bool
	// ReadyAt is the time of the pod's condition ContainersReady, by the clock of
	// its node; zero: it is not True.
	ReadyAt time.Time
	// ReadySeenAt is when this process first saw ContainersReady True; zero: not
	// yet. An observation that was requested earlier may be about another pod that
	// had the same address.
	ReadySeenAt time.Time
	// RegisteredSeenAt is when this process first saw, since ReadySeenAt, that
	// the cloud controller manager has opened its own gate of the pod; the same as
	// ReadySeenAt for a pod without one; zero: not yet.
	RegisteredSeenAt time.Time
	// RegistrationGate is the gate of that controller which is not open; "": the one of the Service.
	RegistrationGate string
	// Reason and Message are those of the gate's condition; "": it has none.
	Reason, Message string
	// ObservedAt is when the last observation arrived that decided on the pod; zero:
	// none in this process.
	ObservedAt time.Time
}

// GateService is what the cluster says of the Service of a gate.
type GateService struct {
	// Name is the name of the Service.
	Name string
	// Off is true when the label of the Service opens all its gates.
	Off bool
	// NotObserved is why nothing observes its load balancer; "": an object does.
	NotObserved string
	// NotObservedSince is since when this process has known so.
	NotObservedSince time.Time
	// Unknown is why the last observation is no longer current, such as a
	// failure; "": it is current.
	Unknown string
	// Interval is that of the routine observations of its load balancer.
	Interval time.Duration
}

// GateDecision is what to do about one gate.
type GateDecision struct {
	// Open is true to open the gate for good.
	Open bool
	// Reason and Message are those of the condition; "": leave it as it is.
	Reason, Message string
	// WriteAt is when to write a condition that is not open; zero: now.
	WriteAt time.Time
	// RecheckAt is when time alone may lead to another decision; zero: never.
	RecheckAt time.Time
	// ObservedAt is when the last observation arrived that decided on the pod; zero: none did.
	ObservedAt time.Time
}

// DecideGate decides on a gate that is not open. observations are the last that
// succeeded, one for each target of the Service, nil where there is none: objects
// with different credentials may observe different listeners, so each must find
// the pod normal. The gate stays closed while the pod is known not to be normal.
// It opens after unknownTimeout while nothing is known; 0: never.
func DecideGate(pod *GatePod, service *GateService, observations []*GateObservation, now time.Time, unknownTimeout time.Duration) GateDecision {
	switch {
	case pod.OptedOut:
		return GateDecision{Open: true, Reason: v1alpha1.GateDisabled, Message: "the label " + v1alpha1.ReadinessGateLabel + " of the pod disables its gates"}
	case service.Off:
		return GateDecision{Open: true, Reason: v1alpha1.GateDisabled, Message: "the label " + v1alpha1.ReadinessGateLabel + " of Service " + service.Name + " opens its gates"}
	case pod.ReadyAt.IsZero():
		return GateDecision{} // the kubelet waits for the containers first
	}
	d := GateDecision{ObservedAt: pod.ObservedAt}
	if service.NotObserved == "" {
		if d = decideAll(observations, pod); d.Open {
			return d
		}
	}
	if d.Reason == "" {
		d.wait(pod, service)
	}
	if service.NotObserved == "" {
		return d.giveUp(pod, service, now, unknownTimeout)
	}
	if d.RecheckAt = latest(pod.ReadySeenAt, service.NotObservedSince).Add(gateGrace); now.Before(d.RecheckAt) {
		return d
	}
	return GateDecision{Open: true, Reason: v1alpha1.GateNotObserved, Message: service.NotObserved}
}

// decideAll decides by the observations of a Service: a pod that is not normal in
// one of them waits. The reason is "" while they do not decide on the pod.
func decideAll(observations []*GateObservation, pod *GatePod) GateDecision {
	decision := GateDecision{ObservedAt: pod.ObservedAt}
	about, decided := len(observations) > 0, true
	for _, o := range observations {
		if !o.isAbout(pod) {
			about = false
			continue
		}
		if decision = o.decide(pod); !decision.Open && decision.Reason != "" {
			return decision
		}
		decided = decided && decision.Open
	}
	switch {
	case !about:
		return GateDecision{ObservedAt: pod.ObservedAt}
	case !decided:
		return GateDecision{ObservedAt: decision.ObservedAt}
	default:
		return decision
	}
}

// wait fills in the decision on a pod that no observation decides on. The
// condition keeps the reason that an earlier observation gave.
func (d *GateDecision) wait(pod *GatePod, service *GateService) {
	if isObserved(pod.Reason) {
		d.Reason, d.Message = pod.Reason, pod.Message
		if d.ObservedAt.IsZero() { // by an earlier process, perhaps just before this one
			d.ObservedAt = pod.ReadySeenAt
		}
		return
	}
	d.Reason = v1alpha1.GateWaitingForObservation
	d.Message = "no observation of the load balancer of Service " + service.Name + " since the containers became ready"
	if why := cmp.Or(service.Unknown, service.NotObserved); why != "" {
		d.Message += ": " + why
	}
	d.WriteAt = pod.ReadySeenAt.Add(gateQuiet)
}

// isObserved reports whether an observation gave the reason.
func isObserved(reason string) bool {
	return slices.Contains([]string{v1alpha1.GateNotRegistered, v1alpha1.GateHealthCheckPending, v1alpha1.GateBackendAbnormal}, reason)
}

// giveUp opens the gate if nothing has been known for the timeout. While
// observations succeed, a pod that is known not to be normal waits.
func (d GateDecision) giveUp(pod *GatePod, service *GateService, now time.Time, timeout time.Duration) GateDecision {
	if timeout <= 0 || !d.ObservedAt.IsZero() && service.Unknown == "" {
		return d
	}
	at := latest(pod.timeoutAt(timeout), d.ObservedAt.Add(timeout))
	if service.Unknown == "" { // the next routine observation will decide
		at = latest(at, pod.ReadySeenAt.Add(service.Interval+min(timeout, gateGrace)))
	}
	if now.Before(at) {
		d.RecheckAt = at
		return d
	}
	message := fmt.Sprintf("opened without knowing the health of the pod: no observation of the load balancer of Service %s for %s", service.Name, timeout)
	if service.Unknown != "" {
		message += ": " + service.Unknown
	}
	return GateDecision{Open: true, Reason: v1alpha1.GateHealthUnknown, Message: message, ObservedAt: d.ObservedAt}
}

// timeoutAt is when the timeout of a pod ends that no observation decided on. A
// process that has just started, and one that sees the pod late, observes first.
func (p *GatePod) timeoutAt(timeout time.Duration) time.Time {
	since := p.ReadyAt
	if !p.ReadySeenAt.IsZero() && p.ReadySeenAt.Before(since) { // the clock of the node is fast
		since = p.ReadySeenAt
	}
	return latest(since.Add(timeout), p.ReadySeenAt.Add(min(timeout, gateGrace)))
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
