// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const later = 30 * time.Second

func TestBackendsThatCameWentOrTurnedAreTold(t *testing.T) {
	for _, test := range []struct {
		what, before, after string
		changes, rows       string
	}{
		{"normal stays normal", "n", "n", "", "i-0 normal@0"},
		{"normal turns abnormal", "n", "a", "i-0 normal>abnormal", "i-0 abnormal@30"},
		{"normal turns unavailable", "n", "u", "i-0 normal>unavailable", "i-0 unavailable@30"},
		{"abnormal turns normal", "a", "n", "i-0 abnormal>normal", "i-0 normal@30"},
		{"abnormal stays abnormal", "a", "a", "", "i-0 abnormal@0"},
		{"abnormal turns unavailable", "a", "u", "i-0 abnormal>unavailable", "i-0 unavailable@30"},
		{"unavailable turns normal", "u", "n", "i-0 unavailable>normal", "i-0 normal@30"},
		{"unavailable turns abnormal", "u", "a", "i-0 unavailable>abnormal", "i-0 abnormal@30"},
		{"unavailable stays unavailable", "u", "u", "", "i-0 unavailable@0"},
		{"a state that the API added is unavailable to those who are told", "n", "x", "i-0 normal>unavailable", "i-0 checking@30"},
		{"unavailable by another name is no turn, but another value", "u", "x", "", "i-0 checking@30"},
		{"a state that the API added stays", "x", "x", "", "i-0 checking@0"},
		{"a state that the API added turns abnormal", "x", "a", "i-0 unavailable>abnormal", "i-0 abnormal@30"},
		{"one comes behind", "n", "na", "i-1 >abnormal", "i-0 normal@0, i-1 abnormal@30"},
		{"one comes before", "-n", "nn", "i-0 >normal", "i-0 normal@30, i-1 normal@0"},
		{"one comes between", "n-n", "nun", "i-1 >unavailable", "i-0 normal@0, i-1 unavailable@30, i-2 normal@0"},
		{"the last goes", "na", "n", "i-1 abnormal>", "i-0 normal@0"},
		{"the first goes", "un", "-n", "i-0 unavailable>", "i-1 normal@0"},
		{"all go", "nau", "", "i-0 normal>, i-1 abnormal>, i-2 unavailable>", ""},
		{"all come", "", "nau", "i-0 >normal, i-1 >abnormal, i-2 >unavailable", "i-0 normal@30, i-1 abnormal@30, i-2 unavailable@30"},
		{"one is replaced", "n-n", "-nn", "i-0 normal>, i-1 >normal", "i-1 normal@30, i-2 normal@0"},
		{"some of everything", "nna-u", "a-nnu", "i-0 normal>abnormal, i-1 normal>, i-2 abnormal>normal, i-3 >normal", "i-0 abnormal@30, i-2 normal@30, i-3 normal@30, i-4 unavailable@0"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t, minHealthy("0"))
			w.answer(test.before)
			outcome := w.after(later).answer(test.after)
			if diff := cmp.Diff(test.changes, changed(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("changes:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(w.object.Status.Backends)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
		})
	}
}

func TestChangeHoldsTheRowAsItIsOrWasLast(t *testing.T) {
	w := newWorld(t)
	w.answer("443/https nn", "80/tcp n")
	outcome := w.after(later).answer("443/https an")
	want := []BackendTransition{
		{
			Backend: v1alpha1.BackendStatus{
				ServerID: "i-0", ServerIP: "10.0.0.0", Type: "ecs", ListenerPort: 80, ListenerProtocol: "tcp", Port: 8443,
				ServerHealthStatus: "normal", LastTransitionTime: metav1.NewTime(start),
			},
			From: "normal",
		},
		{
			Backend: v1alpha1.BackendStatus{
				ServerID: "i-0", ServerIP: "10.0.0.0", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443,
				ServerHealthStatus: "abnormal", LastTransitionTime: metav1.NewTime(start.Add(later)),
			},
			From: "normal", To: "abnormal",
		},
	}
	if diff := cmp.Diff(want, outcome.Transitions.Backends); diff != "" {
		t.Error(diff)
	}
}

func TestSameServerBehindTwoListenersTurnsOnEachByItself(t *testing.T) {
	w := newWorld(t)
	w.answer("80/tcp nn", "443/https nn")
	outcome := w.after(later).answer("80/tcp nn", "443/https na")
	if got, want := changed(outcome.Transitions.Backends), "i-1 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := outcome.Transitions.Backends[0].Backend.ListenerPort; got != 443 {
		t.Errorf("it turned on port %d, want 443", got)
	}
}

func TestRowsThatSomebodyShuffledAreTheSameBackends(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t)
		w.answer("443/https naunnaun", "80/tcp nnnn")
		want := w.object.Status.DeepCopy()
		w.object.Status.Backends = shuffled(w.object.Status.Backends, seed)
		outcome := w.after(later).answer("443/https naunnaun", "80/tcp nnnn")
		if told(outcome.Transitions) {
			t.Fatalf("seed %d: got changes %+v", seed, outcome.Transitions)
		}
		if diff := cmp.Diff(want.Backends, w.object.Status.Backends); diff != "" {
			t.Fatalf("seed %d: the rows are not as they were:\n%s", seed, diff)
		}

		w.object.Status.Backends = shuffled(w.object.Status.Backends, seed)
		outcome = w.after(later).answer("443/https nnunnaun", "80/tcp nnna")
		if got, want := changed(outcome.Transitions.Backends), "i-3 normal>abnormal, i-1 abnormal>normal"; got != want {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want)
		}
	}
}

func TestOfOmittedRowsOnlyOneThatMustHaveTurnedAbnormalIsTold(t *testing.T) {
	for _, test := range []struct {
		what          string
		limit         int
		before, after string
		changes, rows string
	}{
		{"what was left out and stays is no news", 2, "nnnn", "nnnn", "", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row turns abnormal", 2, "nnnn", "nnna", "i-3 omitted>abnormal", "i-0 normal@0, i-3 abnormal@30"},
		{"an omitted unavailable row turns abnormal", 2, "uuun", "uuan", "i-2 omitted>abnormal", "i-0 unavailable@0, i-2 abnormal@30"},
		{"a listed row turns abnormal", 2, "nnnn", "nann", "i-1 normal>abnormal", "i-0 normal@0, i-1 abnormal@30"},
		{"a listed row heals and is left out", 2, "nnna", "nnnn", "i-3 abnormal>normal", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row that takes its place is no newcomer", 2, "nnaa", "nnnn", "i-2 abnormal>normal, i-3 abnormal>normal", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row turns unavailable, as far as anybody knows it was", 2, "nnnn", "nnnu", "", "i-0 normal@0, i-3 unavailable@30"},
		{"a listed row goes", 2, "nnnn", "n-nn", "i-1 normal>", "i-0 normal@0, i-2 normal@0"},
		{"an omitted row goes, which nobody can tell", 2, "nnnn", "nn-n", "", "i-0 normal@0, i-1 normal@0"},
		{"abnormal rows were left out, so an abnormal one is no news", 2, "aaaa", "aaaa", "", "i-0 abnormal@0, i-1 abnormal@0"},
		{"abnormal rows were left out, and a listed one heals", 2, "aaan", "naan", "i-0 abnormal>normal", "i-1 abnormal@0, i-2 abnormal@0"},
		{"rows that grow past the limit are all known", 2, "nn", "nnn", "i-2 >normal", "i-0 normal@0, i-1 normal@0"},
		{"rows that shrink below the limit are no newcomers", 2, "nnn", "n-n", "i-1 normal>", "i-0 normal@0, i-2 normal@0"},
		{"no row is kept, so nothing is told", 0, "nnn", "aaa", "", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.options.MaxBackends = test.limit
			w.answer(test.before)
			outcome := w.after(later).answer(test.after)
			if diff := cmp.Diff(test.changes, changed(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("changes:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(w.object.Status.Backends)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
		})
	}
}

func TestFirstObservationTellsOnlyAVerdictThatIsUnhealthy(t *testing.T) {
	for _, test := range []struct{ what, letters, verdict string }{
		{"healthy", "nnu", ""},
		{"unknown", "uu", ""},
		{"unhealthy", "aa", "False(BelowMinHealthy)"},
		{"no backends", "", "False(NoBackends)"},
	} {
		for before, prepare := range map[string]func(*world){
			"at once":                 func(*world) {},
			"after a wait":            func(w *world) { w.wait() },
			"after a failure":         func(w *world) { w.fail(alicloud.Throttled) },
			"after being suspended":   func(w *world) { w.edit(suspend).evaluate(Input{}); w.edit(resume) },
			"after another target":    func(w *world) { w.answer("n"); w.edit(otherLoadBalancer) },
			"after one that was down": func(w *world) { w.answer("a"); w.edit(otherLoadBalancer).wait() },
		} {
			t.Run(test.what+" "+before, func(t *testing.T) {
				w := newWorld(t)
				prepare(w)
				changes := w.after(later).answer(test.letters).Transitions
				if len(changes.Backends) > 0 || turned(changes.Verdict) != test.verdict {
					t.Errorf("got backends %q and verdict %q, want none and %q", changed(changes.Backends), turned(changes.Verdict), test.verdict)
				}
			})
		}
	}
}

func TestVerdictIsToldWhenHealthyTurnsAndNotWhenItsReasonDoes(t *testing.T) {
	for _, test := range []struct{ what, before, after, verdict string }{
		{"stays healthy", "nn", "nn", ""},
		{"healthy, for another reason", "nn", "na", ""},
		{"turns unhealthy", "nn", "aa", "False(BelowMinHealthy)"},
		{"turns empty", "nn", "", "False(NoBackends)"},
		{"unhealthy, for another reason", "aa", "", ""},
		{"turns unknown", "nn", "uu", "Unknown(HealthCheckUnavailable)"},
		{"stays unknown", "uu", "ua", ""},
		{"from unknown to unhealthy", "uu", "aa", "False(BelowMinHealthy)"},
		{"from unknown to healthy", "uu", "un", "True(MinHealthyMet)"},
		{"recovers", "aa", "nn", "True(AllBackendsNormal)"},
		{"from unhealthy to unknown", "aa", "au", "Unknown(HealthCheckUnavailable)"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.answer(test.before)
			if got := turned(w.after(later).answer(test.after).Transitions.Verdict); got != test.verdict {
				t.Errorf("got %q, want %q", got, test.verdict)
			}
		})
	}
}

func TestVerdictThatAnEditedPolicyTurnsIsTold(t *testing.T) {
	w := newWorld(t)
	w.answer("na")
	changes := w.edit(minHealthy("2")).after(later).answer("na").Transitions
	if got, want := turned(changes.Verdict), "False(BelowMinHealthy)"; got != want || len(changes.Backends) > 0 {
		t.Errorf("got verdict %q and backends %q, want %q and none", got, changed(changes.Backends), want)
	}
}

func TestObservationIsToldWhenItFailsAnewOrAnswersAgain(t *testing.T) {
	type step struct {
		kind string
		want string
	}
	const answers = ""
	for what, steps := range map[string][]step{
		"answers tell nothing":           {{answers, ""}, {answers, ""}},
		"a failure is told once":         {{answers, ""}, {"Throttled", "False(Throttled)"}, {"Throttled", ""}, {"Throttled", ""}},
		"another reason is told":         {{"Throttled", "False(Throttled)"}, {"ServiceError", "False(ServiceError)"}, {"Throttled", "False(Throttled)"}},
		"an answer after it is told":     {{answers, ""}, {"ServiceError", "False(ServiceError)"}, {answers, "True(ObservationSucceeded)"}, {answers, ""}},
		"the first answer after failing": {{"ServiceError", "False(ServiceError)"}, {answers, "True(ObservationSucceeded)"}},
	} {
		t.Run(what, func(t *testing.T) {
			for _, restarts := range []bool{false, true} {
				w := newWorld(t)
				for i, step := range steps {
					if restarts {
						w.restart().wait()
					}
					w.after(later)
					var outcome Outcome
					if step.kind == answers {
						outcome = w.answer("n")
					} else {
						outcome = w.fail(alicloud.Kind(step.kind))
					}
					if got := turned(outcome.Transitions.Observation); got != step.want {
						t.Errorf("restarts %t, step %d: got %q, want %q", restarts, i, got, step.want)
					}
				}
			}
		})
	}
}

func TestNoteOfAnObservationSaysWhy(t *testing.T) {
	w := newWorld(t)
	failed := w.fail(alicloud.Throttled, "the API refused the call").Transitions.Observation
	if failed == nil || failed.Message != "the API refused the call" {
		t.Errorf("got %+v", failed)
	}
	again := w.after(later).answer("n").Transitions.Observation
	if again == nil || again.Message != "DescribeHealthStatus answers again, after Throttled" {
		t.Errorf("got %+v", again)
	}
}

func TestAnotherTargetDropsRowsWithoutBackendChanges(t *testing.T) {
	edits := map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"loadBalancerId":   otherLoadBalancer,
		"regionId":         func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.RegionID = "cn-beijing" },
		"listenerPort":     func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.ListenerPort = new(int32(443)) },
		"listenerProtocol": func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.ListenerProtocol = "https" },
	}
	for field, edit := range edits {
		next := map[string]func(*world) Outcome{
			"an answer":  func(w *world) Outcome { return w.answer("443/https nuaa") },
			"a failure":  func(w *world) Outcome { return w.fail(alicloud.Throttled) },
			"a wait":     (*world).wait,
			"suspension": func(w *world) Outcome { return w.edit(suspend).wait() },
		}
		for how, observe := range next {
			t.Run(field+", then "+how, func(t *testing.T) {
				w := newWorld(t)
				w.answer("443/https naun", "80/tcp n")
				outcome := observe(w.edit(edit).after(later))
				if len(outcome.Transitions.Backends) > 0 || outcome.Transitions.Verdict != nil {
					t.Errorf("got backends %q and verdict %q", changed(outcome.Transitions.Backends), turned(outcome.Transitions.Verdict))
				}
				want := ""
				if how == "an answer" {
					want = "i-0 normal@30, i-1 unavailable@30, i-2 abnormal@30, i-3 abnormal@30"
				}
				if got := rowTimes(w.object.Status.Backends); got != want {
					t.Errorf("got rows %q, want %q", got, want)
				}
			})
		}
	}
}

func TestEditThatLeavesTheTargetKeepsRowsAndTheirTimes(t *testing.T) {
	for field, edit := range map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"interval":     interval(time.Minute),
		"healthPolicy": minHealthy("50%"),
		"unavailable":  countUnavailable(v1alpha1.Unhealthy),
		"credentials": func(spec *v1alpha1.LoadBalancerHealthSpec) {
			spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "slb-reader"}}
		},
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(t)
			w.answer("nnau")
			w.edit(edit).after(10 * time.Second).wait()
			if got, want := rowTimes(w.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0, i-3 unavailable@0"; got != want {
				t.Errorf("while waiting: got %q, want %q", got, want)
			}
			outcome := w.after(20 * time.Second).answer("nnnu")
			if got, want := rowTimes(w.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 normal@30, i-3 unavailable@0"; got != want {
				t.Errorf("after an answer: got %q, want %q", got, want)
			}
			if got, want := changed(outcome.Transitions.Backends), "i-2 abnormal>normal"; got != want {
				t.Errorf("got changes %q, want %q", got, want)
			}
		})
	}
}

func TestSuspendingAndResumingTellNothing(t *testing.T) {
	for what, suspendedFor := range map[string]time.Duration{"shortly": time.Second, "long": 24 * time.Hour} {
		for _, waits := range []bool{false, true} {
			t.Run(what, func(t *testing.T) {
				w := newWorld(t)
				w.answer("nnau")
				if changes := w.edit(suspend).after(later).wait().Transitions; told(changes) {
					t.Errorf("suspending: got %+v", changes)
				}
				w.edit(resume).after(suspendedFor)
				if waits {
					if changes := w.wait().Transitions; told(changes) {
						t.Errorf("resuming: got %+v", changes)
					}
				}
				if changes := w.after(time.Second).answer("nnau").Transitions; told(changes) {
					t.Errorf("the first answer: got %+v", changes)
				}
			})
		}
	}
}

func TestBackendsThatTurnedDuringASuspensionAreToldByTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	w.answer("nnn")
	w.edit(suspend).after(later).wait()
	w.edit(resume).after(time.Hour).wait()
	changes := w.after(time.Second).answer("naa").Transitions
	if got, want := changed(changes.Backends), "i-1 normal>abnormal, i-2 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewProcessRepeatsNoChange(t *testing.T) {
	for what, observe := range map[string]func(*world) Outcome{
		"of an answer":  func(w *world) Outcome { return w.answer("aua") },
		"of a failure":  func(w *world) Outcome { return w.fail(alicloud.Throttled) },
		"of a stall":    func(w *world) Outcome { return w.fail(alicloud.Forbidden) },
		"of staleness":  func(w *world) Outcome { return w.after(10 * time.Minute).fail(alicloud.Throttled) },
		"of no backend": func(w *world) Outcome { return w.answer() },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.answer("nnn")
			if outcome := observe(w.after(later)); !told(outcome.Transitions) {
				t.Fatal("the first process told nothing")
			}
			w.restart().after(later)
			if outcome := w.wait(); outcome.Write || told(outcome.Transitions) {
				t.Errorf("before it asks: write %t, changes %+v", outcome.Write, outcome.Transitions)
			}
			if changes := observe(w).Transitions; told(changes) {
				t.Errorf("with the same observation: got %+v", changes)
			}
		})
	}
}

func TestChangesAreInTheOrderOfRows(t *testing.T) {
	w := newWorld(t)
	w.answer("443/https nnnn", "80/tcp nn", "22/tcp n")
	changes := w.after(later).answerRows(shuffled(backends("443/https -nan", "80/tcp anu"), 3)).Transitions.Backends
	var rows []v1alpha1.BackendStatus
	for i := range changes {
		rows = append(rows, changes[i].Backend)
	}
	if len(rows) != 5 || !slices.IsSortedFunc(rows, func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) }) {
		t.Errorf("got %q", changed(changes))
	}
}
