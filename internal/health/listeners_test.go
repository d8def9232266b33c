// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// listed are details from words such as "443/https running on".
func (env *testEnv) listed(listeners ...string) *testEnv {
	env.details = &alicloud.ListenerDetails{At: env.now}
	for _, words := range listeners {
		name, rest, _ := strings.Cut(words, " ")
		var l alicloud.Listener
		if _, err := fmt.Sscanf(name, "%d/%s", &l.Port, &l.Protocol); err != nil {
			env.t.Fatal(err)
		}
		for word := range strings.FieldsSeq(rest) {
			switch word {
			case "on", "off":
				l.HealthCheck = word
			case "redirect":
				l.RedirectOnly = true
			default:
				l.Status = word
			}
		}
		env.details.Listeners = append(env.details.Listeners, l)
	}
	return env
}

func (env *testEnv) unlisted() *testEnv {
	env.details = nil
	return env
}

// listeners prints status.listeners in one line: "443/https Unknown 0 Running off missing@30 turned@60".
func (env *testEnv) listeners() string {
	var words []string
	for _, l := range env.object.Status.Listeners {
		text := fmt.Sprintf("%s %s %d", listenerName(l.Port, l.Protocol), l.Health, l.Backends)
		if l.State != "" {
			text += " " + string(l.State)
		}
		if l.HealthCheck != "" {
			text += " " + string(l.HealthCheck)
		}
		for name, at := range map[string]*metav1.Time{" missing@": l.MissingSince} {
			if at != nil {
				text += fmt.Sprintf("%s%d", name, int(at.Sub(start).Seconds()))
			}
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

func (env *testEnv) wantListeners(want string) {
	env.t.Helper()
	if got := env.listeners(); got != want {
		env.t.Errorf("listeners\n got %s\nwant %s", got, want)
	}
}

func (env *testEnv) wantMessage(parts ...string) {
	env.t.Helper()
	message := env.condition("Ready").Message
	for _, part := range parts {
		if !strings.Contains(message, part) {
			env.t.Errorf("the message lacks %q: %s", part, message)
		}
	}
}

// changedListeners prints listener changes: "443/https missing, 80/tcp back".
func changedListeners(c Transitions) string {
	var words []string
	for _, change := range c.Listeners {
		what := "back"
		if change.Missing {
			what = "missing"
		}
		words = append(words, change.Listener+" "+what)
	}
	return strings.Join(words, ", ")
}

const (
	both = "80/tcp n"
	gone = "Healthy=Unknown(ListenerMissing) Observed=True(ObservationSucceeded)"
	good = "Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)"
	none = "Healthy=False(NoBackends) Observed=True(ObservationSucceeded)"
)

func TestListenerThatIsNotInTheAnswerIsMissing(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	outcome := env.after(30 * time.Second).answer(both)
	env.want(gone)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@30")
	env.wantMessage("listener 443/https", "emptied", "removed", "slb:DescribeLoadBalancerListeners", v1alpha1.ListenersAcceptedAtAnnotation)
	if got := changedListeners(outcome.Transitions); got != "443/https missing" {
		t.Errorf("changes %q", got)
	}
	if got := turned(outcome.Transitions.Verdict); got != "Unknown(ListenerMissing)" {
		t.Errorf("verdict %q", got)
	}
	// It stays missing over answers, failures and restarts.
	if outcome := env.restart().after(30 * time.Second).answer(both); outcome.Write {
		t.Error("an equal answer is written")
	}
	env.after(30 * time.Second).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ListenerMissing) Observed=False(Throttled)")
	outcome = env.after(30*time.Second).answer(both, "443/https nn")
	env.want(good)
	env.wantListeners("80/tcp Healthy 1, 443/https Healthy 2")
	if got := changedListeners(outcome.Transitions); got != "443/https back" {
		t.Errorf("changes %q", got)
	}
}

func TestAnotherUnhealthyListenerOutweighsAMissingOne(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answer("80/tcp a")
	env.want("Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)")
	env.wantListeners("80/tcp Unhealthy 1, 443/https Unknown 0 missing@30")
	env.after(30 * time.Second).answer("80/tcp u")
	env.want(gone)
}

func TestMissingListenerIsAcceptedByAnnotation(t *testing.T) {
	accept := func(env *testEnv, value string) {
		metav1.SetMetaDataAnnotation(&env.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, value)
	}
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339) }
	for _, test := range []struct {
		what, value, conditions, message string
	}{
		{"before it was missing", at(29 * time.Second), gone, ""},
		{"at that moment", at(30 * time.Second), good, ""},
		{"now", at(40 * time.Second), good, ""},
		{"in the future", at(time.Hour), gone, "in the future"},
		{"no time", "yes", gone, "is not an RFC 3339 time"},
	} {
		t.Run(test.what, func(t *testing.T) {
			for what, evaluate := range map[string]func(*testEnv) Outcome{
				"without an observation": (*testEnv).wait,
				"with an answer":         func(env *testEnv) Outcome { return env.answer(both) },
				"with a failure":         func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
			} {
				env := newEnv(t)
				env.answer(both, "443/https nn")
				env.after(30 * time.Second).answer(both)
				accept(env.after(10*time.Second), test.value)
				outcome := evaluate(env)
				if got := find(env.object.Status.Conditions, "Healthy"); !strings.Contains(test.conditions, got.reason) || !strings.Contains(got.message, test.message) && what != "without an observation" {
					t.Errorf("%s: got %+v", what, got)
				}
				if accepted := test.conditions == good; accepted != (len(env.object.Status.Listeners) == 1) || accepted != (outcome.Transitions.Verdict != nil) {
					t.Errorf("%s: %s, changes %+v", what, env.listeners(), outcome.Transitions)
				}
			}
		})
	}
}

func TestMissingListenerIsForgottenWithWhatTheSpecNames(t *testing.T) {
	for what, edit := range map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"another load balancer": otherLoadBalancer, "a port": listener(80, ""),
	} {
		env := newEnv(t)
		env.answer(both, "443/https nn")
		env.after(30 * time.Second).answer(both)
		env.edit(edit).after(time.Second).answer(both)
		env.want(good)
		if len(env.object.Status.Listeners) != 1 {
			t.Errorf("%s: %s", what, env.listeners())
		}
	}
}

func TestWithAMinimumOfNothingNoListenerIsMissing(t *testing.T) {
	for _, value := range []string{"0", "0%"} {
		env := newEnv(t, minHealthy(value))
		env.answer(both, "443/https nn")
		env.after(30 * time.Second).answer(both)
		env.want(good)
		env.listed("80/tcp running", "443/https running").after(30 * time.Second).answer(both)
		env.want(good)
		env.after(30 * time.Second).answer()
		env.want(good)
	}
}

func TestAnAnswerWithoutRowsIsNoBackendsAndForgetsNoListener(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	outcome := env.after(30 * time.Second).answer()
	env.want(none)
	if got := changedListeners(outcome.Transitions); got != "" {
		t.Errorf("changes %q", got)
	}
	env.after(30 * time.Second).answer(both)
	env.want(gone)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
	env.after(30 * time.Second).answer()
	env.want(none)
	env.after(30*time.Second).answer(both, "443/https nn")
	env.want(good)
}

func TestRowsWithoutAPortEmptyNothing(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answerRows([]alicloud.Backend{{ServerID: "i-1", ServerHealthStatus: "normal"}})
	env.want(good)
}

func TestListenersMatchByPortWhereAProtocolIsUnknown(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	rows := backends(both, "443/https nn")
	for i := range rows {
		rows[i].ListenerProtocol = ""
	}
	env.after(30 * time.Second).answerRows(rows)
	env.want(good)
	env.after(30*time.Second).answer(both, "443/https nn")
	env.want(good)
	// Where both are known, another protocol is another listener.
	env.after(30*time.Second).answer(both, "443/tcp nn")
	env.want(gone)
}

func TestListedListenersWithoutBackends(t *testing.T) {
	for _, test := range []struct {
		what       string
		spec       specEdits
		ports      []ServicePort
		listed     []string
		rows       []string
		conditions string
		listeners  string
		message    string
	}{
		{"running", nil, nil, []string{"80/tcp running on", "443/https running on"}, []string{both}, none,
			"80/tcp Healthy 1 Running Enabled, 443/https Unhealthy 0 Running Enabled", "listener 443/https has no backends"},
		{"running, below the minimum elsewhere", nil, nil, []string{"80/tcp running", "443/https running"}, []string{"80/tcp a"}, none,
			"80/tcp Unhealthy 1 Running, 443/https Unhealthy 0 Running", "listener 80/tcp has 0 normal"},
		{"running, a percentage", specEdits{minHealthy("50%")}, nil, []string{"80/tcp running", "443/https running"}, []string{both}, none,
			"80/tcp Healthy 1 Running, 443/https Unhealthy 0 Running", "listener 443/https has no backends"},
		{"stopped", nil, nil, []string{"80/tcp running", "443/https stopped"}, []string{both}, good,
			"80/tcp Healthy 1 Running, 443/https Unknown 0 Stopped", "1 of 1 backend is normal"},
		{"stopped, of the Service", nil, []ServicePort{{Port: 443}}, []string{"80/tcp running", "443/https stopped"}, []string{both}, none,
			"80/tcp Healthy 1 Running, 443/https Unhealthy 0 Stopped", "listener 443/https is Stopped"},
		{"stopped with rows, of the spec", specEdits{listener(443, "")}, nil, []string{"443/https stopped"}, []string{"443/https nn"},
			"Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)", "443/https Unhealthy 2 Stopped", "listener 443/https is Stopped"},
		{"stopped with rows, named by nothing, beside another", nil, nil, []string{"80/tcp running", "443/https stopped"}, []string{both, "443/https uu"},
			"Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)", "80/tcp Healthy 1 Running, 443/https Unknown 2 Stopped", ""},
		{"redirects", nil, nil, []string{"80/http running redirect", "443/https running"}, []string{"443/https n"}, good,
			"80/http Unknown 0 Redirect, 443/https Healthy 1 Running", ""},
		{"only redirects", nil, nil, []string{"80/http running redirect"}, nil, none, "80/http Unknown 0 Redirect", "listener 80/http only redirects (Redirect)"},
		{"only redirects, of the spec", specEdits{listener(80, "")}, nil, []string{"80/http running redirect"}, nil, none, "80/http Unknown 0 Redirect", "80/http"},
		{"only stopped", nil, nil, []string{"443/https stopped"}, nil, none, "443/https Unknown 0 Stopped", "listener 443/https is Stopped"},
		{"starting", nil, nil, []string{"80/tcp running", "443/https starting"}, []string{both},
			"Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)", "80/tcp Healthy 1 Running, 443/https Unknown 0", "listener 443/https has no backends while"},
		{"starting, and nothing else", nil, nil, []string{"443/https configuring"}, nil,
			"Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)", "443/https Unknown 0", "listener 443/https has no backends while"},
		{"of another port than the spec's", specEdits{listener(80, "")}, nil, []string{"80/tcp running", "443/https running"}, []string{both}, good,
			"80/tcp Healthy 1 Running", ""},
		{"nothing wanted", specEdits{minHealthy("0")}, nil, []string{"80/tcp running", "443/https running"}, []string{both}, good,
			"80/tcp Healthy 1 Running, 443/https Healthy 0 Running", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, test.spec...)
			env.ports = test.ports
			env.listed(test.listed...).answer(test.rows...)
			env.want(test.conditions)
			env.wantListeners(test.listeners)
			env.wantMessage(test.message)
			// A failure keeps what was known.
			env.after(time.Second).fail(alicloud.Throttled)
			env.want(strings.Replace(test.conditions, "Observed=True(ObservationSucceeded)", "Observed=False(Throttled)", 1))
		})
	}
}

func TestListenerThatIsNotListedWasRemoved(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running", "443/https running").answer(both, "443/https nn")
	env.unlisted().after(30 * time.Second).answer(both)
	env.want(gone)
	env.listed("80/tcp running").after(time.Second).answer(both)
	env.want(good)
	env.wantListeners("80/tcp Healthy 1 Running")
}

func TestDetailsThatLackAListenerWithRowsTellNothing(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.listed().after(30 * time.Second).answer(both)
	env.want(gone)
}

func TestDetailsAreKeptUntilTheyLapse(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running on", "443/https running off", "90/tcp stopped").answer(both)
	env.want(none)
	if outcome := env.unlisted().restart().after(30 * time.Second).answer(both); outcome.Write {
		t.Errorf("after a restart: %s", env.listeners())
	}
	env.lapsed = true
	env.after(30 * time.Second).answer(both)
	env.want(gone)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
}

func TestPortOfTheServiceExistsOnceItsListenerWasSeen(t *testing.T) {
	env := newEnv(t)
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}, {Port: 8080}}
	env.answer(both)
	env.want(good)
	env.after(30*time.Second).answer(both, "443/https nn")
	env.after(30 * time.Second).answer(both)
	env.want(none)
	env.wantListeners("80/tcp Healthy 1, 443/https Unhealthy 0")
	env.wantMessage("listener 443/https has no backends")
	if outcome := env.after(30 * time.Second).answer(both); outcome.Write {
		t.Error("an equal answer is written")
	}
}

func TestHealthCheckThatIsOffIsToldFromNoResult(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running off").answer("80/tcp uu")
	env.want("Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)")
	env.wantMessage("2 whose health check is off", "healthPolicy.unavailable to Healthy")
	env = newEnv(t, countUnavailable(v1alpha1.Healthy))
	env.listed("80/tcp running off", "443/https running on").answer("80/tcp uu", "443/https nu")
	env.wantMessage("2 whose health check is off", "1 without a health-check result")
}

func TestListenerIsStampedWhenItsHealthChanges(t *testing.T) {
	env := newEnv(t)
	env.answer(both)
	if at := env.object.Status.Listeners[0].LastTransitionTime; at != nil {
		t.Errorf("a new listener has %s", at)
	}
	env.after(30 * time.Second).answer("80/tcp a")
	env.after(30 * time.Second).answer("80/tcp aa")
	if at := env.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(30 * time.Second)}) {
		t.Errorf("it changed at %v", at)
	}
	env.edit(suspend).after(30 * time.Second).wait()
	if at := env.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(90 * time.Second)}) {
		t.Errorf("it was suspended at %v", at)
	}
}

func TestMissingListenersAreBounded(t *testing.T) {
	env := newEnv(t)
	for round := range 5 {
		var listeners []string
		for port := range 30 {
			listeners = append(listeners, fmt.Sprintf("%d/tcp n", 1000*(round+1)+port))
		}
		env.after(30 * time.Second).answer(listeners...)
	}
	if n := len(env.object.Status.Listeners); n != 30+maxMissing {
		t.Errorf("%d listeners", n)
	}
}

// A row without a listener port may be of any listener, and ends nothing.
func TestARowWithoutAPortForgetsNoMissingListener(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answer(both)
	env.want(gone)
	rows := append(backends(both), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	env.after(30 * time.Second).answerRows(rows)
	if got := env.listeners(); got != "" {
		t.Log(got)
	}
	env.after(30 * time.Second).answer(both)
	env.want(gone)
}

func TestARowWithoutAPortHidesNoListenerThatIsKnownToBeEmpty(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running", "443/https running").answer(both)
	env.want(none)
	rows := append(backends(both), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	env.after(30 * time.Second).answerRows(rows)
	env.want(none)
}

// Versions before stored the protocol as the API wrote it.
func TestAProtocolThatWasStoredInCapitalsIsTheSame(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	for i := range env.object.Status.Listeners {
		l := &env.object.Status.Listeners[i]
		l.Protocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[l.Protocol]
	}
	for i := range env.object.Status.Backends {
		b := &env.object.Status.Backends[i]
		b.ListenerProtocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[b.ListenerProtocol]
	}
	outcome := env.restart().after(30*time.Second).answer(both, "443/https nn")
	env.want(good)
	if told(outcome.Transitions) {
		t.Errorf("events after the upgrade: %q, %q, %q", changed(outcome.Transitions.Backends), changedListeners(outcome.Transitions), turned(outcome.Transitions.Verdict))
	}
}

// The ports of the Service are not known then.
func TestAServiceThatLosesItsLoadBalancerKeepsAStoppedListenerUnhealthy(t *testing.T) {
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	env.listed("80/tcp running", "443/https stopped").answer(both)
	env.want(none)
	env.after(5 * time.Second)
	outcome := Discover(env.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: env.now}, env.now, env.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q", got, turned(outcome.Transitions.Verdict))
	}
}

func TestAServiceThatLosesItsLoadBalancerKeepsAnEmptyListenerUnhealthy(t *testing.T) {
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answer(both)
	env.want(none)
	env.after(5 * time.Second)
	outcome := Discover(env.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: env.now}, env.now, env.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q, %s", got, turned(outcome.Transitions.Verdict), find(outcome.Status.Conditions, "Healthy").message)
	}
}

func TestAListenerThatIsBeingConfiguredIsNotMissingAfterARestart(t *testing.T) {
	const changing = "Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)"
	env := newEnv(t)
	env.listed("80/tcp running", "443/https configuring on").answer(both)
	env.want(changing)
	outcome := env.unlisted().restart().after(30 * time.Second).answer(both)
	if got := changedListeners(outcome.Transitions); got != "" {
		t.Errorf("never had backends: %q, %s", got, env.listeners())
	}

	env = newEnv(t)
	env.listed("443/https configuring on").answer()
	env.want(changing)
	outcome = env.unlisted().restart().after(30 * time.Second).answer()
	env.want(changing)
	if got := turned(outcome.Transitions.Verdict); got != "" {
		t.Errorf("verdict %q", got)
	}
}

func TestAMinimumOfNothingEndsAMissingListenerWithoutAnAnswer(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answer(both)
	env.want(gone)
	env.edit(minHealthy("0")).after(time.Second).fail(alicloud.Throttled)
	env.want("Healthy=True(AllBackendsNormal) Observed=False(Throttled)")
}

// A clock that ran ahead stamped it.
func TestAListenerThatIsMissingSinceTheFutureIsAcceptedNow(t *testing.T) {
	env := newEnv(t)
	env.answer(both, "443/https nn")
	env.after(30 * time.Second).answer(both)
	env.object.Status.Listeners[1].MissingSince = &metav1.Time{Time: env.now.Add(24 * time.Hour)}
	metav1.SetMetaDataAnnotation(&env.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, env.after(time.Minute).now.Format(time.RFC3339))
	env.answer(both)
	env.want(good)
}

func TestAnAnswerHasNoOtherListenersThanItself(t *testing.T) {
	env := newEnv(t)
	rows := append([]alicloud.Backend{{ServerID: "i-9", ListenerPort: 443, ServerHealthStatus: "normal"}}, backends("443/https nn")...)
	env.answerRows(rows)
	env.after(30 * time.Second).answerRows(rows)
	if ListenersChanged(env.object, &alicloud.Observation{Backends: rows}) {
		t.Errorf("the same answer has other listeners than itself: %s", env.listeners())
	}
}
