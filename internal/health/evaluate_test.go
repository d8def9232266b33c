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
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

type specEdits = []func(*v1alpha1.LoadBalancerHealthSpec)

const observedOK = " Observed=True(ObservationSucceeded)"

func TestPolicyIsEvaluatedOnEveryListener(t *testing.T) {
	for _, test := range []struct {
		what      string
		edits     specEdits
		rows      []string
		healthy   string
		listeners string
	}{
		{"all normal", nil, []string{"nnn"}, "True(AllBackendsNormal)", "Healthy"},
		{"one abnormal", nil, []string{"nna"}, "True(MinHealthyMet)", "Healthy"},
		{"one unavailable", nil, []string{"nnu"}, "True(MinHealthyMet)", "Healthy"},
		{"all abnormal", nil, []string{"aaa"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all unavailable are unknown, never unhealthy", nil, []string{"uuu"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"an undocumented state is unknown too", nil, []string{"xx"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"abnormal and unavailable", nil, []string{"au"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"no backends", nil, nil, "False(NoBackends)", ""},
		{"no backends, none required", specEdits{minHealthy("0")}, nil, "True(AllBackendsNormal)", ""},
		{"no backends, 0% required", specEdits{minHealthy("0%")}, nil, "True(AllBackendsNormal)", ""},
		{"no backends, half of them required", specEdits{minHealthy("50%")}, nil, "False(NoBackends)", ""},
		{"no backends, unavailable counts as healthy", specEdits{countUnavailable("Healthy")}, nil, "False(NoBackends)", ""},
		{"none required, all abnormal", specEdits{minHealthy("0")}, []string{"aa"}, "True(MinHealthyMet)", "Healthy"},
		{"half of 3 is 2: met", specEdits{minHealthy("50%")}, []string{"nna"}, "True(MinHealthyMet)", "Healthy"},
		{"half of 3 is 2: missed", specEdits{minHealthy("50%")}, []string{"naa"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all required: met", specEdits{minHealthy("100%")}, []string{"nnn"}, "True(AllBackendsNormal)", "Healthy"},
		{"all required: missed", specEdits{minHealthy("100%")}, []string{"nna"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"all required: undecided", specEdits{minHealthy("100%")}, []string{"nnu"}, "Unknown(HealthCheckUnavailable)", "Unknown"},
		{"more required than there are", specEdits{minHealthy("5")}, []string{"nn"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"unavailable counts as healthy", specEdits{countUnavailable("Healthy")}, []string{"uu"}, "True(MinHealthyMet)", "Healthy"},
		{"unavailable counts as unhealthy", specEdits{countUnavailable("Unhealthy")}, []string{"uu"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"one listener of two is unhealthy", nil, []string{"80/tcp nn", "443/https aa"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"one listener of two is unknown", nil, []string{"80/tcp uu", "443/https nn"}, "Unknown(HealthCheckUnavailable)", "Unknown Healthy"},
		{"unhealthy is worse than unknown", nil, []string{"80/tcp uu", "443/https aa", "444/https nn"}, "False(BelowMinHealthy)", "Unknown Unhealthy Healthy"},
		{"the minimum is per listener, not of the sum", specEdits{minHealthy("2")}, []string{"80/tcp nnn", "443/https na"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"a share is per listener, not of the sum", specEdits{minHealthy("50%")}, []string{"80/tcp nnnnnn", "443/https aa"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"TCP and UDP on one port are two listeners", nil, []string{"53/tcp n", "53/udp a"}, "False(BelowMinHealthy)", "Healthy Unhealthy"},
		{"another listener than that of the spec does not count", specEdits{listener(80, "")}, []string{"80/tcp n", "443/https a"}, "True(AllBackendsNormal)", "Healthy"},
		{"another protocol than that of the spec does not count", specEdits{listener(53, "udp")}, []string{"53/tcp n", "53/udp a"}, "False(BelowMinHealthy)", "Unhealthy"},
		{"no backend behind the listener of the spec", specEdits{listener(8080, "")}, []string{"80/tcp n"}, "False(NoBackends)", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, test.edits...)
			env.observe(test.rows...)
			env.want("Healthy=" + test.healthy + observedOK)
			var got []string
			for _, l := range env.object.Status.Listeners {
				got = append(got, string(l.Health))
			}
			if diff := cmp.Diff(test.listeners, strings.Join(got, " ")); diff != "" {
				t.Errorf("listeners:\n%s", diff)
			}
		})
	}
}

func TestStatusHasTheTimeAndRequestIDOfItsObservation(t *testing.T) {
	env := newEnv(t)
	env.after(1500 * time.Millisecond).observe("n")
	s := &env.object.Status
	if want := start.Add(time.Second); !s.LastObservedTime.Time.Equal(want) || s.LastRequestID != "request-1" {
		t.Errorf("got %s and %s, want %s and request-1", s.LastObservedTime, s.LastRequestID, want)
	}
	env.after(time.Minute).fail(alicloud.Throttled)
	if s := &env.object.Status; !s.LastObservedTime.Time.Equal(start.Add(time.Second)) || s.LastRequestID != "request-1" {
		t.Errorf("after a failure: got %s and %s", s.LastObservedTime, s.LastRequestID)
	}
	env.after(time.Minute).observe("a")
	if s := &env.object.Status; !s.LastObservedTime.Time.Equal(env.now.Truncate(time.Second)) || s.LastRequestID != "request-2" {
		t.Errorf("after another observation: got %s and %s", s.LastObservedTime, s.LastRequestID)
	}
}

func TestNewObjectIsPendingAndReconciling(t *testing.T) {
	env := newEnv(t)
	env.wait()
	env.want("Healthy=Unknown(Pending) Observed=Unknown(Pending) Reconciling=True(Progressing)")
	if got := env.object.Status.ObservedGeneration; got != -1 {
		t.Errorf("observedGeneration is %d before the first observation", got)
	}
	for _, c := range env.object.Status.Conditions {
		if c.ObservedGeneration != 1 {
			t.Errorf("%s waits for generation %d, want 1", c.Type, c.ObservedGeneration)
		}
	}
	env.after(time.Second).observe("n")
	env.want("Healthy=True(AllBackendsNormal)" + observedOK)
}

func TestFailureBeforeTheFirstObservationKeepsHealthyPending(t *testing.T) {
	env := newEnv(t)
	env.fail(alicloud.EndpointUnreachable, "connection refused")
	env.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
	if got, want := env.condition("Healthy").Message, "no observation yet: connection refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	env.after(24 * time.Hour).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=Unknown(Pending) Observed=False(EndpointUnreachable)")
}

func TestFailureKindIsTheReasonOfObservedAndMayStall(t *testing.T) {
	stalls := []alicloud.Kind{alicloud.Forbidden, alicloud.InvalidCredentials, alicloud.CredentialsNotFound}
	for _, kind := range alicloud.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			env := newEnv(t)
			env.observe("nna")
			env.after(30*time.Second).fail(kind, "cause")
			want := fmt.Sprintf("Healthy=True(MinHealthyMet) Observed=False(%s)", kind)
			if slices.Contains(stalls, kind) {
				want = fmt.Sprintf("Ready=False(%[1]s) Healthy=True(MinHealthyMet) Observed=False(%[1]s) Stalled=True(%[1]s)", kind)
				if got := env.condition("Stalled").Message; got != "cause" {
					t.Errorf("Stalled says %q", got)
				}
			}
			env.want(want)
			if got := env.condition("Observed").Message; got != "cause" {
				t.Errorf("Observed says %q", got)
			}
			env.after(30 * time.Second).observe("nna")
			env.want("Healthy=True(MinHealthyMet)" + observedOK)
		})
	}
}

func TestRequestThatTheOperatorRefusesStallsAtOnce(t *testing.T) {
	env := newEnv(t)
	env.observe("nna")
	env.failure, env.failingSince = &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "another product"}, env.now
	env.repeatFailure()
	env.want("Ready=False(InvalidRequest) Healthy=True(MinHealthyMet) Observed=False(InvalidRequest) Stalled=True(InvalidRequest)")
}

func TestFailureKeepsBackendsCountsAndVerdict(t *testing.T) {
	for _, letters := range []string{"nnn", "nna", "aaa", "uau", ""} {
		t.Run(letters, func(t *testing.T) {
			env := newEnv(t)
			env.observe(letters)
			before := env.object.Status.DeepCopy()
			transitions := env.after(89 * time.Second).fail(alicloud.ServiceError).Transitions
			after := env.object.Status.DeepCopy()
			if transitions.Verdict != nil || len(transitions.Backends) > 0 {
				t.Errorf("got transitions %+v", transitions)
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
		"an evaluation without an observation does not count": {
			{"not found", known}, {"evaluation", known}, {"evaluation", known}, {"not found", known}, {"evaluation", known}, {"not found", stalled}, {"evaluation", stalled},
		},
		"another failure between": {
			{"not found", known}, {"not found", known},
			{"throttled", "Healthy=Unknown(Pending) Observed=False(Throttled)"},
			{"not found", known}, {"not found", known}, {"not found", stalled},
		},
		"a restart between starts anew":     {{"not found", known}, {"not found", known}, {"restart", known}, {"not found", known}, {"not found", known}, {"not found", stalled}},
		"it stays stalled after a restart":  {{"not found", known}, {"not found", known}, {"not found", stalled}, {"restart", stalled}, {"not found", stalled}},
		"another failure ends it":           {{"not found", known}, {"not found", known}, {"not found", stalled}, {"throttled", "Healthy=Unknown(Pending) Observed=False(Throttled)"}, {"not found", known}},
		"a success ends it":                 {{"not found", known}, {"not found", known}, {"not found", stalled}, {"success", "Healthy=True(AllBackendsNormal)" + observedOK}},
		"another kind of stall is not this": {{"forbidden", "Ready=False(Forbidden) Healthy=Unknown(Pending) Observed=False(Forbidden) Stalled=True(Forbidden)"}, {"not found", known}},
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			for i, step := range steps {
				env.after(30 * time.Second)
				switch step.what {
				case "not found":
					env.fail(alicloud.LoadBalancerNotFound)
				case "throttled":
					env.fail(alicloud.Throttled)
				case "forbidden":
					env.fail(alicloud.Forbidden)
				case "evaluation":
					env.repeatFailure()
				case "restart":
					env.restart().wait()
				case "success":
					env.observe("n")
				}
				if got := conditions(&env.object.Status); got != step.want {
					t.Fatalf("step %d, %s:\n got %s\nwant %s", i, step.what, got, step.want)
				}
			}
		})
	}
}

func TestEveryConditionHasTheObservedGeneration(t *testing.T) {
	for what, observe := range map[string]func(*testEnv){
		"a success":     func(env *testEnv) { env.observe("nna") },
		"a failure":     func(env *testEnv) { env.fail(alicloud.Throttled) },
		"a stall":       func(env *testEnv) { env.fail(alicloud.Forbidden) },
		"staleness":     func(env *testEnv) { env.after(time.Hour).fail(alicloud.Throttled) },
		"a suspension":  func(env *testEnv) { env.object.Spec.Suspend = true; env.wait() },
		"first failure": func(env *testEnv) { env.edit(otherLoadBalancer).fail(alicloud.Throttled) },
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			env.observe("nna")
			env.edit(minHealthy("2")).after(time.Second).wait()
			observe(env.after(time.Second))
			if got, want := env.object.Status.ObservedGeneration, env.object.Generation; got != want {
				t.Errorf("observedGeneration is %d, want %d", got, want)
			}
			for _, c := range env.object.Status.Conditions {
				if c.ObservedGeneration != env.object.Generation {
					t.Errorf("%s has observedGeneration %d, want %d", c.Type, c.ObservedGeneration, env.object.Generation)
				}
			}
		})
	}
}

func TestReconcilingIsNeverSetByARoutineObservation(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	for _, step := range []func(){
		func() { env.wait() }, func() { env.observe("a") }, func() { env.fail(alicloud.Throttled) }, func() { env.wait() },
		func() { env.after(time.Hour).wait() }, func() { env.restart().wait() }, func() { env.fail(alicloud.Forbidden) },
	} {
		step()
		env.after(30 * time.Second)
		if strings.Contains(conditions(&env.object.Status), "Reconciling") {
			t.Fatalf("got %s", conditions(&env.object.Status))
		}
	}
}

func TestObjectMayBeEvaluatedConcurrently(t *testing.T) {
	env := newEnv(t)
	env.observe("80/tcp nnnnn", "443/https naunaun")
	env.object.Status.Backends = shuffled(env.object.Status.Backends, 1)
	before := env.object.DeepCopy()
	inputs := []Input{
		{Observation: &alicloud.Observation{At: env.now, Backends: backends("443/https uuaann", "80/tcp n")}},
		{Failure: &alicloud.Error{Kind: alicloud.Forbidden}, LastObservedAt: env.now},
		{Failure: &alicloud.Error{Kind: alicloud.Throttled}, LastObservedAt: env.now.Add(-time.Hour)},
		{LastObservedAt: env.now},
		{LastObservedAt: env.now.Add(-time.Hour)},
	}
	var group sync.WaitGroup
	for _, input := range inputs {
		for range 4 {
			group.Go(func() {
				for range 50 {
					Evaluate(env.object, input, env.now.Add(time.Minute), defaults)
				}
			})
		}
	}
	group.Wait()
	if diff := cmp.Diff(before, env.object); diff != "" {
		t.Error(diff)
	}
}

func TestEvaluateDoesNotMutateTheObservation(t *testing.T) {
	rows := shuffled(backends("80/tcp nau", "443/https nna"), 1)
	observation := &alicloud.Observation{At: start, Backends: slices.Clone(rows)}
	Evaluate(newEnv(t).object, Input{Observation: observation}, start, defaults)
	if diff := cmp.Diff(rows, observation.Backends); diff != "" {
		t.Error(diff)
	}
}

func TestForeignConditionsAreKept(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	foreign := metav1.Condition{Type: "example.com/Silenced", Status: "True", Reason: "Maintenance", LastTransitionTime: metav1.NewTime(start)}
	env.object.Status.Conditions = append(env.object.Status.Conditions, foreign)
	if outcome := env.after(time.Second).observe("n"); outcome.Write {
		t.Error("Write is true")
	}
	env.after(time.Second).observe("a")
	env.condition(foreign.Type)
}

func TestDefaultInterval(t *testing.T) {
	env := newEnv(t, interval(0))
	if got := Interval(&env.object.Spec); got != 30*time.Second {
		t.Errorf("got %s", got)
	}
}

func BenchmarkEvaluateUnchanged(b *testing.B) {
	for _, rows := range []int{1, 200, 10_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			observation := &alicloud.Observation{RequestID: "request", At: start, Backends: manyRows(func(i int) string {
				if i%100 == 7 {
					return "abnormal"
				}
				return "normal"
			})[:rows]}
			object := newEnv(b).object
			object.Status = Evaluate(object, Input{Observation: observation}, start, defaults).Status
			later := *observation
			later.At = start.Add(30 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				if Evaluate(object, Input{Observation: &later, LastObservedAt: later.At}, later.At, defaults).Write {
					b.Fatal("Write is true")
				}
			}
		})
	}
}
