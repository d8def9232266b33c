// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

func TestRowWithoutAPortKeepsAListenerWithoutBackends(t *testing.T) {
	env := newEnv(t)
	env.listed("80/tcp running", "443/https running").observe(tcp80)
	env.want(noBackends)
	rows := append(backends(tcp80), alicloud.Backend{ServerID: "i-9", ServerHealthStatus: "normal"})
	env.after(30 * time.Second).observeRows(rows)
	env.want(noBackends)
}

func TestStoppedListenerOfARemovedServicePortDoesNotCount(t *testing.T) {
	env := newEnv(t)
	env.ports = []ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "https"}}
	env.listed("80/tcp running", "443/https stopped").observe(tcp80)
	env.want(noBackends)
	env.ports = env.ports[:1]
	env.after(30 * time.Second).observe(tcp80)
	env.want(allNormal)
	env.wantListeners("80/tcp Healthy 1 Running, 443/https Unknown 0 Stopped")
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
