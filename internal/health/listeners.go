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

// An answer of DescribeHealthStatus has rows only: a listener without backends
// is not in it, whether it was emptied, stopped or removed. What is missing is
// never healthy, so the listeners of the status are those of the answer and
// those that are known to exist, or may exist, beside them.

// maxMissing bounds the missing listeners of a status: a load balancer has at
// most 50 listeners.
const maxMissing = 50

// Status values of DescribeLoadBalancerListeners.
const (
	statusRunning = "running"
	statusStopped = "stopped"
	healthCheckOn = "on"
)

// listenerFacts is what is known of listeners beside an answer.
type listenerFacts struct {
	scope alicloud.Scope
	// listed are the listeners of the scope as DescribeLoadBalancerListeners
	// lists them; meaningful where told is true.
	listed []alicloud.Listener
	told   bool
	lapsed bool
	ports  []ServicePort
	// noPort tells that rows without a port are in the answer: they may be of
	// any listener that seems to have none.
	noPort bool
	// stored tells that the Service which named listeners cannot be read, so that
	// one which it named is what the status says.
	stored bool
}

// factsOf reads the facts off an observation. Details that lack a listener
// which has rows are older than the answer, or not complete, and tell nothing.
func factsOf(o *Input, spec *v1alpha1.LoadBalancerHealthSpec, listeners []v1alpha1.ListenerStatus) *listenerFacts {
	scope, ofService := ScopeOf(spec), spec.ServiceRef != nil
	facts := &listenerFacts{scope: scope, lapsed: o.DetailsLapsed, ports: o.ServicePorts, noPort: hasNoPort(listeners), stored: ofService && o.ServicePorts == nil}
	if o.Details == nil || !ListsAll(o.Details.Listeners, listeners) {
		return facts
	}
	facts.told = true
	for _, l := range o.Details.Listeners {
		if scope.Includes(alicloud.Backend{ListenerPort: l.Port, ListenerProtocol: l.Protocol}) {
			facts.listed = append(facts.listed, l)
		}
	}
	return facts
}

// ListsAll tells whether listed holds every listener that has backends and a port.
func ListsAll(listed []alicloud.Listener, listeners []v1alpha1.ListenerStatus) bool {
	return !slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool {
		return l.Backends > 0 && l.Port != 0 &&
			!slices.ContainsFunc(listed, func(candidate alicloud.Listener) bool { return matches(&l, candidate.Port, candidate.Protocol) })
	})
}

// find returns the listener as it is listed, a running one first where several match.
func (f *listenerFacts) find(l *v1alpha1.ListenerStatus) (listed alicloud.Listener, found bool) {
	for _, candidate := range f.listed {
		if !matches(l, candidate.Port, candidate.Protocol) {
			continue
		}
		if !found || candidate.Status == statusRunning {
			listed, found = candidate, true
		}
	}
	return listed, found
}

// named tells whether the spec or the Service names a listener, so that it is
// meant to serve.
func (f *listenerFacts) named(l *v1alpha1.ListenerStatus) bool {
	return f.scope.ListenerPort != 0 || f.ofService(l)
}

func (f *listenerFacts) ofService(l *v1alpha1.ListenerStatus) bool {
	return slices.ContainsFunc(f.ports, func(p ServicePort) bool { return matches(l, p.Port, p.Protocol) })
}

// changing tells whether a listener is starting, stopping or being configured,
// or was when it was listed last: then its health check is known, and no state.
func (f *listenerFacts) changing(l *v1alpha1.ListenerStatus) bool {
	if listed, found := f.find(l); found {
		return listed.Status != statusRunning && listed.Status != statusStopped
	}
	return !f.told && isChanging(l)
}

func isChanging(l *v1alpha1.ListenerStatus) bool { return l.State == "" && l.HealthCheck != "" }

// matches tells whether a listener is the one of a port and protocol: by the
// port alone where a protocol is not known.
func matches(l *v1alpha1.ListenerStatus, port int32, protocol string) bool {
	return l.Port == port && (l.Protocol == "" || protocol == "" || compareProtocols(l.Protocol, protocol) == 0)
}

// matching finds a listener among others by port and protocol, or by port
// where a protocol is not known.
func matching(listeners []v1alpha1.ListenerStatus, l *v1alpha1.ListenerStatus) *v1alpha1.ListenerStatus {
	if i := indexOf(listeners, l.Port, l.Protocol); i >= 0 {
		return &listeners[i]
	}
	return nil
}

// indexOf is matching by index; -1 for none.
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

// mergeListeners adds to the listeners of an answer, which it may change, those
// without backends, sorted, without verdicts. previous are those of the status.
func mergeListeners(answered, previous []v1alpha1.ListenerStatus, facts *listenerFacts, p policy, at metav1.Time) []v1alpha1.ListenerStatus {
	merged := answered
	for i := range merged {
		facts.describe(&merged[i], matching(previous, &merged[i]))
	}
	for i := range facts.listed {
		l := v1alpha1.ListenerStatus{Port: facts.listed[i].Port, Protocol: facts.listed[i].Protocol}
		was := matching(previous, &l)
		if matching(merged, &l) == nil && (!facts.noPort || was != nil && was.Backends == 0) {
			facts.describe(&l, was)
			merged = append(merged, l)
		}
	}
	missing, otherRows := 0, slices.ContainsFunc(answered, func(l v1alpha1.ListenerStatus) bool { return l.Port != 0 })
	for i := range previous {
		l := v1alpha1.ListenerStatus{Port: previous[i].Port, Protocol: previous[i].Protocol}
		if l.Port == 0 || matching(merged, &l) != nil {
			continue
		}
		facts.describe(&l, &previous[i])
		if facts.remains(&l, &previous[i], otherRows, p, at) {
			if l.MissingSince != nil {
				missing++
			}
			if l.MissingSince == nil || missing <= maxMissing {
				merged = append(merged, l)
			}
		}
	}
	if len(merged) == len(answered) {
		return merged
	}
	slices.SortFunc(merged, func(a, b v1alpha1.ListenerStatus) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return merged
}

func hasNoPort(answered []v1alpha1.ListenerStatus) bool {
	return slices.ContainsFunc(answered, func(l v1alpha1.ListenerStatus) bool { return l.Port == 0 })
}

// describe fills in state and health check: as listed now, or else as the
// status had them until they lapse.
func (f *listenerFacts) describe(l, was *v1alpha1.ListenerStatus) {
	if was != nil {
		l.Health = was.Health // for what is not evaluated anew
	}
	if listed, found := f.find(l); found {
		l.State, l.HealthCheck = stateOf(&listed), healthCheckOf(&listed)
	} else if was != nil && !f.told && !f.lapsed {
		l.State, l.HealthCheck = was.State, was.HealthCheck
	}
}

// remains decides what becomes of a listener that the status had, and that is
// neither in the answer nor listed. It is missing where nothing tells whether
// it exists; an answer without rows that have a port says nothing of a single
// listener, and one with rows that have none too leaves it open.
func (f *listenerFacts) remains(l, was *v1alpha1.ListenerStatus, otherRows bool, p policy, at metav1.Time) bool {
	switch {
	case f.told:
		return false // it was removed
	case f.ofService(l):
		return true // it exists, and is empty
	case p.wantsNone():
		return false
	case was.MissingSince != nil:
		*l = v1alpha1.ListenerStatus{Port: l.Port, Protocol: l.Protocol, MissingSince: was.MissingSince}
		return true
	case was.Backends == 0 && (was.State != "" || isChanging(was)) && !f.lapsed:
		return true // as it was listed, until it is listed again
	case f.noPort:
		return otherRows
	case was.Backends == 0 && (was.State == v1alpha1.ListenerStopped || was.State == v1alpha1.ListenerRedirect):
		return false // it decided nothing
	case otherRows: // its state is from before, too
		*l = v1alpha1.ListenerStatus{Port: l.Port, Protocol: l.Protocol, MissingSince: &at}
	}
	return true
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

// decides tells whether a listener takes part in the verdict: one that only
// redirects does not, nor one that is stopped and that neither the spec nor the
// Service names, nor one whose rows may be those that have no port.
func (f *listenerFacts) decides(l *v1alpha1.ListenerStatus) bool {
	switch {
	case l.State == v1alpha1.ListenerRedirect:
		return false
	case l.State == v1alpha1.ListenerStopped:
		return f.named(l) || f.stored && l.Health == v1alpha1.Unhealthy
	case f.noPort && l.Backends == 0 && l.State == "":
		return l.MissingSince != nil || isChanging(l)
	default:
		return true
	}
}

// healthOf is the health of one listener. One that decides nothing is Unknown.
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
		return p.verdict(l.Counts)
	case f.stored && !f.told && l.Health == v1alpha1.Unhealthy:
		return v1alpha1.Unhealthy
	case f.changing(l):
		return v1alpha1.Unknown
	case l.State == v1alpha1.ListenerRunning || f.ofService(l) || !otherRows:
		return v1alpha1.Unhealthy
	default:
		return v1alpha1.Unknown
	}
}

// evaluateListeners fills in the health of the listeners. previous are those of
// the status: a health that changed is stamped.
func evaluateListeners(listeners, previous []v1alpha1.ListenerStatus, facts *listenerFacts, p policy, now metav1.Time) {
	otherRows := slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool { return l.Backends > 0 })
	for i := range listeners {
		listeners[i].Health = facts.healthOf(&listeners[i], p, otherRows)
	}
	stampListeners(listeners, previous, now)
}

// stampListeners sets lastTransitionTime where health is another one than
// before. A listener that was not there before has none: nothing changed.
func stampListeners(listeners, previous []v1alpha1.ListenerStatus, now metav1.Time) {
	for i := range listeners {
		l := &listeners[i]
		was := matching(previous, l)
		switch {
		case was == nil:
			l.LastTransitionTime = nil
		case was.Health != l.Health:
			l.LastTransitionTime = &now
		default:
			l.LastTransitionTime = was.LastTransitionTime
		}
	}
}

// acceptListeners returns the listeners without the missing ones that the
// annotation accepts, and what is wrong with the annotation, "" for nothing.
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
		// A clock that ran ahead may have stamped a time of the future.
		return l.MissingSince != nil && (!l.MissingSince.After(accepted) || l.MissingSince.After(now))
	}
	if !slices.ContainsFunc(listeners, isAccepted) {
		return listeners, ""
	}
	return slices.DeleteFunc(slices.Clone(listeners), isAccepted), ""
}

// listenerChanges are the listeners that turned missing, and those that are back.
func listenerChanges(listeners, previous []v1alpha1.ListenerStatus) []ListenerTransition {
	var changes []ListenerTransition
	for i := range listeners {
		l := &listeners[i]
		was := matching(previous, l)
		switch {
		case was == nil || (was.MissingSince == nil) == (l.MissingSince == nil):
		case l.MissingSince != nil && was.Backends == 0 && was.Health == v1alpha1.Unknown:
			// It was missing already: an older schema could not store since when.
		case l.MissingSince != nil:
			changes = append(changes, ListenerTransition{Listener: listenerName(l.Port, l.Protocol), Missing: true})
		case l.Backends > 0:
			changes = append(changes, ListenerTransition{Listener: listenerName(l.Port, l.Protocol)})
		}
	}
	return changes
}

// ListenersChanged tells whether an answer has other listeners than the status
// of an object, of what the object asks about. A status without an answer about
// the same target has none to compare with.
func ListenersChanged(object *v1alpha1.LoadBalancerHealth, sample *alicloud.Observation) bool {
	status := &object.Status
	if status.Summary == nil || status.ObservedTarget == nil || *status.ObservedTarget != targetOf(object) {
		return false
	}
	found, known := listenersFound(status.Listeners, sample, ScopeOf(&object.Spec))
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

// listenersFound tells which listeners of a status have rows in an answer;
// known is false where the answer has rows of another one.
func listenersFound(listeners []v1alpha1.ListenerStatus, sample *alicloud.Observation, scope alicloud.Scope) (found []bool, known bool) {
	found = make([]bool, len(listeners))
	last := -1 // rows of one listener follow each other
	for i := range sample.Backends {
		b := &sample.Backends[i]
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
