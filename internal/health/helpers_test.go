// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var defaults = Options{MaxBackends: 500, Heartbeat: 5 * time.Minute}

// testEnv is one object, and the state of the process that observes it. Every
// evaluation checks the invariants.
type testEnv struct {
	t       testing.TB
	object  *v1alpha1.LoadBalancerHealth
	now     time.Time
	options Options

	since          time.Time
	lastObservedAt time.Time
	failingSince   time.Time
	failure        *alicloud.Error
	sameKindInARow int
	sameKindSince  time.Time
	requests       int
	pendingRequest string
	locations      Locations
	details        *alicloud.ListenerDetails
	lapsed         bool
	ports          []ServicePort
}

func newEnv(tb testing.TB, edits ...func(*v1alpha1.LoadBalancerHealthSpec)) *testEnv {
	tb.Helper()
	env := &testEnv{t: tb, now: start, since: start, options: defaults, object: &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "prod", Generation: 1},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: "lb-web", RegionID: "cn-hangzhou",
			Interval: metav1.Duration{Duration: DefaultInterval},
		},
		Status: v1alpha1.LoadBalancerHealthStatus{ObservedGeneration: -1},
	}}
	for _, edit := range edits {
		edit(&env.object.Spec)
	}
	return env
}

func (env *testEnv) after(d time.Duration) *testEnv {
	env.now = env.now.Add(d)
	return env
}

// edit changes the spec as a user does, with a new generation.
func (env *testEnv) edit(edit func(*v1alpha1.LoadBalancerHealthSpec)) *testEnv {
	edit(&env.object.Spec)
	env.object.Generation++
	return env
}

// restart clears the state of the process.
func (env *testEnv) restart() *testEnv {
	env.since, env.lastObservedAt, env.failingSince, env.failure, env.sameKindInARow, env.pendingRequest = env.now, time.Time{}, time.Time{}, nil, 0, ""
	return env
}

// request sets the request annotation, which the next observation attempts to serve.
func (env *testEnv) request(value string) *testEnv {
	env.pendingRequest = value
	metav1.SetMetaDataAnnotation(&env.object.ObjectMeta, v1alpha1.ObserveRequestedAtAnnotation, value)
	return env
}

// observe is an observation that succeeds, with the rows of backends.
func (env *testEnv) observe(listeners ...string) Outcome {
	env.t.Helper()
	return env.observeRows(backends(listeners...))
}

func (env *testEnv) observeRows(rows []alicloud.Backend) Outcome {
	env.t.Helper()
	env.requests++
	env.lastObservedAt, env.failingSince, env.failure, env.sameKindInARow = env.now, time.Time{}, nil, 0
	return env.evaluate(Input{Locations: env.locations, Observation: &alicloud.Observation{
		RequestID: fmt.Sprintf("request-%d", env.requests), At: env.now, Backends: rows,
	}})
}

// fail is an observation that fails.
func (env *testEnv) fail(kind alicloud.Kind, message ...string) Outcome {
	env.t.Helper()
	if env.failure == nil {
		env.failingSince = env.now
	}
	if env.failure == nil || env.failure.Kind != kind {
		env.sameKindInARow, env.sameKindSince = 0, env.now
	}
	env.sameKindInARow++
	env.failure = &alicloud.Error{Kind: kind, Message: "it is " + string(kind)}
	if len(message) > 0 {
		env.failure.Message = message[0]
	}
	return env.repeatFailure()
}

// repeatFailure evaluates the last failure again, without an observation.
func (env *testEnv) repeatFailure() Outcome {
	env.t.Helper()
	return env.evaluate(Input{Failure: env.failure})
}

// wait is an evaluation without an observation.
func (env *testEnv) wait() Outcome {
	env.t.Helper()
	return env.evaluate(Input{})
}

func (env *testEnv) evaluate(input Input) Outcome {
	env.t.Helper()
	input.Since, input.LastObservedAt, input.FailingSince = env.since, env.lastObservedAt, env.failingSince
	input.SameKindInARow, input.SameKindSince = env.sameKindInARow, env.sameKindSince
	input.Details, input.DetailsLapsed, input.ServicePorts = env.details, env.lapsed, env.ports
	if input.Observation != nil || input.Failure != nil {
		input.ObserveRequest = env.pendingRequest
	}
	before := env.object.DeepCopy()
	outcome := Evaluate(env.object, input, env.now, env.options)
	if !reflect.DeepEqual(before, env.object) {
		env.t.Fatalf("Evaluate mutated the object:\n%s", cmp.Diff(before, env.object))
	}
	env.checkOutcome(outcome)
	if outcome.Write {
		env.object.Status = stored(env.t, outcome.Status)
	}
	env.checkStatus()
	env.checkIdempotent(input)
	return outcome
}

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
	return len(c.Backends)+len(c.Listeners) > 0 || c.Verdict != nil || c.Observation != nil
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
	if !allowed(observed) || !allowed(healthy) {
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
	if want := (v1alpha1.Summary{Listeners: int32(len(s.Listeners)), Counts: sum}); *s.Summary != want {
		env.t.Fatalf("summary is %+v, the listeners make %+v", *s.Summary, want)
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

// want compares the stored conditions in the format of conditions.
func (env *testEnv) want(want string) {
	env.t.Helper()
	if got := conditions(&env.object.Status); got != want {
		env.t.Errorf("conditions\n got %s\nwant %s", got, want)
	}
}

// conditions formats types, statuses and reasons in one line, and omits Ready
// where it equals Healthy.
func conditions(s *v1alpha1.LoadBalancerHealthStatus) string {
	ready := find(s.Conditions, v1alpha1.ConditionReady)
	healthy := find(s.Conditions, v1alpha1.ConditionHealthy)
	var words []string
	for _, conditionType := range []string{"Ready", "Healthy", "Observed", "Stalled", "Reconciling"} {
		c := find(s.Conditions, conditionType)
		if c.status == "" || (conditionType == "Ready" && ready == healthy) {
			continue
		}
		words = append(words, fmt.Sprintf("%s=%s(%s)", conditionType, c.status, c.reason))
	}
	return strings.Join(words, " ")
}

func (env *testEnv) wantNo(conditionType string) {
	env.t.Helper()
	if c := meta.FindStatusCondition(env.object.Status.Conditions, conditionType); c != nil {
		env.t.Errorf("unexpected condition %+v", c)
	}
}

func (env *testEnv) condition(conditionType string) metav1.Condition {
	env.t.Helper()
	c := meta.FindStatusCondition(env.object.Status.Conditions, conditionType)
	if c == nil {
		env.t.Fatalf("no condition %s", conditionType)
	}
	return *c
}

// statusOf maps the letters of tests to values of ServerHealthStatus. The API
// may add x.
var statusOf = map[rune]string{'n': "normal", 'a': "abnormal", 'u': "unavailable", 'x': "checking"}

// backends parses rows such as "443/https nna": a listener, and a letter for
// each of its backends i-0, i-1 and so on. "-" skips one. The default listener
// is 443/https.
func backends(listeners ...string) []alicloud.Backend {
	var rows []alicloud.Backend
	for _, listener := range listeners {
		name, letters, found := strings.Cut(listener, " ")
		if !found {
			name, letters = "443/https", listener
		}
		var port int32
		var protocol string
		if _, err := fmt.Sscanf(name, "%d/%s", &port, &protocol); err != nil {
			panic(err)
		}
		for i, letter := range letters {
			if letter == '-' {
				continue
			}
			rows = append(rows, alicloud.Backend{
				ServerID: fmt.Sprintf("i-%d", i), ServerIP: fmt.Sprintf("10.0.0.%d", i), Type: "ecs",
				ListenerPort: port, ListenerProtocol: protocol, Port: 8443, ServerHealthStatus: statusOf[letter],
			})
		}
	}
	return rows
}

// formatBackends formats backend transitions in one line: "i-0 normal>abnormal".
func formatBackends(transitions []BackendTransition) string {
	words := make([]string, 0, len(transitions))
	for i := range transitions {
		words = append(words, fmt.Sprintf("%s %s>%s", transitions[i].Backend.ServerID, transitions[i].From, transitions[i].To))
	}
	return strings.Join(words, ", ")
}

// formatCondition formats a condition transition: "False(NoBackends)", or "".
func formatCondition(c *ConditionTransition) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s(%s)", c.Status, c.Reason)
}

// rowTimes formats the state of each row, and its lastTransitionTime in seconds since start.
func rowTimes(rows []v1alpha1.BackendStatus) string {
	words := make([]string, 0, len(rows))
	for i := range rows {
		words = append(words, fmt.Sprintf("%s %s@%d", rows[i].ServerID, rows[i].ServerHealthStatus,
			int(rows[i].LastTransitionTime.Sub(start).Seconds())))
	}
	return strings.Join(words, ", ")
}

func minHealthy(value string) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) {
		if spec.HealthPolicy == nil {
			spec.HealthPolicy = &v1alpha1.HealthPolicy{}
		}
		spec.HealthPolicy.MinHealthy = new(intstr.Parse(value))
	}
}

func countUnavailable(as v1alpha1.Health) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) {
		if spec.HealthPolicy == nil {
			spec.HealthPolicy = &v1alpha1.HealthPolicy{}
		}
		spec.HealthPolicy.Unavailable = as
	}
}

func interval(d time.Duration) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.Interval.Duration = d }
}

func suspend(spec *v1alpha1.LoadBalancerHealthSpec) { spec.Suspend = true }

func resume(spec *v1alpha1.LoadBalancerHealthSpec) { spec.Suspend = false }

func listener(port int32, protocol v1alpha1.ListenerProtocol) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.ListenerPort, spec.ListenerProtocol = nil, protocol
		if port != 0 {
			spec.ListenerPort = new(port)
		}
	}
}

func otherLoadBalancer(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = "lb-other" }
