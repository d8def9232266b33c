// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestStallOnOneLoadBalancerIsNoneOnAnother(t *testing.T) {
	for _, waits := range []bool{false, true} {
		env := newEnv(t)
		for range 3 {
			env.after(30 * time.Second).fail(alicloud.LoadBalancerNotFound)
		}
		env.restart().edit(otherLoadBalancer)
		if waits {
			env.wait()
			env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
		}
		env.after(time.Second).fail(alicloud.LoadBalancerNotFound)
		env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	}
}

func TestEditedObjectKeepsItsConditionsUntilItIsObserved(t *testing.T) {
	env := newEnv(t)
	env.answer("na")
	env.edit(minHealthy("2")).after(10 * time.Second).wait()
	env.want("Healthy=True(MinHealthyMet)" + answered + " Reconciling=True(Progressing)")
	if got := env.object.Status.ObservedGeneration; got != 1 {
		t.Errorf("observedGeneration is %d, want 1", got)
	}
	for _, c := range env.object.Status.Conditions {
		want := int64(1)
		if c.Type == "Reconciling" {
			want = 2
		}
		if c.ObservedGeneration != want {
			t.Errorf("%s has observedGeneration %d, want %d", c.Type, c.ObservedGeneration, want)
		}
	}
	if outcome := env.after(10 * time.Second).wait(); outcome.Write {
		t.Error("waiting on wrote once more")
	}
	env.after(10 * time.Second).answer("na")
	env.want("Healthy=False(BelowMinHealthy)" + answered)
}

func TestEditUnstallsUntilTheNextObservation(t *testing.T) {
	env := newEnv(t)
	env.fail(alicloud.Forbidden)
	env.edit(minHealthy("2")).after(time.Second).wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	env.after(time.Second).fail(alicloud.Forbidden)
	env.want("Ready=False(Forbidden) Healthy=Unknown(Pending) Observed=False(Forbidden) Stalled=True(Forbidden)")
}

func TestSuspendedObjectIsUnknownAndKeepsItsBackends(t *testing.T) {
	const suspended = "Healthy=Unknown(Suspended) Observed=Unknown(Suspended)"
	for what, prepare := range map[string]func(*testEnv){
		"healthy":   func(env *testEnv) { env.answer("nna") },
		"unhealthy": func(env *testEnv) { env.answer("aaa") },
		"failing":   func(env *testEnv) { env.answer("nna"); env.after(time.Second).fail(alicloud.Throttled) },
		"stalled":   func(env *testEnv) { env.answer("nna"); env.after(time.Second).fail(alicloud.Forbidden) },
		"stale":     func(env *testEnv) { env.answer("nna"); env.after(time.Hour).fail(alicloud.Throttled) },
		"never observed": func(env *testEnv) {
			env.wait()
		},
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			prepare(env)
			rows := env.object.Status.DeepCopy().Backends
			env.edit(suspend).after(time.Second).wait()
			env.want(suspended)
			if diff := cmp.Diff(rows, env.object.Status.Backends); diff != "" {
				t.Error(diff)
			}
			for _, l := range env.object.Status.Listeners {
				if l.Health != v1alpha1.Unknown {
					t.Errorf("nobody looks, and listener %d is %s", l.Port, l.Health)
				}
			}
			for what, outcome := range map[string]Outcome{
				"a wait":                        env.after(24 * time.Hour).wait(),
				"an answer for another object":  env.answer("aau"),
				"a failure for another object":  env.fail(alicloud.Forbidden),
				"a wait in a new process":       env.restart().wait(),
				"a request by annotation":       env.ask("now").answer("n"),
				"an answer at another interval": env.after(time.Hour).answer("n"),
			} {
				if outcome.Write || !outcome.StaleAt.IsZero() {
					t.Errorf("%s: write %t, StaleAt %s", what, outcome.Write, outcome.StaleAt)
				}
			}
		})
	}
}

func TestResumedObjectIsPendingUntilItIsObserved(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	env.edit(suspend).after(time.Second).wait()
	env.edit(resume).after(time.Hour).wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	env.after(time.Hour).wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	env.after(time.Second).answer("nna")
	env.want("Healthy=True(MinHealthyMet)" + answered)
	if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0"; got != want {
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
			env := newEnv(t)
			env.answer(test.before)
			env.edit(suspend).after(time.Second).wait()
			env.edit(resume).after(time.Second)
			if waits {
				env.wait()
			}
			changes := env.after(time.Second).answer(test.after).Transitions
			if got := turned(changes.Verdict); got != test.told {
				t.Errorf("%s, then %s: told %q, want %q", test.before, test.after, got, test.told)
			}
		}
	}
}

func TestResumedObjectIsNotJudgedByAnswersThatOthersGot(t *testing.T) {
	for _, waits := range []bool{false, true} {
		env := newEnv(t)
		env.answer("nna")
		env.edit(suspend).after(time.Second).wait()
		env.after(time.Hour).answer("aaa")
		env.edit(resume).after(time.Second)
		if waits {
			env.wait()
		}
		env.after(time.Second).fail(alicloud.Throttled)
		env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	}
}

func TestResumedObjectKeepsAVerdictThatIsStillFresh(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	env.edit(suspend).after(time.Second).wait()
	changes := env.edit(resume).after(time.Second).fail(alicloud.Throttled).Transitions
	env.want("Healthy=True(MinHealthyMet) Observed=False(Throttled)")
	if changes.Verdict != nil {
		t.Errorf("told %q", turned(changes.Verdict))
	}
}

func TestObserveRequestIsHandledByAnAnswerAndNothingElse(t *testing.T) {
	for _, test := range []struct {
		what               string
		serve              func(*testEnv) Outcome
		handled, attempted string
		conditions         string
	}{
		{"an answer", func(env *testEnv) Outcome { return env.answer("nna") }, "at noon", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
		{"an answer that is another", func(env *testEnv) Outcome { return env.answer("aaa") }, "at noon", "", "Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)"},
		{"a failure", func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) }, "in the morning", "at noon", "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"},
		{"a stall", func(env *testEnv) Outcome { return env.fail(alicloud.Forbidden) }, "in the morning", "at noon", "Ready=False(Forbidden) Healthy=True(MinHealthyMet) Observed=False(Forbidden) Stalled=True(Forbidden)"},
		{"a wait", (*testEnv).wait, "in the morning", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.ask("in the morning").answer("nna")
			outcome := test.serve(env.ask("at noon").after(time.Second))
			status := &env.object.Status
			if status.LastHandledObserveRequest != test.handled || status.LastAttemptedObserveRequest != test.attempted {
				t.Errorf("handled %q, attempted %q", status.LastHandledObserveRequest, status.LastAttemptedObserveRequest)
			}
			env.want(test.conditions)
			if wanted := test.handled == "at noon" || test.attempted != ""; outcome.Write != wanted {
				t.Errorf("write is %t", outcome.Write)
			}
		})
	}
}

func TestObserveRequestIsReconcilingUntilItIsAnswered(t *testing.T) {
	const reconciling = "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"
	env := newEnv(t)
	env.answer("nna")
	env.ask("first").after(time.Second).fail(alicloud.Throttled)
	env.want(reconciling)
	env.after(5 * time.Second).fail(alicloud.Throttled)
	env.want(reconciling)
	// A newer request must not read as contradictionAfter before its own attempt.
	env.ask("second").request = ""
	env.again()
	env.want(reconciling)
	env.restart().wait()
	env.want(reconciling)
	env.request = "second"
	env.after(5 * time.Minute).fail(alicloud.Throttled)
	env.want("Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	env.after(5 * time.Minute).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	env.after(time.Second).answer("nna")
	env.want("Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)")
	env.wantNo("Reconciling")
}

func TestObserveRequestThatWasWithdrawnIsNotReconciling(t *testing.T) {
	env := newEnv(t)
	env.answer("nna")
	env.ask("first").after(time.Second).fail(alicloud.Throttled)
	env.ask("").after(time.Second).fail(alicloud.Throttled)
	env.wantNo("Reconciling")
}

func TestObserveRequestThatWasHandledSurvivesAnotherTarget(t *testing.T) {
	env := newEnv(t)
	env.ask("at noon").answer("n")
	env.ask("").edit(otherLoadBalancer).wait()
	if got := env.object.Status.LastHandledObserveRequest; got != "at noon" {
		t.Errorf("got %q", got)
	}
}

func TestFailureAfterAnEditNamesWhatTheSpecNamesNow(t *testing.T) {
	for _, waits := range []bool{false, true} {
		env := newEnv(t)
		env.answer("n")
		env.after(time.Second).fail(alicloud.LoadBalancerNotFound, "there is no load balancer lb-1")
		env.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = "lb-2" }).after(time.Second)
		if waits {
			env.wait()
		}
		env.fail(alicloud.LoadBalancerNotFound, "there is no load balancer lb-2")
		if got := env.condition("Observed").Message; got != "there is no load balancer lb-2" {
			t.Errorf("waits %t: got %q", waits, got)
		}
	}
}
