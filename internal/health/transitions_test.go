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

func TestBackendTransitions(t *testing.T) {
	for _, test := range []struct {
		what, before, after string
		transitions, rows   string
	}{
		{"normal stays normal", "n", "n", "", "i-0 normal@0"},
		{"normal to abnormal", "n", "a", "i-0 normal>abnormal", "i-0 abnormal@30"},
		{"normal to unavailable", "n", "u", "i-0 normal>unavailable", "i-0 unavailable@30"},
		{"abnormal to normal", "a", "n", "i-0 abnormal>normal", "i-0 normal@30"},
		{"abnormal stays abnormal", "a", "a", "", "i-0 abnormal@0"},
		{"abnormal to unavailable", "a", "u", "i-0 abnormal>unavailable", "i-0 unavailable@30"},
		{"unavailable to normal", "u", "n", "i-0 unavailable>normal", "i-0 normal@30"},
		{"unavailable to abnormal", "u", "a", "i-0 unavailable>abnormal", "i-0 abnormal@30"},
		{"unavailable stays unavailable", "u", "u", "", "i-0 unavailable@0"},
		{"an undocumented state is reported as unavailable", "n", "x", "i-0 normal>unavailable", "i-0 checking@30"},
		{"unavailable by another name is another value, and no transition", "u", "x", "", "i-0 checking@30"},
		{"an undocumented state stays", "x", "x", "", "i-0 checking@0"},
		{"an undocumented state to abnormal", "x", "a", "i-0 unavailable>abnormal", "i-0 abnormal@30"},
		{"one is added at the end", "n", "na", "i-1 >abnormal", "i-0 normal@0, i-1 abnormal@30"},
		{"one is added at the start", "-n", "nn", "i-0 >normal", "i-0 normal@30, i-1 normal@0"},
		{"one is added in the middle", "n-n", "nun", "i-1 >unavailable", "i-0 normal@0, i-1 unavailable@30, i-2 normal@0"},
		{"the last is removed", "na", "n", "i-1 abnormal>", "i-0 normal@0"},
		{"the first is removed", "un", "-n", "i-0 unavailable>", "i-1 normal@0"},
		{"all are removed", "nau", "", "i-0 normal>, i-1 abnormal>, i-2 unavailable>", ""},
		{"all are added", "", "nau", "i-0 >normal, i-1 >abnormal, i-2 >unavailable", "i-0 normal@30, i-1 abnormal@30, i-2 unavailable@30"},
		{"one is replaced", "n-n", "-nn", "i-0 normal>, i-1 >normal", "i-1 normal@30, i-2 normal@0"},
		{"some of everything", "nna-u", "a-nnu", "i-0 normal>abnormal, i-1 normal>, i-2 abnormal>normal, i-3 >normal", "i-0 abnormal@30, i-2 normal@30, i-3 normal@30, i-4 unavailable@0"},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, minHealthy("0"))
			env.observe(test.before)
			outcome := env.after(later).observe(test.after)
			if diff := cmp.Diff(test.transitions, formatBackends(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("transitions:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(env.object.Status.Backends)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
		})
	}
}

func TestTransitionHasTheCurrentOrTheLastRow(t *testing.T) {
	env := newEnv(t)
	env.observe("443/https nn", "80/tcp n")
	outcome := env.after(later).observe("443/https an")
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

func TestServerBehindTwoListenersIsTwoBackends(t *testing.T) {
	env := newEnv(t)
	env.observe("80/tcp nn", "443/https nn")
	outcome := env.after(later).observe("80/tcp nn", "443/https na")
	if got, want := formatBackends(outcome.Transitions.Backends), "i-1 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := outcome.Transitions.Backends[0].Backend.ListenerPort; got != 443 {
		t.Errorf("the transition is on port %d, want 443", got)
	}
}

func TestReorderedRowsAreTheSameBackends(t *testing.T) {
	for seed := range uint64(20) {
		env := newEnv(t)
		env.observe("443/https naunnaun", "80/tcp nnnn")
		want := env.object.Status.DeepCopy()
		env.object.Status.Backends = shuffled(env.object.Status.Backends, seed)
		outcome := env.after(later).observe("443/https naunnaun", "80/tcp nnnn")
		if hasTransitions(outcome.Transitions) {
			t.Fatalf("seed %d: got transitions %+v", seed, outcome.Transitions)
		}
		if diff := cmp.Diff(want.Backends, env.object.Status.Backends); diff != "" {
			t.Fatalf("seed %d: the rows differ:\n%s", seed, diff)
		}

		env.object.Status.Backends = shuffled(env.object.Status.Backends, seed)
		outcome = env.after(later).observe("443/https nnunnaun", "80/tcp nnna")
		if got, want := formatBackends(outcome.Transitions.Backends), "i-3 normal>abnormal, i-1 abnormal>normal"; got != want {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want)
		}
	}
}

func TestTransitionsOfOmittedRows(t *testing.T) {
	for _, test := range []struct {
		what              string
		limit             int
		before, after     string
		transitions, rows string
	}{
		{"an omitted row stays as it is", 2, "nnnn", "nnnn", "", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row becomes abnormal", 2, "nnnn", "nnna", "i-3 omitted>abnormal", "i-0 normal@0, i-3 abnormal@30"},
		{"an omitted unavailable row becomes abnormal", 2, "uuun", "uuan", "i-2 omitted>abnormal", "i-0 unavailable@0, i-2 abnormal@30"},
		{"a listed row becomes abnormal", 2, "nnnn", "nann", "i-1 normal>abnormal", "i-0 normal@0, i-1 abnormal@30"},
		{"a listed row becomes normal and is omitted", 2, "nnna", "nnnn", "i-3 abnormal>normal", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row that is listed now was not added", 2, "nnaa", "nnnn", "i-2 abnormal>normal, i-3 abnormal>normal", "i-0 normal@0, i-1 normal@0"},
		{"an omitted row that may have been unavailable before", 2, "nnnn", "nnnu", "", "i-0 normal@0, i-3 unavailable@30"},
		{"a listed row is removed", 2, "nnnn", "n-nn", "i-1 normal>", "i-0 normal@0, i-2 normal@0"},
		{"an omitted row is removed without a transition", 2, "nnnn", "nn-n", "", "i-0 normal@0, i-1 normal@0"},
		{"an abnormal row that may have been omitted", 2, "aaaa", "aaaa", "", "i-0 abnormal@0, i-1 abnormal@0"},
		{"a listed row becomes normal while abnormal rows are omitted", 2, "aaan", "naan", "i-0 abnormal>normal", "i-1 abnormal@0, i-2 abnormal@0"},
		{"a row is added beyond the limit", 2, "nn", "nnn", "i-2 >normal", "i-0 normal@0, i-1 normal@0"},
		{"fewer rows than the limit: none was added", 2, "nnn", "n-n", "i-1 normal>", "i-0 normal@0, i-2 normal@0"},
		{"no row is kept, so there are no transitions", 0, "nnn", "aaa", "", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.options.MaxBackends = test.limit
			env.observe(test.before)
			outcome := env.after(later).observe(test.after)
			if diff := cmp.Diff(test.transitions, formatBackends(outcome.Transitions.Backends)); diff != "" {
				t.Errorf("transitions:\n%s", diff)
			}
			if diff := cmp.Diff(test.rows, rowTimes(env.object.Status.Backends)); diff != "" {
				t.Errorf("rows:\n%s", diff)
			}
		})
	}
}

func TestFirstObservationRecordsOnlyAnUnhealthyVerdict(t *testing.T) {
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
			"after another target":    func(env *testEnv) { env.observe("n"); env.edit(otherLoadBalancer) },
			"after one that was down": func(env *testEnv) { env.observe("a"); env.edit(otherLoadBalancer).wait() },
		} {
			t.Run(test.what+" "+before, func(t *testing.T) {
				env := newEnv(t)
				prepare(env)
				transitions := env.after(later).observe(test.letters).Transitions
				if len(transitions.Backends) > 0 || formatCondition(transitions.Verdict) != test.verdict {
					t.Errorf("got backends %q and verdict %q, want none and %q", formatBackends(transitions.Backends), formatCondition(transitions.Verdict), test.verdict)
				}
			})
		}
	}
}

func TestVerdictTransitionFollowsTheStatusOfHealthy(t *testing.T) {
	for _, test := range []struct{ what, before, after, verdict string }{
		{"stays healthy", "nn", "nn", ""},
		{"healthy, for another reason", "nn", "na", ""},
		{"becomes unhealthy", "nn", "aa", "False(BelowMinHealthy)"},
		{"loses its backends", "nn", "", "False(NoBackends)"},
		{"unhealthy, for another reason", "aa", "", ""},
		{"becomes unknown", "nn", "uu", "Unknown(HealthCheckUnavailable)"},
		{"stays unknown", "uu", "ua", ""},
		{"from unknown to unhealthy", "uu", "aa", "False(BelowMinHealthy)"},
		{"from unknown to healthy", "uu", "un", "True(MinHealthyMet)"},
		{"recovers", "aa", "nn", "True(AllBackendsNormal)"},
		{"from unhealthy to unknown", "aa", "au", "Unknown(HealthCheckUnavailable)"},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.observe(test.before)
			if got := formatCondition(env.after(later).observe(test.after).Transitions.Verdict); got != test.verdict {
				t.Errorf("got %q, want %q", got, test.verdict)
			}
		})
	}
}

func TestEditedPolicyMayCauseAVerdictTransition(t *testing.T) {
	env := newEnv(t)
	env.observe("na")
	transitions := env.edit(minHealthy("2")).after(later).observe("na").Transitions
	if got, want := formatCondition(transitions.Verdict), "False(BelowMinHealthy)"; got != want || len(transitions.Backends) > 0 {
		t.Errorf("got verdict %q and backends %q, want %q and none", got, formatBackends(transitions.Backends), want)
	}
}

func TestObservationTransitions(t *testing.T) {
	type step struct {
		kind string
		want string
	}
	const succeeds = ""
	for what, steps := range map[string][]step{
		"successful observations":           {{succeeds, ""}, {succeeds, ""}},
		"a failure is one transition":       {{succeeds, ""}, {"Throttled", "False(Throttled)"}, {"Throttled", ""}, {"Throttled", ""}},
		"another reason":                    {{"Throttled", "False(Throttled)"}, {"ServiceError", "False(ServiceError)"}, {"Throttled", "False(Throttled)"}},
		"a success after a failure":         {{succeeds, ""}, {"ServiceError", "False(ServiceError)"}, {succeeds, "True(ObservationSucceeded)"}, {succeeds, ""}},
		"the first success after a failure": {{"ServiceError", "False(ServiceError)"}, {succeeds, "True(ObservationSucceeded)"}},
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
					if step.kind == succeeds {
						outcome = env.observe("n")
					} else {
						outcome = env.fail(alicloud.Kind(step.kind))
					}
					if got := formatCondition(outcome.Transitions.Observation); got != step.want {
						t.Errorf("restarts %t, step %d: got %q, want %q", restarts, i, got, step.want)
					}
				}
			}
		})
	}
}

func TestObservationTransitionHasTheMessage(t *testing.T) {
	env := newEnv(t)
	failed := env.fail(alicloud.Throttled, "the API refused the call").Transitions.Observation
	if failed == nil || failed.Message != "the API refused the call" {
		t.Errorf("got %+v", failed)
	}
	again := env.after(later).observe("n").Transitions.Observation
	if again == nil || again.Message != "DescribeHealthStatus succeeds again, after Throttled" {
		t.Errorf("got %+v", again)
	}
}

func TestAnotherTargetRemovesRowsWithoutTransitions(t *testing.T) {
	edits := map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"loadBalancerId":   otherLoadBalancer,
		"regionId":         func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.RegionID = "cn-beijing" },
		"listenerPort":     func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.ListenerPort = new(int32(443)) },
		"listenerProtocol": func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.ListenerProtocol = "https" },
	}
	for field, edit := range edits {
		next := map[string]func(*testEnv) Outcome{
			"a success":  func(env *testEnv) Outcome { return env.observe("443/https nuaa") },
			"a failure":  func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
			"a wait":     (*testEnv).wait,
			"suspension": func(env *testEnv) Outcome { return env.edit(suspend).wait() },
		}
		for how, observe := range next {
			t.Run(field+", then "+how, func(t *testing.T) {
				env := newEnv(t)
				env.observe("443/https naun", "80/tcp n")
				outcome := observe(env.edit(edit).after(later))
				if len(outcome.Transitions.Backends) > 0 || outcome.Transitions.Verdict != nil {
					t.Errorf("got backends %q and verdict %q", formatBackends(outcome.Transitions.Backends), formatCondition(outcome.Transitions.Verdict))
				}
				want := ""
				if how == "a success" {
					want = "i-0 normal@30, i-1 unavailable@30, i-2 abnormal@30, i-3 abnormal@30"
				}
				if got := rowTimes(env.object.Status.Backends); got != want {
					t.Errorf("got rows %q, want %q", got, want)
				}
			})
		}
	}
}

func TestEditOfTheSameTargetKeepsRowsAndTheirTimes(t *testing.T) {
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
			env.observe("nnau")
			env.edit(edit).after(10 * time.Second).wait()
			if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 abnormal@0, i-3 unavailable@0"; got != want {
				t.Errorf("while waiting: got %q, want %q", got, want)
			}
			outcome := env.after(20 * time.Second).observe("nnnu")
			if got, want := rowTimes(env.object.Status.Backends), "i-0 normal@0, i-1 normal@0, i-2 normal@30, i-3 unavailable@0"; got != want {
				t.Errorf("after an observation: got %q, want %q", got, want)
			}
			if got, want := formatBackends(outcome.Transitions.Backends), "i-2 abnormal>normal"; got != want {
				t.Errorf("got transitions %q, want %q", got, want)
			}
		})
	}
}

func TestSuspendAndResumeHaveNoTransitions(t *testing.T) {
	for what, suspendedFor := range map[string]time.Duration{"shortly": time.Second, "long": 24 * time.Hour} {
		for _, waits := range []bool{false, true} {
			t.Run(what, func(t *testing.T) {
				env := newEnv(t)
				env.observe("nnau")
				if transitions := env.edit(suspend).after(later).wait().Transitions; hasTransitions(transitions) {
					t.Errorf("suspending: got %+v", transitions)
				}
				env.edit(resume).after(suspendedFor)
				if waits {
					if transitions := env.wait().Transitions; hasTransitions(transitions) {
						t.Errorf("resuming: got %+v", transitions)
					}
				}
				if transitions := env.after(time.Second).observe("nnau").Transitions; hasTransitions(transitions) {
					t.Errorf("the first observation: got %+v", transitions)
				}
			})
		}
	}
}

func TestResumeHasTheBackendTransitionsOfTheSuspension(t *testing.T) {
	env := newEnv(t)
	env.observe("nnn")
	env.edit(suspend).after(later).wait()
	env.edit(resume).after(time.Hour).wait()
	transitions := env.after(time.Second).observe("naa").Transitions
	if got, want := formatBackends(transitions.Backends), "i-1 normal>abnormal, i-2 normal>abnormal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRestartRepeatsNoTransition(t *testing.T) {
	for what, observe := range map[string]func(*testEnv) Outcome{
		"of a success":  func(env *testEnv) Outcome { return env.observe("aua") },
		"of a failure":  func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
		"of a stall":    func(env *testEnv) Outcome { return env.fail(alicloud.Forbidden) },
		"of staleness":  func(env *testEnv) Outcome { return env.after(10 * time.Minute).fail(alicloud.Throttled) },
		"of no backend": func(env *testEnv) Outcome { return env.observe() },
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			env.observe("nnn")
			if outcome := observe(env.after(later)); !hasTransitions(outcome.Transitions) {
				t.Fatal("the first process recorded no transition")
			}
			env.restart().after(later)
			if outcome := env.wait(); outcome.Write || hasTransitions(outcome.Transitions) {
				t.Errorf("before its observation: write %t, transitions %+v", outcome.Write, outcome.Transitions)
			}
			if transitions := observe(env).Transitions; hasTransitions(transitions) {
				t.Errorf("with the same observation: got %+v", transitions)
			}
		})
	}
}

func TestTransitionsAreInTheOrderOfRows(t *testing.T) {
	env := newEnv(t)
	env.observe("443/https nnnn", "80/tcp nn", "22/tcp n")
	transitions := env.after(later).observeRows(shuffled(backends("443/https -nan", "80/tcp anu"), 3)).Transitions.Backends
	var rows []v1alpha1.BackendStatus
	for i := range transitions {
		rows = append(rows, transitions[i].Backend)
	}
	if len(rows) != 5 || !slices.IsSortedFunc(rows, func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) }) {
		t.Errorf("got %q", formatBackends(transitions))
	}
}
