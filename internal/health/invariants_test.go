// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// stored is a status as the API server returns it.
func stored(tb testing.TB, status v1alpha1.LoadBalancerHealthStatus) v1alpha1.LoadBalancerHealthStatus {
	tb.Helper()
	data, err := json.Marshal(status)
	if err != nil {
		tb.Fatal(err)
	}
	var back v1alpha1.LoadBalancerHealthStatus
	if err := json.Unmarshal(data, &back); err != nil {
		tb.Fatal(err)
	}
	return back
}

func (env *testEnv) checkOutcome(outcome Outcome) {
	env.t.Helper()
	same := apiequality.Semantic.DeepEqual(outcome.Status, env.object.Status)
	if !outcome.Write && !same {
		env.t.Fatalf("Write is false, but the status differs:\n%s", cmp.Diff(env.object.Status, outcome.Status))
	}
	if back := stored(env.t, outcome.Status); !apiequality.Semantic.DeepEqual(outcome.Status, back) {
		env.t.Fatalf("the API server would return another status:\n%s", cmp.Diff(outcome.Status, back))
	}
	if outcome.Write && same {
		env.t.Fatal("Write is true without a difference")
	}
	if !outcome.Write && hasTransitions(outcome.Transitions) {
		env.t.Fatalf("transitions without a write: %+v", outcome.Transitions)
	}
	if !outcome.StaleAt.IsZero() && !env.now.Before(outcome.StaleAt) {
		env.t.Fatalf("StaleAt has passed: %s at %s", outcome.StaleAt, env.now)
	}
}

func hasTransitions(c Transitions) bool {
	return len(c.Backends)+len(c.Listeners) > 0 || c.Verdict != nil || c.Observation != nil || c.Registered != nil
}

// checkIdempotent evaluates the same input at the same time again.
func (env *testEnv) checkIdempotent(input Input) {
	env.t.Helper()
	if again := Evaluate(env.object, input, env.now, env.options); again.Write || hasTransitions(again.Transitions) {
		env.t.Fatalf("the same input again: write %t, transitions %+v\n%s",
			again.Write, again.Transitions, cmp.Diff(env.object.Status, again.Status))
	}
}

// checkStatus checks the invariants of a stored status.
func (env *testEnv) checkStatus() {
	env.t.Helper()
	s := &env.object.Status
	if len(s.Conditions) == 0 {
		env.t.Fatal("the status has no conditions")
	}
	env.checkConditions(s)
	env.checkCounts(s)
	env.checkMissingBackends(s)
	env.checkHistory(s)
	env.checkDisruptionsAllowed(s)
	identities := make([]string, 0, len(s.Backends))
	for i := range s.Backends {
		b := &s.Backends[i]
		identities = append(identities, fmt.Sprintf("%05d\x00%s\x00%s\x00%s\x00%05d",
			b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port))
	}
	if !slices.IsSorted(identities) || len(slices.Compact(identities)) != len(s.Backends) {
		env.t.Fatalf("backends are not sorted, or not unique: %q", identities)
	}
	if got, want := kstatus(env.object), env.wantKstatus(); got != want {
		env.t.Fatalf("kstatus computes %s, want %s: %s", got, want, conditions(s))
	}
}

func (env *testEnv) checkConditions(s *v1alpha1.LoadBalancerHealthStatus) {
	env.t.Helper()
	seen := map[string]metav1.Condition{}
	for _, c := range s.Conditions {
		if _, twice := seen[c.Type]; twice {
			env.t.Fatalf("condition %s occurs twice", c.Type)
		}
		seen[c.Type] = c
		if c.Reason == "" || c.Status == "" || c.LastTransitionTime.IsZero() {
			env.t.Fatalf("condition %+v is incomplete", c)
		}
		if c.ObservedGeneration < 0 || c.ObservedGeneration > env.object.Generation {
			env.t.Fatalf("condition %s has observedGeneration %d, which is negative or later than the generation", c.Type, c.ObservedGeneration)
		}
		if c.LastTransitionTime.After(env.now) {
			env.t.Fatalf("condition %s has a lastTransitionTime in the future", c.Type)
		}
	}
	ready, healthy := seen[v1alpha1.ConditionReady], seen[v1alpha1.ConditionHealthy]
	stalled, isStalled := seen[v1alpha1.ConditionStalled]
	reconciling, isReconciling := seen[v1alpha1.ConditionReconciling]
	observed := seen[v1alpha1.ConditionObserved]
	switch {
	case ready.Status == "" || healthy.Status == "" || observed.Status == "":
		env.t.Fatalf("Ready, Healthy and Observed must always be present: %s", conditions(s))
	case isStalled && isReconciling:
		env.t.Fatal("Stalled and Reconciling together")
	case isStalled && (stalled.Status != metav1.ConditionTrue || stalled.Reason != observed.Reason):
		env.t.Fatalf("Stalled must be True and have the reason of Observed: %s", conditions(s))
	case isReconciling && (reconciling.Status != metav1.ConditionTrue ||
		(reconciling.Reason == v1alpha1.ReasonObservationRequested) != (s.ObservedGeneration == env.object.Generation)):
		env.t.Fatalf("Reconciling must be True, for a generation without an observation or a request that was not handled: %s", conditions(s))
	case !isReconciling && s.ObservedGeneration != env.object.Generation:
		env.t.Fatalf("generation %d of %d was observed and Reconciling is absent", s.ObservedGeneration, env.object.Generation)
	case isStalled && ready.Status != metav1.ConditionFalse:
		env.t.Fatalf("Ready must be False while Stalled: %s", conditions(s))
	case !isStalled && (ready.Status != healthy.Status || ready.Reason != healthy.Reason || ready.Message != healthy.Message):
		env.t.Fatalf("Ready must equal Healthy: %s", conditions(s))
	}
	registered, hasRegistered := seen[v1alpha1.ConditionRegistered]
	if hasRegistered != (env.object.Spec.ServiceRef != nil) {
		env.t.Fatalf("Registered must be present with serviceRef only: %s", conditions(s))
	}
	if !allowed(observed) || !allowed(healthy) || hasRegistered && !allowed(registered) {
		env.t.Fatalf("the contract does not allow this status with this reason: %s", conditions(s))
	}
}

// allowed is the table of conditions in the contract.
func allowed(c metav1.Condition) bool {
	reasons := map[string]map[metav1.ConditionStatus][]string{
		"Observed": {
			"True": {"ObservationSucceeded"},
			"False": {
				"Throttled", "Forbidden", "InvalidCredentials", "CredentialsNotFound", "LoadBalancerNotFound",
				"EndpointUnreachable", "ServiceError", "InvalidResponse", "InvalidRequest",
			},
			"Unknown": {"Pending", "Suspended"},
		},
		"Healthy": {
			"True":    {"AllBackendsNormal", "MinHealthyMet"},
			"False":   {"BelowMinHealthy", "NoBackends"},
			"Unknown": {"HealthCheckUnavailable", "ListenerMissing", "ObservationStale", "Pending", "Suspended"},
		},
		"Registered": {
			"True":    {"AllRegistered"},
			"False":   {"BackendsMissing"},
			"Unknown": {"Pending", "NotDetermined"},
		},
	}
	return slices.Contains(reasons[c.Type][c.Status], c.Reason)
}

func (env *testEnv) checkCounts(s *v1alpha1.LoadBalancerHealthStatus) {
	env.t.Helper()
	if s.Summary == nil {
		if len(s.Listeners)+len(s.Backends)+int(s.OmittedBackends) > 0 || s.LastObservedTime != nil {
			env.t.Fatal("backends without a summary")
		}
		return
	}
	var sum v1alpha1.Counts
	for i := range s.Listeners {
		l := &s.Listeners[i]
		if l.Backends != l.Normal+l.Abnormal+l.Unavailable {
			env.t.Fatalf("the counts of listener %+v do not add up", l)
		}
		sum.Backends += l.Backends
		sum.Normal += l.Normal
		sum.Abnormal += l.Abnormal
		sum.Unavailable += l.Unavailable
	}
	if s.Summary.Listeners != int32(len(s.Listeners)) || s.Summary.Counts != sum {
		env.t.Fatalf("summary is %+v, the listeners make %+v", *s.Summary, sum)
	}
	if len(s.Backends)+int(s.OmittedBackends) != int(s.Summary.Backends) {
		env.t.Fatalf("%d rows and %d omitted are not %d backends", len(s.Backends), s.OmittedBackends, s.Summary.Backends)
	}
	if len(s.Backends) > env.options.MaxBackends {
		env.t.Fatalf("%d rows, the limit is %d", len(s.Backends), env.options.MaxBackends)
	}
}

// kstatus computes the status of an object as the kstatus library does.
func kstatus(object *v1alpha1.LoadBalancerHealth) string {
	is := func(conditionType string) metav1.ConditionStatus {
		if c := meta.FindStatusCondition(object.Status.Conditions, conditionType); c != nil {
			return c.Status
		}
		return ""
	}
	switch {
	case object.Status.ObservedGeneration != object.Generation:
		return "InProgress"
	case is("Reconciling") == metav1.ConditionTrue:
		return "InProgress"
	case is("Stalled") == metav1.ConditionTrue:
		return "Failed"
	case is("Ready") == metav1.ConditionFalse, is("Ready") == metav1.ConditionUnknown:
		return "InProgress"
	default:
		return "Current"
	}
}

// wantKstatus is what kstatus should compute.
func (env *testEnv) wantKstatus() string {
	healthy := meta.FindStatusCondition(env.object.Status.Conditions, "Healthy")
	switch {
	case env.object.Status.ObservedGeneration != env.object.Generation:
		return "InProgress"
	case meta.FindStatusCondition(env.object.Status.Conditions, "Stalled") != nil:
		return "Failed"
	case find(env.object.Status.Conditions, "Reconciling").reason == v1alpha1.ReasonObservationRequested:
		return "InProgress"
	case healthy.Status == metav1.ConditionTrue:
		return "Current"
	default:
		return "InProgress"
	}
}
