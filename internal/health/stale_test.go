// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

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
					outcome = w.after(test.age).fail(alicloud.Throttled)
					observed = " Observed=False(Throttled)"
				case "look at an earlier failure":
					w.after(time.Second).fail(alicloud.Throttled)
					outcome = w.after(test.age - time.Second).again()
					observed = " Observed=False(Throttled)"
				case "wait":
					outcome = w.after(test.age).wait()
				}
				if test.stale {
					w.want("Healthy=Unknown(ObservationStale)" + observed)
					if got := turned(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
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
	w.after(2 * time.Minute).fail(alicloud.Throttled)
	w.want(stale)
	for _, step := range []func(){
		func() { w.fail(alicloud.Throttled) },
		func() { w.again() },
		func() { w.restart().wait() },
		func() { w.fail(alicloud.Throttled) },
		func() { w.edit(minHealthy("2")).wait() },
		func() { w.fail(alicloud.Throttled) },
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
	if got := turned(outcome.Transitions.Verdict); got != "True(MinHealthyMet)" {
		t.Errorf("told %q", got)
	}
}

func TestLostWriteOfAnAnswerBringsNoStaleVerdictBack(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.after(time.Hour).fail(alicloud.Throttled)
	w.after(30 * time.Second)
	w.answeredAt, w.failingSince, w.failure = w.now, time.Time{}, nil
	w.after(10 * time.Second).wait()
	w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	w.after(10 * time.Second).fail(alicloud.Throttled)
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
			w.restart().after(test.quiet).fail(alicloud.EndpointUnreachable)
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
		w.restart().after(30 * time.Second).fail(alicloud.EndpointUnreachable)
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
	if got := turned(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
		t.Errorf("told %q", got)
	}
}
