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
	"github.com/lbhealth/slb-health-operator/internal/slb"
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
	w.after(time.Minute).fail(slb.Throttled)
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
	w.fail(slb.EndpointUnreachable, "nobody listens")
	w.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
	if got, want := w.condition("Healthy").Message, "no answer yet: nobody listens"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.after(24 * time.Hour).fail(slb.EndpointUnreachable)
	w.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
}

func TestEachKindOfFailureIsTheReasonOfObservedAndSomeStall(t *testing.T) {
	stalls := []slb.Kind{slb.Forbidden, slb.InvalidCredentials, slb.CredentialsNotFound, slb.InvalidRequest}
	for _, kind := range slb.Kinds() {
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

func TestFailureKeepsBackendsCountsAndVerdict(t *testing.T) {
	for _, letters := range []string{"nnn", "nna", "aaa", "uau", ""} {
		t.Run(letters, func(t *testing.T) {
			w := newWorld(t)
			w.answer(letters)
			before := w.object.Status.DeepCopy()
			changes := w.after(89 * time.Second).fail(slb.ServiceError).Changes
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
					w.fail(slb.LoadBalancerNotFound)
				case "throttled":
					w.fail(slb.Throttled)
				case "forbidden":
					w.fail(slb.Forbidden)
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

func TestStallOnOneLoadBalancerIsNoneOnAnother(t *testing.T) {
	for _, waits := range []bool{false, true} {
		w := newWorld(t)
		for range 3 {
			w.after(30 * time.Second).fail(slb.LoadBalancerNotFound)
		}
		w.restart().edit(otherLoadBalancer)
		if waits {
			w.wait()
			w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
		}
		w.after(time.Second).fail(slb.LoadBalancerNotFound)
		w.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	}
}

func TestVerdictGoesStaleWhenTheAnswerIsThreeIntervalsOldAndAtLeast90Seconds(t *testing.T) {
	for _, test := range []struct {
		interval, age time.Duration
		stale         bool
	}{
		{5 * time.Second, 90*time.Second - 1, false},
		{5 * time.Second, 90 * time.Second, true},
		{30 * time.Second, 90*time.Second - 1, false},
		{30 * time.Second, 90 * time.Second, true},
		{time.Minute, 3*time.Minute - 1, false},
		{time.Minute, 3 * time.Minute, true},
		{time.Hour, 3*time.Hour - 1, false},
		{time.Hour, 3 * time.Hour, true},
	} {
		for _, how := range []string{"failure", "look at an earlier failure", "wait"} {
			t.Run(fmt.Sprintf("%s, %s, %s", test.interval, test.age, how), func(t *testing.T) {
				w := newWorld(t, interval(test.interval))
				w.answer("nna")
				var outcome Outcome
				observed := answered
				switch how {
				case "failure":
					outcome = w.after(test.age).fail(slb.Throttled)
					observed = " Observed=False(Throttled)"
				case "look at an earlier failure":
					w.after(time.Second).fail(slb.Throttled)
					outcome = w.after(test.age - time.Second).again()
					observed = " Observed=False(Throttled)"
				case "wait":
					outcome = w.after(test.age).wait()
				}
				if test.stale {
					w.want("Healthy=Unknown(ObservationStale)" + observed)
					if got := turned(outcome.Changes.Verdict); got != "Unknown(ObservationStale)" {
						t.Errorf("told %q", got)
					}
					if got := w.object.Status.Listeners[0].Health; got != v1alpha1.Unknown {
						t.Errorf("the listener is %s", got)
					}
					if len(w.object.Status.Backends) != 3 || w.object.Status.Summary.Normal != 2 {
						t.Error("the last known backends are gone")
					}
					return
				}
				w.want("Healthy=True(MinHealthyMet)" + observed)
				if want := start.Add(max(3*test.interval, 90*time.Second)); !outcome.StaleAt.Equal(want) {
					t.Errorf("StaleAt is %s, want %s", outcome.StaleAt, want)
				}
			})
		}
	}
}

func TestStaleVerdictComesBackWithAnAnswerOnly(t *testing.T) {
	const stale = "Healthy=Unknown(ObservationStale) Observed=False(Throttled)"
	w := newWorld(t)
	w.answer("nna")
	w.after(2 * time.Minute).fail(slb.Throttled)
	w.want(stale)
	for _, step := range []func(){
		func() { w.fail(slb.Throttled) },
		func() { w.again() },
		func() { w.restart().wait() },
		func() { w.fail(slb.Throttled) },
		func() { w.edit(minHealthy("2")).wait() },
		func() { w.fail(slb.Throttled) },
	} {
		step()
		if got := w.condition("Healthy"); got.Reason != "ObservationStale" {
			t.Fatalf("got %s", conditions(&w.object.Status))
		}
		if got := w.object.Status.Listeners[0].Health; got != v1alpha1.Unknown {
			t.Fatalf("the listener is %s", got)
		}
		w.after(time.Second)
	}
	outcome := w.answer("nna")
	w.want("Healthy=True(MinHealthyMet)" + answered)
	if got := turned(outcome.Changes.Verdict); got != "True(MinHealthyMet)" {
		t.Errorf("told %q", got)
	}
}

func TestLostWriteOfAnAnswerBringsNoStaleVerdictBack(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.after(time.Hour).fail(slb.Throttled)
	w.after(30 * time.Second)
	w.answeredAt, w.failingSince, w.failure = w.now, time.Time{}, nil
	w.after(10 * time.Second).wait()
	w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	w.after(10 * time.Second).fail(slb.Throttled)
	w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
}

func TestRestartTurnsNoVerdictByOneLostCall(t *testing.T) {
	for _, test := range []struct {
		what     string
		interval time.Duration
		quiet    time.Duration // since the last write
		failing  time.Duration // since the first failure of the new process
		stale    bool
	}{
		{"the written answer is fresh", 30 * time.Second, 60 * time.Second, 0, false},
		{"the written answer looks old, though later ones may have come", 30 * time.Second, 4 * time.Minute, 0, false},
		{"two intervals on", 30 * time.Second, 4 * time.Minute, 60*time.Second - 1, false},
		{"more than two intervals on", 30 * time.Second, 4 * time.Minute, 60 * time.Second, true},
		{"the grace does not shorten what is fresh", 30 * time.Second, 10 * time.Second, 79 * time.Second, false},
		{"what is fresh ends", 30 * time.Second, 10 * time.Second, 80 * time.Second, true},
		{"just within what the heartbeat hides", 30 * time.Second, 390 * time.Second, 0, false},
		{"older than the heartbeat can hide", 30 * time.Second, 391 * time.Second, 0, true},
		{"down for an hour", 30 * time.Second, time.Hour, 0, true},
		{"long intervals", time.Hour, 3*time.Hour - time.Minute, 0, false},
		{"long intervals, too old for every excuse", time.Hour, 3*time.Hour + 5*time.Minute + time.Second, 0, true},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t, interval(test.interval))
			w.answer("nna")
			w.restart().after(test.quiet).fail(slb.EndpointUnreachable)
			if test.failing > 0 {
				w.after(test.failing).again()
			}
			want := "Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)"
			if test.stale {
				want = "Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)"
			}
			w.want(want)
		})
	}
}

func TestRestartsWithoutEndKeepNoVerdictForEver(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	for range 30 {
		w.restart().after(30 * time.Second).fail(slb.EndpointUnreachable)
	}
	w.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestWaitAfterARestartLeavesTheStatusAloneForAsLongAsAnAnswerIsCurrent(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	outcome := w.after(time.Hour).restart().after(89 * time.Second).wait()
	if want := start.Add(time.Hour + 90*time.Second); outcome.Write || !outcome.StaleAt.Equal(want) {
		t.Errorf("write %t, StaleAt %s, want %s", outcome.Write, outcome.StaleAt, want)
	}
	w.after(time.Second).wait()
	w.want("Healthy=Unknown(ObservationStale)" + answered)
}

func TestAnAnswerGoesStaleIfNoOtherComes(t *testing.T) {
	if outcome := newWorld(t).answer("n"); !outcome.StaleAt.Equal(start.Add(90 * time.Second)) {
		t.Errorf("got %s", outcome.StaleAt)
	}
}

func TestEditedObjectKeepsItsConditionsUntilItIsObserved(t *testing.T) {
	w := newWorld(t)
	w.answer("na")
	w.edit(minHealthy("2")).after(10 * time.Second).wait()
	w.want("Healthy=True(MinHealthyMet)" + answered + " Reconciling=True(Progressing)")
	if got := w.object.Status.ObservedGeneration; got != 1 {
		t.Errorf("observedGeneration is %d, want 1", got)
	}
	for _, c := range w.object.Status.Conditions {
		want := int64(1)
		if c.Type == "Reconciling" {
			want = 2
		}
		if c.ObservedGeneration != want {
			t.Errorf("%s has observedGeneration %d, want %d", c.Type, c.ObservedGeneration, want)
		}
	}
	if outcome := w.after(10 * time.Second).wait(); outcome.Write {
		t.Error("waiting on wrote once more")
	}
	w.after(10 * time.Second).answer("na")
	w.want("Healthy=False(BelowMinHealthy)" + answered)
}

func TestEditedObjectThatWaitsTooLongGoesStaleToo(t *testing.T) {
	w := newWorld(t)
	w.answer("na")
	outcome := w.edit(minHealthy("2")).after(89 * time.Second).wait()
	w.want("Healthy=True(MinHealthyMet)" + answered + " Reconciling=True(Progressing)")
	if want := start.Add(90 * time.Second); !outcome.StaleAt.Equal(want) {
		t.Errorf("StaleAt is %s, want %s", outcome.StaleAt, want)
	}
	outcome = w.after(time.Second).wait()
	w.want("Healthy=Unknown(ObservationStale)" + answered + " Reconciling=True(Progressing)")
	if got := turned(outcome.Changes.Verdict); got != "Unknown(ObservationStale)" {
		t.Errorf("told %q", got)
	}
}

func TestEditUnstallsUntilTheNextObservation(t *testing.T) {
	w := newWorld(t)
	w.fail(slb.Forbidden)
	w.edit(minHealthy("2")).after(time.Second).wait()
	w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	w.after(time.Second).fail(slb.Forbidden)
	w.want("Ready=False(Forbidden) Healthy=Unknown(Pending) Observed=False(Forbidden) Stalled=True(Forbidden)")
}

func TestObservationThatEndsCarriesTheGenerationEverywhere(t *testing.T) {
	for what, observe := range map[string]func(*world){
		"an answer":     func(w *world) { w.answer("nna") },
		"a failure":     func(w *world) { w.fail(slb.Throttled) },
		"a stall":       func(w *world) { w.fail(slb.Forbidden) },
		"staleness":     func(w *world) { w.after(time.Hour).fail(slb.Throttled) },
		"a suspension":  func(w *world) { w.object.Spec.Suspend = true; w.wait() },
		"first failure": func(w *world) { w.edit(otherLoadBalancer).fail(slb.Throttled) },
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
		func() { w.wait() }, func() { w.answer("a") }, func() { w.fail(slb.Throttled) }, func() { w.wait() },
		func() { w.after(time.Hour).wait() }, func() { w.restart().wait() }, func() { w.fail(slb.Forbidden) },
	} {
		step()
		w.after(30 * time.Second)
		if strings.Contains(conditions(&w.object.Status), "Reconciling") {
			t.Fatalf("got %s", conditions(&w.object.Status))
		}
	}
}

func TestSuspendedObjectIsUnknownAndKeepsItsBackends(t *testing.T) {
	const suspended = "Healthy=Unknown(Suspended) Observed=Unknown(Suspended)"
	for what, prepare := range map[string]func(*world){
		"healthy":   func(w *world) { w.answer("nna") },
		"unhealthy": func(w *world) { w.answer("aaa") },
		"failing":   func(w *world) { w.answer("nna"); w.after(time.Second).fail(slb.Throttled) },
		"stalled":   func(w *world) { w.answer("nna"); w.after(time.Second).fail(slb.Forbidden) },
		"stale":     func(w *world) { w.answer("nna"); w.after(time.Hour).fail(slb.Throttled) },
		"never observed": func(w *world) {
			w.wait()
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			rows := w.object.Status.DeepCopy().Backends
			w.edit(suspend).after(time.Second).wait()
			w.want(suspended)
			if diff := cmp.Diff(rows, w.object.Status.Backends); diff != "" {
				t.Error(diff)
			}
			for _, l := range w.object.Status.Listeners {
				if l.Health != v1alpha1.Unknown {
					t.Errorf("nobody looks, and listener %d is %s", l.Port, l.Health)
				}
			}
			for what, outcome := range map[string]Outcome{
				"a wait":                        w.after(24 * time.Hour).wait(),
				"an answer for another object":  w.answer("aau"),
				"a failure for another object":  w.fail(slb.Forbidden),
				"a wait in a new process":       w.restart().wait(),
				"a request by annotation":       w.ask("now").answer("n"),
				"an answer at another interval": w.after(time.Hour).answer("n"),
			} {
				if outcome.Write || !outcome.StaleAt.IsZero() {
					t.Errorf("%s: write %t, StaleAt %s", what, outcome.Write, outcome.StaleAt)
				}
			}
		})
	}
}

func TestResumedObjectIsPendingUntilItIsObserved(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.edit(suspend).after(time.Second).wait()
	w.edit(resume).after(time.Hour).wait()
	w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	w.after(time.Hour).wait()
	w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	w.after(time.Second).answer("nna")
	w.want("Healthy=True(MinHealthyMet)" + answered)
	if got, want := rowTimes(w.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResumingTellsWhatTurnedMeanwhileAndNothingElse(t *testing.T) {
	for _, test := range []struct{ before, after, told string }{
		{"nn", "nn", ""},
		{"aa", "aa", ""},
		{"nn", "aa", "False(BelowMinHealthy)"},
		{"aa", "nn", "True(AllBackendsNormal)"},
		{"nn", "uu", ""}, // Unknown before and after

	} {
		for _, waits := range []bool{false, true} {
			w := newWorld(t)
			w.answer(test.before)
			w.edit(suspend).after(time.Second).wait()
			w.edit(resume).after(time.Second)
			if waits {
				w.wait()
			}
			changes := w.after(time.Second).answer(test.after).Changes
			if got := turned(changes.Verdict); got != test.told {
				t.Errorf("%s, then %s: told %q, want %q", test.before, test.after, got, test.told)
			}
		}
	}
}

func TestResumedObjectIsNotJudgedByAnswersThatOthersGot(t *testing.T) {
	for _, waits := range []bool{false, true} {
		w := newWorld(t)
		w.answer("nna")
		w.edit(suspend).after(time.Second).wait()
		w.after(time.Hour).answer("aaa")
		w.edit(resume).after(time.Second)
		if waits {
			w.wait()
		}
		w.after(time.Second).fail(slb.Throttled)
		w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	}
}

func TestResumedObjectKeepsAVerdictThatIsStillFresh(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.edit(suspend).after(time.Second).wait()
	changes := w.edit(resume).after(time.Second).fail(slb.Throttled).Changes
	w.want("Healthy=True(MinHealthyMet) Observed=False(Throttled)")
	if changes.Verdict != nil {
		t.Errorf("told %q", turned(changes.Verdict))
	}
}

func TestObserveRequestIsHandledByAnObservationHoweverItEnds(t *testing.T) {
	for _, test := range []struct {
		what  string
		serve func(*world) Outcome
		want  string
	}{
		{"an answer", func(w *world) Outcome { return w.answer("nna") }, "at noon"},
		{"an answer that is another", func(w *world) Outcome { return w.answer("aaa") }, "at noon"},
		{"a failure", func(w *world) Outcome { return w.fail(slb.Throttled) }, "at noon"},
		{"a stall", func(w *world) Outcome { return w.fail(slb.Forbidden) }, "at noon"},
		{"a wait", (*world).wait, "in the morning"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.ask("in the morning").answer("nna")
			outcome := test.serve(w.ask("at noon").after(time.Second))
			if got := w.object.Status.LastHandledObserveRequest; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if outcome.Write != (test.want == "at noon") {
				t.Errorf("write is %t", outcome.Write)
			}
			w.ask("").after(time.Second).answer("nna")
			if got := w.object.Status.LastHandledObserveRequest; got != test.want {
				t.Errorf("an observation that nobody requested left %q", got)
			}
		})
	}
}

func TestObserveRequestThatWasHandledSurvivesAnotherTarget(t *testing.T) {
	w := newWorld(t)
	w.ask("at noon").answer("n")
	w.ask("").edit(otherLoadBalancer).wait()
	if got := w.object.Status.LastHandledObserveRequest; got != "at noon" {
		t.Errorf("got %q", got)
	}
}

func TestFailureThatDiffersInWordsWithDigitsOnlyIsNotWritten(t *testing.T) {
	for what, prepare := range map[string]func(*world){
		"known":   func(w *world) { w.answer("nna") },
		"pending": func(*world) {},
		"stale":   func(w *world) { w.answer("nna"); w.after(time.Hour) },
	} {
		for _, kind := range []slb.Kind{slb.Throttled, slb.Forbidden} {
			t.Run(what+" "+string(kind), func(t *testing.T) {
				w := newWorld(t)
				prepare(w)
				w.after(time.Second).fail(kind, "user 27 made 101 calls")
				if outcome := w.after(time.Second).fail(kind, "user 28 made 3 calls"); outcome.Write {
					t.Errorf("a write:\n%s", cmp.Diff(w.object.Status, outcome.Status))
				}
				outcome := w.after(time.Second).fail(kind, "user 28 made many calls")
				if got := w.condition("Observed").Message; !outcome.Write || got != "user 28 made many calls" {
					t.Errorf("write %t, message %q", outcome.Write, got)
				}
				if told(outcome.Changes) {
					t.Errorf("other words alone told %+v", outcome.Changes)
				}
			})
		}
	}
}

func TestFailureAfterAnEditNamesWhatTheSpecNamesNow(t *testing.T) {
	for _, waits := range []bool{false, true} {
		w := newWorld(t)
		w.answer("n")
		w.after(time.Second).fail(slb.LoadBalancerNotFound, "there is no load balancer lb-1")
		w.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = "lb-2" }).after(time.Second)
		if waits {
			w.wait()
		}
		w.fail(slb.LoadBalancerNotFound, "there is no load balancer lb-2")
		if got := w.condition("Observed").Message; got != "there is no load balancer lb-2" {
			t.Errorf("waits %t: got %q", waits, got)
		}
	}
}

func TestUnchangedAnswerWritesAtTheHeartbeatOnly(t *testing.T) {
	w := newWorld(t)
	w.answer("80/tcp nau", "443/https nnx")
	var writes []int
	for at := 30; at <= 1800; at += 30 {
		outcome := w.after(30*time.Second).answer("443/https nnx", "80/tcp nau")
		if told(outcome.Changes) {
			t.Fatalf("at %d: %+v", at, outcome.Changes)
		}
		if outcome.Write {
			writes = append(writes, at)
			if got := w.object.Status.LastObservedTime.Time; !got.Equal(w.now) {
				t.Errorf("at %d: lastObservedTime is %s", at, got)
			}
			if got, want := w.object.Status.LastRequestID, fmt.Sprintf("request-%d", w.requests); got != want {
				t.Errorf("at %d: lastRequestId is %s, want %s", at, got, want)
			}
		}
	}
	last := 0
	for _, at := range writes {
		if pause := at - last; pause < 225 || pause > 300 {
			t.Errorf("wrote after %d s: %v", pause, writes)
		}
		last = at
	}
	if len(writes) < 6 {
		t.Errorf("wrote at %v", writes)
	}
}

func TestHeartbeatsOfObjectsThatWereWrittenTogetherComeApart(t *testing.T) {
	const objects = 1000
	perSecond := map[int]int{}
	for i := range objects {
		due := nextHeartbeat(fmt.Sprint("prod/web-", i), 5*time.Minute, start).Sub(start)
		if due <= 225*time.Second || due > 5*time.Minute {
			t.Fatalf("due after %s", due)
		}
		perSecond[int(due.Seconds())]++
	}
	for second, n := range perSecond {
		if n > 4*objects/75 {
			t.Errorf("%d of %d in second %d", n, objects, second)
		}
	}
}

func TestHeartbeatIsDueWhenLastObservedTimeIsAsOldAsIt(t *testing.T) {
	for age, want := range map[time.Duration]bool{
		225*time.Second - 1: false,
		5 * time.Minute:     true,
		time.Hour:           true,
	} {
		t.Run(age.String(), func(t *testing.T) {
			w := newWorld(t)
			w.answer("n")
			if got := w.after(age).answer("n").Write; got != want {
				t.Errorf("got %t, want %t", got, want)
			}
		})
	}
}

func TestChangedAnswerIsWrittenAtOnce(t *testing.T) {
	for _, test := range []struct{ what, before, after string }{
		{"a state", "nn", "na"},
		{"a backend more", "nn", "nnn"},
		{"a backend less", "nn", "n"},
		{"another name for unavailable", "nu", "nx"},
		{"none left", "n", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.answer(test.before)
			w.after(time.Second).answer(test.after)
			if got := w.object.Status.LastRequestID; got != "request-2" {
				t.Errorf("the status is of %s, want request-2", got)
			}
		})
	}
}

func TestLastingFailureIsWrittenOnceUntilItIsStale(t *testing.T) {
	for _, kind := range slb.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, interval(time.Minute))
			w.answer("nna")
			var writes []int
			for at := 30; at <= 1800; at += 30 {
				if w.after(30 * time.Second).fail(kind).Write {
					writes = append(writes, at)
				}
			}
			want := []int{30, 180}
			if kind == slb.LoadBalancerNotFound {
				want = []int{30, 90, 180} // the third in a row stalls
			}
			if diff := cmp.Diff(want, writes); diff != "" {
				t.Errorf("wrote at these seconds:\n%s", diff)
			}
		})
	}
}

func TestNothingIsWrittenWhileNobodyAsks(t *testing.T) {
	for what, prepare := range map[string]func(*world){
		"answered":  func(w *world) { w.answer("nna") },
		"suspended": func(w *world) { w.edit(suspend).wait() },
		"edited":    func(w *world) { w.answer("nna"); w.edit(minHealthy("2")).wait() },
		"new":       func(w *world) { w.wait() },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			for range 8 {
				if outcome := w.after(10 * time.Second).wait(); outcome.Write {
					t.Fatal("a write")
				}
			}
		})
	}
}

func TestObjectMayBeEvaluatedConcurrently(t *testing.T) {
	w := newWorld(t)
	w.answer("80/tcp nnnnn", "443/https naunaun")
	w.object.Status.Backends = shuffled(w.object.Status.Backends, 1)
	before := w.object.DeepCopy()
	observations := []Observation{
		{Sample: &slb.Sample{At: w.now, Backends: backends("443/https uuaann", "80/tcp n")}},
		{Failure: &slb.Error{Kind: slb.Forbidden}, AnsweredAt: w.now},
		{Failure: &slb.Error{Kind: slb.Throttled}, AnsweredAt: w.now.Add(-time.Hour)},
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
	sample := &slb.Sample{At: start, Backends: slices.Clone(rows)}
	Evaluate(newWorld(t).object, Observation{Sample: sample}, start, defaults)
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
			sample := &slb.Sample{RequestID: "request", At: start, Backends: manyRows(func(i int) string {
				if i%100 == 7 {
					return "abnormal"
				}
				return "normal"
			})[:rows]}
			object := newWorld(b).object
			object.Status = Evaluate(object, Observation{Sample: sample}, start, defaults).Status
			later := *sample
			later.At = start.Add(30 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				if Evaluate(object, Observation{Sample: &later, AnsweredAt: later.At}, later.At, defaults).Write {
					b.Fatal("a write")
				}
			}
		})
	}
}
