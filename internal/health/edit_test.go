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
		w := newWorld(t)
		for range 3 {
			w.after(30 * time.Second).fail(alicloud.LoadBalancerNotFound)
		}
		w.restart().edit(otherLoadBalancer)
		if waits {
			w.wait()
			w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
		}
		w.after(time.Second).fail(alicloud.LoadBalancerNotFound)
		w.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
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

func TestEditUnstallsUntilTheNextObservation(t *testing.T) {
	w := newWorld(t)
	w.fail(alicloud.Forbidden)
	w.edit(minHealthy("2")).after(time.Second).wait()
	w.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	w.after(time.Second).fail(alicloud.Forbidden)
	w.want("Ready=False(Forbidden) Healthy=Unknown(Pending) Observed=False(Forbidden) Stalled=True(Forbidden)")
}

func TestSuspendedObjectIsUnknownAndKeepsItsBackends(t *testing.T) {
	const suspended = "Healthy=Unknown(Suspended) Observed=Unknown(Suspended)"
	for what, prepare := range map[string]func(*world){
		"healthy":   func(w *world) { w.answer("nna") },
		"unhealthy": func(w *world) { w.answer("aaa") },
		"failing":   func(w *world) { w.answer("nna"); w.after(time.Second).fail(alicloud.Throttled) },
		"stalled":   func(w *world) { w.answer("nna"); w.after(time.Second).fail(alicloud.Forbidden) },
		"stale":     func(w *world) { w.answer("nna"); w.after(time.Hour).fail(alicloud.Throttled) },
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
				"a failure for another object":  w.fail(alicloud.Forbidden),
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
			changes := w.after(time.Second).answer(test.after).Transitions
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
		w.after(time.Second).fail(alicloud.Throttled)
		w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled)")
	}
}

func TestResumedObjectKeepsAVerdictThatIsStillFresh(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.edit(suspend).after(time.Second).wait()
	changes := w.edit(resume).after(time.Second).fail(alicloud.Throttled).Transitions
	w.want("Healthy=True(MinHealthyMet) Observed=False(Throttled)")
	if changes.Verdict != nil {
		t.Errorf("told %q", turned(changes.Verdict))
	}
}

func TestObserveRequestIsHandledByAnAnswerAndNothingElse(t *testing.T) {
	for _, test := range []struct {
		what               string
		serve              func(*world) Outcome
		handled, attempted string
		conditions         string
	}{
		{"an answer", func(w *world) Outcome { return w.answer("nna") }, "at noon", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
		{"an answer that is another", func(w *world) Outcome { return w.answer("aaa") }, "at noon", "", "Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)"},
		{"a failure", func(w *world) Outcome { return w.fail(alicloud.Throttled) }, "in the morning", "at noon", "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"},
		{"a stall", func(w *world) Outcome { return w.fail(alicloud.Forbidden) }, "in the morning", "at noon", "Ready=False(Forbidden) Healthy=True(MinHealthyMet) Observed=False(Forbidden) Stalled=True(Forbidden)"},
		{"a wait", (*world).wait, "in the morning", "", "Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.ask("in the morning").answer("nna")
			outcome := test.serve(w.ask("at noon").after(time.Second))
			status := &w.object.Status
			if status.LastHandledObserveRequest != test.handled || status.LastAttemptedObserveRequest != test.attempted {
				t.Errorf("handled %q, attempted %q", status.LastHandledObserveRequest, status.LastAttemptedObserveRequest)
			}
			w.want(test.conditions)
			if wanted := test.handled == "at noon" || test.attempted != ""; outcome.Write != wanted {
				t.Errorf("write is %t", outcome.Write)
			}
		})
	}
}

func TestObserveRequestIsReconcilingUntilItIsAnswered(t *testing.T) {
	const reconciling = "Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)"
	w := newWorld(t)
	w.answer("nna")
	w.ask("first").after(time.Second).fail(alicloud.Throttled)
	w.want(reconciling)
	w.after(5 * time.Second).fail(alicloud.Throttled)
	w.want(reconciling)
	// A newer request must not read as settled before its own attempt.
	w.ask("second").request = ""
	w.again()
	w.want(reconciling)
	w.restart().wait()
	w.want(reconciling)
	w.request = "second"
	w.after(5 * time.Minute).fail(alicloud.Throttled)
	w.want("Healthy=True(MinHealthyMet) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	w.after(5 * time.Minute).fail(alicloud.Throttled)
	w.want("Healthy=Unknown(ObservationStale) Observed=False(Throttled) Reconciling=True(ObservationRequested)")
	w.after(time.Second).answer("nna")
	w.want("Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)")
	w.wantNo("Reconciling")
}

func TestObserveRequestThatWasWithdrawnIsNotReconciling(t *testing.T) {
	w := newWorld(t)
	w.answer("nna")
	w.ask("first").after(time.Second).fail(alicloud.Throttled)
	w.ask("").after(time.Second).fail(alicloud.Throttled)
	w.wantNo("Reconciling")
}

func TestObserveRequestThatWasHandledSurvivesAnotherTarget(t *testing.T) {
	w := newWorld(t)
	w.ask("at noon").answer("n")
	w.ask("").edit(otherLoadBalancer).wait()
	if got := w.object.Status.LastHandledObserveRequest; got != "at noon" {
		t.Errorf("got %q", got)
	}
}

func TestFailureAfterAnEditNamesWhatTheSpecNamesNow(t *testing.T) {
	for _, waits := range []bool{false, true} {
		w := newWorld(t)
		w.answer("n")
		w.after(time.Second).fail(alicloud.LoadBalancerNotFound, "there is no load balancer lb-1")
		w.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = "lb-2" }).after(time.Second)
		if waits {
			w.wait()
		}
		w.fail(alicloud.LoadBalancerNotFound, "there is no load balancer lb-2")
		if got := w.condition("Observed").Message; got != "there is no load balancer lb-2" {
			t.Errorf("waits %t: got %q", waits, got)
		}
	}
}
