// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"strings"
	"time"
)

// Health of a backend in a row, beside the values that an API adds later.
const (
	HealthNormal      = "normal"
	HealthAbnormal    = "abnormal"
	HealthUnavailable = "unavailable"
	// HealthUnused is of a backend with weight 0: it gets no requests and is not checked.
	HealthUnused = "unused"
)

// Groups is what the products whose listeners forward to server groups report
// beside the rows of an observation.
type Groups struct {
	// Listeners has an entry for each server group of each listener of the scope,
	// and one without ServerGroupID for a listener that has none. An entry may have no
	// backends.
	Listeners []GroupListener
	// Rows has what these products add to each of the Backends, in the same order.
	Rows []GroupRow
}

// GroupListener is one server group of a listener: the unit of a verdict.
type GroupListener struct {
	Listener
	// EndPort is the last front-end port, for a listener with a range of ports; else
	// it is Port. Rows have the first one.
	EndPort int32
	// ServerGroupID is "" where no backends are known of the listener, because it
	// is stopped or does not forward requests.
	ServerGroupID string
	// MembersAt is when the members of the group were requested: before the observation
	// where nothing said that they changed. Zero: not known.
	MembersAt time.Time
	// Mirror is set where the group gets only copies of requests: users do not
	// depend on its backends.
	Mirror bool
}

// GroupRow is what NLB and ALB add to a Backend.
type GroupRow struct {
	ServerGroupID string
	// Reason is the API's code for a check that failed, with what the check got and
	// expected, where the API says it; "" for none.
	Reason string
	// Adding is set while the server is being added or configured, and gets no requests.
	Adding bool
}

// Group is what the product adds to a row; the zero value for CLB.
func (o *Observation) Group(row int) GroupRow {
	if o.Groups == nil {
		return GroupRow{}
	}
	return o.Groups.Rows[row]
}

// InScope reports whether a row belongs to a scope. It knows listeners with a
// range of ports, which Scope.Includes does not.
func (o *Observation) InScope(scope Scope, row int) bool {
	b := &o.Backends[row]
	if o.Groups == nil || scope.ListenerPort == 0 || scope.Includes(*b) {
		return scope.Includes(*b)
	}
	for i := range o.Groups.Listeners {
		l := &o.Groups.Listeners[i]
		if l.Port == b.ListenerPort && strings.EqualFold(l.Protocol, b.ListenerProtocol) && l.EndPort > l.Port {
			return l.InScope(scope)
		}
	}
	return false
}

// InScope reports whether a listener belongs to a scope: also one that has the
// port of the scope in its range.
func (l *GroupListener) InScope(scope Scope) bool {
	return (scope.ListenerPort == 0 || l.Port <= scope.ListenerPort && scope.ListenerPort <= l.EndPort) &&
		(scope.ListenerProtocol == "" || strings.EqualFold(scope.ListenerProtocol, l.Protocol))
}

// Only returns the observation with the server groups of listeners that keep accepts,
// and their rows.
func (o *Observation) Only(keep func(*GroupListener) bool) *Observation {
	type key struct {
		port              int32
		protocol, groupID string
	}
	part, kept := *o, map[key]bool{}
	part.Backends, part.Groups = nil, &Groups{}
	for i := range o.Groups.Listeners {
		if l := &o.Groups.Listeners[i]; keep(l) {
			part.Groups.Listeners = append(part.Groups.Listeners, *l)
			kept[key{l.Port, l.Protocol, l.ServerGroupID}] = true
		}
	}
	for i := range o.Backends {
		if b, row := &o.Backends[i], o.Groups.Rows[i]; kept[key{b.ListenerPort, b.ListenerProtocol, row.ServerGroupID}] {
			part.Backends, part.Groups.Rows = append(part.Backends, *b), append(part.Groups.Rows, row)
		}
	}
	return &part
}
