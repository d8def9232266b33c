// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// newServiceEnv is an object of a Service, whose load balancer was found.
func newServiceEnv(tb testing.TB, edits ...func(*v1alpha1.LoadBalancerHealthSpec)) *testEnv {
	tb.Helper()
	env := newEnv(tb, append(edits, ofService("web"))...)
	env.discoverLoadBalancer("web", "lb-web")
	return env
}

// expect makes the cluster expect backends, in the format of backends: "443/https xx"
// expects i-0 and i-1 behind that listener, and "-" skips one.
func (env *testEnv) expect(listeners ...string) *testEnv {
	env.expected = expecting(listeners...)
	return env
}

func expecting(listeners ...string) *Expected {
	expected := &Expected{}
	for _, row := range backends(listeners...) {
		port := ServicePort{row.ListenerPort, row.ListenerProtocol}
		if n := len(expected.Listeners); n == 0 || expected.Listeners[n-1].ServicePort != port {
			expected.Listeners = append(expected.Listeners, ExpectedListener{ServicePort: port})
		}
		l := &expected.Listeners[len(expected.Listeners)-1]
		l.Backends = append(l.Backends, ExpectedBackend{Type: TypeECS, ServerID: row.ServerID, Port: row.Port, Location: Location{Node: "node-" + row.ServerID}})
	}
	return expected
}

// wantRegistered compares Registered and the missing backends, as in
// "False(BackendsMissing) i-1@30": the id of a server or the address of a pod, and
// its since in seconds after the start.
func (env *testEnv) wantRegistered(want string) {
	env.t.Helper()
	c := find(env.object.Status.Conditions, v1alpha1.ConditionRegistered)
	words := []string{fmt.Sprintf("%s(%s)", c.status, c.reason)}
	for i := range env.object.Status.MissingBackends {
		b := &env.object.Status.MissingBackends[i]
		words = append(words, fmt.Sprintf("%s@%d", LocationKey(TypeECS, b.ServerID, b.ServerIP)+b.ServerIP, int(b.Since.Sub(start).Seconds())))
	}
	if got := strings.Join(words, " "); got != want {
		env.t.Errorf("at %s: Registered is %s, want %s", env.now.Sub(start), got, want)
	}
}

const (
	allRegistered = "True(AllRegistered)"
	isMissing     = "False(BackendsMissing)"
	isPending     = "Unknown(Pending)"
	notDetermined = "Unknown(NotDetermined)"
)

// A backend that became Ready again after an observation was not expected all the time.
func TestGraceBeginsWhenABackendIsExpected(t *testing.T) {
	env := newServiceEnv(t).expect("nn")
	backend := &env.expected.Listeners[0].Backends[1]
	env.observe("nn")
	env.after(30 * time.Second)
	env.observe("n")
	for range 5 { // it restarts between the observations
		env.after(30 * time.Second)
		backend.Since = env.now.Add(-5 * time.Second)
		env.observe("n")
		env.wantRegistered(allRegistered)
	}
	env.after(30 * time.Second)
	env.observe("n")
	env.wantRegistered(isMissing + " i-1@180")
	backend.Since = env.now.Add(time.Second) // read after the observation
	env.observe("n")
	env.wantRegistered(allRegistered)
}

// The cluster may expect a backend only after the observation that is evaluated.
func TestGraceBeginsAfterAnOldObservation(t *testing.T) {
	env := newServiceEnv(t).expect("n")
	env.observe("n")
	observation := &alicloud.Observation{RequestID: "request", At: env.now, Backends: backends("n")}
	env.after(10 * time.Second).expect("nn").evaluate(Input{Observation: observation})
	env.wantRegistered(allRegistered)
	env.after(25 * time.Second).observe("n") // 35 s after the observation
	env.wantRegistered(allRegistered)
	env.after(5 * time.Second).observe("n")
	env.wantRegistered(isMissing + " i-1@10")
}

func TestBackendIsMissingAfter30sAndTwoObservations(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		want     []string // at each observation
	}{
		{10 * time.Second, []string{allRegistered, allRegistered, allRegistered, isMissing + " i-1@60"}},
		{29 * time.Second, []string{allRegistered, allRegistered, isMissing + " i-1@60"}},
		{30 * time.Second, []string{allRegistered, isMissing + " i-1@60"}},
		{time.Hour, []string{allRegistered, isMissing + " i-1@60"}},
	} {
		t.Run(test.interval.String(), func(t *testing.T) {
			env := newServiceEnv(t).expect("nn")
			env.observe("nn")
			env.wantRegistered(allRegistered)
			env.after(time.Minute)
			for i, want := range test.want {
				outcome := env.observe("n")
				env.wantRegistered(want)
				if (outcome.Transitions.Registered != nil) != (want != allRegistered) {
					t.Errorf("observation %d: transition %s", i, formatCondition(outcome.Transitions.Registered))
				}
				env.after(test.interval)
			}
			outcome := env.observe("nn")
			env.wantRegistered(allRegistered)
			if got := formatCondition(outcome.Transitions.Registered); got != allRegistered {
				t.Errorf("got transition %q", got)
			}
		})
	}
}

// A backend that is seen, or not expected, for one observation starts again.
func TestGraceStartsAgain(t *testing.T) {
	for what, meanwhile := range map[string]func(env *testEnv){
		"the backend was registered":   func(env *testEnv) { env.observe("nn") },
		"the backend was not expected": func(env *testEnv) { env.expect("n").observe("n") },
		"its pod became ready again": func(env *testEnv) {
			env.expected.Listeners[0].Backends[1].Location.PodReadySince = env.now.Add(time.Second)
			env.observe("n")
		},
		"nothing was determined": func(env *testEnv) {
			env.expected = &Expected{NotDetermined: NotDetermined{Reason: EndpointSlicesUnknown}}
			env.observe("n")
		},
		"the process restarted":        func(env *testEnv) { env.restart() },
		"observation was suspended":    func(env *testEnv) { env.edit(suspend).wait(); env.edit(resume).wait() },
		"another load balancer":        func(env *testEnv) { env.discoverLoadBalancer("web", "lb-2") },
		"another listener in the spec": func(env *testEnv) { env.edit(listener(443, "")) },
	} {
		t.Run(what, func(t *testing.T) {
			env := newServiceEnv(t).expect("nn")
			env.observe("nn")
			env.after(20 * time.Second).observe("n")
			meanwhile(env.after(20 * time.Second))
			expected := expecting("nn")
			if env.expected.NotDetermined.Reason == "" && len(env.expected.Listeners[0].Backends) == 2 {
				expected.Listeners[0].Backends[1].Location = env.expected.Listeners[0].Backends[1].Location
			}
			env.expected = expected
			env.after(20 * time.Second).observe("n")
			env.after(20 * time.Second).observe("n")
			if len(env.object.Status.MissingBackends) > 0 {
				t.Errorf("missing after 20 s: %+v", env.object.Status.MissingBackends)
			}
			env.after(20 * time.Second).observe("n")
			env.wantRegistered(isMissing + " i-1@60")
		})
	}
}

// A failed observation says nothing about a backend: the grace goes on.
func TestFailuresDoNotRestartTheGrace(t *testing.T) {
	env := newServiceEnv(t).expect("nn")
	env.observe("nn")
	env.after(10 * time.Second).observe("n")
	env.after(10 * time.Second).fail(alicloud.Throttled)
	env.after(time.Second).wait()
	env.after(19 * time.Second).observe("n")
	env.wantRegistered(isMissing + " i-1@10")
}

// An observation from before a pod was ready says nothing about the pod.
func TestObservationFromBeforeAPodWasReadyDoesNotCount(t *testing.T) {
	env := newServiceEnv(t).expect("n")
	env.observe("n")
	env.expect("nn")
	env.expected.Listeners[0].Backends[1].Location.PodReadySince = start.Add(45 * time.Second)
	env.after(30 * time.Second).observe("n")
	env.after(30 * time.Second).observe("n")
	env.wantRegistered(allRegistered)
	env.after(30 * time.Second).observe("n")
	env.wantRegistered(isMissing + " i-1@60")
}

// While Registered is False there is no grace, so a restart changes nothing.
func TestRestartDoesNotChangeRegistered(t *testing.T) {
	env := newServiceEnv(t).expect("nnn")
	env.observe("nnn")
	env.after(30 * time.Second).observe("n")
	env.after(30 * time.Second).observe("n")
	env.wantRegistered(isMissing + " i-1@30 i-2@30")
	for _, restart := range []bool{true, false} {
		if restart {
			env.restart()
		}
		if outcome := env.after(10 * time.Second).observe("n"); outcome.Write {
			t.Errorf("the same observation is written again: %+v", outcome.Status.MissingBackends)
		}
	}
	env.restart().after(10 * time.Second).observe("nn")
	env.wantRegistered(isMissing + " i-2@30")
	env.expect("nnnn").after(10 * time.Second).observe("nn")
	env.wantRegistered(isMissing + " i-2@30 i-3@100")
	env.restart().after(10 * time.Second).observe("nnnn")
	env.wantRegistered(allRegistered)
}

// A new object is pending until its backends are registered or missing.
func TestRegisteredIsPendingAtFirst(t *testing.T) {
	env := newServiceEnv(t).expect("nn")
	env.wait()
	env.wantRegistered(isPending)
	for _, test := range []struct{ rows, want, transition string }{
		{"n", isPending, ""},
		{"n", isPending, ""},
		{"n", isMissing + " i-1@15", isMissing},
		{"nn", allRegistered, allRegistered},
		{"nn", allRegistered, ""},
	} {
		outcome := env.after(15 * time.Second).observe(test.rows)
		env.wantRegistered(test.want)
		if got := formatCondition(outcome.Transitions.Registered); got != test.transition {
			t.Errorf("got transition %q, want %q", got, test.transition)
		}
	}
	first := newServiceEnv(t).expect("nn")
	if outcome := first.observe("nn"); outcome.Transitions.Registered != nil {
		t.Error("the first observation is a transition")
	}
}

func TestListenersThatDecideNothingExpectNothing(t *testing.T) {
	listed := func(status string, redirect bool) *alicloud.ListenerDetails {
		return &alicloud.ListenerDetails{Listeners: []alicloud.Listener{
			{Port: 80, Protocol: "tcp", Status: status, HealthCheck: healthCheckOn, RedirectOnly: redirect},
			{Port: 443, Protocol: "https", Status: statusRunning, HealthCheck: healthCheckOn},
		}}
	}
	for _, test := range []struct {
		what    string
		details *alicloud.ListenerDetails
		ports   []ServicePort
		rows    []string
		want    string
	}{
		{"running without backends", listed(statusRunning, false), nil, []string{"443/https n"}, isMissing + " i-0@0"},
		{"only redirects", listed(statusRunning, true), nil, []string{"443/https n"}, allRegistered},
		{"stopped", listed(statusStopped, false), nil, []string{"443/https n"}, allRegistered},
		{"stopped, of the Service", listed(statusStopped, false), []ServicePort{{80, "tcp"}}, []string{"443/https n"}, allRegistered},
		{"being configured", listed("configuring", false), []ServicePort{{80, "tcp"}}, []string{"443/https n"}, allRegistered},
		{"being configured, with backends", listed("configuring", false), nil, []string{"80/tcp -n", "443/https n"}, isMissing + " i-0@0"},
		{"never listed", nil, nil, []string{"443/https n"}, allRegistered},
		{"rows without a port", nil, nil, []string{"0/tcp n", "443/https n"}, allRegistered},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newServiceEnv(t).expect("80/tcp n", "443/https n")
			env.details, env.ports = test.details, test.ports
			env.observe(test.rows...)
			env.after(30 * time.Second).observe(test.rows...)
			env.wantRegistered(test.want)
		})
	}
}

// A listener may have been removed: what it lacks is not known.
func TestMissingListenerExpectsNothing(t *testing.T) {
	env := newServiceEnv(t).expect("80/tcp n", "443/https n")
	env.observe("80/tcp n", "443/https n")
	for range 3 {
		env.after(30 * time.Second).observe("443/https n")
	}
	env.wantRegistered(allRegistered)
	env.want("Healthy=Unknown(ListenerMissing) Observed=True(ObservationSucceeded)")
}

func TestScopeOfTheSpecLimitsWhatIsExpected(t *testing.T) {
	env := newServiceEnv(t, listener(443, "https")).expect("53/udp n", "80/tcp nn", "443/https n")
	for range 3 {
		env.after(30 * time.Second).observe("443/https n")
	}
	env.wantRegistered(allRegistered)
	if got := *env.object.Status.Summary.Missing; got != 0 {
		t.Errorf("%d missing", got)
	}
}

func TestPercentagesAreOfRegisteredAndMissingBackends(t *testing.T) {
	env := newServiceEnv(t, minHealthy("75%")).expect("nnnn")
	env.observe("nnnn")
	env.after(30 * time.Second).observe("nn")
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
	env.after(30 * time.Second).observe("nn")
	const unhealthy = "Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)"
	env.want(unhealthy)
	if got, want := env.condition("Healthy").Message, "listener 443/https has 2 normal of 2 backends and 2 missing, needs 3 healthy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// A failure keeps the verdict, in another process, too.
	env.restart().after(time.Second).fail(alicloud.Throttled)
	env.want("Healthy=False(BelowMinHealthy) Observed=False(Throttled)")
	env.after(time.Second).observe("nnn")
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
	// A count does not depend on them.
	env.edit(minHealthy("2")).after(time.Second).observe("nn")
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
}

func TestRegisteredIsNotDetermined(t *testing.T) {
	for _, test := range []struct {
		what     string
		expected *Expected
		want     string
		message  string
	}{
		{
			"nothing", &Expected{NotDetermined: NotDetermined{Reason: EndpointSlicesUnknown}},
			notDetermined, "which backends the cluster expects is not determined: the operator may not read EndpointSlices: apply config/service-discovery or upgrade the chart, and restart the operator",
		},
		{
			"one listener", &Expected{Listeners: []ExpectedListener{
				{ServicePort: ServicePort{80, "tcp"}, NotDetermined: NotDetermined{Reason: NoNodePort}},
				expecting("443/https n").Listeners[0],
			}},
			notDetermined, "which backends the cluster expects is not determined: listener 80/tcp: the backends are nodes, and the port of the Service has no nodePort",
		},
		{
			"one listener, and another lacks a backend", &Expected{Listeners: []ExpectedListener{
				{ServicePort: ServicePort{80, "tcp"}, NotDetermined: NotDetermined{Reason: NoNodePort}},
				expecting("443/https nn").Listeners[0],
			}},
			isMissing + " i-1@30", "1 of 2 expected backends are not registered: i-1:8443 (listener 443/https); check the events of the Service, and the log of the cloud controller manager",
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newServiceEnv(t).expect("80/tcp n", "443/https n")
			env.observe("80/tcp n", "443/https n")
			env.expected = test.expected
			env.after(30*time.Second).observe("80/tcp n", "443/https n")
			env.after(30*time.Second).observe("80/tcp n", "443/https n")
			env.wantRegistered(test.want)
			if got := env.condition("Registered").Message; got != test.message {
				t.Errorf("got  %q\nwant %q", got, test.message)
			}
		})
	}
}

// The message of each reason says what to do, or is a plain fact.
func TestEachReasonOfNotDeterminedIsExplained(t *testing.T) {
	seen := map[string]NotDeterminedReason{}
	for _, reason := range []NotDeterminedReason{
		EndpointSlicesUnknown, NodesUnknown, ReusedLoadBalancer, Weights, OtherController, BackendTypeUnknown,
		HybridNodes, EndpointWithoutNode, InvalidProviderID, InvalidAnnotation, NoNodePort, AmbiguousNode,
		NodeAddresses, IngressesUnknown, IngressChanged, ServerGroupUnknown, InvalidAction,
	} {
		text := NotDetermined{Reason: reason, Object: "OBJECT"}.Message()
		if other, twice := seen[text]; twice || strings.Contains(text, string(reason)) || strings.HasSuffix(text, ".") {
			t.Errorf("%s is explained by %q, as %s", reason, text, other)
		}
		seen[text] = reason
	}
}

// What is known about the registration stays while observations fail, are stale or
// suspended, or while this process does not know the Service yet.
func TestRegisteredIsKeptWithoutAComparison(t *testing.T) {
	for what, then := range map[string]func(env *testEnv){
		"a failure":            func(env *testEnv) { env.fail(alicloud.Throttled) },
		"a stale verdict":      func(env *testEnv) { env.after(time.Hour).fail(alicloud.Throttled) },
		"a stall":              func(env *testEnv) { env.fail(alicloud.Forbidden) },
		"a suspension":         func(env *testEnv) { env.edit(suspend).wait() },
		"a resume":             func(env *testEnv) { env.edit(suspend).wait(); env.edit(resume).wait() },
		"an edit":              func(env *testEnv) { env.edit(minHealthy("2")).wait() },
		"an unknown Service":   func(env *testEnv) { env.expected = nil; env.observe("na") },
		"no load balancer now": func(env *testEnv) { env.failDiscovery("it has none") },
	} {
		t.Run(what, func(t *testing.T) {
			env := newServiceEnv(t).expect("nnn")
			env.observe("nnn")
			env.after(30 * time.Second).observe("nn")
			env.after(30 * time.Second).observe("nn")
			before := env.object.DeepCopy().Status
			then(env.after(time.Second))
			env.wantRegistered(isMissing + " i-2@30")
			after := &env.object.Status
			if diff := cmp.Diff(before.Summary.Missing, after.Summary.Missing); diff != "" {
				t.Error(diff)
			}
			if l := after.Listeners[0]; l.Missing != 1 || *l.Expected != 3 {
				t.Errorf("got %+v", l)
			}
		})
	}
}

func TestOtherTargetRemovesMissingBackendsWithoutTransition(t *testing.T) {
	for what, change := range map[string]func(env *testEnv){
		"load balancer": func(env *testEnv) { env.discoverLoadBalancer("web", "lb-2") },
		"listener":      func(env *testEnv) { env.edit(listener(443, "https")) },
		"no Service": func(env *testEnv) {
			env.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) { *spec = newEnv(t).object.Spec })
		},
	} {
		t.Run(what, func(t *testing.T) {
			env := newServiceEnv(t).expect("nn")
			env.observe("nn")
			env.after(30 * time.Second).observe("n")
			env.after(30 * time.Second).observe("n")
			change(env)
			for range 2 {
				outcome := env.after(20 * time.Second).observe("n")
				if outcome.Transitions.Registered != nil || len(env.object.Status.MissingBackends) > 0 {
					t.Errorf("got transition %q and %+v", formatCondition(outcome.Transitions.Registered), env.object.Status.MissingBackends)
				}
			}
		})
	}
}
