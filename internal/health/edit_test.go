// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestStallEndsWithAnotherLoadBalancer(t *testing.T) {
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
	env.observe("na")
	env.edit(minHealthy("2")).after(10 * time.Second).wait()
	env.want("Healthy=True(MinHealthyMet)" + observedOK + " Reconciling=True(Progressing)")
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
		t.Error("waiting wrote the status again")
	}
	env.after(10 * time.Second).observe("na")
	env.want("Healthy=False(BelowMinHealthy)" + observedOK)
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
		"healthy":   func(env *testEnv) { env.observe("nna") },
		"unhealthy": func(env *testEnv) { env.observe("aaa") },
		"failing":   func(env *testEnv) { env.observe("nna"); env.after(time.Second).fail(alicloud.Throttled) },
		"stalled":   func(env *testEnv) { env.observe("nna"); env.after(time.Second).fail(alicloud.Forbidden) },
		"stale":     func(env *testEnv) { env.observe("nna"); env.after(time.Hour).fail(alicloud.Throttled) },
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
					t.Errorf("the object is suspended, and listener %d is %s", l.Port, l.Health)
				}
			}
			for what, outcome := range map[string]Outcome{
				"a wait":                            env.after(24 * time.Hour).wait(),
				"an observation for another object": env.observe("aau"),
				"a failure for another object":      env.fail(alicloud.Forbidden),
				"a wait in a new process":           env.restart().wait(),
				"a request by annotation":           env.request("now").observe("n"),
				"an observation an hour later":      env.after(time.Hour).observe("n"),
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
	env.observe("nna")
	env.edit(suspend).after(time.Second).wait()
	env.edit(resume).after(time.Hour).wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	env.after(time.Hour).wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	env.after(time.Second).observe("nna")
	env.want("Healthy=True(MinHealthyMet)" + observedOK)
	if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResumeRecordsTheVerdictThatChangedWhileSuspended(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{"nn", "nn", ""},
		{"aa", "aa", ""},
		{"nn", "aa", "False(BelowMinHealthy)"},
		{"aa", "nn", "True(AllBackendsNormal)"},
		{"nn", "uu", ""}, // Unknown before and after
	} {
		for _, waits := range []bool{false, true} {
			env := newEnv(t)
			env.observe(test.before)
			env.edit(suspend).after(time.Second).wait()
			env.edit(resume).after(time.Second)
			if waits {
				env.wait()
			}
			transitions := env.after(time.Second).observe(test.after).Transitions
			if got := formatCondition(transitions.Verdict); got != test.want {
				t.Errorf("%s, then %s: got %q, want %q", test.before, test.after, got, test.want)
			}
		}
	}
}

func TestResumedObjectIgnoresObservationsDuringTheSuspension(t *testing.T) {
	for _, waits := range []bool{false, true} {
		env := newEnv(t)
		env.observe("nna")
		env.edit(suspend).after(time.Second).wait()
		env.after(time.Hour).observe("aaa")
		env.edit(resume).after(time.Second)
		if waits {
			env.wait()
		}
		env.after(time.Second).fail(alicloud.Throttled)
		env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	}
}

func TestResumedObjectKeepsAFreshVerdict(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	env.edit(suspend).after(time.Second).wait()
	transitions := env.edit(resume).after(time.Second).fail(alicloud.Throttled).Transitions
	env.want("Healthy=True(MinHealthyMet) Observed=False(Throttled)")
	if transitions.Verdict != nil {
		t.Errorf("got %q", formatCondition(transitions.Verdict))
	}
}

func TestObserveRequestIsHandledByASuccessfulObservationOnly(t *testing.T) {
	for _, test := range []struct {
		what               string
		serve              func(*testEnv) Outcome
		handled, attempted string
		conditions         string
	}{
		{"a success", func(env *testEnv) Outcome { return env.observe("nna") }, "at noon", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
		{"a success with another verdict", func(env *testEnv) Outcome { return env.observe("aaa") }, "at noon", "", "Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)"},
		{"a failure", func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) }, "in the morning", "at noon", "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"},
		{"a stall", func(env *testEnv) Outcome { return env.fail(alicloud.Forbidden) }, "in the morning", "at noon", "Ready=False(Forbidden) Healthy=True(MinHealthyMet) Observed=False(Forbidden) Stalled=True(Forbidden)"},
		{"a wait", (*testEnv).wait, "in the morning", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.request("in the morning").observe("nna")
			outcome := test.serve(env.request("at noon").after(time.Second))
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

func TestObserveRequestIsReconcilingUntilItIsHandled(t *testing.T) {
	const reconciling = "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"
	env := newEnv(t)
	env.observe("nna")
	env.request("first").after(time.Second).fail(alicloud.Throttled)
	env.want(reconciling)
	env.after(5 * time.Second).fail(alicloud.Throttled)
	env.want(reconciling)
	// Reconciling stays until the newer request was attempted.
	env.request("second").pendingRequest = ""
	env.repeatFailure()
	env.want(reconciling)
	env.restart().wait()
	env.want(reconciling)
	env.pendingRequest = "second"
	env.after(5 * time.Minute).fail(alicloud.Throttled)
	env.want("Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	env.after(5 * time.Minute).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	env.after(time.Second).observe("nna")
	env.want("Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)")
	env.wantNo("Reconciling")
}

func TestObserveRequestThatWasWithdrawnIsNotReconciling(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	env.request("first").after(time.Second).fail(alicloud.Throttled)
	env.request("").after(time.Second).fail(alicloud.Throttled)
	env.wantNo("Reconciling")
}

func TestHandledObserveRequestIsKeptForAnotherTarget(t *testing.T) {
	env := newEnv(t)
	env.request("at noon").observe("n")
	env.request("").edit(otherLoadBalancer).wait()
	if got := env.object.Status.LastHandledObserveRequest; got != "at noon" {
		t.Errorf("got %q", got)
	}
}

func TestFailureAfterAnEditNamesTheNewTarget(t *testing.T) {
	for _, waits := range []bool{false, true} {
		env := newEnv(t)
		env.observe("n")
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
