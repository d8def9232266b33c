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

// listed sets the details, each such as "443/https running on".
func (env *testEnv) listed(listeners ...string) *testEnv {
	env.details = &alicloud.ListenerDetails{At: env.now}
	for _, text := range listeners {
		name, rest, _ := strings.Cut(text, " ")
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

// listeners formats status.listeners in one line: "443/https Unknown 0 Running Enabled missing@30".
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
		if at := l.MissingSince; at != nil {
			text += fmt.Sprintf(" missing@%d", int(at.Sub(start).Seconds()))
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

// formatListeners formats listener transitions in one line: "443/https missing, 80/tcp back".
func formatListeners(transitions Transitions) string {
	var words []string
	for _, transition := range transitions.Listeners {
		what := "back"
		if transition.Missing {
			what = "missing"
		}
		words = append(words, transition.Listener+" "+what)
	}
	return strings.Join(words, ", ")
}

const (
	tcp80           = "80/tcp n"
	listenerMissing = "Healthy=Unknown(ListenerMissing) Observed=True(ObservationSucceeded)"
	allNormal       = "Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)"
	noBackends      = "Healthy=False(NoBackends) Observed=True(ObservationSucceeded)"
)

func TestListenerThatIsNotObservedIsMissing(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	outcome := env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@30")
	env.wantMessage("listener 443/https", "emptied", "removed", "slb:DescribeLoadBalancerListeners", v1alpha1.ListenersAcceptedAtAnnotation)
	if got := formatListeners(outcome.Transitions); got != "443/https missing" {
		t.Errorf("transitions %q", got)
	}
	if got := formatCondition(outcome.Transitions.Verdict); got != "Unknown(ListenerMissing)" {
		t.Errorf("verdict %q", got)
	}
	// It stays missing after observations, failures and restarts.
	if outcome := env.restart().after(30 * time.Second).observe(tcp80); outcome.Write {
		t.Error("an equal observation is written")
	}
	env.after(30 * time.Second).fail(alicloud.Throttled)
	env.want("Healthy=Unknown(ListenerMissing) Observed=False(Throttled)")
	outcome = env.after(30*time.Second).observe(tcp80, "443/https nn")
	env.want(allNormal)
	env.wantListeners("80/tcp Healthy 1, 443/https Healthy 2")
	if got := formatListeners(outcome.Transitions); got != "443/https back" {
		t.Errorf("transitions %q", got)
	}
}

func TestUnhealthyListenerOutweighsAMissingOne(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe("80/tcp a")
	env.want("Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)")
	env.wantListeners("80/tcp Unhealthy 1, 443/https Unknown 0 missing@30")
	env.after(30 * time.Second).observe("80/tcp u")
	env.want(listenerMissing)
}

func TestMissingListenerIsAcceptedByAnnotation(t *testing.T) {
	accept := func(env *testEnv, value string) {
		metav1.SetMetaDataAnnotation(&env.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, value)
	}
	at := func(d time.Duration) string { return start.Add(d).Format(time.RFC3339) }
	for _, test := range []struct {
		what, value, conditions, message string
	}{
		{"before it was missing", at(29 * time.Second), listenerMissing, ""},
		{"at that moment", at(30 * time.Second), allNormal, ""},
		{"now", at(40 * time.Second), allNormal, ""},
		{"in the future", at(time.Hour), listenerMissing, "in the future"},
		{"no time", "yes", listenerMissing, "is not an RFC 3339 time"},
	} {
		t.Run(test.what, func(t *testing.T) {
			for what, evaluate := range map[string]func(*testEnv) Outcome{
				"without an observation": (*testEnv).wait,
				"with an observation":    func(env *testEnv) Outcome { return env.observe(tcp80) },
				"with a failure":         func(env *testEnv) Outcome { return env.fail(alicloud.Throttled) },
			} {
				env := newEnv(t)
				env.observe(tcp80, "443/https nn")
				env.after(30 * time.Second).observe(tcp80)
				accept(env.after(10*time.Second), test.value)
				outcome := evaluate(env)
				if got := find(env.object.Status.Conditions, "Healthy"); !strings.Contains(test.conditions, got.reason) || !strings.Contains(got.message, test.message) && what != "without an observation" {
					t.Errorf("%s: got %+v", what, got)
				}
				if accepted := test.conditions == allNormal; accepted != (len(env.object.Status.Listeners) == 1) || accepted != (outcome.Transitions.Verdict != nil) {
					t.Errorf("%s: %s, transitions %+v", what, env.listeners(), outcome.Transitions)
				}
			}
		})
	}
}

func TestMissingListenerIsRemovedWithItsTarget(t *testing.T) {
	for what, edit := range map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"another load balancer": otherLoadBalancer, "a port": listener(80, ""),
	} {
		env := newEnv(t)
		env.observe(tcp80, "443/https nn")
		env.after(30 * time.Second).observe(tcp80)
		env.edit(edit).after(time.Second).observe(tcp80)
		env.want(allNormal)
		if len(env.object.Status.Listeners) != 1 {
			t.Errorf("%s: %s", what, env.listeners())
		}
	}
}

func TestWithMinHealthyZeroNoListenerIsMissing(t *testing.T) {
	for _, value := range []string{"0", "0%"} {
		env := newEnv(t, minHealthy(value))
		env.observe(tcp80, "443/https nn")
		env.after(30 * time.Second).observe(tcp80)
		env.want(allNormal)
		env.listed("80/tcp running", "443/https running").after(30 * time.Second).observe(tcp80)
		env.want(allNormal)
		env.after(30 * time.Second).observe()
		env.want(allNormal)
	}
}

func TestObservationWithoutRowsKeepsTheListeners(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	outcome := env.after(30 * time.Second).observe()
	env.want(noBackends)
	if got := formatListeners(outcome.Transitions); got != "" {
		t.Errorf("transitions %q", got)
	}
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
	env.after(30 * time.Second).observe()
	env.want(noBackends)
	env.after(30*time.Second).observe(tcp80, "443/https nn")
	env.want(allNormal)
}

func TestRowsWithoutAPortMakeNoListenerMissing(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observeRows([]alicloud.Backend{{ServerID: "i-1", ServerHealthStatus: "normal"}})
	env.want(allNormal)
}

func TestListenersMatchByPortWhereAProtocolIsUnknown(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	rows := backends(tcp80, "443/https nn")
	for i := range rows {
		rows[i].ListenerProtocol = ""
	}
	env.after(30 * time.Second).observeRows(rows)
	env.want(allNormal)
	env.after(30*time.Second).observe(tcp80, "443/https nn")
	env.want(allNormal)
	// Where both are known, another protocol is another listener.
	env.after(30*time.Second).observe(tcp80, "443/tcp nn")
	env.want(listenerMissing)
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
		{"running", nil, nil, []string{"80/tcp running on", "443/https running on"}, []string{tcp80}, noBackends,
			"80/tcp Healthy 1 Running Enabled, 443/https Unhealthy 0 Running Enabled", "listener 443/https has no backends"},
		{"running, below the minimum elsewhere", nil, nil, []string{"80/tcp running", "443/https running"}, []string{"80/tcp a"}, noBackends,
			"80/tcp Unhealthy 1 Running, 443/https Unhealthy 0 Running", "listener 80/tcp has 0 normal"},
		{"running, a percentage", specEdits{minHealthy("50%")}, nil, []string{"80/tcp running", "443/https running"}, []string{tcp80}, noBackends,
			"80/tcp Healthy 1 Running, 443/https Unhealthy 0 Running", "listener 443/https has no backends"},
		{"stopped", nil, nil, []string{"80/tcp running", "443/https stopped"}, []string{tcp80}, allNormal,
			"80/tcp Healthy 1 Running, 443/https Unknown 0 Stopped", "1 of 1 backend is normal"},
		{"stopped, of the Service", nil, []ServicePort{{Port: 443}}, []string{"80/tcp running", "443/https stopped"}, []string{tcp80}, noBackends,
			"80/tcp Healthy 1 Running, 443/https Unhealthy 0 Stopped", "listener 443/https is Stopped"},
		{"stopped with rows, of the spec", specEdits{listener(443, "")}, nil, []string{"443/https stopped"}, []string{"443/https nn"},
			"Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)", "443/https Unhealthy 2 Stopped", "listener 443/https is Stopped"},
		{"stopped with rows, neither of the spec nor of the Service", nil, nil, []string{"80/tcp running", "443/https stopped"}, []string{tcp80, "443/https uu"},
			"Healthy=True(MinHealthyMet) Observed=True(ObservationSucceeded)", "80/tcp Healthy 1 Running, 443/https Unknown 2 Stopped", ""},
		{"redirects", nil, nil, []string{"80/http running redirect", "443/https running"}, []string{"443/https n"}, allNormal,
			"80/http Unknown 0 Redirect, 443/https Healthy 1 Running", ""},
		{"only redirects", nil, nil, []string{"80/http running redirect"}, nil, noBackends, "80/http Unknown 0 Redirect", "listener 80/http only redirects (Redirect)"},
		{"only redirects, of the spec", specEdits{listener(80, "")}, nil, []string{"80/http running redirect"}, nil, noBackends, "80/http Unknown 0 Redirect", "80/http"},
		{"only stopped", nil, nil, []string{"443/https stopped"}, nil, noBackends, "443/https Unknown 0 Stopped", "listener 443/https is Stopped"},
		{"starting", nil, nil, []string{"80/tcp running", "443/https starting"}, []string{tcp80},
			"Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)", "80/tcp Healthy 1 Running, 443/https Unknown 0", "listener 443/https has no backends while"},
		{"starting, and nothing else", nil, nil, []string{"443/https configuring"}, nil,
			"Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)", "443/https Unknown 0", "listener 443/https has no backends while"},
		{"of another port than the spec's", specEdits{listener(80, "")}, nil, []string{"80/tcp running", "443/https running"}, []string{tcp80}, allNormal,
			"80/tcp Healthy 1 Running", ""},
		{"no backend required", specEdits{minHealthy("0")}, nil, []string{"80/tcp running", "443/https running"}, []string{tcp80}, allNormal,
			"80/tcp Healthy 1 Running, 443/https Healthy 0 Running", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, test.spec...)
			env.ports = test.ports
			env.listed(test.listed...).observe(test.rows...)
			env.want(test.conditions)
			env.wantListeners(test.listeners)
			env.wantMessage(test.message)
			// A failure keeps the verdict.
			env.after(time.Second).fail(alicloud.Throttled)
			env.want(strings.Replace(test.conditions, "Observed=True(ObservationSucceeded)", "Observed=False(Throttled)", 1))
		})
	}
}

func TestListenerThatIsNotListedWasRemoved(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running", "443/https running").observe(tcp80, "443/https nn")
	env.unlisted().after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	env.listed("80/tcp running").after(time.Second).observe(tcp80)
	env.want(allNormal)
	env.wantListeners("80/tcp Healthy 1 Running")
}

func TestDetailsThatLackAListenerWithRowsDoNotCount(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.listed().after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
}

func TestDetailsAreKeptUntilTheyLapse(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running on", "443/https running off", "90/tcp stopped").observe(tcp80)
	env.want(noBackends)
	if outcome := env.unlisted().restart().after(30 * time.Second).observe(tcp80); outcome.Write {
		t.Errorf("after a restart: %s", env.listeners())
	}
	env.lapsed = true
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	env.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
}

func TestPortOfTheServiceExistsOnceItWasObserved(t *testing.T) {
	env := newEnv(t)
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}, {Port: 8080}}
	env.observe(tcp80)
	env.want(allNormal)
	env.after(30*time.Second).observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe(tcp80)
	env.want(noBackends)
	env.wantListeners("80/tcp Healthy 1, 443/https Unhealthy 0")
	env.wantMessage("listener 443/https has no backends")
	if outcome := env.after(30 * time.Second).observe(tcp80); outcome.Write {
		t.Error("an equal observation is written")
	}
}

func TestDisabledHealthCheckDiffersFromNoResult(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running off").observe("80/tcp uu")
	env.want("Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)")
	env.wantMessage("2 whose health check is off", "healthPolicy.unavailable to Healthy")
	env = newEnv(t, countUnavailable(v1alpha1.Healthy))
	env.listed("80/tcp running off", "443/https running on").observe("80/tcp uu", "443/https nu")
	env.wantMessage("2 whose health check is off", "1 without a health-check result")
}

func TestListenerHasTheTimeOfItsLastTransition(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80)
	if at := env.object.Status.Listeners[0].LastTransitionTime; at != nil {
		t.Errorf("a new listener has %s", at)
	}
	env.after(30 * time.Second).observe("80/tcp a")
	env.after(30 * time.Second).observe("80/tcp aa")
	if at := env.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(30 * time.Second)}) {
		t.Errorf("lastTransitionTime is %v", at)
	}
	env.edit(suspend).after(30 * time.Second).wait()
	if at := env.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(90 * time.Second)}) {
		t.Errorf("lastTransitionTime after the suspension is %v", at)
	}
}

func TestMissingListenersAreBounded(t *testing.T) {
	env := newEnv(t)
	for round := range 5 {
		var listeners []string
		for port := range 30 {
			listeners = append(listeners, fmt.Sprintf("%d/tcp n", 1000*(round+1)+port))
		}
		env.after(30 * time.Second).observe(listeners...)
	}
	if n := len(env.object.Status.Listeners); n != 30+maxMissing {
		t.Errorf("%d listeners", n)
	}
}

// A row without a listener port may belong to any listener.
func TestRowWithoutAPortKeepsAMissingListener(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	rows := append(backends(tcp80), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	env.after(30 * time.Second).observeRows(rows)
	if got := env.listeners(); got != "" {
		t.Log(got)
	}
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
}

func TestRowWithoutAPortKeepsAListenerWithoutBackends(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running", "443/https running").observe(tcp80)
	env.want(noBackends)
	rows := append(backends(tcp80), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	env.after(30 * time.Second).observeRows(rows)
	env.want(noBackends)
}

// Earlier versions stored the protocol in the API's spelling.
func TestProtocolsAreComparedWithoutCase(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	for i := range env.object.Status.Listeners {
		l := &env.object.Status.Listeners[i]
		l.Protocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[l.Protocol]
	}
	for i := range env.object.Status.Backends {
		b := &env.object.Status.Backends[i]
		b.ListenerProtocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[b.ListenerProtocol]
	}
	outcome := env.restart().after(30*time.Second).observe(tcp80, "443/https nn")
	env.want(allNormal)
	if hasTransitions(outcome.Transitions) {
		t.Errorf("events after the upgrade: %q, %q, %q", formatBackends(outcome.Transitions.Backends), formatListeners(outcome.Transitions), formatCondition(outcome.Transitions.Verdict))
	}
}

// Without its load balancer, the ports of the Service are not known.
func TestServiceWithoutItsLoadBalancerKeepsAStoppedListenerUnhealthy(t *testing.T) {
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	env.listed("80/tcp running", "443/https stopped").observe(tcp80)
	env.want(noBackends)
	env.after(5 * time.Second)
	outcome := Discover(env.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: env.now}, env.now, env.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q", got, formatCondition(outcome.Transitions.Verdict))
	}
}

func TestServiceWithoutItsLoadBalancerKeepsAnEmptyListenerUnhealthy(t *testing.T) {
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe(tcp80)
	env.want(noBackends)
	env.after(5 * time.Second)
	outcome := Discover(env.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: env.now}, env.now, env.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q, %s", got, formatCondition(outcome.Transitions.Verdict), find(outcome.Status.Conditions, "Healthy").message)
	}
}

func TestListenerBeingConfiguredIsNotMissingAfterARestart(t *testing.T) {
	const unavailable = "Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)"
	env := newEnv(t)
	env.listed("80/tcp running", "443/https configuring on").observe(tcp80)
	env.want(unavailable)
	outcome := env.unlisted().restart().after(30 * time.Second).observe(tcp80)
	if got := formatListeners(outcome.Transitions); got != "" {
		t.Errorf("a listener that never had backends: %q, %s", got, env.listeners())
	}

	env = newEnv(t)
	env.listed("443/https configuring on").observe()
	env.want(unavailable)
	outcome = env.unlisted().restart().after(30 * time.Second).observe()
	env.want(unavailable)
	if got := formatCondition(outcome.Transitions.Verdict); got != "" {
		t.Errorf("verdict %q", got)
	}
}

func TestMinHealthyZeroEndsAMissingListenerAtAFailure(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	env.edit(minHealthy("0")).after(time.Second).fail(alicloud.Throttled)
	env.want("Healthy=True(AllBackendsNormal) Observed=False(Throttled)")
}

// A fast clock may have written missingSince.
func TestListenerMissingSinceTheFutureIsAccepted(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	env.after(30 * time.Second).observe(tcp80)
	env.object.Status.Listeners[1].MissingSince = &metav1.Time{Time: env.now.Add(24 * time.Hour)}
	metav1.SetMetaDataAnnotation(&env.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, env.after(time.Minute).now.Format(time.RFC3339))
	env.observe(tcp80)
	env.want(allNormal)
}

func TestEqualObservationHasNoOtherListeners(t *testing.T) {
	env := newEnv(t)
	rows := append([]alicloud.Backend{{ServerID: "i-9", ListenerPort: 443, ServerHealthStatus: "normal"}}, backends("443/https nn")...)
	env.observeRows(rows)
	env.after(30 * time.Second).observeRows(rows)
	if ListenersChanged(env.object, &alicloud.Observation{Backends: rows}) {
		t.Errorf("an equal observation has other listeners: %s", env.listeners())
	}
}
