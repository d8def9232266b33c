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

// world is one object in a cluster, and what the process that observes it
// remembers. Every evaluation in it is checked against the invariants.
type world struct {
	t       testing.TB
	object  *v1alpha1.LoadBalancerHealth
	now     time.Time
	options Options

	since          time.Time
	answeredAt     time.Time
	failingSince   time.Time
	failure        *alicloud.Error
	sameKindInARow int
	sameKindSince  time.Time
	requests       int
	request        string
	places         Places
	details        *alicloud.ListenerDetails
	lapsed         bool
	ports          []ServicePort
}

func newWorld(tb testing.TB, edits ...func(*v1alpha1.LoadBalancerHealthSpec)) *world {
	tb.Helper()
	w := &world{t: tb, now: start, since: start, options: defaults, object: &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "prod", Generation: 1},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: "lb-web", RegionID: "cn-hangzhou",
			Interval: metav1.Duration{Duration: DefaultInterval},
		},
		Status: v1alpha1.LoadBalancerHealthStatus{ObservedGeneration: -1},
	}}
	for _, edit := range edits {
		edit(&w.object.Spec)
	}
	return w
}

func (w *world) after(d time.Duration) *world {
	w.now = w.now.Add(d)
	return w
}

// edit changes the spec as a user does.
func (w *world) edit(edit func(*v1alpha1.LoadBalancerHealthSpec)) *world {
	edit(&w.object.Spec)
	w.object.Generation++
	return w
}

// restart loses what the process remembers.
func (w *world) restart() *world {
	w.since, w.answeredAt, w.failingSince, w.failure, w.sameKindInARow, w.request = w.now, time.Time{}, time.Time{}, nil, 0, ""
	return w
}

// ask sets the request annotation, which the next observation attempts to serve.
func (w *world) ask(value string) *world {
	w.request = value
	metav1.SetMetaDataAnnotation(&w.object.ObjectMeta, v1alpha1.ObserveRequestedAtAnnotation, value)
	return w
}

// answer is an observation that succeeds with the rows that the words mean.
func (w *world) answer(listeners ...string) Outcome {
	w.t.Helper()
	return w.answerRows(backends(listeners...))
}

func (w *world) answerRows(rows []alicloud.Backend) Outcome {
	w.t.Helper()
	w.requests++
	w.answeredAt, w.failingSince, w.failure, w.sameKindInARow = w.now, time.Time{}, nil, 0
	return w.evaluate(Input{Places: w.places, Observation: &alicloud.Observation{
		RequestID: fmt.Sprintf("request-%d", w.requests), At: w.now, Backends: rows,
	}})
}

// fail is an observation that fails.
func (w *world) fail(kind alicloud.Kind, message ...string) Outcome {
	w.t.Helper()
	if w.failure == nil {
		w.failingSince = w.now
	}
	if w.failure == nil || w.failure.Kind != kind {
		w.sameKindInARow, w.sameKindSince = 0, w.now
	}
	w.sameKindInARow++
	w.failure = &alicloud.Error{Kind: kind, Message: "it is " + string(kind)}
	if len(message) > 0 {
		w.failure.Message = message[0]
	}
	return w.again()
}

// again looks at the last failure once more, without an observation.
func (w *world) again() Outcome {
	w.t.Helper()
	return w.evaluate(Input{Failure: w.failure})
}

// wait is an evaluation while nobody has asked.
func (w *world) wait() Outcome {
	w.t.Helper()
	return w.evaluate(Input{})
}

func (w *world) evaluate(o Input) Outcome {
	w.t.Helper()
	o.Since, o.AnsweredAt, o.FailingSince = w.since, w.answeredAt, w.failingSince
	o.SameKindInARow, o.SameKindSince = w.sameKindInARow, w.sameKindSince
	o.Details, o.DetailsLapsed, o.ServicePorts = w.details, w.lapsed, w.ports
	if o.Observation != nil || o.Failure != nil {
		o.ObserveRequest = w.request
	}
	before := w.object.DeepCopy()
	outcome := Evaluate(w.object, o, w.now, w.options)
	if !reflect.DeepEqual(before, w.object) {
		w.t.Fatalf("Evaluate changed its input:\n%s", cmp.Diff(before, w.object))
	}
	w.checkOutcome(outcome)
	if outcome.Write {
		w.object.Status = stored(w.t, outcome.Status)
	}
	w.checkStatus()
	w.checkIdempotent(o)
	return outcome
}

// stored is a status after a way through the API server.
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

func (w *world) checkOutcome(outcome Outcome) {
	w.t.Helper()
	same := apiequality.Semantic.DeepEqual(outcome.Status, w.object.Status)
	if !outcome.Write && !same {
		w.t.Fatalf("nothing is to be written, but the status differs:\n%s", cmp.Diff(w.object.Status, outcome.Status))
	}
	if back := stored(w.t, outcome.Status); !apiequality.Semantic.DeepEqual(outcome.Status, back) {
		w.t.Fatalf("the status comes back from the API server as another:\n%s", cmp.Diff(outcome.Status, back))
	}
	if outcome.Write && same {
		w.t.Fatal("a write that changes nothing")
	}
	if !outcome.Write && told(outcome.Transitions) {
		w.t.Fatalf("changes without a write: %+v", outcome.Transitions)
	}
	if !outcome.StaleAt.IsZero() && !w.now.Before(outcome.StaleAt) {
		w.t.Fatalf("the verdict stands past StaleAt: %s at %s", outcome.StaleAt, w.now)
	}
}

func told(c Transitions) bool {
	return len(c.Backends)+len(c.Listeners) > 0 || c.Verdict != nil || c.Observation != nil
}

// checkIdempotent looks at the same observation at the same time again.
func (w *world) checkIdempotent(o Input) {
	w.t.Helper()
	if again := Evaluate(w.object, o, w.now, w.options); again.Write || told(again.Transitions) {
		w.t.Fatalf("the same observation again: write %t, changes %+v\n%s",
			again.Write, again.Transitions, cmp.Diff(w.object.Status, again.Status))
	}
}

// checkStatus holds what is true of every stored status.
func (w *world) checkStatus() {
	w.t.Helper()
	s := &w.object.Status
	if len(s.Conditions) == 0 {
		w.t.Fatal("there are no conditions")
	}
	w.checkConditions(s)
	w.checkCounts(s)
	identities := make([]string, 0, len(s.Backends))
	for i := range s.Backends {
		b := &s.Backends[i]
		identities = append(identities, fmt.Sprintf("%05d\x00%s\x00%s\x00%s\x00%05d",
			b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port))
	}
	if !slices.IsSorted(identities) || len(slices.Compact(identities)) != len(s.Backends) {
		w.t.Fatalf("backends are not sorted, or not unique: %q", identities)
	}
	if got, want := kstatus(w.object), w.sensible(); got != want {
		w.t.Fatalf("kstatus reads %s, want %s: %s", got, want, conditions(s))
	}
}

func (w *world) checkConditions(s *v1alpha1.LoadBalancerHealthStatus) {
	w.t.Helper()
	seen := map[string]metav1.Condition{}
	for _, c := range s.Conditions {
		if _, twice := seen[c.Type]; twice {
			w.t.Fatalf("condition %s is there twice", c.Type)
		}
		seen[c.Type] = c
		if c.Reason == "" || c.Status == "" || c.LastTransitionTime.IsZero() {
			w.t.Fatalf("condition %+v is incomplete", c)
		}
		if c.ObservedGeneration < 0 || c.ObservedGeneration > w.object.Generation {
			w.t.Fatalf("condition %s has observedGeneration %d, which the API server refuses or nobody observed", c.Type, c.ObservedGeneration)
		}
		if c.LastTransitionTime.After(w.now) {
			w.t.Fatalf("condition %s turned in the future", c.Type)
		}
	}
	ready, healthy := seen[v1alpha1.ConditionReady], seen[v1alpha1.ConditionHealthy]
	stalled, isStalled := seen[v1alpha1.ConditionStalled]
	reconciling, isReconciling := seen[v1alpha1.ConditionReconciling]
	observed := seen[v1alpha1.ConditionObserved]
	switch {
	case ready.Status == "" || healthy.Status == "" || observed.Status == "":
		w.t.Fatalf("Ready, Healthy and Observed are always there: %s", conditions(s))
	case isStalled && isReconciling:
		w.t.Fatal("Stalled and Reconciling together")
	case isStalled && (stalled.Status != metav1.ConditionTrue || stalled.Reason != observed.Reason):
		w.t.Fatalf("Stalled is there only while True, with the reason of Observed: %s", conditions(s))
	case isReconciling && (reconciling.Status != metav1.ConditionTrue ||
		(reconciling.Reason == v1alpha1.ReasonObservationRequested) != (s.ObservedGeneration == w.object.Generation)):
		w.t.Fatalf("Reconciling is there only while True, for a generation that was not observed or a request that was not answered: %s", conditions(s))
	case !isReconciling && s.ObservedGeneration != w.object.Generation:
		w.t.Fatalf("generation %d of %d was observed and Reconciling is absent", s.ObservedGeneration, w.object.Generation)
	case isStalled && ready.Status != metav1.ConditionFalse:
		w.t.Fatalf("Ready is False while Stalled: %s", conditions(s))
	case !isStalled && (ready.Status != healthy.Status || ready.Reason != healthy.Reason || ready.Message != healthy.Message):
		w.t.Fatalf("Ready follows Healthy: %s", conditions(s))
	}
	if !allowed(observed) || !allowed(healthy) {
		w.t.Fatalf("a status and a reason that do not belong together: %s", conditions(s))
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

func (w *world) checkCounts(s *v1alpha1.LoadBalancerHealthStatus) {
	w.t.Helper()
	if s.Summary == nil {
		if len(s.Listeners)+len(s.Backends)+int(s.OmittedBackends) > 0 || s.LastObservedTime != nil {
			w.t.Fatal("backends without a summary")
		}
		return
	}
	var sum v1alpha1.Counts
	for i := range s.Listeners {
		l := &s.Listeners[i]
		if l.Backends != l.Normal+l.Abnormal+l.Unavailable {
			w.t.Fatalf("the counts of listener %+v do not add up", l)
		}
		sum.Backends += l.Backends
		sum.Normal += l.Normal
		sum.Abnormal += l.Abnormal
		sum.Unavailable += l.Unavailable
	}
	if want := (v1alpha1.Summary{Listeners: int32(len(s.Listeners)), Counts: sum}); *s.Summary != want {
		w.t.Fatalf("summary is %+v, the listeners make %+v", *s.Summary, want)
	}
	if len(s.Backends)+int(s.OmittedBackends) != int(s.Summary.Backends) {
		w.t.Fatalf("%d rows and %d omitted are not %d backends", len(s.Backends), s.OmittedBackends, s.Summary.Backends)
	}
	if len(s.Backends) > w.options.MaxBackends {
		w.t.Fatalf("%d rows, the limit is %d", len(s.Backends), w.options.MaxBackends)
	}
}

// kstatus reads an object in the order in which kstatus does.
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

// sensible is what kstatus should read.
func (w *world) sensible() string {
	healthy := meta.FindStatusCondition(w.object.Status.Conditions, "Healthy")
	switch {
	case w.object.Status.ObservedGeneration != w.object.Generation:
		return "InProgress"
	case meta.FindStatusCondition(w.object.Status.Conditions, "Stalled") != nil:
		return "Failed"
	case find(w.object.Status.Conditions, "Reconciling").reason == v1alpha1.ReasonObservationRequested:
		return "InProgress"
	case healthy.Status == metav1.ConditionTrue:
		return "Current"
	default:
		return "InProgress"
	}
}

// want compares the stored conditions, as conditions prints them.
func (w *world) want(want string) {
	w.t.Helper()
	if got := conditions(&w.object.Status); got != want {
		w.t.Errorf("conditions\n got %s\nwant %s", got, want)
	}
}

// conditions prints types, statuses and reasons in one line; Ready only where
// it differs from Healthy.
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

func (w *world) wantNo(conditionType string) {
	w.t.Helper()
	if c := meta.FindStatusCondition(w.object.Status.Conditions, conditionType); c != nil {
		w.t.Errorf("there is the condition %+v", c)
	}
}

func (w *world) condition(conditionType string) metav1.Condition {
	w.t.Helper()
	c := meta.FindStatusCondition(w.object.Status.Conditions, conditionType)
	if c == nil {
		w.t.Fatalf("there is no condition %s", conditionType)
	}
	return *c
}

// statusOf maps the letters of tests to values of ServerHealthStatus; x is one
// that the API may add.
var statusOf = map[rune]string{'n': "normal", 'a': "abnormal", 'u': "unavailable", 'x': "checking"}

// backends are rows from words such as "443/https nna": a listener, and a
// letter for each of its backends i-0, i-1 and so on, of which "-" is not
// there. Without a listener it is 443/https.
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

// changed prints backend changes in one line: "i-0 normal>abnormal".
func changed(changes []BackendTransition) string {
	words := make([]string, 0, len(changes))
	for i := range changes {
		words = append(words, fmt.Sprintf("%s %s>%s", changes[i].Backend.ServerID, changes[i].From, changes[i].To))
	}
	return strings.Join(words, ", ")
}

// turned prints a condition change in one line: "False(NoBackends)", or "".
func turned(c *ConditionTransition) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s(%s)", c.Status, c.Reason)
}

// rowTimes prints each row's state and lastTransitionTime in seconds since the start.
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
