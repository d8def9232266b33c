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
func (w *world) listed(listeners ...string) *world {
	w.details = &alicloud.ListenerDetails{At: w.now}
	for _, words := range listeners {
		name, rest, _ := strings.Cut(words, " ")
		var l alicloud.Listener
		if _, err := fmt.Sscanf(name, "%d/%s", &l.Port, &l.Protocol); err != nil {
			w.t.Fatal(err)
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
		w.details.Listeners = append(w.details.Listeners, l)
	}
	return w
}

func (w *world) unlisted() *world {
	w.details = nil
	return w
}

// listeners prints status.listeners in one line: "443/https Unknown 0 Running off missing@30 turned@60".
func (w *world) listeners() string {
	var words []string
	for _, l := range w.object.Status.Listeners {
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

func (w *world) wantListeners(want string) {
	w.t.Helper()
	if got := w.listeners(); got != want {
		w.t.Errorf("listeners\n got %s\nwant %s", got, want)
	}
}

func (w *world) wantMessage(parts ...string) {
	w.t.Helper()
	message := w.condition("Ready").Message
	for _, part := range parts {
		if !strings.Contains(message, part) {
			w.t.Errorf("the message lacks %q: %s", part, message)
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
	w := newWorld(t)
	w.answer(both, "443/https nn")
	outcome := w.after(30 * time.Second).answer(both)
	w.want(gone)
	w.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@30")
	w.wantMessage("listener 443/https", "emptied", "removed", "slb:DescribeLoadBalancerListeners", v1alpha1.ListenersAcceptedAtAnnotation)
	if got := changedListeners(outcome.Transitions); got != "443/https missing" {
		t.Errorf("changes %q", got)
	}
	if got := turned(outcome.Transitions.Verdict); got != "Unknown(ListenerMissing)" {
		t.Errorf("verdict %q", got)
	}
	// It stays missing over answers, failures and restarts.
	if outcome := w.restart().after(30 * time.Second).answer(both); outcome.Write {
		t.Error("an equal answer is written")
	}
	w.after(30 * time.Second).fail(alicloud.Throttled)
	w.want("Healthy=Unknown(ListenerMissing) Observed=False(Throttled)")
	outcome = w.after(30*time.Second).answer(both, "443/https nn")
	w.want(good)
	w.wantListeners("80/tcp Healthy 1, 443/https Healthy 2")
	if got := changedListeners(outcome.Transitions); got != "443/https back" {
		t.Errorf("changes %q", got)
	}
}

func TestAnotherUnhealthyListenerOutweighsAMissingOne(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answer("80/tcp a")
	w.want("Healthy=False(BelowMinHealthy) Observed=True(ObservationSucceeded)")
	w.wantListeners("80/tcp Unhealthy 1, 443/https Unknown 0 missing@30")
	w.after(30 * time.Second).answer("80/tcp u")
	w.want(gone)
}

func TestMissingListenerIsAcceptedByAnnotation(t *testing.T) {
	accept := func(w *world, value string) {
		metav1.SetMetaDataAnnotation(&w.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, value)
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
			for what, evaluate := range map[string]func(*world) Outcome{
				"without an observation": (*world).wait,
				"with an answer":         func(w *world) Outcome { return w.answer(both) },
				"with a failure":         func(w *world) Outcome { return w.fail(alicloud.Throttled) },
			} {
				w := newWorld(t)
				w.answer(both, "443/https nn")
				w.after(30 * time.Second).answer(both)
				accept(w.after(10*time.Second), test.value)
				outcome := evaluate(w)
				if got := find(w.object.Status.Conditions, "Healthy"); !strings.Contains(test.conditions, got.reason) || !strings.Contains(got.message, test.message) && what != "without an observation" {
					t.Errorf("%s: got %+v", what, got)
				}
				if accepted := test.conditions == good; accepted != (len(w.object.Status.Listeners) == 1) || accepted != (outcome.Transitions.Verdict != nil) {
					t.Errorf("%s: %s, changes %+v", what, w.listeners(), outcome.Transitions)
				}
			}
		})
	}
}

func TestMissingListenerIsForgottenWithWhatTheSpecNames(t *testing.T) {
	for what, edit := range map[string]func(*v1alpha1.LoadBalancerHealthSpec){
		"another load balancer": otherLoadBalancer, "a port": listener(80, ""),
	} {
		w := newWorld(t)
		w.answer(both, "443/https nn")
		w.after(30 * time.Second).answer(both)
		w.edit(edit).after(time.Second).answer(both)
		w.want(good)
		if len(w.object.Status.Listeners) != 1 {
			t.Errorf("%s: %s", what, w.listeners())
		}
	}
}

func TestWithAMinimumOfNothingNoListenerIsMissing(t *testing.T) {
	for _, value := range []string{"0", "0%"} {
		w := newWorld(t, minHealthy(value))
		w.answer(both, "443/https nn")
		w.after(30 * time.Second).answer(both)
		w.want(good)
		w.listed("80/tcp running", "443/https running").after(30 * time.Second).answer(both)
		w.want(good)
		w.after(30 * time.Second).answer()
		w.want(good)
	}
}

func TestAnAnswerWithoutRowsIsNoBackendsAndForgetsNoListener(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	outcome := w.after(30 * time.Second).answer()
	w.want(none)
	if got := changedListeners(outcome.Transitions); got != "" {
		t.Errorf("changes %q", got)
	}
	w.after(30 * time.Second).answer(both)
	w.want(gone)
	w.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
	w.after(30 * time.Second).answer()
	w.want(none)
	w.after(30*time.Second).answer(both, "443/https nn")
	w.want(good)
}

func TestRowsWithoutAPortEmptyNothing(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answerRows([]alicloud.Backend{{ServerID: "i-1", ServerHealthStatus: "normal"}})
	w.want(good)
}

func TestListenersMatchByPortWhereAProtocolIsUnknown(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	rows := backends(both, "443/https nn")
	for i := range rows {
		rows[i].ListenerProtocol = ""
	}
	w.after(30 * time.Second).answerRows(rows)
	w.want(good)
	w.after(30*time.Second).answer(both, "443/https nn")
	w.want(good)
	// Where both are known, another protocol is another listener.
	w.after(30*time.Second).answer(both, "443/tcp nn")
	w.want(gone)
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
			w := newWorld(t, test.spec...)
			w.ports = test.ports
			w.listed(test.listed...).answer(test.rows...)
			w.want(test.conditions)
			w.wantListeners(test.listeners)
			w.wantMessage(test.message)
			// A failure keeps what was known.
			w.after(time.Second).fail(alicloud.Throttled)
			w.want(strings.Replace(test.conditions, "Observed=True(ObservationSucceeded)", "Observed=False(Throttled)", 1))
		})
	}
}

func TestListenerThatIsNotListedWasRemoved(t *testing.T) {
	w := newWorld(t)
	w.listed("80/tcp running", "443/https running").answer(both, "443/https nn")
	w.unlisted().after(30 * time.Second).answer(both)
	w.want(gone)
	w.listed("80/tcp running").after(time.Second).answer(both)
	w.want(good)
	w.wantListeners("80/tcp Healthy 1 Running")
}

func TestDetailsThatLackAListenerWithRowsTellNothing(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.listed().after(30 * time.Second).answer(both)
	w.want(gone)
}

func TestDetailsAreKeptUntilTheyLapse(t *testing.T) {
	w := newWorld(t)
	w.listed("80/tcp running on", "443/https running off", "90/tcp stopped").answer(both)
	w.want(none)
	if outcome := w.unlisted().restart().after(30 * time.Second).answer(both); outcome.Write {
		t.Errorf("after a restart: %s", w.listeners())
	}
	w.lapsed = true
	w.after(30 * time.Second).answer(both)
	w.want(gone)
	w.wantListeners("80/tcp Healthy 1, 443/https Unknown 0 missing@60")
}

func TestPortOfTheServiceExistsOnceItsListenerWasSeen(t *testing.T) {
	w := newWorld(t)
	w.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}, {Port: 8080}}
	w.answer(both)
	w.want(good)
	w.after(30*time.Second).answer(both, "443/https nn")
	w.after(30 * time.Second).answer(both)
	w.want(none)
	w.wantListeners("80/tcp Healthy 1, 443/https Unhealthy 0")
	w.wantMessage("listener 443/https has no backends")
	if outcome := w.after(30 * time.Second).answer(both); outcome.Write {
		t.Error("an equal answer is written")
	}
}

func TestHealthCheckThatIsOffIsToldFromNoResult(t *testing.T) {
	w := newWorld(t)
	w.listed("80/tcp running off").answer("80/tcp uu")
	w.want("Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)")
	w.wantMessage("2 whose health check is off", "healthPolicy.unavailable to Healthy")
	w = newWorld(t, countUnavailable(v1alpha1.Healthy))
	w.listed("80/tcp running off", "443/https running on").answer("80/tcp uu", "443/https nu")
	w.wantMessage("2 whose health check is off", "1 without a health-check result")
}

func TestListenerIsStampedWhenItsHealthChanges(t *testing.T) {
	w := newWorld(t)
	w.answer(both)
	if at := w.object.Status.Listeners[0].LastTransitionTime; at != nil {
		t.Errorf("a new listener has %s", at)
	}
	w.after(30 * time.Second).answer("80/tcp a")
	w.after(30 * time.Second).answer("80/tcp aa")
	if at := w.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(30 * time.Second)}) {
		t.Errorf("it changed at %v", at)
	}
	w.edit(suspend).after(30 * time.Second).wait()
	if at := w.object.Status.Listeners[0].LastTransitionTime; at == nil || !at.Equal(&metav1.Time{Time: start.Add(90 * time.Second)}) {
		t.Errorf("it was suspended at %v", at)
	}
}

func TestMissingListenersAreBounded(t *testing.T) {
	w := newWorld(t)
	for round := range 5 {
		var listeners []string
		for port := range 30 {
			listeners = append(listeners, fmt.Sprintf("%d/tcp n", 1000*(round+1)+port))
		}
		w.after(30 * time.Second).answer(listeners...)
	}
	if n := len(w.object.Status.Listeners); n != 30+maxMissing {
		t.Errorf("%d listeners", n)
	}
}

// A row without a listener port may be of any listener, and ends nothing.
func TestARowWithoutAPortForgetsNoMissingListener(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answer(both)
	w.want(gone)
	rows := append(backends(both), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	w.after(30 * time.Second).answerRows(rows)
	if got := w.listeners(); got != "" {
		t.Log(got)
	}
	w.after(30 * time.Second).answer(both)
	w.want(gone)
}

func TestARowWithoutAPortHidesNoListenerThatIsKnownToBeEmpty(t *testing.T) {
	w := newWorld(t)
	w.listed("80/tcp running", "443/https running").answer(both)
	w.want(none)
	rows := append(backends(both), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	w.after(30 * time.Second).answerRows(rows)
	w.want(none)
}

// Versions before stored the protocol as the API wrote it.
func TestAProtocolThatWasStoredInCapitalsIsTheSame(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	for i := range w.object.Status.Listeners {
		l := &w.object.Status.Listeners[i]
		l.Protocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[l.Protocol]
	}
	for i := range w.object.Status.Backends {
		b := &w.object.Status.Backends[i]
		b.ListenerProtocol = map[string]string{"tcp": "TCP", "https": "HTTPS"}[b.ListenerProtocol]
	}
	outcome := w.restart().after(30*time.Second).answer(both, "443/https nn")
	w.want(good)
	if told(outcome.Transitions) {
		t.Errorf("events after the upgrade: %q, %q, %q", changed(outcome.Transitions.Backends), changedListeners(outcome.Transitions), turned(outcome.Transitions.Verdict))
	}
}

// The ports of the Service are not known then.
func TestAServiceThatLosesItsLoadBalancerKeepsAStoppedListenerUnhealthy(t *testing.T) {
	w := newWorld(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	w.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	w.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	w.listed("80/tcp running", "443/https stopped").answer(both)
	w.want(none)
	w.after(5 * time.Second)
	outcome := Discover(w.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: w.now}, w.now, w.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q", got, turned(outcome.Transitions.Verdict))
	}
}

func TestAServiceThatLosesItsLoadBalancerKeepsAnEmptyListenerUnhealthy(t *testing.T) {
	w := newWorld(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID = "", ""
		s.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
	})
	w.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	w.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answer(both)
	w.want(none)
	w.after(5 * time.Second)
	outcome := Discover(w.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: w.now}, w.now, w.options)
	if got := conditions(&outcome.Status); got != "Healthy=False(NoBackends) Observed=False(LoadBalancerNotFound)" {
		t.Errorf("%s, verdict event %q, %s", got, turned(outcome.Transitions.Verdict), find(outcome.Status.Conditions, "Healthy").message)
	}
}

func TestAListenerThatIsBeingConfiguredIsNotMissingAfterARestart(t *testing.T) {
	const changing = "Healthy=Unknown(HealthCheckUnavailable) Observed=True(ObservationSucceeded)"
	w := newWorld(t)
	w.listed("80/tcp running", "443/https configuring on").answer(both)
	w.want(changing)
	outcome := w.unlisted().restart().after(30 * time.Second).answer(both)
	if got := changedListeners(outcome.Transitions); got != "" {
		t.Errorf("never had backends: %q, %s", got, w.listeners())
	}

	w = newWorld(t)
	w.listed("443/https configuring on").answer()
	w.want(changing)
	outcome = w.unlisted().restart().after(30 * time.Second).answer()
	w.want(changing)
	if got := turned(outcome.Transitions.Verdict); got != "" {
		t.Errorf("verdict %q", got)
	}
}

func TestAMinimumOfNothingEndsAMissingListenerWithoutAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answer(both)
	w.want(gone)
	w.edit(minHealthy("0")).after(time.Second).fail(alicloud.Throttled)
	w.want("Healthy=True(AllBackendsNormal) Observed=False(Throttled)")
}

// A clock that ran ahead stamped it.
func TestAListenerThatIsMissingSinceTheFutureIsAcceptedNow(t *testing.T) {
	w := newWorld(t)
	w.answer(both, "443/https nn")
	w.after(30 * time.Second).answer(both)
	w.object.Status.Listeners[1].MissingSince = &metav1.Time{Time: w.now.Add(24 * time.Hour)}
	metav1.SetMetaDataAnnotation(&w.object.ObjectMeta, v1alpha1.ListenersAcceptedAtAnnotation, w.after(time.Minute).now.Format(time.RFC3339))
	w.answer(both)
	w.want(good)
}

func TestAnAnswerHasNoOtherListenersThanItself(t *testing.T) {
	w := newWorld(t)
	rows := append([]alicloud.Backend{{ServerID: "i-9", ListenerPort: 443, ServerHealthStatus: "normal"}}, backends("443/https nn")...)
	w.answerRows(rows)
	w.after(30 * time.Second).answerRows(rows)
	if ListenersChanged(w.object, &alicloud.Observation{Backends: rows}) {
		t.Errorf("the same answer has other listeners than itself: %s", w.listeners())
	}
}
