// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// FuzzEvaluate runs a random sequence of events on one object, and compares each
// outcome with a simple record of the observations.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte{3, opObserve, 2, 1, 2, 3, 4, opObserve, 2, 1, 2, 3, 5})
	f.Add([]byte{0, opFail, 4, opAdvance, 3, opFail, 4, opAdvance, 3, opFail, 4, opRestart, opFail, 4, opObserve, 1, 7, 7})
	f.Add([]byte{2, opObserve, 3, 0, 0, 1, 0, 2, 0, opSuspend, opWait, opAdvance, 9, opObserve, 1, 0, 1, opSuspend, opWait, opFail, 0})
	f.Add([]byte{1, opObserve, 4, 0, 0, 1, 1, 2, 2, 3, 3, opAdvance, 5, opFail, 5, opAdvance, 6, opFail, 5, opRestart, opFail, 5, opObserve, 0})
	f.Add([]byte{3, opObserve, 2, 0, 0, 9, 0, opTarget, 1, opWait, opTarget, 0, opObserve, 2, 0, 0, 9, 0, opPolicy, 5, opWait, opObserve, 2, 0, 0, 9, 0})
	f.Add([]byte{3, opObserve, 1, 0, 0, opInterval, 3, opAdvance, 7, opRequest, opFail, 1, opWait, opInterval, 0, opFail, 1, opObserve, 1, 0, 2})
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(random.UintN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLifecycle(t, &fuzzInput{data: data})
		for steps := 0; len(l.input.data) > 0 && steps < 60; steps++ {
			l.step()
		}
	})
}

const (
	opObserve = iota
	opFail
	opWait
	opAdvance
	opSuspend
	opTarget
	opPolicy
	opInterval
	opRestart
	opRequest
	opReorder
	ops
)

// fuzzInput reads the fuzz bytes, and zeros after their end.
type fuzzInput struct{ data []byte }

func (in *fuzzInput) next(n int) int {
	if len(in.data) == 0 {
		return 0
	}
	b := in.data[0]
	in.data = in.data[1:]
	return int(b) % n
}

func pick[T any](in *fuzzInput, from ...T) T { return from[in.next(len(from))] }

// row decodes a backend from few possible values, so that duplicates are common.
func (in *fuzzInput) row() alicloud.Backend {
	where, what := in.next(256), in.next(256)
	return alicloud.Backend{
		ServerID:           [...]string{"i-1", "i-2", "eni-1"}[where%3],
		ServerIP:           [...]string{"10.0.0.1", "", "10.0.0.2"}[where/3%3],
		ListenerPort:       [...]int32{443, 80, 0}[where/9%3],
		ListenerProtocol:   [...]string{"https", "tcp", ""}[where/27%3],
		Port:               [...]int32{8443, 0, 8080}[where/81%3],
		ServerHealthStatus: [...]string{"normal", "abnormal", "unavailable", "checking", "normal", ""}[what%6],
		EniHost:            [...]string{"", "10.0.0.9"}[what/6%2],
		Type:               [...]string{"", "ecs", "eni"}[what/12%3],
	}
}

func (in *fuzzInput) rows() []alicloud.Backend {
	rows := make([]alicloud.Backend, in.next(12))
	for i := range rows {
		rows[i] = in.row()
	}
	return rows
}

// lifecycle is an environment with a record of its observations.
type lifecycle struct {
	*testEnv
	input *fuzzInput
	// states are those of the last observation of this target; nil: none.
	states map[string]string
	// observedAt is its time.
	observedAt time.Time
	// requested counts request annotations.
	requested int
}

func newLifecycle(t *testing.T, input *fuzzInput) *lifecycle {
	t.Helper()
	l := &lifecycle{testEnv: newEnv(t), input: input}
	l.options.MaxBackends = pick(input, 0, 1, 3, 500)
	return l
}

func (l *lifecycle) step() {
	switch l.input.next(ops) {
	case opObserve:
		l.stepObserve(l.input.rows())
	case opFail:
		l.stepFail(pick(l.input, alicloud.Kinds()...))
	case opWait:
		l.stepWait()
	case opAdvance:
		l.after(pick(l.input, 0, time.Nanosecond, 700*time.Millisecond, 5*time.Second, 30*time.Second, 45*time.Second,
			89*time.Second, 90*time.Second, 3*time.Minute, 5*time.Minute, time.Hour, 3*time.Hour))
	case opSuspend:
		l.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.Suspend = !spec.Suspend })
	case opTarget:
		l.stepTarget()
	case opPolicy:
		l.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) {
			spec.HealthPolicy = &v1alpha1.HealthPolicy{
				MinHealthy:  pick(l.input, nil, new(intstr.FromInt32(0)), new(intstr.FromInt32(2)), new(intstr.FromString("0%")), new(intstr.FromString("34%")), new(intstr.FromString("50%")), new(intstr.FromString("100%"))),
				Unavailable: pick(l.input, v1alpha1.Unknown, "", v1alpha1.Healthy, v1alpha1.Unhealthy),
			}
		})
	case opInterval:
		l.edit(interval(pick(l.input, 30*time.Second, 5*time.Second, time.Minute, time.Hour)))
	case opRestart:
		l.restart()
	case opRequest:
		l.requested++
		l.request(fmt.Sprint(l.requested))
	case opReorder:
		if !l.object.Spec.Suspend {
			l.object.Status.Backends = shuffled(l.object.Status.Backends, uint64(l.requests))
			l.stepObserve(l.input.rows())
		}
	}
}

// stepTarget edits the target. The process has no state of another load balancer.
func (l *lifecycle) stepTarget() {
	port, protocol := pick(l.input, int32(0), 443, 80), pick(l.input, v1alpha1.ListenerProtocol(""), "https", "tcp")
	id := pick(l.input, "lb-web", "lb-other")
	before := targetOf(l.object)
	l.edit(listener(port, protocol)).edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = id })
	if before.LoadBalancerID != id {
		l.restart()
	}
}

// dropOldTarget clears the record of another target.
func (l *lifecycle) dropOldTarget() {
	if was := l.object.Status.ObservedTarget; was == nil || *was != targetOf(l.object) {
		l.states = nil
	}
}

func (l *lifecycle) stepObserve(rows []alicloud.Backend) {
	l.dropOldTarget()
	before, first := l.object.Status.DeepCopy(), l.states == nil
	l.locations = []Locations{
		nil,
		{"i-0": {Missing: true}, "i-1": {Node: "n-1", NodeNotReady: true}},
		{"i-0": {Node: "n-0"}, "i-1": {Missing: true}, "i-2": {Pod: "prod/p-2", PodReadySince: l.now}},
	}[len(rows)%3]
	outcome := l.observeRows(rows)
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	states := statesOf(rows, &l.object.Spec)
	if before.OmittedBackends == 0 || first {
		l.checkBackendTransitions(outcome, states, first)
	}
	l.states, l.observedAt = states, l.now
	l.checkObservation(before, first)
	l.checkVerdictTransition(outcome, before, first)
	l.checkRequest(l.object.Status.LastHandledObserveRequest)
}

func (l *lifecycle) stepFail(kind alicloud.Kind) {
	l.dropOldTarget()
	before, first := l.object.Status.DeepCopy(), l.states == nil
	outcome := l.fail(kind, fmt.Sprintf("failed at %s: %s", l.now, kind))
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	l.checkKept(outcome, before)
	l.checkVerdictTransition(outcome, before, first)
	l.checkRequest(l.object.Status.LastAttemptedObserveRequest)
	l.checkFreshness(before, outcome.StaleAt)
	if got := find(l.object.Status.Conditions, "Observed"); got.reason != string(kind) {
		l.t.Fatalf("failed by %s, Observed says %s", kind, got.reason)
	}
	was := find(before.Conditions, "Observed")
	if want := was.status != metav1.ConditionFalse || was.reason != string(kind); want != (outcome.Transitions.Observation != nil) {
		l.t.Fatalf("Observed was %s(%s), got transition %q", was.status, was.reason, formatCondition(outcome.Transitions.Observation))
	}
}

func (l *lifecycle) stepWait() {
	l.dropOldTarget()
	before := l.object.Status.DeepCopy()
	outcome := l.wait()
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	l.checkKept(outcome, before)
	if outcome.Transitions.Observation != nil {
		l.t.Fatalf("a transition without an observation: %+v", outcome.Transitions.Observation)
	}
	if !l.lastObservedAt.IsZero() {
		l.checkFreshness(before, outcome.StaleAt)
	}
}

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
	if l.states != nil && (rowTimes(s.Backends) != rowTimes(before.Backends) || *s.Summary != *before.Summary) {
		l.t.Fatal("the last observed backends differ")
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
		switch p.verdict(listeners[i].Counts) {
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
