// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

type specEdits = []func(*v1alpha1.LoadBalancerHealthSpec)

const answered = " Observed=True(ObservationSucceeded)"

func TestAnswerIsJudgedByThePolicyOnEveryListener(t *testing.T) {
	for _, test := range []struct {
		what      string
		edits     specEdits
		answer    []string
		healthy   string
		listeners string
	}{
		{"all normal", nil, []string{"nnn"}, "True(AllBackendsNormal)", "Healthy"},
		{"one abnormal", nil, []string{"nna"}, "True(MinHealthyMet)", "Healthy"},
		{"one unavailable", nil, []string{"nnu"}, "True(MinHealthyMet)", "Healthy"},
		{"all abnormal", nil, []string{"aaa"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all unavailable are unknown, never unhealthy", nil, []string{"uuu"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"a state that the API added is unknown too", nil, []string{"xx"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"abnormal and unavailable", nil, []string{"au"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"no backends", nil, nil, "False(NoBackends)", ""},
		{"no backends, none wanted", specEdits{minHealthy("0")}, nil, "True(AllBackendsNormal)", ""},
		{"no backends, 0% wanted", specEdits{minHealthy("0%")}, nil, "True(AllBackendsNormal)", ""},
		{"no backends, half of them wanted", specEdits{minHealthy("50%")}, nil, "False(NoBackends)", ""},
		{"no backends, unavailable counts as healthy", specEdits{countUnavailable("Healthy")}, nil, "False(NoBackends)", ""},
		{"none wanted, all abnormal", specEdits{minHealthy("0")}, []string{"aa"}, "True(MinHealthyMet)", "Healthy"},
		{"half of 3 is 2: met", specEdits{minHealthy("50%")}, []string{"nna"}, "True(MinHealthyMet)", "Healthy"},
		{"half of 3 is 2: missed", specEdits{minHealthy("50%")}, []string{"naa"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all wanted: met", specEdits{minHealthy("100%")}, []string{"nnn"}, "True(AllBackendsNormal)", "Healthy"},
		{"all wanted: missed", specEdits{minHealthy("100%")}, []string{"nna"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all wanted: undecided", specEdits{minHealthy("100%")}, []string{"nnu"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"more wanted than there are", specEdits{minHealthy("5")}, []string{"nn"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"unavailable counts as healthy", specEdits{countUnavailable("Healthy")}, []string{"uu"}, "True(MinHealthyMet)", "Healthy"},
		{"unavailable counts as unhealthy", specEdits{countUnavailable("Unhealthy")}, []string{"uu"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"one listener of two is unhealthy", nil, []string{"80/tcp nn", "443/https aa"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"one listener of two is unknown", nil, []string{"80/tcp uu", "443/https nn"}, "Unknown(HealthCheckUnavailable)", "Unknown Healthy"},
		{"unhealthy is worse than unknown", nil, []string{"80/tcp uu", "443/https aa", "444/https nn"}, "False(BelowMinHealthy)", "Unknown Unhealthy Healthy"},
		{"the minimum is per listener, not of the sum", specEdits{minHealthy("2")}, []string{"80/tcp nnn", "443/https na"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"a share is per listener, not of the sum", specEdits{minHealthy("50%")}, []string{"80/tcp nnnnnn", "443/https aa"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"TCP and UDP on one port are two listeners", nil, []string{"53/tcp n", "53/udp a"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"another listener than the one asked about does not count", specEdits{listener(80, "")}, []string{"80/tcp n", "443/https a"}, "True(AllBackendsNormal)", "Healthy"},
		{"another protocol than the one asked about does not count", specEdits{listener(53, "udp")}, []string{"53/tcp n", "53/udp a"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"nothing behind the listener asked about", specEdits{listener(8080, "")}, []string{"80/tcp n"}, "False(NoBackends)", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t, test.edits...)
			w.answer(test.answer...)
			w.want("Healthy=" + test.healthy + answered)
			var got []string
			for _, l := range w.object.Status.Listeners {
				got = append(got, string(l.Health))
			}
			if diff := cmp.Diff(test.listeners, strings.Join(got, " ")); diff != "" {
				t.Errorf("listeners:\n%s", diff)
			}
		})
	}
}

func TestAnswerIsRecordedWithItsTimeAndRequestID(t *testing.T) {
	w := newWorld(t)
	w.after(1500 * time.Millisecond).answer("n")
	s := &w.object.Status
	if want := start.Add(time.Second); !s.LastObservedTime.Time.Equal(want) || s.LastRequestID != "request-1" {
		t.Errorf("got %s and %s, want %s and request-1", s.LastObservedTime, s.LastRequestID, want)
	}
	w.after(time.Minute).fail(alicloud.Throttled)
	if s := &w.object.Status; !s.LastObservedTime.Time.Equal(start.Add(time.Second)) || s.LastRequestID != "request-1" {
		t.Errorf("after a failure: got %s and %s", s.LastObservedTime, s.LastRequestID)
	}
	w.after(time.Minute).answer("a")
	if s := &w.object.Status; !s.LastObservedTime.Time.Equal(w.now.Truncate(time.Second)) || s.LastRequestID != "request-2" {
		t.Errorf("after another answer: got %s and %s", s.LastObservedTime, s.LastRequestID)
	}
}

func TestObjectThatNobodyLookedAtIsPendingAndReconciling(t *testing.T) {
	w := newWorld(t)
	w.wait()
	w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	if got := w.object.Status.ObservedGeneration; got != -1 {
		t.Errorf("observedGeneration is %d before anybody looked", got)
	}
	for _, c := range w.object.Status.Conditions {
		if c.ObservedGeneration != 1 {
			t.Errorf("%s waits for generation %d, want 1", c.Type, c.ObservedGeneration)
		}
	}
	w.after(time.Second).answer("n")
	w.want("Healthy=True(AllBackendsNormal)" + answered)
}

func TestFailureBeforeAnyAnswerLeavesHealthyPending(t *testing.T) {
	w := newWorld(t)
	w.fail(alicloud.EndpointUnreachable, "nobody listens")
	w.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
	if got, want := w.condition("Healthy").Message, "no answer yet: nobody listens"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.after(24 * time.Hour).fail(alicloud.EndpointUnreachable)
	w.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
}

func TestEachKindOfFailureIsTheReasonOfObservedAndSomeStall(t *testing.T) {
	stalls := []alicloud.Kind{alicloud.Forbidden, alicloud.InvalidCredentials, alicloud.CredentialsNotFound}
	for _, kind := range alicloud.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			w.answer("nna")
			w.after(30*time.Second).fail(kind, "what is wrong")
			want := fmt.Sprintf("Healthy=True(MinHealthyMet) Observed=False(%s)", kind)
			if slices.Contains(stalls, kind) {
				want = fmt.Sprintf("Ready=False(%[1]s) Healthy=True(MinHealthyMet) Observed=False(%[1]s) Stalled=True(%[1]s)", kind)
				if got := w.condition("Stalled").Message; got != "what is wrong" {
					t.Errorf("Stalled says %q", got)
				}
			}
			w.want(want)
			if got := w.condition("Observed").Message; got != "what is wrong" {
				t.Errorf("Observed says %q", got)
			}
			w.after(30 * time.Second).answer("nna")
			w.want("Healthy=True(MinHealthyMet)" + answered)
		})
	}
}

func TestWhatTheOperatorRefusesStallsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.failure, w.failingSince = &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "another product"}, w.now
	w.again()
	w.want("Ready=False(InvalidRequest) Healthy=True(MinHealthyMet) Observed=False(InvalidRequest) Stalled=True(InvalidRequest)")
}

func TestFailureKeepsBackendsCountsAndVerdict(t *testing.T) {
	for _, letters := range []string{"nnn", "nna", "aaa", "uau", ""} {
		t.Run(letters, func(t *testing.T) {
			w := newWorld(t)
			w.answer(letters)
			before := w.object.Status.DeepCopy()
			changes := w.after(89 * time.Second).fail(alicloud.ServiceError).Transitions
			after := w.object.Status.DeepCopy()
			if changes.Verdict != nil || len(changes.Backends) > 0 {
				t.Errorf("got changes %+v", changes)
			}
			for _, conditionType := range []string{"Ready", "Healthy"} {
				if was, is := find(before.Conditions, conditionType), find(after.Conditions, conditionType); was != is {
					t.Errorf("%s was %+v and is %+v", conditionType, was, is)
				}
			}
			before.Conditions, after.Conditions = nil, nil
			if diff := cmp.Diff(before, after); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadBalancerNotFoundStallsAtTheThirdInARow(t *testing.T) {
	const known = "Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)"
	const stalled = "Ready=False(LoadBalancerNotFound) " + known + " Stalled=True(LoadBalancerNotFound)"
	type step struct {
		what string
		want string
	}
	for what, steps := range map[string][]step{
		"three in a row": {{"not found", known}, {"not found", known}, {"not found", stalled}, {"not found", stalled}},
		"a look without an observation is not one more": {
			{"not found", known}, {"look", known}, {"look", known}, {"not found", known}, {"look", known}, {"not found", stalled}, {"look", stalled},
		},
		"another failure between": {
			{"not found", known}, {"not found", known},
			{"throttled", "Healthy=Unknown(Pending) Observed=False(Throttled)"},
			{"not found", known}, {"not found", known}, {"not found", stalled},
		},
		"a restart between starts anew":     {{"not found", known}, {"not found", known}, {"restart", known}, {"not found", known}, {"not found", known}, {"not found", stalled}},
		"it stays stalled after a restart":  {{"not found", known}, {"not found", known}, {"not found", stalled}, {"restart", stalled}, {"not found", stalled}},
		"another failure ends it":           {{"not found", known}, {"not found", known}, {"not found", stalled}, {"throttled", "Healthy=Unknown(Pending) Observed=False(Throttled)"}, {"not found", known}},
		"an answer ends it":                 {{"not found", known}, {"not found", known}, {"not found", stalled}, {"answer", "Healthy=True(AllBackendsNormal)" + answered}},
		"another kind of stall is not this": {{"forbidden", "Ready=False(Forbidden) Healthy=Unknown(Pending) Observed=False(Forbidden) Stalled=True(Forbidden)"}, {"not found", known}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			for i, step := range steps {
				w.after(30 * time.Second)
				switch step.what {
				case "not found":
					w.fail(alicloud.LoadBalancerNotFound)
				case "throttled":
					w.fail(alicloud.Throttled)
				case "forbidden":
					w.fail(alicloud.Forbidden)
				case "look":
					w.again()
				case "restart":
					w.restart().wait()
				case "answer":
					w.answer("n")
				}
				if got := conditions(&w.object.Status); got != step.want {
					t.Fatalf("step %d, %s:\n got %s\nwant %s", i, step.what, got, step.want)
				}
			}
		})
	}
}

func TestObservationThatEndsCarriesTheGenerationEverywhere(t *testing.T) {
	for what, observe := range map[string]func(*world){
		"an answer":     func(w *world) { w.answer("nna") },
		"a failure":     func(w *world) { w.fail(alicloud.Throttled) },
		"a stall":       func(w *world) { w.fail(alicloud.Forbidden) },
		"staleness":     func(w *world) { w.after(time.Hour).fail(alicloud.Throttled) },
		"a suspension":  func(w *world) { w.object.Spec.Suspend = true; w.wait() },
		"first failure": func(w *world) { w.edit(otherLoadBalancer).fail(alicloud.Throttled) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.answer("nna")
			w.edit(minHealthy("2")).after(time.Second).wait()
			observe(w.after(time.Second))
			if got, want := w.object.Status.ObservedGeneration, w.object.Generation; got != want {
				t.Errorf("observedGeneration is %d, want %d", got, want)
			}
			for _, c := range w.object.Status.Conditions {
				if c.ObservedGeneration != w.object.Generation {
					t.Errorf("%s has observedGeneration %d, want %d", c.Type, c.ObservedGeneration, w.object.Generation)
				}
			}
		})
	}
}

func TestReconcilingIsNeverSetByARoutineObservation(t *testing.T) {
	w := newWorld(t)
	w.answer("n")
	for _, step := range []func(){
		func() { w.wait() }, func() { w.answer("a") }, func() { w.fail(alicloud.Throttled) }, func() { w.wait() },
		func() { w.after(time.Hour).wait() }, func() { w.restart().wait() }, func() { w.fail(alicloud.Forbidden) },
	} {
		step()
		w.after(30 * time.Second)
		if strings.Contains(conditions(&w.object.Status), "Reconciling") {
			t.Fatalf("got %s", conditions(&w.object.Status))
		}
	}
}

func TestObjectMayBeEvaluatedConcurrently(t *testing.T) {
	w := newWorld(t)
	w.answer("80/tcp nnnnn", "443/https naunaun")
	w.object.Status.Backends = shuffled(w.object.Status.Backends, 1)
	before := w.object.DeepCopy()
	observations := []Input{
		{Observation: &alicloud.Observation{At: w.now, Backends: backends("443/https uuaann", "80/tcp n")}},
		{Failure: &alicloud.Error{Kind: alicloud.Forbidden}, AnsweredAt: w.now},
		{Failure: &alicloud.Error{Kind: alicloud.Throttled}, AnsweredAt: w.now.Add(-time.Hour)},
		{AnsweredAt: w.now},
		{AnsweredAt: w.now.Add(-time.Hour)},
	}
	var group sync.WaitGroup
	for _, o := range observations {
		for range 4 {
			group.Go(func() {
				for range 50 {
					Evaluate(w.object, o, w.now.Add(time.Minute), defaults)
				}
			})
		}
	}
	group.Wait()
	if diff := cmp.Diff(before, w.object); diff != "" {
		t.Error(diff)
	}
}

func TestSampleIsNotChanged(t *testing.T) {
	rows := shuffled(backends("80/tcp nau", "443/https nna"), 1)
	sample := &alicloud.Observation{At: start, Backends: slices.Clone(rows)}
	Evaluate(newWorld(t).object, Input{Observation: sample}, start, defaults)
	if diff := cmp.Diff(rows, sample.Backends); diff != "" {
		t.Error(diff)
	}
}

func TestConditionsThatOthersKeepOnTheObjectStay(t *testing.T) {
	w := newWorld(t)
	w.answer("n")
	foreign := metav1.Condition{Type: "example.com/Silenced", Status: "True", Reason: "Maintenance", LastTransitionTime: metav1.NewTime(start)}
	w.object.Status.Conditions = append(w.object.Status.Conditions, foreign)
	if outcome := w.after(time.Second).answer("n"); outcome.Write {
		t.Error("a write")
	}
	w.after(time.Second).answer("a")
	w.condition(foreign.Type)
}

func TestIntervalLeftOutIsTheDefault(t *testing.T) {
	w := newWorld(t, interval(0))
	if got := Interval(&w.object.Spec); got != 30*time.Second {
		t.Errorf("got %s", got)
	}
}

func BenchmarkEvaluateUnchanged(b *testing.B) {
	for _, rows := range []int{1, 200, 10_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			sample := &alicloud.Observation{RequestID: "request", At: start, Backends: manyRows(func(i int) string {
				if i%100 == 7 {
					return "abnormal"
				}
				return "normal"
			})[:rows]}
			object := newWorld(b).object
			object.Status = Evaluate(object, Input{Observation: sample}, start, defaults).Status
			later := *sample
			later.At = start.Add(30 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				if Evaluate(object, Input{Observation: &later, AnsweredAt: later.At}, later.At, defaults).Write {
					b.Fatal("a write")
				}
			}
		})
	}
}
