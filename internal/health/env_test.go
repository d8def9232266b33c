// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	expected       *Expected
	absences       Absences
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
	env.absences = Absences{}
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
	input.Expected, input.Absences = env.expected, env.absences
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
	env.absences, input.Absences = outcome.Absences, outcome.Absences
	env.checkIdempotent(input)
	return outcome
}

// want compares the stored conditions in the format of conditions.
func (env *testEnv) want(want string) {
	env.t.Helper()
	if got := conditions(&env.object.Status); got != want {
		env.t.Errorf("conditions\n got %s\nwant %s", got, want)
	}
}

// conditions formats types, statuses and reasons, and omits Ready
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

// formatBackends formats backend transitions: "i-0 normal>abnormal".
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
