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

// fakeLoadBalancer scripts the responses of the SLB API about one load balancer: its rows, or a fault.
type fakeLoadBalancer struct {
	changes notifier

	mu    sync.Mutex
	rows  []row
	fault *fakeResponse
	calls int
	done  chan struct{} // closed after the test
}

func (w *env) fakeLoadBalancer(t *testing.T, id string, rows ...row) *fakeLoadBalancer {
	t.Helper()
	s := &fakeLoadBalancer{rows: rows, done: make(chan struct{})}
	w.slb.on(id, s.respond)
	t.Cleanup(func() { close(s.done) })
	return s
}

func (s *fakeLoadBalancer) respond(int) fakeResponse {
	defer s.changes.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fault != nil {
		return *s.fault
	}
	return success(s.rows...)
}

// show changes the rows.
func (s *fakeLoadBalancer) show(rows ...row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = rows
}

// fail sends this response to every call from now on.
func (s *fakeLoadBalancer) fail(r fakeResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = &r
}

// hang sends no response to any call from now on.
func (s *fakeLoadBalancer) hang() {
	s.fail(fakeResponse{write: func(http.ResponseWriter) {
		<-s.done
		panic(http.ErrAbortHandler)
	}})
}

// delay sends the rows, but late.
func (s *fakeLoadBalancer) delay(by time.Duration) {
	s.fail(fakeResponse{write: func(w http.ResponseWriter) {
		<-time.After(by)
		s.mu.Lock()
		r := success(s.rows...)
		s.mu.Unlock()
		r.send(w)
	}})
}

// heal removes the fault.
func (s *fakeLoadBalancer) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = nil
}

// awaitCalls waits for this many more calls.
func (s *fakeLoadBalancer) awaitCalls(t *testing.T, more int, within time.Duration) {
	t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.calls
	}
	before := count()
	s.changes.await(t, within, fmt.Sprintf("%d more calls", more), func() (string, bool) {
		n := count() - before
		return fmt.Sprintf("there were %d", n), n >= more
	})
}

// subject is a load balancer that a test observes with two objects: one starts healthy, the other unhealthy.
type subject struct {
	*fakeLoadBalancer
	env     *faultEnv
	id      string
	objects []*watchedObject
	host    string        // the host in messages
	slack   time.Duration // the delay that the fault may add to an interval
	noCalls bool          // no call reaches the fake load balancer during the fault
}

// watchedObject is an object with the exact statuses, in this order, and the exact events that it must have.
type watchedObject struct {
	object   *v1alpha1.LoadBalancerHealth
	base     states
	expected []string
	events   map[string]int
}

// slack is what a loaded machine may add to an interval.
const slack = 5 * time.Second

// twoRows are the rows of a subject; at first the second one is abnormal.
func twoRows(second string) []row {
	return []row{normalRow("i-1"), {"ServerId": "i-2", "ServerHealthStatus": second}}
}

func baseOf(r *watchedObject) states { return r.base }

// newSubject creates a load balancer with both objects, and waits until they are observed.
func (a *faultEnv) newSubject(t *testing.T, namespace, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) *subject {
	t.Helper()
	s := a.prepareSubject(t, namespace, name, edits...)
	s.create(t)
	s.follow(t, patience, "the first observation", baseOf, twoRows("abnormal"))
	for _, r := range s.objects {
		a.awaitEvents(t, r.object, maps.Clone(r.events))
	}
	return s
}

// prepareSubject returns a subject without creating its objects.
func (a *faultEnv) prepareSubject(t *testing.T, namespace, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) *subject {
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

// follow waits until the next expected status of both objects is stored, and requires that all statuses so far are the
// expected ones.
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
		t.Fatalf("%s, %s: stored were, in this order:\n%s\nexpected:\n%s",
			r.object.Name, when, strings.Join(stored, "\n"), strings.Join(r.expected, "\n"))
	}
	for _, mistake := range mistakesIn(revisions) {
		t.Errorf("%s, %s: %s", r.object.Name, when, mistake)
	}
}

// expectEvents adds to the exact events of both objects.
func (s *subject) expectEvents(events ...string) {
	for _, r := range s.objects {
		for _, e := range events {
			r.events[e]++
		}
	}
}

// fails waits until the fault is reported, with the message of the document.
func (s *subject) fails(t *testing.T, o faultCase, within time.Duration) {
	t.Helper()
	s.follow(t, within, "the fault is reported", func(r *watchedObject) states { return failed(r.base, o.reason) }, twoRows("abnormal"))
	s.expectEvents("Warning ObservationFailed")
	s.hasMessage(t, o)
}

// failed returns the states of an object whose observation fails after a success.
func failed(base states, reason string) states {
	now := with(base, states{"Observed": "False " + reason})
	switch reason {
	case "Forbidden", "InvalidCredentials", "CredentialsNotFound", "InvalidRequest":
		now = with(now, states{"Ready": "False " + reason, "Stalled": "True " + reason})
	}
	return now
}

// hasMessage requires the message of the document, where words in capitals stand for variable parts.
func (s *subject) hasMessage(t *testing.T, o faultCase) {
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
			t.Errorf("the message of Observed is %q, not %q", observed.Message, want)
		}
	}
}

// recovers waits until both objects have their states from before the fault: within an interval and the slack.
func (s *subject) recovers(t *testing.T) {
	t.Helper()
	began := time.Now()
	s.follow(t, interval+slack+s.slack, "recovery", baseOf, twoRows("abnormal"))
	s.expectEvents("Normal ObservationRecovered")
	t.Logf("recovered within %s", time.Since(began).Round(100*time.Millisecond))
}

// transition changes the status of the second backend, and requires that it is reported once.
func (s *subject) transition(t *testing.T, to string) {
	t.Helper()
	s.show(twoRows(to)...)
	s.awaitTransition(t, to, interval+slack+s.slack)
}

// awaitTransition waits until a transition of the second backend is reported.
func (s *subject) awaitTransition(t *testing.T, to string, within time.Duration) {
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
	began := time.Now()
	s.follow(t, within, "the backend that became "+to, baseOf, twoRows(to))
	t.Logf("a backend that became %s was reported within %s", to, time.Since(began).Round(100*time.Millisecond))
}

// finish makes these transitions. It then waits for more calls, and requires that no other status was stored and no
// other event recorded.
func (s *subject) finish(t *testing.T, transitions ...string) {
	t.Helper()
	for _, to := range transitions {
		s.transition(t, to)
	}
	s.awaitCalls(t, 2, patience)
	for _, r := range s.objects {
		s.compare(t, r, "at the end")
		s.env.awaitEvents(t, r.object, maps.Clone(r.events))
		s.compare(t, r, "after its events")
	}
}

// runFault tests most faults: a fault is reported once, also when more calls meet it; and after its removal the objects
// recover, and the next transition is reported as usual.
func (s *subject) runFault(t *testing.T, o faultCase, inject, remove func()) {
	t.Helper()
	began := time.Now()
	inject()
	s.fails(t, o, 2*interval+slack+s.slack)
	if s.noCalls {
		<-time.After(time.Until(began.Add(3 * interval)))
	} else {
		s.awaitCalls(t, 2, patience)
	}
	remove()
	s.recovers(t)
	s.finish(t, "normal")
}
