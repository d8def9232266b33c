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

// The load balancer's response lists who is registered. This file compares that
// with what the cluster expects, so that the status says who is not.

// Absences are the expected backends that the last observation of an object
// lacked. A process keeps them between the evaluations of the object.
type Absences struct {
	// target is what they are about: they do not count for another target.
	target v1alpha1.ObservedTarget
	// since is the time of the first of the observations in a row that lacked a backend.
	since map[absentBackend]time.Time
}

// Any returns whether there is an absence to keep.
func (a Absences) Any() bool { return len(a.since) > 0 }

// absentBackend identifies an expected backend.
type absentBackend struct {
	listenerPort     int32
	listenerProtocol string
	serverGroupID    string
	server           string // as of LocationKey
	port             int32
}

const (
	// absenceGrace is how long observations must lack an expected backend before it
	// counts as missing: a cloud controller needs some seconds to register one.
	absenceGrace = 30 * time.Second
	// maxMissingBackends bounds status.missingBackends.
	maxMissingBackends = 20
)

// comparison compares an observation with what the cluster expects.
type comparison struct {
	expected *Expected
	// at is the time of the observation, and now of the evaluation: what the cluster
	// expects may be newer than the observation.
	at, now time.Time
	// was are the absences until this observation, and listed the missing backends
	// of the status.
	was    map[absentBackend]time.Time
	listed []v1alpha1.MissingBackend
	// missingBefore is true while Registered is False: then an absent backend is
	// missing at once, so that the result does not depend on a process's absences.
	missingBefore bool

	// absent are the expected backends that the observation lacks.
	absent   []absence
	absences map[absentBackend]time.Time
	// expects counts the expected backends, and missing the missing ones; listed
	// are the first of these, and causes are theirs.
	expects, missing int32
	rows             []v1alpha1.MissingBackend
	causes           []Cause
	// undetermined are the reasons why listeners cannot be compared.
	undetermined []string
}

// compare sets expected and missing of the listeners. A listener that does not
// affect the verdict expects nothing, nor does one whose backends the API does not
// list: it is missing, or it has none while it is stopped or being configured.
func (c *comparison) compare(listeners []v1alpha1.ListenerStatus, rows []v1alpha1.BackendStatus, facts *listenerFacts) {
	for _, why := range [...]NotDetermined{c.expected.NotDetermined, c.expected.GroupsNotDetermined} {
		if why.Reason != "" {
			c.undetermined = append(c.undetermined, why.Message())
		}
	}
	for i := range c.expected.Listeners {
		expected := &c.expected.Listeners[i]
		at := expected.indexIn(listeners)
		if at < 0 || !facts.scope.Includes(alicloud.Backend{ListenerPort: expected.Port, ListenerProtocol: expected.Protocol}) {
			continue
		}
		l := &listeners[at]
		isEmpty := l.Backends == 0 && (l.State == v1alpha1.ListenerStopped || facts.configuring(l))
		if facts.decides(l) && l.MissingSince == nil && !isEmpty {
			c.compareListener(l, expected, rows)
		}
	}
	c.decide(rows)
}

// indexIn returns the index of the listener that the expectation is about; -1 for none.
func (l *ExpectedListener) indexIn(listeners []v1alpha1.ListenerStatus) int {
	if l.ServerGroupID == "" {
		return indexOf(listeners, l.Port, l.Protocol)
	}
	return slices.IndexFunc(listeners, func(candidate v1alpha1.ListenerStatus) bool {
		return candidate.ServerGroupID == l.ServerGroupID && matches(&candidate, l.Port, l.Protocol)
	})
}

// absence is an expected backend that an observation lacks.
type absence struct {
	listener *v1alpha1.ListenerStatus
	expected *ExpectedListener
	backend  *ExpectedBackend
	since    time.Time
}

// decide decides whether the absent backends are missing: all of them, if one has
// been absent for long enough, because Registered is then False.
func (c *comparison) decide(rows []v1alpha1.BackendStatus) {
	isMissing := func(a absence) bool { return c.at.Sub(a.since) >= absenceGrace }
	if !c.missingBefore && !slices.ContainsFunc(c.absent, isMissing) {
		return
	}
	slices.SortFunc(c.absent, func(a, b absence) int {
		return cmp.Or(cmp.Compare(a.listener.Port, b.listener.Port), compareProtocols(a.listener.Protocol, b.listener.Protocol),
			cmp.Compare(a.listener.ServerGroupID, b.listener.ServerGroupID),
			cmp.Compare(a.backend.ServerID, b.backend.ServerID), cmp.Compare(a.backend.ServerIP, b.backend.ServerIP), cmp.Compare(a.backend.Port, b.backend.Port))
	})
	for i := range c.absent {
		a := &c.absent[i]
		a.listener.Missing++
		c.missing++
		if len(c.rows) < maxMissingBackends {
			cause := a.expected.CauseOfMissing(a.backend, rowsOn(a.listener, rows))
			c.causes = append(c.causes, cause)
			c.rows = append(c.rows, a.row(cause.Diagnosis))
		}
	}
}

// rowsOn are the sorted rows of a listener.
func rowsOn(l *v1alpha1.ListenerStatus, rows []v1alpha1.BackendStatus) []v1alpha1.BackendStatus {
	isOn := func(row v1alpha1.BackendStatus) bool {
		return row.ServerGroupID == l.ServerGroupID && matches(l, row.ListenerPort, row.ListenerProtocol)
	}
	first := slices.IndexFunc(rows, isOn)
	if first < 0 {
		return nil
	}
	last := first
	for last < len(rows) && isOn(rows[last]) {
		last++
	}
	return rows[first:last]
}

func (c *comparison) compareListener(l *v1alpha1.ListenerStatus, expected *ExpectedListener, rows []v1alpha1.BackendStatus) {
	have := registeredOn(l, expected, rows)
	if why := cmp.Or(expected.NotDetermined.Message(), have.problem); why != "" {
		c.undetermined = append(c.undetermined, "listener "+listenerName(l.Port, l.Protocol)+": "+why)
		return
	}
	if l.Expected == nil {
		l.Expected = new(int32(0))
	}
	for i := range expected.Backends {
		b := &expected.Backends[i]
		server := b.key()
		was := have.expect(server, b.Port)
		if server == "" || was.expected {
			continue
		}
		*l.Expected++
		c.expects++
		if was.registered || b.readySince().After(c.at) || have.hasInPart(server, b.Port) {
			continue
		}
		since := c.absentSince(absentBackend{l.Port, l.Protocol, l.ServerGroupID, server, b.Port}, b)
		c.absent = append(c.absent, absence{l, expected, b, since})
	}
}

// absentSince returns the time of the first evaluation in a row that lacks a
// backend, and keeps it for the next one. Its observation may be from before the
// cluster expected the backend.
func (c *comparison) absentSince(id absentBackend, b *ExpectedBackend) time.Time {
	since, known := c.was[id]
	if !known && c.missingBefore {
		since = c.listedSince(id)
	}
	if since.IsZero() || since.Before(b.readySince()) || since.After(c.now) {
		since = c.now
	}
	if c.absences == nil {
		c.absences = map[absentBackend]time.Time{}
	}
	c.absences[id] = since
	return since
}

// listedSince is since when the status lists a backend as missing; zero: it does not.
func (c *comparison) listedSince(id absentBackend) time.Time {
	for i := range c.listed {
		b := &c.listed[i]
		if b.ListenerPort == id.listenerPort && compareProtocols(b.ListenerProtocol, id.listenerProtocol) == 0 && b.ServerGroupID == id.serverGroupID && b.Port == id.port &&
			(b.ServerID == id.server || Address(b.ServerIP) == id.server) {
			return b.Since.Time
		}
	}
	return time.Time{}
}

// readySince is since when the cluster expects the backend; zero: not known.
func (b *ExpectedBackend) readySince() time.Time {
	if since := b.Location.PodReadySince; since.After(b.Since) {
		return since
	}
	return b.Since
}

// row is the row of status.missingBackends.
func (a *absence) row(diagnosis v1alpha1.Diagnosis) v1alpha1.MissingBackend {
	l, b := a.listener, a.backend
	return v1alpha1.MissingBackend{
		ListenerPort: l.Port, ListenerProtocol: l.Protocol, ServerGroupID: l.ServerGroupID,
		ServerID: b.ServerID, ServerIP: b.ServerIP, Port: b.Port, Pod: b.Pod, Node: b.Location.Node,
		Diagnosis: diagnosis, Since: metav1.NewTime(a.since.Truncate(time.Second)),
	}
}

// registeredBackends says which backends rows have. A row belongs to the listener
// if its listener port or protocol is not known.
type registeredBackends struct {
	marks map[serverPort]mark
	// problem is why the rows cannot be compared: one may be any backend; "": they can.
	problem string
}

// serverPort is a server, by its id or its address, with a port. Port 0 is one
// that the API omits.
type serverPort struct {
	server string
	port   int32
}

// mark is whether rows have a backend, and whether the cluster expects it.
type mark struct{ registered, expected bool }

func registeredOn(l *v1alpha1.ListenerStatus, expected *ExpectedListener, rows []v1alpha1.BackendStatus) *registeredBackends {
	r := &registeredBackends{marks: make(map[serverPort]mark, len(rows))}
	servers, pods := false, false
	for i := range expected.Backends {
		isPod := IsAddress(expected.Backends[i].Type)
		servers, pods = servers || !isPod, pods || isPod
	}
	for i := range rows {
		row := &rows[i]
		if row.ListenerPort != 0 && !matches(l, row.ListenerPort, row.ListenerProtocol) || row.ServerGroupID != l.ServerGroupID {
			continue
		}
		if servers && !r.add(row.ServerID, row.Port) {
			r.problem = "the response has backends without an id"
		}
		if pods && !r.add(Address(row.ServerIP), row.Port) {
			r.problem = "the response has backends without an address"
		}
	}
	return r
}

// add adds a server of a row; false: it is not known.
func (r *registeredBackends) add(server string, port int32) bool {
	if server == "" {
		return false
	}
	r.marks[serverPort{server, port}] = mark{registered: true}
	return true
}

// expect marks a backend as expected, and returns its mark of before.
func (r *registeredBackends) expect(server string, port int32) mark {
	at := serverPort{server, port}
	was := r.marks[at]
	r.marks[at] = mark{was.registered, true}
	return was
}

// hasInPart returns whether rows may have the server with the port, as far as both are known.
func (r *registeredBackends) hasInPart(server string, port int32) bool {
	return r.marks[serverPort{server, 0}].registered || port == 0 && r.hasServer(server)
}

// hasServer is for the rare backend whose port the cluster does not know.
func (r *registeredBackends) hasServer(server string) bool {
	for at, m := range r.marks {
		if at.server == server && m.registered {
			return true
		}
	}
	return false
}

// condition is Registered. It stays True while a backend is absent and not missing
// yet, but does not become True.
func (c *comparison) condition(was condition) condition {
	switch {
	case c.missing > 0:
		return condition{metav1.ConditionFalse, v1alpha1.ReasonBackendsMissing, c.message()}
	case len(c.undetermined) > 0:
		return condition{metav1.ConditionUnknown, v1alpha1.ReasonNotDetermined, messageNotDetermined(c.undetermined)}
	case len(c.absent) > 0 && was.status != metav1.ConditionTrue:
		return condition{metav1.ConditionUnknown, v1alpha1.ReasonPending, messageAbsent}
	default:
		return condition{metav1.ConditionTrue, v1alpha1.ReasonAllRegistered, messageRegistered}
	}
}

// compareRegistered compares the listeners of an observation with what the cluster
// expects, and returns the condition Registered; nil without a Service or Ingress.
func (e *evaluation) compareRegistered(listeners []v1alpha1.ListenerStatus, rows []v1alpha1.BackendStatus, facts *listenerFacts) *condition {
	switch {
	case !e.spec.HasReference():
		return nil
	case e.input.Expected == nil:
		for i := range listeners {
			if was := matching(e.next.Listeners, &listeners[i]); was != nil {
				listeners[i].Expected, listeners[i].Missing = was.Expected, was.Missing
			}
		}
		return e.keptRegistered()
	}
	c := comparison{
		expected: e.input.Expected, at: e.input.Observation.At, now: e.now, was: e.absences.since, listed: e.next.MissingBackends,
		missingBefore: e.wasRegistered.status == metav1.ConditionFalse,
	}
	c.compare(listeners, rows, facts)
	e.absences = Absences{*e.next.ObservedTarget, c.absences}
	e.next.MissingBackends = c.rows
	return new(c.condition(e.wasRegistered))
}

// keptRegistered is Registered without a comparison: as it was.
func (e *evaluation) keptRegistered() *condition {
	switch {
	case !e.spec.HasReference():
		return nil
	case e.wasRegistered.status == "" || !e.hasObservation():
		return &condition{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePending}
	default:
		return new(e.wasRegistered)
	}
}

// recordRegistered records that Registered turned False, or True again.
func (e *evaluation) recordRegistered(registered *condition) {
	if registered == nil || registered.status == e.wasRegistered.status {
		return
	}
	if registered.status == metav1.ConditionFalse || registered.status == metav1.ConditionTrue && e.wasRegistered.status == metav1.ConditionFalse {
		e.transitions.Registered = registered.transition()
	}
}
