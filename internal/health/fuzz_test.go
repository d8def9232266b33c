// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math/rand/v2"
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
