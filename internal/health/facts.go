// SPDX-License-Identifier: Apache-2.0

package health

import (
	"iter"
	"slices"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// listenerFacts is what is known of listeners beside an observation.
type listenerFacts struct {
	scope alicloud.Scope
	// listed are the listeners of the scope as DescribeLoadBalancerListeners
	// lists them.
	listed []alicloud.Listener
	// groups are the server groups of the listeners of the scope, of an observation
	// that has them; listed has none then.
	groups []alicloud.GroupListener
	// complete is true when listed or groups has every listener of the scope.
	complete bool
	// lapsed is true when the states in the status are too old to count.
	lapsed bool
	// ports are the listeners of the Service.
	ports []ServicePort
	// noPort is true when the observation has rows without a port: they may
	// belong to any listener that seems to have no backends.
	noPort bool
	// portsUnknown is true when the Service that names listeners cannot be
	// read: then the status says which of them it named.
	portsUnknown bool
}

// factsOf collects the facts for an observation with these listeners. Details
// that lack a listener which has rows are older than the observation, or
// incomplete: they do not count.
func factsOf(input *Input, spec *v1alpha1.LoadBalancerHealthSpec, listeners []v1alpha1.ListenerStatus) *listenerFacts {
	facts := &listenerFacts{
		scope:        ScopeOf(spec),
		lapsed:       input.DetailsLapsed,
		ports:        input.ServicePorts,
		noPort:       hasNoPort(listeners),
		portsUnknown: spec.ServiceRef != nil && input.ServicePorts == nil,
	}
	if observation := input.Observation; observation != nil && observation.Groups != nil {
		facts.complete = true
		for i := range observation.Groups.Listeners {
			if l := &observation.Groups.Listeners[i]; l.InScope(facts.scope) {
				facts.groups = append(facts.groups, *l)
			}
		}
		return facts
	}
	if input.Details == nil || !ListsAll(input.Details.Listeners, listeners) {
		return facts
	}
	facts.complete = true
	for _, l := range input.Details.Listeners {
		if facts.scope.Includes(alicloud.Backend{ListenerPort: l.Port, ListenerProtocol: l.Protocol}) {
			facts.listed = append(facts.listed, l)
		}
	}
	return facts
}

func hasNoPort(listeners []v1alpha1.ListenerStatus) bool {
	return slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool { return l.Port == 0 })
}

// ListsAll returns whether listed has every listener that has backends and a port.
func ListsAll(listed []alicloud.Listener, listeners []v1alpha1.ListenerStatus) bool {
	return !slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool {
		return l.Backends > 0 && l.Port != 0 &&
			!slices.ContainsFunc(listed, func(candidate alicloud.Listener) bool { return matches(&l, candidate.Port, candidate.Protocol) })
	})
}

// find returns the listener as it is listed. It prefers a running one where
// several match.
func (f *listenerFacts) find(l *v1alpha1.ListenerStatus) (listed alicloud.Listener, found bool) {
	for i := range f.groups {
		if candidate := &f.groups[i]; candidate.ServerGroupID == l.ServerGroupID && matches(l, candidate.Port, candidate.Protocol) {
			return candidate.Listener, true
		}
	}
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

// mirrored returns whether a listener is of a server group that gets copies of
// requests only: it has rows, and no verdict.
func (f *listenerFacts) mirrored(l v1alpha1.ListenerStatus) bool {
	return slices.ContainsFunc(f.groups, func(g alicloud.GroupListener) bool {
		return g.Mirror && g.ServerGroupID == l.ServerGroupID && matches(&l, g.Port, g.Protocol)
	})
}

// existing are the listeners that the facts list, without health and counts.
func (f *listenerFacts) existing() iter.Seq[v1alpha1.ListenerStatus] {
	return func(yield func(v1alpha1.ListenerStatus) bool) {
		for i := range f.listed {
			if !yield(v1alpha1.ListenerStatus{Port: f.listed[i].Port, Protocol: f.listed[i].Protocol}) {
				return
			}
		}
		for i := range f.groups {
			g := &f.groups[i]
			if !g.Mirror && !yield(v1alpha1.ListenerStatus{Port: g.Port, Protocol: g.Protocol, ServerGroupID: g.ServerGroupID}) {
				return
			}
		}
	}
}

// named returns whether the spec or the Service names a listener, so that it
// should serve.
func (f *listenerFacts) named(l *v1alpha1.ListenerStatus) bool {
	return f.scope.ListenerPort != 0 || f.ofService(l)
}

func (f *listenerFacts) ofService(l *v1alpha1.ListenerStatus) bool {
	return slices.ContainsFunc(f.ports, func(p ServicePort) bool { return matches(l, p.Port, p.Protocol) })
}

// configuring returns whether a listener starts, stops or is being configured,
// as far as the last list says.
func (f *listenerFacts) configuring(l *v1alpha1.ListenerStatus) bool {
	if listed, found := f.find(l); found {
		return listed.Status != statusRunning && listed.Status != statusStopped
	}
	return !f.complete && isConfiguring(l)
}

// isConfiguring returns whether the status says so: a listener that was listed
// has a health check, and no state while it is being configured.
func isConfiguring(l *v1alpha1.ListenerStatus) bool { return l.State == "" && l.HealthCheck != "" }

// decides returns whether a listener affects the verdict. Three do not: one
// that only redirects; one that is stopped, unless the spec or the Service
// names it; and one that may have the rows without a port.
func (f *listenerFacts) decides(l *v1alpha1.ListenerStatus) bool {
	switch {
	case l.State == v1alpha1.ListenerRedirect:
		return false
	case l.State == v1alpha1.ListenerStopped:
		return f.named(l) || f.portsUnknown && l.Health == v1alpha1.Unhealthy
	case f.noPort && l.Backends == 0 && l.State == "":
		return l.MissingSince != nil || isConfiguring(l)
	default:
		return true
	}
}
