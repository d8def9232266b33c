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

// groupsObservation is an observation of an ALB. Each listener is such as
// "443/https sgp-1 running on n a u 0", with a letter for each backend; 0 is unused.
func groupsObservation(t *testing.T, at time.Time, listeners ...string) *alicloud.Observation {
	t.Helper()
	observation := &alicloud.Observation{RequestID: "r", RequestedAt: at, At: at, Groups: &alicloud.Groups{}}
	for _, text := range listeners {
		words := strings.Fields(text)
		l := alicloud.GroupListener{Listener: alicloud.Listener{Status: words[2], HealthCheck: words[3]}, ServerGroupID: strings.Trim(words[1], "-")}
		if _, err := fmt.Sscanf(words[0], "%d/%s", &l.Port, &l.Protocol); err != nil {
			t.Fatal(err)
		}
		l.EndPort = l.Port
		for i, letter := range words[4:] {
			if letter == "mirror" {
				l.Mirror = true
				continue
			}
			row := alicloud.GroupRow{ServerGroupID: l.ServerGroupID}
			if letter == "a" {
				row.Reason = "CONNECT_FAILED"
			}
			observation.Groups.Rows = append(observation.Groups.Rows, row)
			observation.Backends = append(observation.Backends, alicloud.Backend{
				ServerID: fmt.Sprint("eni-", i), Type: TypeENI, ListenerPort: l.Port, ListenerProtocol: l.Protocol, Port: 8080,
				ServerHealthStatus: map[string]string{"n": "normal", "a": "abnormal", "u": "unavailable", "0": "unused"}[letter],
			})
		}
		observation.Groups.Listeners = append(observation.Groups.Listeners, l)
	}
	return observation
}

// groupsEnv evaluates observations of one object, one after another.
type groupsEnv struct {
	t      *testing.T
	object *v1alpha1.LoadBalancerHealth
	now    time.Time
}

func newGroupsEnv(t *testing.T, edits ...func(*v1alpha1.LoadBalancerHealthSpec)) *groupsEnv {
	t.Helper()
	return &groupsEnv{t: t, object: newEnv(t, append([]func(*v1alpha1.LoadBalancerHealthSpec){named("alb-web")}, edits...)...).object, now: start}
}

// named sets the load balancer.
func named(id string) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) { spec.LoadBalancerID = id }
}

func (env *groupsEnv) observe(listeners ...string) Outcome {
	env.t.Helper()
	env.now = env.now.Add(30 * time.Second)
	outcome := Evaluate(env.object, Input{Observation: groupsObservation(env.t, env.now, listeners...), DetailsLapsed: true, Since: start}, env.now, defaults)
	env.object.Status = outcome.Status
	return outcome
}

// healthy is the condition Healthy, as STATUS REASON.
func (env *groupsEnv) healthy() string {
	c := find(env.object.Status.Conditions, v1alpha1.ConditionHealthy)
	return fmt.Sprint(c.status, " ", c.reason)
}

// listeners are those of the status, as PORT GROUP HEALTH NORMAL/BACKENDS STATE CHECK.
func (env *groupsEnv) listeners() string {
	var texts []string
	for _, l := range env.object.Status.Listeners {
		text := fmt.Sprint(l.Port, " ", l.ServerGroupID, " ", l.Health, " ", l.Normal, "/", l.Backends, " ", l.State, " ", l.HealthCheck)
		texts = append(texts, strings.Join(strings.Fields(text), " "))
	}
	return strings.Join(texts, ", ")
}

// One Service that fails must not hide among the others behind a port.
func TestEachServerGroupHasAVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		listeners              []string
		healthy, want, message string
	}{
		"all normal": {
			[]string{"443/https sgp-1 running on n n", "443/https sgp-2 running on n"}, "True AllBackendsNormal",
			"443 sgp-1 Healthy 2/2 Running Enabled, 443 sgp-2 Healthy 1/1 Running Enabled", "",
		},
		"one group fails": {
			[]string{"443/https sgp-1 running on n n", "443/https sgp-2 running on a"}, "False BelowMinHealthy",
			"443 sgp-1 Healthy 2/2 Running Enabled, 443 sgp-2 Unhealthy 0/1 Running Enabled", "listener 443/https (server group sgp-2) has 0 normal of 1 backend",
		},
		"a group without backends": {
			[]string{"443/https sgp-1 running on n", "443/https sgp-2 running on"}, "False NoBackends",
			"443 sgp-1 Healthy 1/1 Running Enabled, 443 sgp-2 Unhealthy 0/0 Running Enabled", "listener 443/https (server group sgp-2) has no backends",
		},
		"checks off": {
			[]string{"443/https sgp-1 running off u u"}, "Unknown HealthCheckUnavailable",
			"443 sgp-1 Unknown 0/2 Running Disabled", "2 whose health check is off",
		},
		"checks off in one group": {
			[]string{"443/https sgp-1 running off u", "443/https sgp-2 running on n"}, "Unknown HealthCheckUnavailable",
			"443 sgp-1 Unknown 0/1 Running Disabled, 443 sgp-2 Healthy 1/1 Running Enabled", "1 whose health check is off",
		},
		"unused backends count nowhere": {
			[]string{"443/https sgp-1 running on n 0 0"}, "True AllBackendsNormal", "443 sgp-1 Healthy 1/1 Running Enabled", "",
		},
		"all unused counts as no backends": {
			[]string{"443/https sgp-1 running on 0 0"}, "False NoBackends", "443 sgp-1 Unhealthy 0/0 Running Enabled", "",
		},
		"a stopped listener decides nothing": {
			[]string{"80/http - stopped on", "443/https sgp-1 running on n"}, "True AllBackendsNormal",
			"80 Unknown 0/0 Stopped Enabled, 443 sgp-1 Healthy 1/1 Running Enabled", "",
		},
		"a group that gets copies has no verdict": {
			[]string{"443/https sgp-1 running on n", "443/https sgp-2 running on mirror a"}, "True AllBackendsNormal",
			"443 sgp-1 Healthy 1/1 Running Enabled", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newGroupsEnv(t)
			env.observe(test.listeners...)
			if env.healthy() != test.healthy || env.listeners() != test.want {
				t.Errorf("got %s with %s, want %s with %s", env.healthy(), env.listeners(), test.healthy, test.want)
			}
			if message := find(env.object.Status.Conditions, v1alpha1.ConditionHealthy).message; !strings.Contains(message, test.message) {
				t.Errorf("the message %q, want %q", message, test.message)
			}
			if outcome := env.observe(test.listeners...); outcome.Write {
				t.Errorf("an equal observation writes %+v", outcome.Status)
			}
		})
	}
}

func TestRowsOfServerGroups(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("443/https sgp-2 running on n", "443/https sgp-1 running on a 0")
	status := env.object.Status
	var rows []string
	for _, b := range status.Backends {
		rows = append(rows, strings.TrimSpace(fmt.Sprint(b.ServerGroupID, " ", b.ServerID, " ", b.ServerHealthStatus, " ", b.Reason)))
	}
	if got, want := strings.Join(rows, ", "), "sgp-1 eni-0 abnormal CONNECT_FAILED, sgp-1 eni-1 unused, sgp-2 eni-0 normal"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if s := status.Summary; s.Unused != 1 || s.Backends != 2 || s.Normal != 1 || s.Abnormal != 1 || s.Unavailable != 0 || s.Listeners != 2 {
		t.Errorf("the summary %+v", s)
	}
}

func TestUnusedBackendsAreInNoEvent(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("443/https sgp-1 running on n n")
	for _, step := range []struct{ listener, want string }{
		{"443/https sgp-1 running on n 0", ""}, // drained
		{"443/https sgp-1 running on n", ""},   // removed while unused
		{"443/https sgp-1 running on n 0", ""}, // added with weight 0
		{"443/https sgp-1 running on n n", ""}, // gets a weight
		{"443/https sgp-1 running on n a", "eni-1 normal abnormal"},
	} {
		var got []string
		for _, transition := range env.observe(step.listener).Transitions.Backends {
			got = append(got, fmt.Sprint(transition.Backend.ServerID, " ", transition.From, " ", transition.To))
		}
		if strings.Join(got, ", ") != step.want {
			t.Errorf("%s: got %q, want %q", step.listener, got, step.want)
		}
	}
}

// An observation of server groups lists the listeners itself: one that is not in
// it was removed, and is not missing.
func TestServerGroupThatIsNotObservedWasRemoved(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("80/http sgp-1 running on n", "443/https sgp-1 running on n", "443/https sgp-2 running on a")
	outcome := env.observe("443/https sgp-1 running on n")
	if env.listeners() != "443 sgp-1 Healthy 1/1 Running Enabled" || env.healthy() != "True AllBackendsNormal" || len(outcome.Transitions.Listeners) != 0 {
		t.Errorf("got %s with %s, %+v", env.healthy(), env.listeners(), outcome.Transitions)
	}
	if ListenersChanged(env.object, groupsObservation(t, env.now, "80/http sgp-9 running on n")) {
		t.Error("an observation that lists the listeners requests a list")
	}
}

// A failed observation keeps the verdicts of the groups.
func TestFailureKeepsTheVerdictsOfServerGroups(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("443/https sgp-1 running on n", "443/https sgp-2 running on a")
	before := env.listeners()
	env.fail()
	if env.listeners() != before || env.healthy() != "False BelowMinHealthy" {
		t.Errorf("got %s with %s, want %s", env.healthy(), env.listeners(), before)
	}
	if c := find(env.object.Status.Conditions, v1alpha1.ConditionObserved); c.status != metav1.ConditionFalse {
		t.Errorf("got %+v", c)
	}
}

func TestPortInARangeIsInTheScope(t *testing.T) {
	env := newGroupsEnv(t)
	env.object.Spec.ListenerPort = new(int32(9050))
	env.now = env.now.Add(30 * time.Second)
	observation := groupsObservation(t, env.now, "80/tcp sgp-1 running on a", "9000/tcp sgp-2 running on n")
	observation.Groups.Listeners[1].EndPort = 9100
	env.object.Status = Evaluate(env.object, Input{Observation: observation, Since: start}, env.now, defaults).Status
	if env.listeners() != "9000 sgp-2 Healthy 1/1 Running Enabled" || env.healthy() != "True AllBackendsNormal" {
		t.Errorf("got %s with %s", env.healthy(), env.listeners())
	}
}

func TestRowsAndListenersOfAServerGroup(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("443/https sgp-1 running on n n", "443/https sgp-2 running off u")
	rows, listeners := env.object.Status.Backends, env.object.Status.Listeners
	for i, want := range []int{2, 1} {
		found := rowsOn(&listeners[i], rows)
		if len(found) != want || found[0].ServerGroupID != listeners[i].ServerGroupID {
			t.Errorf("%s: got %+v", listeners[i].ServerGroupID, found)
		}
		if l := listenerOf(&found[0], listeners); l != &listeners[i] {
			t.Errorf("%s: got %+v", listeners[i].ServerGroupID, l)
		}
	}
	if l := listenerOf(&v1alpha1.BackendStatus{ListenerPort: 443, ListenerProtocol: "https", ServerGroupID: "sgp-3"}, listeners); l != nil {
		t.Errorf("got %+v", l)
	}
}
