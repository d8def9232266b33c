// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// fakeLoadBalancer is what the SLB API answers about one load balancer: its rows, or a fault.
type fakeLoadBalancer struct {
	changes notifier

	mu    sync.Mutex
	rows  []row
	fault *answer
	calls int
	gone  chan struct{} // closed when the test is
}

func (w *env) fakeLoadBalancer(t *testing.T, id string, rows ...row) *fakeLoadBalancer {
	t.Helper()
	s := &fakeLoadBalancer{rows: rows, gone: make(chan struct{})}
	w.slb.on(id, s.answer)
	t.Cleanup(func() { close(s.gone) })
	return s
}

func (s *fakeLoadBalancer) answer(int) answer {
	defer s.changes.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fault != nil {
		return *s.fault
	}
	return success(s.rows...)
}

// show changes what is true of the load balancer.
func (s *fakeLoadBalancer) show(rows ...row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = rows
}

// fail gives every call this answer from now on.
func (s *fakeLoadBalancer) fail(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = &a
}

// hang leaves calls without an answer for good.
func (s *fakeLoadBalancer) hang() {
	s.fail(answer{write: func(http.ResponseWriter) {
		<-s.gone
		panic(http.ErrAbortHandler)
	}})
}

// delay answers with the rows, but late.
func (s *fakeLoadBalancer) delay(by time.Duration) {
	s.fail(answer{write: func(w http.ResponseWriter) {
		<-time.After(by)
		s.mu.Lock()
		a := success(s.rows...)
		s.mu.Unlock()
		a.send(w)
	}})
}

// heal ends the fault.
func (s *fakeLoadBalancer) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = nil
}

// awaitCalls waits for this many more calls.
func (s *fakeLoadBalancer) awaitCalls(t *testing.T, more int, within time.Duration) {
	t.Helper()
	asked := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.calls
	}
	before := asked()
	s.changes.await(t, within, fmt.Sprintf("%d more calls", more), func() (string, bool) {
		n := asked() - before
		return fmt.Sprintf("there were %d", n), n >= more
	})
}

// subject is a load balancer that is tested. Two objects observe it: one is
// healthy and must stay so, the other must never be healthy.
type subject struct {
	*fakeLoadBalancer
	env     *faultEnv
	id      string
	objects []*watchedObject
	host    string        // as messages name it
	slack   time.Duration // beside an interval, for whatever the fault holds up
}

// watchedObject is one of the objects, with the statuses and events that it must
// have: no less, no more, and the statuses in this order.
type watchedObject struct {
	object   *v1alpha1.LoadBalancerHealth
	base     states
	expected []string
	events   map[string]int
}

// slack is what a loaded machine may add to an interval.
const slack = 5 * time.Second

// twoRows are what is true of a subject at first.
func twoRows(second string) []row {
	return []row{normalRow("i-1"), {"ServerId": "i-2", "ServerHealthStatus": second}}
}

// newSubject makes a load balancer with both objects, and waits until they are observed.
func (a *faultEnv) newSubject(t *testing.T, namespace, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) *subject {
	t.Helper()
	s := a.cast(t, namespace, name, edits...)
	s.create(t)
	s.follow(t, patience, "the first answer", func(r *watchedObject) states { return r.base }, twoRows("abnormal"))
	for _, r := range s.objects {
		a.awaitEvents(t, r.object, maps.Clone(r.events))
	}
	return s
}

// cast is a subject whose objects are not there yet.
func (a *faultEnv) cast(t *testing.T, namespace, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) *subject {
	t.Helper()
	id := "lb-" + name
	s := &subject{env: a, id: id, host: strings.TrimPrefix(a.slb.url(), "https://"), fakeLoadBalancer: a.fakeLoadBalancer(t, id, twoRows("abnormal")...)}
	edits = append([]func(*v1alpha1.LoadBalancerHealth){in(throttledRegion + "-" + name)}, edits...)
	fit := named(namespace, id, append(edits, needing("1"))...)
	unfit := named(namespace, id, append(edits, needing("100%"), func(o *v1alpha1.LoadBalancerHealth) { o.Name += "-unfit" })...)
	s.objects = []*watchedObject{
		{object: fit, base: good("MinHealthyMet"), events: map[string]int{}},
		{object: unfit, base: bad("BelowMinHealthy"), events: map[string]int{"Warning LoadBalancerUnhealthy": 1}},
	}
	return s
}

func (s *subject) create(t *testing.T) {
	t.Helper()
	for _, r := range s.objects {
		s.env.create(t, r.object)
	}
}

// follow waits until the next expected status of both objects is stored, and
// demands that all until then are as expected.
func (s *subject) follow(t *testing.T, within time.Duration, what string, wanted func(*watchedObject) states, rows []row) {
	t.Helper()
	var texts []string
	for _, r := range rows {
		listener, _ := r["ListenerPort"].(int)
		texts = append(texts, rowText(listener, r["ServerId"].(string), r["ServerHealthStatus"].(string)))
	}
	deadline := time.Now().Add(within)
	for _, r := range s.objects {
		r.expected = append(r.expected, statusText(wanted(r), texts...))
		s.env.recorder.changes.await(t, time.Until(deadline), what+" of "+r.object.Name, func() (string, bool) {
			stored := statusTexts(s.env.recorder.revisionsOf(r.object))
			return "stored were:\n" + strings.Join(stored, "\n"), len(stored) >= len(r.expected)
		})
		s.compare(t, r, what)
	}
}

func (s *subject) compare(t *testing.T, r *watchedObject, when string) {
	t.Helper()
	revisions := s.env.recorder.revisionsOf(r.object)
	if stored := statusTexts(revisions); !slices.Equal(stored, r.expected) {
		t.Fatalf("%s, %s: stored were, one after another:\n%s\nbut they must be:\n%s",
			r.object.Name, when, strings.Join(stored, "\n"), strings.Join(r.expected, "\n"))
	}
	for _, mistake := range mistakesIn(revisions) {
		t.Errorf("%s, %s: %s", r.object.Name, when, mistake)
	}
}

// expectEvents adds events that both objects must have, no less and no more.
func (s *subject) expectEvents(events ...string) {
	for _, r := range s.objects {
		for _, e := range events {
			r.events[e]++
		}
	}
}

// fails waits until the fault is reported, word for word as the document has it.
func (s *subject) fails(t *testing.T, o faultCase, within time.Duration) {
	t.Helper()
	s.follow(t, within, "the fault is reported", func(r *watchedObject) states { return failed(r.base, o.reason) }, twoRows("abnormal"))
	s.expectEvents("Warning ObservationFailed")
	s.says(t, o)
}

// failed are the states of an object that was observed before.
func failed(base states, reason string) states {
	now := with(base, states{"Observed": "False " + reason})
	switch reason {
	case "Forbidden", "InvalidCredentials", "CredentialsNotFound", "InvalidRequest":
		now = with(now, states{"Ready": "False " + reason, "Stalled": "True " + reason})
	}
	return now
}

// says demands the message of the document, in which words in capitals stand for what differs.
func (s *subject) says(t *testing.T, o faultCase) {
	t.Helper()
	for _, r := range s.objects {
		revisions := s.env.recorder.revisionsOf(r.object)
		observed := conditionOf(revisions[len(revisions)-1].object, "Observed")
		want := strings.NewReplacer(
			"HOST", s.host,
			"REGION", r.object.Spec.RegionID,
			"SECRET", r.object.Namespace+"/"+s.id,
			"TIMEOUT", mainTimeout.String(),
			"ID", s.id,
		).Replace(o.message)
		if observed.Message != want {
			t.Errorf("Observed says %q, not %q", observed.Message, want)
		}
	}
}

// recovers waits until both objects are as they were before the fault: within
// an interval and the slack.
func (s *subject) recovers(t *testing.T) {
	t.Helper()
	ended := time.Now()
	s.follow(t, interval+slack+s.slack, "recovery", func(r *watchedObject) states { return r.base }, twoRows("abnormal"))
	s.expectEvents("Normal ObservationRecovered")
	t.Logf("recovered within %s", time.Since(ended).Round(100*time.Millisecond))
}

// turn changes the second backend, and expects one event.
func (s *subject) turn(t *testing.T, to string) {
	t.Helper()
	s.show(twoRows(to)...)
	s.turned(t, to, interval+slack+s.slack)
}

// turned waits until the change of the second backend is reported.
func (s *subject) turned(t *testing.T, to string, within time.Duration) {
	t.Helper()
	s.expectEvents(map[string]string{"normal": "Normal BackendNormal", "abnormal": "Warning BackendAbnormal"}[to])
	for i, r := range s.objects {
		unfit := i == 1
		switch {
		case to == "normal":
			r.base = good("AllBackendsNormal")
		case unfit:
			r.base = bad("BelowMinHealthy")
		default:
			r.base = good("MinHealthyMet")
		}
		if unfit {
			r.events[map[string]string{"normal": "Normal LoadBalancerHealthy", "abnormal": "Warning LoadBalancerUnhealthy"}[to]]++
		}
	}
	since := time.Now()
	s.follow(t, within, "the backend that turned "+to, func(r *watchedObject) states { return r.base }, twoRows(to))
	t.Logf("a backend that became %s was reported within %s", to, time.Since(since).Round(100*time.Millisecond))
}

// finish demands, after some more answers, that nothing was stored or
// recorded beside what must be.
func (s *subject) finish(t *testing.T) {
	t.Helper()
	s.awaitCalls(t, 2, patience)
	for _, r := range s.objects {
		s.compare(t, r, "in the end")
		s.env.awaitEvents(t, r.object, maps.Clone(r.events))
		s.compare(t, r, "after its events")
	}
}

// endure is the way through most faults: it is reported once, changes nothing
// else however often it is met, ends, and the next change is reported as ever.
func (s *subject) endure(t *testing.T, o faultCase, begin, end func()) {
	t.Helper()
	begin()
	s.fails(t, o, 2*interval+slack+s.slack)
	s.awaitCalls(t, 2, patience)
	end()
	s.recovers(t)
	s.turn(t, "normal")
	s.finish(t)
}
