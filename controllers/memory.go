// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// memory is what this process knows of a target beside the objects' statuses.
// All of it may be lost: a new process starts without. Only the worker that
// holds the target's key touches it, answeredAt apart.
type memory struct {
	// since is when this process first looked at the target.
	since time.Time
	// attemptedAt is when the last observation started; zero: none in this process.
	attemptedAt time.Time
	// answeredAt is when the last answer arrived; nil: none in this process. It
	// keeps its monotonic reading: its age is right also after the clock was set.
	answeredAt atomic.Pointer[time.Time]
	// failure is why the last observation failed; nil: it did not.
	failure *alicloud.Error
	// failingSince is when the first of the failures in a row happened.
	failingSince time.Time
	// sameKindInARow counts the failures in a row that were of failure's kind,
	// and sameKindSince is when the first of them happened.
	sameKindInARow int
	sameKindSince  time.Time
	// turnAt is when to ask the budget again for the turn that the target is
	// in line for; zero: it is not.
	turnAt time.Time
	// askWhole tells that the API refused to choose a listener by port.
	askWhole bool
	// listenersAt is when to ask again for the permit to list the listeners;
	// zero: the target is not queued for one.
	listenersAt time.Time
	// listenersChangedAt is when an answer last had other listeners than a
	// status: older details tell nothing of them.
	listenersChangedAt time.Time
	// listenersChangedTo identifies the listeners of that answer.
	listenersChangedTo uint64
	// held is an answer that waits for listener details until heldUntil.
	held      *alicloud.Observation
	heldUntil time.Time
	// unsaved tells that a status could not be written.
	unsaved bool
	// doubts are the writes whose answer was lost, by object.
	doubts map[types.UID]doubt
	// written are the resourceVersions that the last writes made, by object,
	// until the cache has them.
	written map[types.UID]string
	// interval is the target's; zero: nobody wants it observed.
	interval time.Duration
	// credentials is the version of the credentials that the last attempt
	// used, and checkedAt when they were last looked up.
	credentials string
	checkedAt   time.Time
	// served holds what the last attempt was made for, by object.
	served map[types.UID]served
}

// served is what an object requested an observation with.
type served struct {
	generation int64
	request    string
	// retries counts the further attempts in a row for this request.
	retries int
}

func (m *memory) answered() time.Time {
	if at := m.answeredAt.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// firstWait is how long the first observation may be queued before the statuses
// say that it is pending: an answer that comes at once costs one write, not two.
const firstWait = 2 * time.Second

// awaitFirst is when to go on with a target whose first observation is queued,
// and whose statuses say nothing of that yet; zero: now.
func (m *memory) awaitFirst(now time.Time) time.Time {
	if until := m.since.Add(firstWait); !m.turnAt.IsZero() && now.Before(until) {
		return earliest(m.turnAt, until)
	}
	return time.Time{}
}

// attempted records an observation that came to an end.
func (m *memory) attempted(started time.Time, active []*v1alpha1.LoadBalancerHealth) {
	m.attemptedAt = started
	before := m.served
	m.served = nil
	for _, object := range active {
		request, pending := pendingRequest(object)
		if !pending && !health.Edited(object) {
			continue
		}
		if m.served == nil {
			m.served = map[types.UID]served{}
		}
		is := served{generation: object.Generation, request: request}
		was, again := before[object.UID]
		if again && was.request == request {
			is.retries = was.retries + 1
		}
		if health.Edited(object) && was.generation != object.Generation {
			m.sameKindInARow = 0 // it asks about something else
		}
		m.served[object.UID] = is
	}
}

// doubt remembers a write that failed: it may have got through all the same.
func (m *memory) doubt(object *v1alpha1.LoadBalancerHealth, outcome health.Outcome) {
	if m.doubts == nil {
		m.doubts = map[types.UID]doubt{}
	}
	m.doubts[object.UID] = doubt{outcome.Status, outcome.Transitions}
}

// wrote remembers a write that the cache does not hold yet.
func (m *memory) wrote(object *v1alpha1.LoadBalancerHealth, version string) {
	if m.written == nil {
		m.written = map[types.UID]string{}
	}
	m.written[object.UID] = version
	delete(m.doubts, object.UID)
}

// keepOnly forgets the writes of objects that are there no more.
func (m *memory) keepOnly(objects []v1alpha1.LoadBalancerHealth) {
	if len(m.written)+len(m.doubts) == 0 {
		return
	}
	there := make(map[types.UID]struct{}, len(objects))
	for i := range objects {
		there[objects[i].UID] = struct{}{}
	}
	maps.DeleteFunc(m.written, func(uid types.UID, _ string) bool { _, ok := there[uid]; return !ok })
	maps.DeleteFunc(m.doubts, func(uid types.UID, _ doubt) bool { _, ok := there[uid]; return !ok })
}

// ahead tells whether this process wrote, or may have written, what an object
// does not show: a status that turned and turned back would be found unchanged.
func (m *memory) ahead(object *v1alpha1.LoadBalancerHealth) bool {
	if _, doubted := m.doubts[object.UID]; doubted {
		return true
	}
	version, wrote := m.written[object.UID]
	if !wrote {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, version); err == nil && order < 0 {
		return true
	}
	delete(m.written, object.UID)
	return false
}

func (m *memory) succeeded(sample *alicloud.Observation) {
	at := sample.At // not a pointer into the sample, which would keep its rows
	m.answeredAt.Store(&at)
	m.failure, m.failingSince, m.sameKindInARow = nil, time.Time{}, 0
}

func (m *memory) failed(failure *alicloud.Error, now time.Time) {
	if m.failure == nil {
		m.failingSince = now
	}
	if m.failure == nil || m.failure.Kind != failure.Kind || m.sameKindInARow == 0 {
		m.sameKindInARow, m.sameKindSince = 0, now
	}
	m.failure = failure
	m.sameKindInARow++
}

// listenersChanged notes an answer that has other listeners than a status. The
// same listeners again, as while the status cannot be written, are no news.
func (m *memory) listenersChanged(sample *alicloud.Observation) {
	if to := listenersOf(sample); m.listenersChangedAt.IsZero() || to != m.listenersChangedTo {
		m.listenersChangedAt, m.listenersChangedTo = sample.At, to
	}
}

// listenersOf identifies the listeners of an answer, in whatever order they are.
func listenersOf(sample *alicloud.Observation) (id uint64) {
	seen := map[alicloud.Scope]struct{}{}
	for i := range sample.Backends {
		l := alicloud.Scope{ListenerPort: sample.Backends[i].ListenerPort, ListenerProtocol: sample.Backends[i].ListenerProtocol}
		if _, again := seen[l]; !again {
			seen[l] = struct{}{}
			id ^= xxhash.Sum64String(fmt.Sprint(l.ListenerPort, "/", l.ListenerProtocol))
		}
	}
	return id
}

// evidence is what the objects of a target are evaluated with.
type evidence struct {
	// sample is the answer; nil: there is none that is fresh.
	sample *alicloud.Observation
	// observed tells that this reconcile observed the target.
	observed bool
	places   health.Locations
	// details are newer than the last answer whose listeners changed; nil: not known.
	details *alicloud.ListenerDetails
	lapsed  bool
}

// observationFor is what is known for one object: the last failure, or a
// sample that is fresh and covers what the object asks about. An edited object
// is not evaluated by a failure from before the edit.
func (m *memory) observationFor(object *v1alpha1.LoadBalancerHealth, known evidence, ports []health.ServicePort) health.Input {
	o := health.Input{
		Details: known.details, DetailsLapsed: known.lapsed, ServicePorts: ports,
		Since:          m.since,
		LastObservedAt: m.answered(),
		FailingSince:   m.failingSince,
		SameKindInARow: m.sameKindInARow,
		SameKindSince:  m.sameKindSince,
	}
	switch {
	case m.failure != nil && (known.observed || !health.Edited(object) || m.failedSince(object)):
		o.Failure = m.failure
	case m.failure == nil && known.sample != nil && known.sample.Scope.Covers(health.ScopeOf(&object.Spec)):
		o.Observation, o.Locations = known.sample, known.places
	}
	if request, pending := pendingRequest(object); pending && m.served[object.UID].request == request {
		o.ObserveRequest = request
	}
	return o
}

// failedSince tells whether the last observation failed for this generation of
// an object: its status may not have been written yet.
func (m *memory) failedSince(object *v1alpha1.LoadBalancerHealth) bool {
	return m.failure != nil && m.served[object.UID].generation == object.Generation
}

// memories holds the memory of every key that has objects.
type memories[K comparable] struct {
	byKey sync.Map // K to *memory
}

func (m *memories[K]) of(key K) *memory {
	if found, ok := m.byKey.Load(key); ok {
		return found.(*memory)
	}
	found, _ := m.byKey.LoadOrStore(key, &memory{})
	return found.(*memory)
}

func (m *memories[K]) forget(key K) { m.byKey.Delete(key) }

// answered is when the load balancer of a key last answered in this process; zero: never.
func (m *memories[K]) answered(key K) time.Time {
	if found, ok := m.byKey.Load(key); ok {
		return found.(*memory).answered()
	}
	return time.Time{}
}

// samples holds answers for a few seconds, so that further objects on the same
// load balancer, and a write that must be repeated, cost no further call. Those
// that nobody may want again go at once, because the statuses hold what they said.
type samples struct {
	mu       sync.Mutex
	byTarget map[alicloud.Target]*alicloud.Observation
	byAge    []heldSample
}

// heldSample says until when a sample may be held; it does not hold it itself.
type heldSample struct {
	target alicloud.Target
	at     time.Time
}

// fresh returns the sample of a target if it is younger than health.FreshFor, or nil.
func (s *samples) fresh(target alicloud.Target, now time.Time) *alicloud.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sample := s.byTarget[target]; sample != nil && isFresh(sample.At, now) {
		return sample
	}
	return nil
}

func (s *samples) put(target alicloud.Target, sample *alicloud.Observation, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byTarget == nil {
		s.byTarget = map[alicloud.Target]*alicloud.Observation{}
	}
	s.byTarget[target] = sample
	s.byAge = append(s.byAge, heldSample{target, sample.At})
	for len(s.byAge) > 0 && !isFresh(s.byAge[0].at, now) {
		if held := s.byTarget[s.byAge[0].target]; held != nil && !isFresh(held.At, now) {
			delete(s.byTarget, s.byAge[0].target)
		}
		s.byAge = s.byAge[1:]
	}
}

func (s *samples) forget(target alicloud.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byTarget, target)
}

func isFresh(at, now time.Time) bool { return now.Sub(at) < health.FreshFor }
