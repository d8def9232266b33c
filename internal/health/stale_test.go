// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestVerdictGoesStaleAfterThreeIntervalsAndAtLeast90Seconds(t *testing.T) {
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
		for _, how := range []string{"failure", "earlier failure", "wait"} {
			t.Run(fmt.Sprintf("%s, %s, %s", test.interval, test.age, how), func(t *testing.T) {
				env := newEnv(t, interval(test.interval))
				env.observe("nna")
				var outcome Outcome
				observed := observedOK
				switch how {
				case "failure":
					outcome = env.after(test.age).fail(alicloud.Throttled)
					observed = " Observed=False(Throttled)"
				case "earlier failure":
					env.after(time.Second).fail(alicloud.Throttled)
					outcome = env.after(test.age - time.Second).repeatFailure()
					observed = " Observed=False(Throttled)"
				case "wait":
					outcome = env.after(test.age).wait()
				}
				if test.stale {
					env.want("Healthy=Unknown(ObservationStale)" + observed)
					if got := formatCondition(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
						t.Errorf("got transition %q", got)
					}
					if got := env.object.Status.Listeners[0].Health; got != v1alpha1.Unknown {
						t.Errorf("the listener is %s", got)
					}
					if len(env.object.Status.Backends) != 3 || env.object.Status.Summary.Normal != 2 {
						t.Error("the last observed backends were removed")
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

func TestStaleVerdictNeedsASuccessfulObservation(t *testing.T) {
	const stale = "Healthy=Unknown(ObservationStale) Observed=False(Throttled)"
	env := newEnv(t)
	env.observe("nna")
	env.after(2 * time.Minute).fail(alicloud.Throttled)
	env.want(stale)
	for _, step := range []func(){
		func() { env.fail(alicloud.Throttled) },
		func() { env.repeatFailure() },
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
	outcome := env.observe("nna")
	env.want("Healthy=True(MinHealthyMet)" + observedOK)
	if got := formatCondition(outcome.Transitions.Verdict); got != "True(MinHealthyMet)" {
		t.Errorf("got transition %q", got)
	}
}

func TestUnwrittenObservationDoesNotRestoreAStaleVerdict(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	env.after(time.Hour).fail(alicloud.Throttled)
	env.after(30 * time.Second)
	env.lastObservedAt, env.failingSince, env.failure = env.now, time.Time{}, nil
	env.after(10 * time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	env.after(10 * time.Second).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
}

func TestOneLostCallAfterARestartKeepsTheVerdict(t *testing.T) {
	for _, test := range []struct {
		what     string
		interval time.Duration
		quiet    time.Duration // since the last write
		failing  time.Duration // since the first failure of the new process
		stale    bool
	}{
		{"the stored observation is fresh", 30 * time.Second, 60 * time.Second, 0, false},
		{"the stored observation is old, and later ones may have followed", 30 * time.Second, 4 * time.Minute, 0, false},
		{"two intervals after the first failure", 30 * time.Second, 4 * time.Minute, 60*time.Second - 1, false},
		{"more than two intervals after the first failure", 30 * time.Second, 4 * time.Minute, 60 * time.Second, true},
		{"the grace does not shorten a fresh verdict", 30 * time.Second, 10 * time.Second, 79 * time.Second, false},
		{"a fresh verdict goes stale", 30 * time.Second, 10 * time.Second, 80 * time.Second, true},
		{"as old as a heartbeat allows", 30 * time.Second, 390 * time.Second, 0, false},
		{"older than a heartbeat allows", 30 * time.Second, 391 * time.Second, 0, true},
		{"down for an hour", 30 * time.Second, time.Hour, 0, true},
		{"long intervals", time.Hour, 3*time.Hour - time.Minute, 0, false},
		{"long intervals, older than a heartbeat allows", time.Hour, 3*time.Hour + 5*time.Minute + time.Second, 0, true},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, interval(test.interval))
			env.observe("nna")
			env.restart().after(test.quiet).fail(alicloud.EndpointUnreachable)
			if test.failing > 0 {
				env.after(test.failing).repeatFailure()
			}
			want := "Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)"
			if test.stale {
				want = "Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)"
			}
			env.want(want)
		})
	}
}

func TestVerdictGoesStaleDespiteRestarts(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	for range 30 {
		env.restart().after(30 * time.Second).fail(alicloud.EndpointUnreachable)
	}
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestVerdictIsKeptForThreeIntervalsAfterARestart(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	outcome := env.after(time.Hour).restart().after(89 * time.Second).wait()
	if want := start.Add(time.Hour + 90*time.Second); outcome.Write || !outcome.StaleAt.Equal(want) {
		t.Errorf("write %t, StaleAt %s, want %s", outcome.Write, outcome.StaleAt, want)
	}
	env.after(time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + observedOK)
}

func TestOutcomeHasTheTimeWhenTheVerdictGoesStale(t *testing.T) {
	if outcome := newEnv(t).observe("n"); !outcome.StaleAt.Equal(start.Add(90 * time.Second)) {
		t.Errorf("got %s", outcome.StaleAt)
	}
}

func TestEditedObjectGoesStaleWithoutAnObservation(t *testing.T) {
	env := newEnv(t)
	env.observe("na")
	outcome := env.edit(minHealthy("2")).after(89 * time.Second).wait()
	env.want("Healthy=True(MinHealthyMet)" + observedOK + " Reconciling=True(Progressing)")
	if want := start.Add(90 * time.Second); !outcome.StaleAt.Equal(want) {
		t.Errorf("StaleAt is %s, want %s", outcome.StaleAt, want)
	}
	outcome = env.after(time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + observedOK + " Reconciling=True(Progressing)")
	if got := formatCondition(outcome.Transitions.Verdict); got != "Unknown(ObservationStale)" {
		t.Errorf("got transition %q", got)
	}
}
