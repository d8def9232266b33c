// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// DescribeHealthStatus lists rows only: it does not list a listener without
// backends, whether its backends were removed, it was stopped, or it was
// removed itself. A missing listener is never healthy, so the status has the
// listeners of the observation and those that exist, or may exist, beside them.

// maxMissing bounds the missing listeners of a status: a load balancer has at
// most 50 listeners.
const maxMissing = 50

// Status values of DescribeLoadBalancerListeners.
const (
	statusRunning = "running"
	statusStopped = "stopped"
	healthCheckOn = "on"
)

// matches returns whether a listener has the port and protocol. It compares
// the port alone where one of the protocols is not known.
func matches(l *v1alpha1.ListenerStatus, port int32, protocol string) bool {
	return l.Port == port && (l.Protocol == "" || protocol == "" || compareProtocols(l.Protocol, protocol) == 0)
}

// matching returns the listener of listeners that matches l and has the same
// server group; nil for none.
func matching(listeners []v1alpha1.ListenerStatus, l *v1alpha1.ListenerStatus) *v1alpha1.ListenerStatus {
	var found *v1alpha1.ListenerStatus
	for i := range listeners {
		if candidate := &listeners[i]; candidate.ServerGroupID == l.ServerGroupID && matches(candidate, l.Port, l.Protocol) {
			if candidate.Protocol == l.Protocol {
				return candidate
			}
			found = candidate
		}
	}
	return found
}

// listenerOf returns the listener that a row is behind; nil for none.
func listenerOf(row *v1alpha1.BackendStatus, listeners []v1alpha1.ListenerStatus) *v1alpha1.ListenerStatus {
	return matching(listeners, &v1alpha1.ListenerStatus{Port: row.ListenerPort, Protocol: row.ListenerProtocol, ServerGroupID: row.ServerGroupID})
}

// indexOf returns the index of the listener that matches, one of the same
// protocol first; -1 for none.
func indexOf(listeners []v1alpha1.ListenerStatus, port int32, protocol string) int {
	found := -1
	for i := range listeners {
		if candidate := &listeners[i]; matches(candidate, port, protocol) {
			if candidate.Protocol == protocol {
				return i
			}
			found = i
		}
	}
	return found
}

// mergeListeners returns the listeners of an observation and those without
// backends, sorted, not evaluated yet. previous are those of the status.
func mergeListeners(observed, previous []v1alpha1.ListenerStatus, facts *listenerFacts, p policy, at metav1.Time) []v1alpha1.ListenerStatus {
	merged := make([]v1alpha1.ListenerStatus, 0, len(observed)+len(facts.listed))
	for i := range observed {
		merged = append(merged, facts.describe(observed[i], matching(previous, &observed[i])))
	}
	for l := range facts.existing() {
		was := matching(previous, &l)
		if matching(merged, &l) == nil && (!facts.noPort || was != nil && was.Backends == 0) {
			merged = append(merged, facts.describe(l, was))
		}
	}
	missing, withPort := 0, slices.ContainsFunc(observed, func(l v1alpha1.ListenerStatus) bool { return l.Port != 0 })
	for i := range previous {
		was := &previous[i]
		if was.Port == 0 || matching(merged, was) != nil {
			continue
		}
		l, kept := facts.unlisted(was, withPort, p, at)
		if l.MissingSince != nil {
			missing++
		}
		if kept && (l.MissingSince == nil || missing <= maxMissing) {
			merged = append(merged, l)
		}
	}
	if len(merged) > len(observed) {
		slices.SortFunc(merged, func(a, b v1alpha1.ListenerStatus) int {
			return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.ServerGroupID, b.ServerGroupID))
		})
	}
	return merged
}

// describe returns the listener with its state and health check: as they are
// listed, or else as the status had them until they lapse.
func (f *listenerFacts) describe(l v1alpha1.ListenerStatus, was *v1alpha1.ListenerStatus) v1alpha1.ListenerStatus {
	if was != nil {
		l.Health = was.Health // decides reads it
	}
	if listed, found := f.find(&l); found {
		l.State, l.HealthCheck = stateOf(&listed), healthCheckOf(&listed)
	} else if was != nil && !f.complete && !f.lapsed {
		l.State, l.HealthCheck = was.State, was.HealthCheck
	}
	return l
}

// unlisted returns a listener of the status that neither the observation nor
// the details list; kept is false for one that the next status does not have.
// The listener is missing where no fact says whether it exists. Observed rows
// say nothing about it where none of them has a port (withPort is false) or
// where some have none.
func (f *listenerFacts) unlisted(was *v1alpha1.ListenerStatus, withPort bool, p policy, at metav1.Time) (l v1alpha1.ListenerStatus, kept bool) {
	bare := v1alpha1.ListenerStatus{Port: was.Port, Protocol: was.Protocol, ServerGroupID: was.ServerGroupID}
	l = f.describe(bare, was)
	switch {
	case f.complete:
		return l, false // it was removed
	case f.ofService(was):
		return l, true // it exists, without backends
	case p.wantsNone():
		return l, false
	case was.MissingSince != nil:
		bare.MissingSince = was.MissingSince
		return bare, true
	case was.Backends == 0 && (was.State != "" || isConfiguring(was)) && !f.lapsed:
		return l, true // as it was listed, until the next list
	case f.noPort:
		return l, withPort
	case was.Backends == 0 && (was.State == v1alpha1.ListenerStopped || was.State == v1alpha1.ListenerRedirect):
		return l, false // it did not affect the verdict
	case withPort: // the listed state is outdated, too
		bare.MissingSince = new(at)
		return bare, true
	}
	return l, true
}

func stateOf(l *alicloud.Listener) v1alpha1.ListenerState {
	switch {
	case l.Status == statusStopped:
		return v1alpha1.ListenerStopped
	case l.Status == statusRunning && l.RedirectOnly:
		return v1alpha1.ListenerRedirect
	case l.Status == statusRunning:
		return v1alpha1.ListenerRunning
	default:
		return ""
	}
}

func healthCheckOf(l *alicloud.Listener) v1alpha1.HealthCheckState {
	switch l.HealthCheck {
	case "":
		return ""
	case healthCheckOn:
		return v1alpha1.HealthCheckEnabled
	default:
		return v1alpha1.HealthCheckDisabled
	}
}

// healthOf is the health of one listener; Unknown for one that does not affect
// the verdict. otherRows is whether any listener has backends.
func (f *listenerFacts) healthOf(l *v1alpha1.ListenerStatus, p policy, otherRows bool) v1alpha1.Health {
	switch {
	case !f.decides(l):
		return v1alpha1.Unknown
	case p.wantsNone():
		return v1alpha1.Healthy
	case l.MissingSince != nil:
		return v1alpha1.Unknown
	case l.State == v1alpha1.ListenerStopped:
		return v1alpha1.Unhealthy
	case l.Backends > 0:
		return p.verdict(l.Counts, l.Missing)
	case f.portsUnknown && !f.complete && l.Health == v1alpha1.Unhealthy:
		return v1alpha1.Unhealthy
	case f.configuring(l):
		return v1alpha1.Unknown
	case l.State == v1alpha1.ListenerRunning || f.ofService(l) || !otherRows:
		return v1alpha1.Unhealthy
	default:
		return v1alpha1.Unknown
	}
}

// evaluateListeners returns the listeners with their health. previous are those
// of the status.
func evaluateListeners(listeners, previous []v1alpha1.ListenerStatus, facts *listenerFacts, p policy, now metav1.Time) []v1alpha1.ListenerStatus {
	otherRows := slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool { return l.Backends > 0 })
	return withHealth(listeners, previous, now, func(l *v1alpha1.ListenerStatus) v1alpha1.Health {
		return facts.healthOf(l, p, otherRows)
	})
}

// withHealth returns copies of the listeners with a health, and with
// lastTransitionTime set to now where the health is another one than before.
func withHealth(listeners, previous []v1alpha1.ListenerStatus, now metav1.Time, healthOf func(*v1alpha1.ListenerStatus) v1alpha1.Health) []v1alpha1.ListenerStatus {
	evaluated := slices.Clone(listeners)
	for i := range evaluated {
		l := &evaluated[i]
		l.Health = healthOf(&listeners[i])
		l.LastTransitionTime = healthChangedAt(l, matching(previous, l), now)
	}
	return evaluated
}

// healthChangedAt is nil for a new listener: its health did not change.
func healthChangedAt(l, was *v1alpha1.ListenerStatus, now metav1.Time) *metav1.Time {
	switch {
	case was == nil:
		return nil
	case was.Health != l.Health:
		return new(now)
	default:
		return was.LastTransitionTime
	}
}

// acceptListeners returns the listeners without the missing ones that the
// annotation accepts, and what is wrong with the annotation; "" for nothing.
func acceptListeners(listeners []v1alpha1.ListenerStatus, annotation string, now time.Time) (kept []v1alpha1.ListenerStatus, problem string) {
	if annotation == "" {
		return listeners, ""
	}
	accepted, err := time.Parse(time.RFC3339, annotation)
	switch {
	case err != nil:
		return listeners, "is not an RFC 3339 time such as 2026-01-02T03:04:05Z, and is ignored"
	case accepted.After(now):
		return listeners, "is in the future, and is ignored until then"
	}
	isAccepted := func(l v1alpha1.ListenerStatus) bool {
		// A fast clock may have written a time in the future.
		return l.MissingSince != nil && (!l.MissingSince.After(accepted) || l.MissingSince.After(now))
	}
	if !slices.ContainsFunc(listeners, isAccepted) {
		return listeners, ""
	}
	for i := range listeners {
		if !isAccepted(listeners[i]) {
			kept = append(kept, listeners[i])
		}
	}
	return kept, ""
}

// listenerTransitions returns the listeners that became missing, and those that
// have backends again.
func listenerTransitions(listeners, previous []v1alpha1.ListenerStatus) []ListenerTransition {
	var transitions []ListenerTransition
	noPort := hasNoPort(previous) // such a row may have belonged to a listener that seemed to exist
	for i := range listeners {
		l := &listeners[i]
		was := matching(previous, l)
		switch {
		case was == nil || (was.MissingSince == nil) == (l.MissingSince == nil):
		case l.MissingSince != nil && was.Backends == 0 && was.Health == v1alpha1.Unknown && !noPort:
			// It was missing before: an older schema could not store missingSince.
		case l.MissingSince != nil:
			transitions = append(transitions, ListenerTransition{Listener: nameOf(l), Missing: true})
		case l.Backends > 0:
			transitions = append(transitions, ListenerTransition{Listener: nameOf(l)})
		}
	}
	return transitions
}

// ListenersChanged returns whether an observation has other listeners in the
// object's scope than the object's status. It returns false for a status that
// has no observation of the same target, and for an observation that lists the
// listeners itself.
func ListenersChanged(object *v1alpha1.LoadBalancerHealth, observation *alicloud.Observation) bool {
	status := &object.Status
	if observation.Groups != nil {
		return false
	}
	if status.Summary == nil || status.ObservedTarget == nil || *status.ObservedTarget != targetOf(object) {
		return false
	}
	found, known := listenersFound(status.Listeners, observation, ScopeOf(&object.Spec))
	if !known {
		return true
	}
	for i := range status.Listeners {
		if l := &status.Listeners[i]; l.Backends > 0 && l.Port != 0 && !found[i] {
			return true
		}
	}
	return false
}

// listenersFound returns which listeners of a status have rows in an
// observation; known is false where the observation has rows of another one.
func listenersFound(listeners []v1alpha1.ListenerStatus, observation *alicloud.Observation, scope alicloud.Scope) (found []bool, known bool) {
	found = make([]bool, len(listeners))
	last := -1 // rows of one listener follow each other
	for i := range observation.Backends {
		b := &observation.Backends[i]
		if !scope.Includes(*b) || b.ListenerPort == 0 {
			continue
		}
		if last < 0 || listeners[last].Port != b.ListenerPort || listeners[last].Protocol != b.ListenerProtocol {
			last = indexOf(listeners, b.ListenerPort, b.ListenerProtocol)
		}
		if last < 0 || listeners[last].Backends == 0 {
			return nil, false
		}
		found[last] = true
	}
	return found, true
}
