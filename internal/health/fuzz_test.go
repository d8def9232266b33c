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

// FuzzEvaluate lives through whatever happens to one object, and compares
// each outcome with what a plain record of the answers says it must be.
func FuzzEvaluate(f *testing.F) {
	f.Add([]byte{3, opAnswer, 2, 1, 2, 3, 4, opAnswer, 2, 1, 2, 3, 5})
	f.Add([]byte{0, opFail, 4, opAdvance, 3, opFail, 4, opAdvance, 3, opFail, 4, opRestart, opFail, 4, opAnswer, 1, 7, 7})
	f.Add([]byte{2, opAnswer, 3, 0, 0, 1, 0, 2, 0, opSuspend, opWait, opAdvance, 9, opAnswer, 1, 0, 1, opSuspend, opWait, opFail, 0})
	f.Add([]byte{1, opAnswer, 4, 0, 0, 1, 1, 2, 2, 3, 3, opAdvance, 5, opFail, 5, opAdvance, 6, opFail, 5, opRestart, opFail, 5, opAnswer, 0})
	f.Add([]byte{3, opAnswer, 2, 0, 0, 9, 0, opTarget, 1, opWait, opTarget, 0, opAnswer, 2, 0, 0, 9, 0, opPolicy, 5, opWait, opAnswer, 2, 0, 0, 9, 0})
	f.Add([]byte{3, opAnswer, 1, 0, 0, opInterval, 3, opAdvance, 7, opRequest, opFail, 1, opWait, opInterval, 0, opFail, 1, opAnswer, 1, 0, 2})
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(random.UintN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		life := newLife(t, &tape{data: data})
		for steps := 0; len(life.tape.data) > 0 && steps < 60; steps++ {
			life.step()
		}
	})
}

const (
	opAnswer = iota
	opFail
	opWait
	opAdvance
	opSuspend
	opTarget
	opPolicy
	opInterval
	opRestart
	opRequest
	opShuffle
	ops
)

// tape is the fuzz bytes; zeros follow its end.
type tape struct{ data []byte }

func (t *tape) next(n int) int {
	if len(t.data) == 0 {
		return 0
	}
	b := t.data[0]
	t.data = t.data[1:]
	return int(b) % n
}

func pick[T any](t *tape, from ...T) T { return from[t.next(len(from))] }

// row decodes a backend of a small universe, in which duplicates are common.
func (t *tape) row() alicloud.Backend {
	where, what := t.next(256), t.next(256)
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

func (t *tape) rows() []alicloud.Backend {
	rows := make([]alicloud.Backend, t.next(12))
	for i := range rows {
		rows[i] = t.row()
	}
	return rows
}

// life is a world and what is known of it by other means.
type life struct {
	*world
	tape *tape
	// states are those of the last answer about this target; nil: none.
	states map[string]string
	// answerAt is when it came.
	answerAt time.Time
	// requested counts request annotations.
	requested int
}

func newLife(t *testing.T, tape *tape) *life {
	t.Helper()
	l := &life{world: newWorld(t), tape: tape}
	l.options.MaxBackends = pick(tape, 0, 1, 3, 500)
	return l
}

func (l *life) step() {
	switch l.tape.next(ops) {
	case opAnswer:
		l.stepAnswer(l.tape.rows())
	case opFail:
		l.stepFail(pick(l.tape, alicloud.Kinds()...))
	case opWait:
		l.stepWait()
	case opAdvance:
		l.after(pick(l.tape, 0, time.Nanosecond, 700*time.Millisecond, 5*time.Second, 30*time.Second, 45*time.Second,
			89*time.Second, 90*time.Second, 3*time.Minute, 5*time.Minute, time.Hour, 3*time.Hour))
	case opSuspend:
		l.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.Suspend = !spec.Suspend })
	case opTarget:
		l.stepTarget()
	case opPolicy:
		l.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) {
			spec.HealthPolicy = &v1alpha1.HealthPolicy{
				MinHealthy:  pick(l.tape, nil, new(intstr.FromInt32(0)), new(intstr.FromInt32(2)), new(intstr.FromString("0%")), new(intstr.FromString("34%")), new(intstr.FromString("50%")), new(intstr.FromString("100%"))),
				Unavailable: pick(l.tape, v1alpha1.Unknown, "", v1alpha1.Healthy, v1alpha1.Unhealthy),
			}
		})
	case opInterval:
		l.edit(interval(pick(l.tape, 30*time.Second, 5*time.Second, time.Minute, time.Hour)))
	case opRestart:
		l.restart()
	case opRequest:
		l.requested++
		l.ask(fmt.Sprint(l.requested))
	case opShuffle:
		if !l.object.Spec.Suspend {
			l.object.Status.Backends = shuffled(l.object.Status.Backends, uint64(l.requests))
			l.stepAnswer(l.tape.rows())
		}
	}
}

// stepTarget edits what is asked about; another load balancer is another
// target, of which the process remembers nothing.
func (l *life) stepTarget() {
	port, protocol := pick(l.tape, int32(0), 443, 80), pick(l.tape, v1alpha1.ListenerProtocol(""), "https", "tcp")
	id := pick(l.tape, "lb-web", "lb-other")
	before := targetOf(l.object)
	l.edit(listener(port, protocol)).edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = id })
	if before.LoadBalancerID != id {
		l.restart()
	}
}

// dropOldTarget forgets the answer when it was about something else, as soon
// as an evaluation could tell.
func (l *life) dropOldTarget() {
	if was := l.object.Status.ObservedTarget; was == nil || *was != targetOf(l.object) {
		l.states = nil
	}
}

func (l *life) stepAnswer(rows []alicloud.Backend) {
	l.dropOldTarget()
	before, first := l.object.Status.DeepCopy(), l.states == nil
	l.places = []Places{
		nil,
		{"i-0": {Missing: true}, "i-1": {Node: "n-1", NodeNotReady: true}},
		{"i-0": {Node: "n-0"}, "i-1": {Missing: true}, "i-2": {Pod: "prod/p-2", PodReadySince: l.now}},
	}[len(rows)%3]
	outcome := l.answerRows(rows)
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	states := statesOf(rows, &l.object.Spec)
	if before.OmittedBackends == 0 || first {
		l.checkBackendChanges(outcome, states, first)
	}
	l.states, l.answerAt = states, l.now
	l.checkAnswer(before, first)
	l.checkVerdictChange(outcome, before, first)
	l.checkRequest(l.object.Status.LastHandledObserveRequest)
}

func (l *life) stepFail(kind alicloud.Kind) {
	l.dropOldTarget()
	before, first := l.object.Status.DeepCopy(), l.states == nil
	outcome := l.fail(kind, fmt.Sprintf("failed at %s: %s", l.now, kind))
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	l.checkKept(outcome, before)
	l.checkVerdictChange(outcome, before, first)
	l.checkRequest(l.object.Status.LastAttemptedObserveRequest)
	l.checkFreshness(before, outcome.StaleAt)
	if got := find(l.object.Status.Conditions, "Observed"); got.reason != string(kind) {
		l.t.Fatalf("failed by %s, Observed says %s", kind, got.reason)
	}
	told := find(before.Conditions, "Observed")
	if want := told.status != metav1.ConditionFalse || told.reason != string(kind); want != (outcome.Transitions.Observation != nil) {
		l.t.Fatalf("Observed was %s(%s), told %q", told.status, told.reason, turned(outcome.Transitions.Observation))
	}
}

func (l *life) stepWait() {
	l.dropOldTarget()
	before := l.object.Status.DeepCopy()
	outcome := l.wait()
	l.checkSuspended(outcome)
	if l.object.Spec.Suspend {
		return
	}
	l.checkKept(outcome, before)
	if outcome.Transitions.Observation != nil {
		l.t.Fatalf("nobody asked, and it is told that %+v", outcome.Transitions.Observation)
	}
	if !l.answeredAt.IsZero() {
		l.checkFreshness(before, outcome.StaleAt)
	}
}

func (l *life) checkSuspended(outcome Outcome) {
	if !l.object.Spec.Suspend {
		return
	}
	if told(outcome.Transitions) {
		l.t.Fatalf("suspended, and it is told that %+v", outcome.Transitions)
	}
	l.want("Healthy=Unknown(Suspended) Observed=Unknown(Suspended)")
}

// checkRequest compares with where the request must stand. One that was not
// answered is attempted again.
func (l *life) checkRequest(got string) {
	if l.request != "" && got != l.request {
		l.t.Fatalf("request %s was attempted, the status says %q", l.request, got)
	}
	if l.object.Status.LastHandledObserveRequest == l.request {
		l.request = ""
	}
}

// checkKept holds of every evaluation without an answer.
func (l *life) checkKept(outcome Outcome, before *v1alpha1.LoadBalancerHealthStatus) {
	if len(outcome.Transitions.Backends) > 0 {
		l.t.Fatalf("no answer, and it is told that %s", changed(outcome.Transitions.Backends))
	}
	s := &l.object.Status
	if (l.states == nil) != (s.Summary == nil) {
		l.t.Fatalf("answers known: %t, summary %v", l.states != nil, s.Summary)
	}
	if l.states != nil && (rowTimes(s.Backends) != rowTimes(before.Backends) || *s.Summary != *before.Summary) {
		l.t.Fatal("the last known backends are others now")
	}
}

// checkFreshness: a verdict stands until the answer is older than three
// intervals and 90 seconds, and no longer.
func (l *life) checkFreshness(before *v1alpha1.LoadBalancerHealthStatus, staleAt time.Time) {
	healthy := find(l.object.Status.Conditions, "Healthy")
	was := find(before.Conditions, "Healthy")
	stands := func(j judgement) bool {
		return j.reason != "ObservationStale" && j.reason != "Suspended" && j.reason != "Pending" && j.reason != ""
	}
	if l.states == nil {
		if stands(healthy) {
			l.t.Fatalf("no answer, and Healthy is %s", healthy.reason)
		}
		return
	}
	limit := l.answerAt.Add(max(3*l.object.Spec.Interval.Duration, 90*time.Second))
	if l.answeredAt.IsZero() { // what the heartbeat may hide
		limit = limit.Add(l.options.Heartbeat + time.Second)
	}
	if stands(healthy) && !l.now.Before(limit) {
		l.t.Fatalf("the answer is of %s, it is %s, and Healthy is %s", l.answerAt, l.now, healthy.reason)
	}
	if stands(was) && !stands(healthy) && !l.answeredAt.IsZero() && l.now.Before(limit) {
		l.t.Fatalf("the answer is of %s, it is %s, and Healthy is %s", l.answerAt, l.now, healthy.reason)
	}
	if stands(healthy) != !staleAt.IsZero() {
		l.t.Fatalf("Healthy is %s and StaleAt %s", healthy.reason, staleAt)
	}
	for _, listener := range l.object.Status.Listeners {
		if !stands(healthy) && listener.Health != v1alpha1.Unknown {
			l.t.Fatalf("Healthy is %s and a listener %s", healthy.reason, listener.Health)
		}
	}
}

func (l *life) checkVerdictChange(outcome Outcome, before *v1alpha1.LoadBalancerHealthStatus, first bool) {
	was, is := find(before.Conditions, "Healthy"), find(l.object.Status.Conditions, "Healthy")
	want := was.status != is.status
	switch {
	case first:
		want = is.status == metav1.ConditionFalse
	case was.reason == "Suspended" || was.reason == "Pending":
		// What turned while nobody looked is told: the counts of before tell it.
		withheld := verdictOn(before.Listeners, before.Summary, policyOf(&l.object.Spec))
		want = l.object.Status.LastRequestID != before.LastRequestID && is.status != metav1.ConditionUnknown && is.status != withheld
	}
	if want != (outcome.Transitions.Verdict != nil) {
		l.t.Fatalf("first %t, from %s(%s) to %s(%s): told %q", first, was.status, was.reason, is.status, is.reason, turned(outcome.Transitions.Verdict))
	}
	if want && *outcome.Transitions.Verdict != *is.change() {
		l.t.Fatalf("Healthy is %+v, told %+v", is, outcome.Transitions.Verdict)
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

// checkMissing demands that no listener of the status before leaves without a
// word, unless nothing is wanted of it, or rows without a port may be its own.
func (l *life) checkMissing(before *v1alpha1.LoadBalancerHealthStatus) {
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
			l.t.Fatalf("listener %+v is gone: %+v", was, now)
		}
	}
}

// checkAnswer compares with counts and verdicts taken from the record.
func (l *life) checkAnswer(before *v1alpha1.LoadBalancerHealthStatus, first bool) {
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
	verdict, answered := v1alpha1.Healthy, 0
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
		answered++
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
	if answered != len(counts) {
		l.t.Fatalf("%d listeners with backends, want %d", answered, len(counts))
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

func (l *life) minHealthy() string {
	if p := l.object.Spec.HealthPolicy; p != nil && p.MinHealthy != nil {
		return p.MinHealthy.String()
	}
	return "1"
}

func (l *life) verdictOn(c v1alpha1.Counts) v1alpha1.Health {
	if p := l.object.Spec.HealthPolicy; p != nil {
		switch p.Unavailable {
		case v1alpha1.Healthy:
			c.Normal, c.Unavailable = c.Normal+c.Unavailable, 0
		case v1alpha1.Unhealthy:
			c.Abnormal, c.Unavailable = c.Abnormal+c.Unavailable, 0
		}
	}
	return verdictOfAllOutcomes(l.minHealthy(), c)
}

// checkBackendChanges compares with the difference of the records.
func (l *life) checkBackendChanges(outcome Outcome, states map[string]string, first bool) {
	word := func(state string, known bool) string {
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
			if from, to := word(was, known), word(state, true); from != to {
				want = append(want, identity+" "+from+">"+to)
			}
		}
		for identity, was := range l.states {
			if _, stays := states[identity]; !stays {
				want = append(want, identity+" "+word(was, true)+">")
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
		l.t.Fatalf("told  %q\nwant %q", got, want)
	}
}

func identityOf(listenerPort int32, protocol, serverID, serverIP string, port int32) string {
	return fmt.Sprintf("%05d\x00%s\x00%s\x00%s\x00%05d", listenerPort, protocol, serverID, serverIP, port)
}

// statesOf records the worst state of each backend that a spec asks about.
func statesOf(rows []alicloud.Backend, spec *v1alpha1.LoadBalancerHealthSpec) map[string]string {
	states := map[string]string{}
	badness := func(state string) int {
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
		if !twice || badness(b.ServerHealthStatus) > badness(was) {
			states[identity] = b.ServerHealthStatus
		}
	}
	return states
}
