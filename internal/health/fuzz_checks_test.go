// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func (l *lifecycle) checkSuspended(outcome Outcome) {
	if !l.object.Spec.Suspend {
		return
	}
	if hasTransitions(outcome.Transitions) {
		l.t.Fatalf("a transition while suspended: %+v", outcome.Transitions)
	}
	l.want("Healthy=Unknown(Suspended) Observed=Unknown(Suspended)")
}

// checkRequest checks that the status has the attempted request. The next
// observation attempts it again unless it was handled.
func (l *lifecycle) checkRequest(got string) {
	if l.pendingRequest != "" && got != l.pendingRequest {
		l.t.Fatalf("request %s was attempted, the status says %q", l.pendingRequest, got)
	}
	if l.object.Status.LastHandledObserveRequest == l.pendingRequest {
		l.pendingRequest = ""
	}
}

// checkKept checks an evaluation without a successful observation.
func (l *lifecycle) checkKept(outcome Outcome, before *v1alpha1.LoadBalancerHealthStatus) {
	if len(outcome.Transitions.Backends) > 0 {
		l.t.Fatalf("backend transitions without an observation: %s", formatBackends(outcome.Transitions.Backends))
	}
	s := &l.object.Status
	if (l.states == nil) != (s.Summary == nil) {
		l.t.Fatalf("observed: %t, summary %v", l.states != nil, s.Summary)
	}
	if l.states != nil && (rowTimes(s.Backends) != rowTimes(before.Backends) || s.Summary.Counts != before.Summary.Counts) {
		l.t.Fatal("the last observed backends differ")
	}
	if !slices.EqualFunc(s.MissingBackends, before.MissingBackends, sameMissing) && l.states != nil {
		l.t.Fatal("the missing backends differ without an observation")
	}
}

// checkFreshness checks that a verdict is kept exactly until the observation is
// older than three intervals and 90 seconds.
func (l *lifecycle) checkFreshness(before *v1alpha1.LoadBalancerHealthStatus, staleAt time.Time) {
	healthy := find(l.object.Status.Conditions, "Healthy")
	was := find(before.Conditions, "Healthy")
	isVerdict := func(c condition) bool {
		return c.reason != "ObservationStale" && c.reason != "Suspended" && c.reason != "Pending" && c.reason != ""
	}
	if l.states == nil {
		if isVerdict(healthy) {
			l.t.Fatalf("Healthy is %s without an observation", healthy.reason)
		}
		return
	}
	limit := l.observedAt.Add(max(3*l.object.Spec.Interval.Duration, 90*time.Second))
	if l.lastObservedAt.IsZero() { // the stored time is precise to a heartbeat
		limit = limit.Add(l.options.Heartbeat + time.Second)
	}
	if isVerdict(healthy) && !l.now.Before(limit) {
		l.t.Fatalf("observed at %s, now it is %s, and Healthy is %s", l.observedAt, l.now, healthy.reason)
	}
	if isVerdict(was) && !isVerdict(healthy) && !l.lastObservedAt.IsZero() && l.now.Before(limit) {
		l.t.Fatalf("observed at %s, now it is %s, and Healthy is %s", l.observedAt, l.now, healthy.reason)
	}
	if isVerdict(healthy) != !staleAt.IsZero() {
		l.t.Fatalf("Healthy is %s and StaleAt %s", healthy.reason, staleAt)
	}
	for _, listener := range l.object.Status.Listeners {
		if !isVerdict(healthy) && listener.Health != v1alpha1.Unknown {
			l.t.Fatalf("Healthy is %s and a listener %s", healthy.reason, listener.Health)
		}
	}
}

func (l *lifecycle) checkVerdictTransition(outcome Outcome, before *v1alpha1.LoadBalancerHealthStatus, first bool) {
	was, is := find(before.Conditions, "Healthy"), find(l.object.Status.Conditions, "Healthy")
	want := was.status != is.status
	switch {
	case first:
		want = is.status == metav1.ConditionFalse
	case was.reason == "Suspended" || was.reason == "Pending":
		// A change during the suspension is a transition from the verdict on the counts before.
		withdrawn := verdictOn(before.Listeners, before.Summary, policyOf(&l.object.Spec))
		want = l.object.Status.LastRequestID != before.LastRequestID && is.status != metav1.ConditionUnknown && is.status != withdrawn
	}
	if want != (outcome.Transitions.Verdict != nil) {
		l.t.Fatalf("first %t, from %s(%s) to %s(%s): got transition %q", first, was.status, was.reason, is.status, is.reason, formatCondition(outcome.Transitions.Verdict))
	}
	if want && *outcome.Transitions.Verdict != *is.transition() {
		l.t.Fatalf("Healthy is %+v, got transition %+v", is, outcome.Transitions.Verdict)
	}
}

func verdictOn(listeners []v1alpha1.ListenerStatus, summary *v1alpha1.Summary, p policy) metav1.ConditionStatus {
	if summary == nil || summary.Backends == 0 && !p.wantsNone() {
		return metav1.ConditionFalse
	}
	verdict := metav1.ConditionTrue
	for i := range listeners {
		if listeners[i].MissingSince != nil && !p.wantsNone() {
			verdict = metav1.ConditionUnknown
			continue
		}
		switch p.verdict(listeners[i].Counts, listeners[i].Missing) {
		case v1alpha1.Unhealthy:
			return metav1.ConditionFalse
		case v1alpha1.Unknown:
			verdict = metav1.ConditionUnknown
		}
	}
	return verdict
}

// checkMissing checks that the status keeps each previous listener, unless the
// policy requires no backend, or rows without a port may be those of the listener.
func (l *lifecycle) checkMissing(before *v1alpha1.LoadBalancerHealthStatus) {
	if minimum := l.minHealthy(); minimum == "0" || minimum == "0%" {
		return
	}
	now := l.object.Status.Listeners
	if slices.ContainsFunc(now, func(is v1alpha1.ListenerStatus) bool { return is.Port == 0 }) {
		return
	}
	for _, was := range before.Listeners {
		if was.Port == 0 {
			continue
		}
		if !slices.ContainsFunc(now, func(is v1alpha1.ListenerStatus) bool {
			return is.Port == was.Port && (is.Protocol == was.Protocol || is.Protocol == "" || was.Protocol == "")
		}) {
			l.t.Fatalf("listener %+v was removed: %+v", was, now)
		}
	}
}

// checkObservation compares the counts and verdicts with those of the record.
func (l *lifecycle) checkObservation(before *v1alpha1.LoadBalancerHealthStatus, first bool) {
	s := &l.object.Status
	counts := map[string]*v1alpha1.Counts{}
	for identity, state := range l.states {
		listener := strings.Join(strings.Split(identity, "\x00")[:2], "\x00")
		if counts[listener] == nil {
			counts[listener] = &v1alpha1.Counts{}
		}
		c := counts[listener]
		c.Backends++
		switch state {
		case "normal":
			c.Normal++
		case "abnormal":
			c.Abnormal++
		default:
			c.Unavailable++
		}
	}
	verdict, found := v1alpha1.Healthy, 0
	if !first {
		l.checkMissing(before)
	}
	for _, listener := range s.Listeners {
		c := counts[fmt.Sprintf("%05d\x00%s", listener.Port, listener.Protocol)]
		if c == nil && listener.Counts == (v1alpha1.Counts{}) {
			if listener.MissingSince != nil && verdict == v1alpha1.Healthy {
				verdict = v1alpha1.Unknown
			}
			continue
		}
		found++
		if c == nil || *c != listener.Counts {
			l.t.Fatalf("listener %+v, want %+v", listener, c)
		}
		want := l.verdictOn(*c)
		if listener.Health != want {
			l.t.Fatalf("listener %+v, want %s", listener, want)
		}
		if want == v1alpha1.Unhealthy || verdict == v1alpha1.Healthy {
			verdict = want
		}
	}
	if found != len(counts) {
		l.t.Fatalf("%d listeners with backends, want %d", found, len(counts))
	}
	want := map[v1alpha1.Health]metav1.ConditionStatus{"Healthy": "True", "Unhealthy": "False", "Unknown": "Unknown"}[verdict]
	minimum := l.minHealthy()
	if len(l.states) == 0 && minimum != "0" && minimum != "0%" {
		want = "False"
	}
	if got := find(s.Conditions, "Healthy"); got.status != want {
		l.t.Fatalf("Healthy is %s(%s), want %s", got.status, got.reason, want)
	}
	if !s.LastObservedTime.Time.Equal(l.now.Truncate(time.Second)) && l.now.Sub(s.LastObservedTime.Time) >= l.options.Heartbeat {
		l.t.Fatalf("lastObservedTime is %s at %s", s.LastObservedTime, l.now)
	}
}

func (l *lifecycle) minHealthy() string {
	if p := l.object.Spec.HealthPolicy; p != nil && p.MinHealthy != nil {
		return p.MinHealthy.String()
	}
	return "1"
}

func (l *lifecycle) verdictOn(c v1alpha1.Counts) v1alpha1.Health {
	if p := l.object.Spec.HealthPolicy; p != nil {
		switch p.Unavailable {
		case v1alpha1.Healthy:
			c.Normal, c.Unavailable = c.Normal+c.Unavailable, 0
		case v1alpha1.Unhealthy:
			c.Abnormal, c.Unavailable = c.Abnormal+c.Unavailable, 0
		}
	}
	return verdictOfAllResults(l.minHealthy(), c)
}

// checkBackendTransitions compares the transitions with the difference of the records.
func (l *lifecycle) checkBackendTransitions(outcome Outcome, states map[string]string, first bool) {
	class := func(state string, known bool) string {
		switch {
		case !known:
			return ""
		case state == "normal" || state == "abnormal":
			return state
		default:
			return "unavailable"
		}
	}
	var want []string
	if !first {
		for identity, state := range states {
			was, known := l.states[identity]
			if from, to := class(was, known), class(state, true); from != to {
				want = append(want, identity+" "+from+">"+to)
			}
		}
		for identity, was := range l.states {
			if _, stays := states[identity]; !stays {
				want = append(want, identity+" "+class(was, true)+">")
			}
		}
	}
	slices.Sort(want)
	var got []string
	for _, c := range outcome.Transitions.Backends {
		b := &c.Backend
		got = append(got, identityOf(b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port)+" "+c.From+">"+c.To)
	}
	if !slices.Equal(got, want) {
		l.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

func identityOf(listenerPort int32, protocol, serverID, serverIP string, port int32) string {
	return fmt.Sprintf("%05d\x00%s\x00%s\x00%s\x00%05d", listenerPort, protocol, serverID, serverIP, port)
}

// statesOf records the worst state of each backend in the scope of a spec.
func statesOf(rows []alicloud.Backend, spec *v1alpha1.LoadBalancerHealthSpec) map[string]string {
	states := map[string]string{}
	severity := func(state string) int {
		switch state {
		case "normal":
			return 0
		case "abnormal":
			return 2
		default:
			return 1
		}
	}
	for _, b := range rows {
		if spec.ListenerPort != nil && b.ListenerPort != 0 && b.ListenerPort != *spec.ListenerPort {
			continue
		}
		if spec.ListenerProtocol != "" && b.ListenerProtocol != "" && b.ListenerProtocol != string(spec.ListenerProtocol) {
			continue
		}
		identity := identityOf(b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port)
		was, twice := states[identity]
		if !twice || severity(b.ServerHealthStatus) > severity(was) {
			states[identity] = b.ServerHealthStatus
		}
	}
	return states
}
