// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// GateObservation is an observation as the gates of one Service need it: with
// every row, also those that a status omits.
type GateObservation struct {
	service      string
	loadBalancer string
	at           time.Time
	requestedAt  time.Time
	rows         []v1alpha1.BackendStatus
	// byIP are the indexes of the rows of an address.
	byIP map[string][]int
	// noPort is true when a row has no listener port.
	noPort bool
	// portsKnown is true when the listeners of the Service are known.
	portsKnown bool
	// nodesSince is since when every backend of the Service has been a node; zero: not so.
	nodesSince time.Time
	listeners  []gateListener
	// listsNodes is hasNode, with the pods; false where rows of pods lack their type.
	listsNodes bool
	// adding are the rows of servers that are being added to a server group.
	adding map[rowIdentity]bool
	// lacksGroup is true when the server group of a port of the Service is not known.
	lacksGroup bool
}

// rowIdentity identifies a row.
type rowIdentity struct {
	listenerPort     int32
	listenerProtocol string
	serverGroupID    string
	serverID         string
	serverIP         string
	port             int32
}

// gateListener is a listener that exists.
type gateListener struct {
	v1alpha1.ListenerStatus
	// named is true when a port of the Service names the listener.
	named bool
	// listsPods is true when it lists a pod with a gate of the Service.
	listsPods bool
	// uncheckedSince is since when all its backends have been unavailable; zero: not so.
	uncheckedSince time.Time
}

// GateScope is a part of a load balancer that an object of the Service
// observes, and the listeners that exist there according to the next status of the object.
type GateScope struct {
	Scope     alicloud.Scope
	Listeners []v1alpha1.ListenerStatus
}

// GateInput is what a GateObservation is made of.
type GateInput struct {
	// Service is the name of the Service.
	Service        string
	LoadBalancerID string
	Observation    *alicloud.Observation
	Scopes         []GateScope
	// Ports are the listeners that the Service defines; nil: not known.
	Ports []ServicePort
	// OfIngress is true for a Service behind an Ingress: each listener with a server group
	// of the Service serves it.
	OfIngress bool
	// LacksGroup is true, with OfIngress, when the server group of a port of the Service
	// is not known: the pod must be in that, too.
	LacksGroup bool
	// Previous is the last GateObservation of the Service; nil: none.
	Previous *GateObservation
}

// NewGateObservation prepares an observation for the gates of a Service.
func NewGateObservation(input GateInput) *GateObservation {
	o := &GateObservation{
		service: input.Service, loadBalancer: input.LoadBalancerID, at: input.Observation.At, requestedAt: requestedAt(input.Observation),
		byIP: map[string][]int{}, portsKnown: input.Ports != nil || input.OfIngress, adding: addingIn(input.Observation), lacksGroup: input.LacksGroup,
	}
	o.rows = slices.DeleteFunc(rowsOf(input.Observation, alicloud.Scope{}), func(row v1alpha1.BackendStatus) bool {
		return !slices.ContainsFunc(input.Scopes, func(scope GateScope) bool {
			return scope.Scope.Includes(alicloud.Backend{ListenerPort: row.ListenerPort, ListenerProtocol: row.ListenerProtocol})
		})
	})
	for _, scope := range input.Scopes {
		for _, l := range scope.Listeners {
			if !slices.ContainsFunc(o.listeners, func(known gateListener) bool { return known.is(l.Port, l.Protocol, l.ServerGroupID) }) {
				o.listeners = append(o.listeners, gateListener{ListenerStatus: l})
			}
		}
	}
	for i := range o.rows {
		o.noPort = o.noPort || o.rows[i].ListenerPort == 0
		if ip := Address(o.rows[i].ServerIP); ip != "" {
			o.byIP[ip] = append(o.byIP[ip], i)
		}
	}
	for i := range o.listeners {
		l := &o.listeners[i]
		l.named = input.OfIngress || slices.ContainsFunc(input.Ports, func(p ServicePort) bool { return matches(&l.ListenerStatus, p.Port, p.Protocol) })
	}
	o.continueFrom(input.Previous)
	return o
}

// requestedAt is when the oldest part of an observation was requested: the members of a
// server group may be of an earlier one, and so of other pods.
func requestedAt(observation *alicloud.Observation) time.Time {
	at := observation.RequestedAt
	if observation.Groups == nil {
		return at
	}
	for i := range observation.Groups.Listeners {
		if members := observation.Groups.Listeners[i].MembersAt; !members.IsZero() && members.Before(at) {
			at = members
		}
	}
	return at
}

// continueFrom sets since when the observations have said the same.
func (o *GateObservation) continueFrom(previous *GateObservation) {
	if previous == nil || previous.loadBalancer != o.loadBalancer {
		previous = &GateObservation{}
	}
	if o.hasOnlyNodes() {
		o.nodesSince = sinceOr(previous.nodesSince, o.at)
	}
	for i := range o.listeners {
		l := &o.listeners[i]
		if l.Backends == 0 || l.Unavailable != l.Backends {
			continue
		}
		l.uncheckedSince = o.at
		if was := previous.listener(l.Port, l.Protocol, l.ServerGroupID); was != nil {
			l.uncheckedSince = sinceOr(was.uncheckedSince, o.at)
		}
	}
}

// hasOnlyNodes reports whether the backends of the Service are nodes. Another
// Service of the load balancer may have others.
func (o *GateObservation) hasOnlyNodes() bool {
	found := false
	for i := range o.rows {
		row := &o.rows[i]
		if l := o.listenerOf(row); o.portsKnown && (l == nil || !l.named) {
			continue
		}
		if IsAddress(row.Type) {
			return false
		}
		found = true
	}
	return found
}

func sinceOr(since, now time.Time) time.Time {
	if since.IsZero() {
		return now
	}
	return since
}

func (o *GateObservation) listener(port int32, protocol, serverGroupID string) *gateListener {
	for i := range o.listeners {
		if l := &o.listeners[i]; l.is(port, protocol, serverGroupID) {
			return l
		}
	}
	return nil
}

// listenerOf returns the listener of a row; nil: none.
func (o *GateObservation) listenerOf(row *v1alpha1.BackendStatus) *gateListener {
	return o.listener(row.ListenerPort, row.ListenerProtocol, row.ServerGroupID)
}

func (l *gateListener) is(port int32, protocol, serverGroupID string) bool {
	return l.ServerGroupID == serverGroupID && matches(&l.ListenerStatus, port, protocol)
}

// addingIn are the rows of servers that are being added to their server groups.
func addingIn(observation *alicloud.Observation) map[rowIdentity]bool {
	if observation.Groups == nil {
		return nil
	}
	adding := map[rowIdentity]bool{}
	for i := range observation.Groups.Rows {
		if row := &observation.Groups.Rows[i]; row.Adding {
			b := &observation.Backends[i]
			adding[rowIdentity{b.ListenerPort, b.ListenerProtocol, row.ServerGroupID, b.ServerID, b.ServerIP, b.Port}] = true
		}
	}
	return adding
}

// isAdding reports whether the server of a row gets no requests yet or any more.
func (o *GateObservation) isAdding(row *v1alpha1.BackendStatus) bool {
	return classOf(row.ServerHealthStatus) == unused ||
		o.adding[rowIdentity{row.ListenerPort, row.ListenerProtocol, row.ServerGroupID, row.ServerID, row.ServerIP, row.Port}]
}

// WithPods returns a copy that knows the addresses of all pods with a gate of
// the Service, open or not: a listener that lists one of them should list every
// other, unless it lists nodes.
func (o *GateObservation) WithPods(ips []string) *GateObservation {
	if o == nil {
		return nil
	}
	with := *o
	with.listeners = slices.Clone(o.listeners)
	typed := true
	for _, ip := range ips {
		for _, at := range o.byIP[ip] {
			row := &o.rows[at]
			typed = typed && IsAddress(row.Type)
			if l := with.listenerOf(row); l != nil {
				l.listsPods = true
			}
		}
	}
	if with.listsNodes = typed && with.hasNode(); !typed {
		with.nodesSince = time.Time{} // the response lacks types: a row like those of pods may be one
	}
	return &with
}

// hasNode reports whether a listener of the Service lists a node, or any listener
// does where those of the Service are not known.
func (o *GateObservation) hasNode() bool {
	known := o.portsKnown || slices.ContainsFunc(o.listeners, func(l gateListener) bool { return l.listsPods })
	return slices.ContainsFunc(o.rows, func(row v1alpha1.BackendStatus) bool {
		if IsAddress(row.Type) || !known {
			return !IsAddress(row.Type)
		}
		l := o.listenerOf(&row)
		return l != nil && (l.named || l.listsPods)
	})
}

// isAbout reports whether the observation was requested after the pod's
// containers became ready. A nil observation is about no pod.
func (o *GateObservation) isAbout(pod *GatePod) bool {
	return o != nil && !pod.ReadySeenAt.IsZero() && !o.requestedAt.Before(pod.ReadySeenAt)
}

// decide decides on a pod that the observation is about. The reason of the
// decision is "" when the pod may be registered after the observation.
func (o *GateObservation) decide(pod *GatePod) GateDecision {
	rows := o.rowsOf(pod)
	d := GateDecision{ObservedAt: o.at}
	if since := o.nodeSince(pod); len(rows) == 0 && !since.IsZero() {
		d.Open = o.at.Sub(latest(pod.ReadySeenAt, since)) >= gateGrace
		d.Reason, d.Message = v1alpha1.GateNotRegistered, o.loadBalancer+" lists nodes, and not the pod yet"
		if d.Open {
			d.Reason, d.Message = v1alpha1.GateBackendsAreNodes, "the backends of "+o.loadBalancer+" are nodes: their health says nothing of this pod"
		}
		return d
	}
	if pod.RegisteredSeenAt.IsZero() {
		d.Reason, d.Message = v1alpha1.GateNotRegistered, "the cloud controller manager has not registered the pod: its gate "+cmp.Or(pod.RegistrationGate, v1alpha1.RegistrationGatePrefix+o.service)+" is not True"
		return d
	}
	if o.requestedAt.Before(pod.RegisteredSeenAt) {
		return d // the rows may be those of another pod that had the address
	}
	d.Open, d.Reason, d.Message = o.verdict(rows)
	return d
}

// nodeSince is since when the backend of a pod without a row of its own has been
// its node; zero: it must have a row. Beside nodes the load balancer lists pods,
// which run on virtual nodes: the cloud controller manager then says that it has
// registered a pod, and means its node.
func (o *GateObservation) nodeSince(pod *GatePod) time.Time {
	if o.nodesSince.IsZero() && o.listsNodes {
		return pod.RegisteredSeenAt
	}
	return o.nodesSince
}

// rowsOf returns the rows of a pod. A node has the address of its pods on the
// host network.
func (o *GateObservation) rowsOf(pod *GatePod) []*v1alpha1.BackendStatus {
	var rows []*v1alpha1.BackendStatus
	for _, ip := range pod.IPs {
		for _, at := range o.byIP[ip] {
			if row := &o.rows[at]; !pod.HostNetwork || IsAddress(row.Type) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// verdict decides on the rows of a pod: each must be normal, and each listener
// that serves the Service must list the pod. Abnormal is reported before not
// registered, and that before pending.
func (o *GateObservation) verdict(rows []*v1alpha1.BackendStatus) (open bool, reason, message string) {
	var abnormals, pending, unchecked []string
	for _, row := range rows {
		l := o.listenerOf(row)
		class := classOf(row.ServerHealthStatus)
		switch {
		case class == normal || l != nil && !l.decides():
		case class == abnormal:
			abnormals = append(abnormals, nameOfRow(row))
		case o.isAdding(row):
			pending = append(pending, nameOfRow(row))
		case l != nil && l.hasNoCheck(o.at):
			unchecked = append(unchecked, nameOfRow(row))
		default:
			pending = append(pending, nameOfRow(row))
		}
	}
	missing := o.without(rows)
	switch {
	case len(abnormals) > 0:
		return false, v1alpha1.GateBackendAbnormal, "the health check of " + o.loadBalancer + " fails on " + firstFew(abnormals)
	case len(missing) > 0:
		return false, v1alpha1.GateNotRegistered, o.loadBalancer + " does not list the pod on " + firstFew(missing)
	case o.lacksGroup:
		return false, v1alpha1.GateNotRegistered, o.loadBalancer + " has no server group with the backends of each port of Service " + o.service
	case len(rows) == 0:
		return false, v1alpha1.GateNotRegistered, o.loadBalancer + " does not list the pod"
	case len(pending) > 0:
		return false, v1alpha1.GateHealthCheckPending, o.loadBalancer + " has no health-check result yet on " + firstFew(pending)
	case len(unchecked) > 0:
		return true, v1alpha1.GateHealthCheckOff, o.loadBalancer + " does not check health on " + firstFew(unchecked)
	default:
		return true, v1alpha1.GateBackendNormal, "normal on every listener of " + o.loadBalancer
	}
}

// without returns the listeners that should list the pod, and do not. Rows
// without a port may belong to a listener that seems to have none.
func (o *GateObservation) without(rows []*v1alpha1.BackendStatus) []string {
	var missing []string
	for i := range o.listeners {
		l := &o.listeners[i]
		if !l.decides() || !l.named && !l.listsPods || o.noPort && l.Backends == 0 {
			continue
		}
		if !slices.ContainsFunc(rows, func(row *v1alpha1.BackendStatus) bool {
			return l.is(row.ListenerPort, row.ListenerProtocol, row.ServerGroupID)
		}) {
			missing = append(missing, "listener "+nameOf(&l.ListenerStatus))
		}
	}
	return missing
}

// decides reports whether the listener serves: not one that only redirects, nor
// one that is stopped, unless a port of the Service names it.
func (l *gateListener) decides() bool {
	return l.State != v1alpha1.ListenerRedirect && (l.State != v1alpha1.ListenerStopped || l.named)
}

// hasNoCheck reports whether the listener checks no health: as it is listed,
// or where that is not known because no backend of it had a result for a while.
func (l *gateListener) hasNoCheck(at time.Time) bool {
	switch l.HealthCheck {
	case v1alpha1.HealthCheckDisabled:
		return true
	case v1alpha1.HealthCheckEnabled:
		return false
	default:
		return !l.uncheckedSince.IsZero() && at.Sub(l.uncheckedSince) >= gateGrace
	}
}

// nameOfRow is the port and listener of a row, such as
// "port 8443 of listener 443/https".
func nameOfRow(row *v1alpha1.BackendStatus) string {
	listener := "listener " + nameOf(&v1alpha1.ListenerStatus{Port: row.ListenerPort, Protocol: row.ListenerProtocol, ServerGroupID: row.ServerGroupID})
	if row.Port == 0 {
		return listener
	}
	return strings.TrimSpace(fmt.Sprintf("port %d of %s", row.Port, listener))
}
