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

// listeners formats status.listeners: "443/https Unknown 0 Running Enabled missing@30".
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

// formatListeners formats listener transitions: "443/https missing, 80/tcp back".
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
	env.wantListeners("of unknown port Healthy 1")
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
	env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
}

// The row without a port may belong to the listener: the listener is missing, and
// its event is due, once the row is removed.
func TestListenerIsMissingOnceRowWithoutAPortIsRemoved(t *testing.T) {
	env := newEnv(t)
	env.observe(tcp80, "443/https nn")
	rows := append(backends(tcp80), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "unavailable"})
	if got := formatListeners(env.after(30 * time.Second).observeRows(rows).Transitions); got != "" {
		t.Errorf("while the row may belong to the listener: %q", got)
	}
	outcome := env.after(30 * time.Second).observe(tcp80)
	env.want(listenerMissing)
	if got := formatListeners(outcome.Transitions); got != "443/https missing" {
		t.Errorf("transitions %q", got)
	}
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
