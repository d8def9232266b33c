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
				env := newEnv(t, interval(test.interval))
				env.answer("nna")
				var outcome Outcome
				observed := answered
				switch how {
				case "failure":
					outcome = env.after(test.age).fail(alicloud.Throttled)
					observed = " Observed=False(Throttled)"
				case "look at an earlier failure":
					env.after(time.Second).fail(alicloud.Throttled)
					outcome = env.after(test.age - time.Second).again()
					observed = " Observed=False(Throttled)"
				case "wait":
					outcome = env.after(test.age).wait()
				}
				if test.stale {
					env.want("Healthy=Unknown(ObservationStale)" + observed)
					if got := turned(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
						t.Errorf("told %q", got)
					}
					if got := env.object.Status.Listeners[0].Health; got != v1alpha1.Unknown {
						t.Errorf("the listener is %s", got)
					}
					if len(env.object.Status.Backends) != 3 || env.object.Status.Summary.Normal != 2 {
						t.Error("the last known backends are gone")
					}
					return
				}
				env.want("Healthy=True(MinHealthyMet)" + observed)
				if want := start.Add(max(3*test.interval, 90*time.Second)); !outcome.StaleAt.Equal(want) {
					t.Errorf("StaleAt is %s, want %s", outcome.StaleAt, want)
				}
			})
		}
	}
}

func TestStaleVerdictComesBackWithAnAnswerOnly(t *testing.T) {
	const stale = "Healthy=Unknown(ObservationStale) Observed=False(Throttled)"
	env := newEnv(t)
	env.answer("nna")
	env.after(2 * time.Minute).fail(alicloud.Throttled)
	env.want(stale)
	for _, step := range []func(){
		func() { env.fail(alicloud.Throttled) },
		func() { env.again() },
		func() { env.restart().wait() },
		func() { env.fail(alicloud.Throttled) },
		func() { env.edit(minHealthy("2")).wait() },
		func() { env.fail(alicloud.Throttled) },
	} {
		step()
		if got := env.condition("Healthy"); got.Reason != "ObservationStale" {
			t.Fatalf("got %s", conditions(&env.object.Status))
		}
		if got := env.object.Status.Listeners[0].Health; got != v1alpha1.Unknown {
			t.Fatalf("the listener is %s", got)
		}
		env.after(time.Second)
	}
	outcome := env.answer("nna")
	env.want("Healthy=True(MinHealthyMet)" + answered)
	if got := turned(outcome.Transitions.Verdict); got != "True(MinHealthyMet)" {
		t.Errorf("told %q", got)
	}
}

func TestLostWriteOfAnAnswerBringsNoStaleVerdictBack(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	env.after(time.Hour).fail(alicloud.Throttled)
	env.after(30 * time.Second)
	env.answeredAt, env.failingSince, env.failure = env.now, time.Time{}, nil
	env.after(10 * time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	env.after(10 * time.Second).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
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
			env := newEnv(t, interval(test.interval))
			env.answer("nna")
			env.restart().after(test.quiet).fail(alicloud.EndpointUnreachable)
			if test.failing > 0 {
				env.after(test.failing).again()
			}
			want := "Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)"
			if test.stale {
				want = "Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)"
			}
			env.want(want)
		})
	}
}

func TestRestartsWithoutEndKeepNoVerdictForEver(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	for range 30 {
		env.restart().after(30 * time.Second).fail(alicloud.EndpointUnreachable)
	}
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestWaitAfterARestartLeavesTheStatusAloneForAsLongAsAnAnswerIsCurrent(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	outcome := env.after(time.Hour).restart().after(89 * time.Second).wait()
	if want := start.Add(time.Hour + 90*time.Second); outcome.Write || !outcome.StaleAt.Equal(want) {
		t.Errorf("write %t, StaleAt %s, want %s", outcome.Write, outcome.StaleAt, want)
	}
	env.after(time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + answered)
}

func TestAnAnswerGoesStaleIfNoOtherComes(t *testing.T) {
	if outcome := newEnv(t).answer("n"); !outcome.StaleAt.Equal(start.Add(90 * time.Second)) {
		t.Errorf("got %s", outcome.StaleAt)
	}
}

func TestEditedObjectThatWaitsTooLongGoesStaleToo(t *testing.T) {
	env := newEnv(t)
	env.answer("na")
	outcome := env.edit(minHealthy("2")).after(89 * time.Second).wait()
	env.want("Healthy=True(MinHealthyMet)" + answered + " Reconciling=True(Progressing)")
	if want := start.Add(90 * time.Second); !outcome.StaleAt.Equal(want) {
		t.Errorf("StaleAt is %s, want %s", outcome.StaleAt, want)
	}
	outcome = env.after(time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + answered + " Reconciling=True(Progressing)")
	if got := turned(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
		t.Errorf("told %q", got)
	}
}
