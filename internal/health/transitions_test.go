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
			env := newEnv(t, minHealthy("0"))
			env.answer(test.before)
			outcome := env.after(later).answer(test.after)
			if diff := cmp.Diff(test.changes, changed(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("changes:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(env.object.Status.Backends)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
		})
	}
}

func TestChangeHoldsTheRowAsItIsOrWasLast(t *testing.T) {
	env := newEnv(t)
	env.answer("443/https nn", "80/tcp n")
	outcome := env.after(later).answer("443/https an")
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
	env := newEnv(t)
	env.answer("80/tcp nn", "443/https nn")
	outcome := env.after(later).answer("80/tcp nn", "443/https na")
	if got, want := changed(outcome.Transitions.Backends), "i-1 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := outcome.Transitions.Backends[0].Backend.ListenerPort; got != 443 {
		t.Errorf("it turned on port %d, want 443", got)
	}
}

func TestRowsThatSomebodyShuffledAreTheSameBackends(t *testing.T) {
	for seed := range uint64(20) {
		env := newEnv(t)
		env.answer("443/https naunnaun", "80/tcp nnnn")
		want := env.object.Status.DeepCopy()
		env.object.Status.Backends = shuffled(env.object.Status.Backends, seed)
		outcome := env.after(later).answer("443/https naunnaun", "80/tcp nnnn")
		if told(outcome.Transitions) {
			t.Fatalf("seed %d: got changes %+v", seed, outcome.Transitions)
		}
		if diff := cmp.Diff(want.Backends, env.object.Status.Backends); diff != "" {
			t.Fatalf("seed %d: the rows are not as they were:\n%s", seed, diff)
		}

		env.object.Status.Backends = shuffled(env.object.Status.Backends, seed)
		outcome = env.after(later).answer("443/https nnunnaun", "80/tcp nnna")
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
			env := newEnv(t)
			env.options.MaxBackends = test.limit
			env.answer(test.before)
			outcome := env.after(later).answer(test.after)
			if diff := cmp.Diff(test.changes, changed(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("changes:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(env.object.Status.Backends)); diff != "" {
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
		for before, prepare := range map[string]func(*testEnv){
			"at once":                 func(*testEnv) {},
			"after a wait":            func(env *testEnv) { env.wait() },
			"after a failure":         func(env *testEnv) { env.fail(alicloud.Throttled) },
			"after being suspended":   func(env *testEnv) { env.edit(suspend).evaluate(Input{}); env.edit(resume) },
			"after another target":    func(env *testEnv) { env.answer("n"); env.edit(otherLoadBalancer) },
			"after one that was down": func(env *testEnv) { env.answer("a"); env.edit(otherLoadBalancer).wait() },
		} {
			t.Run(test.what+" "+before, func(t *testing.T) {
				env := newEnv(t)
				prepare(env)
				changes := env.after(later).answer(test.letters).Transitions
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
			env := newEnv(t)
			env.answer(test.before)
			if got := turned(env.after(later).answer(test.after).Transitions.Verdict); got != test.verdict {
				t.Errorf("got %q, want %q", got, test.verdict)
			}
		})
	}
}

func TestVerdictThatAnEditedPolicyTurnsIsTold(t *testing.T) {
	env := newEnv(t)
	env.answer("na")
	changes := env.edit(minHealthy("2")).after(later).answer("na").Transitions
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
				env := newEnv(t)
				for i, step := range steps {
					if restarts {
						env.restart().wait()
					}
					env.after(later)
					var outcome Outcome
					if step.kind == answers {
						outcome = env.answer("n")
					} else {
						outcome = env.fail(alicloud.Kind(step.kind))
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
	env := newEnv(t)
	failed := env.fail(alicloud.Throttled, "the API refused the call").Transitions.Observation
	if failed == nil || failed.Message != "the API refused the call" {
		t.Errorf("got %+v", failed)
	}
	again := env.after(later).answer("n").Transitions.Observation
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
		next := map[string]func(*testEnv) Outcome{
			"an answer":  func(env *testEnv) Outcome { return env.answer("443/https nuaa") },
			"a failure":  func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
			"a wait":     (*testEnv).wait,
			"suspension": func(env *testEnv) Outcome { return env.edit(suspend).wait() },
		}
		for how, observe := range next {
			t.Run(field+", then "+how, func(t *testing.T) {
				env := newEnv(t)
				env.answer("443/https naun", "80/tcp n")
				outcome := observe(env.edit(edit).after(later))
				if len(outcome.Transitions.Backends) > 0 || outcome.Transitions.Verdict != nil {
					t.Errorf("got backends %q and verdict %q", changed(outcome.Transitions.Backends), turned(outcome.Transitions.Verdict))
				}
				want := ""
				if how == "an answer" {
					want = "i-0 normal@30, i-1 unavailable@30, i-2 abnormal@30, i-3 abnormal@30"
				}
				if got := rowTimes(env.object.Status.Backends); got != want {
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
			env := newEnv(t)
			env.answer("nnau")
			env.edit(edit).after(10 * time.Second).wait()
			if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0, i-3 unavailable@0"; got != want {
				t.Errorf("while waiting: got %q, want %q", got, want)
			}
			outcome := env.after(20 * time.Second).answer("nnnu")
			if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 normal@30, i-3 unavailable@0"; got != want {
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
				env := newEnv(t)
				env.answer("nnau")
				if changes := env.edit(suspend).after(later).wait().Transitions; told(changes) {
					t.Errorf("suspending: got %+v", changes)
				}
				env.edit(resume).after(suspendedFor)
				if waits {
					if changes := env.wait().Transitions; told(changes) {
						t.Errorf("resuming: got %+v", changes)
					}
				}
				if changes := env.after(time.Second).answer("nnau").Transitions; told(changes) {
					t.Errorf("the first answer: got %+v", changes)
				}
			})
		}
	}
}

func TestBackendsThatTurnedDuringASuspensionAreToldByTheFirstAnswer(t *testing.T) {
	env := newEnv(t)
	env.answer("nnn")
	env.edit(suspend).after(later).wait()
	env.edit(resume).after(time.Hour).wait()
	changes := env.after(time.Second).answer("naa").Transitions
	if got, want := changed(changes.Backends), "i-1 normal>abnormal, i-2 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewProcessRepeatsNoChange(t *testing.T) {
	for what, observe := range map[string]func(*testEnv) Outcome{
		"of an answer":  func(env *testEnv) Outcome { return env.answer("aua") },
		"of a failure":  func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
		"of a stall":    func(env *testEnv) Outcome { return env.fail(alicloud.Forbidden) },
		"of staleness":  func(env *testEnv) Outcome { return env.after(10 * time.Minute).fail(alicloud.Throttled) },
		"of no backend": func(env *testEnv) Outcome { return env.answer() },
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			env.answer("nnn")
			if outcome := observe(env.after(later)); !told(outcome.Transitions) {
				t.Fatal("the first process told nothing")
			}
			env.restart().after(later)
			if outcome := env.wait(); outcome.Write || told(outcome.Transitions) {
				t.Errorf("before it asks: write %t, changes %+v", outcome.Write, outcome.Transitions)
			}
			if changes := observe(env).Transitions; told(changes) {
				t.Errorf("with the same observation: got %+v", changes)
			}
		})
	}
}

func TestChangesAreInTheOrderOfRows(t *testing.T) {
	env := newEnv(t)
	env.answer("443/https nnnn", "80/tcp nn", "22/tcp n")
	changes := env.after(later).answerRows(shuffled(backends("443/https -nan", "80/tcp anu"), 3)).Transitions.Backends
	var rows []v1alpha1.BackendStatus
	for i := range changes {
		rows = append(rows, changes[i].Backend)
	}
	if len(rows) != 5 || !slices.IsSortedFunc(rows, func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) }) {
		t.Errorf("got %q", changed(changes))
	}
}
