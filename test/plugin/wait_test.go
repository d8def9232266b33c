// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var waitSpecs = []spec{
	{"wait shows the progress, and exits with 0 when it is reached", waitForHealth},
	{"wait exits at once when there is nothing to wait for", waitForCurrent},
	{"wait shows the last state on a timeout, and exits with 1", waitTimeout},
	{"wait exits when the object is deleted", waitForDeleted},
	{"Ctrl-C makes wait exit with 130, without an error", waitInterrupted},
	{"wait accepts healthy, ready and observed", waitForEachCondition},
	{"wait exits at once on a stalled object, with the reason", waitForStalled},
	{"wait rejects a status that is not updated", waitForNotUpdated},
	{"wait exits when a status is no longer updated", waitUntilNotUpdated},
	{"wait ignores an observation from before a request", waitForRequested},
	{"wait exits on Stalled once a request was attempted", waitForRequestedAndStalled},
}

var refreshSpecs = []spec{
	{"refresh shows the current state", refreshNow},
	{"refresh fails while the API fails, with the reason", refreshThrottled},
	{"refresh succeeds once the API recovers", refreshRecovers},
	{"refresh fails at once on what requires manual action, with the remedy", refreshStalls},
	{"refresh ignores a failure from before it", refreshAfterStalled},
	{"refresh shows nothing when its attempt stalls", refreshStalledByStatus},
	{"refresh reports that another request replaced it", refreshReplaced},
	{"refresh reports an object that is not observed", refreshUnserved},
}

// set changes the state of a server.
func (s *fixture) set(t *testing.T, name, server, state string) {
	t.Helper()
	s.Admin(t, http.MethodPatch, "loadbalancers/"+s.lb(name)+"/backends", map[string]any{"serverId": server, "serverHealthStatus": state})
}

// belowMinimum creates a load balancer with 3 of 5 normal backends, and an object that needs all.
func (s *fixture) belowMinimum(t *testing.T) {
	t.Helper()
	s.put(t, "web", "normal", "normal", "normal", "abnormal", "abnormal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
}

const threeOfFive = "web: 3/5 backends normal (BelowMinHealthy)\n"

func waitForHealth(t *testing.T, s *fixture) {
	s.belowMinimum(t)
	p := launch(t, s.command("wait", "web", "--for=healthy", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(threeOfFive)) })
	s.set(t, "web", "i-4", "normal")
	eventually(t, func(g Gomega) {
		g.Expect(p.stderr.String()).To(HaveSuffix("web: 4/5 backends normal (BelowMinHealthy)\n"))
	})
	s.set(t, "web", "i-5", "normal")
	r := p.wait(t)
	if r.code != 0 || r.stdout != "web is healthy\n" || !strings.HasSuffix(r.stderr, "web: 5/5 backends normal (AllBackendsNormal)\n") {
		t.Errorf("%+v", r)
	}
}

func waitForCurrent(t *testing.T, s *fixture) {
	s.put(t, "web", "normal")
	s.observe(t, "web")
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	if r := s.lbh(t, "wait", "web", "--timeout=0s"); r.code != 0 || r.stdout != "web is healthy\n" {
		t.Errorf("%+v", r)
	}
}

func waitTimeout(t *testing.T, s *fixture) {
	s.belowMinimum(t)
	r := s.lbh(t, "wait", "web", "--timeout=2s")
	r.fails(t, "web is not healthy after 2s: 3/5 backends normal (BelowMinHealthy)")
	if !strings.HasPrefix(r.stderr, threeOfFive) {
		t.Errorf("%+v", r)
	}
}

func waitForDeleted(t *testing.T, s *fixture) {
	s.belowMinimum(t)
	p := launch(t, s.command("wait", "web", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(threeOfFive)) })
	object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := s.Client.Delete(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
	p.wait(t).fails(t, "web was deleted")
}

func waitInterrupted(t *testing.T, s *fixture) {
	s.belowMinimum(t)
	p := launch(t, s.command("wait", "web", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(threeOfFive)) })
	p.interrupt(t)
	if r := p.wait(t); r.code != 130 || r.stdout != "" || r.stderr != threeOfFive {
		t.Errorf("%+v", r)
	}
}

func waitForEachCondition(t *testing.T, s *fixture) {
	s.belowMinimum(t)
	if r := s.lbh(t, "wait", "web", "--for=observed"); r.code != 0 || r.stdout != "web is observed\n" {
		t.Errorf("%+v", r)
	}
	s.lbh(t, "wait", "web", "--for=ready", "--timeout=1s").fails(t, "web is not ready after 1s")
	s.lbh(t, "wait", "web", "--for=condition=Ready").fails(t, "write healthy, ready or observed")
}

func waitForStalled(t *testing.T, s *fixture) {
	s.put(t, "web", "normal")
	s.Fail(t, s.lb("web"), "Forbidden.RAM", 403, 0)
	s.observe(t, "web")
	for _, what := range []string{"healthy", "ready", "observed"} {
		s.lbh(t, "wait", "web", "--for="+what).fails(t, "web is stalled: Forbidden: ", "grant the RAM permission")
	}
}

func waitForNotUpdated(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	s.store(t, "web", storedHealthy, 7*time.Minute)
	s.lbh(t, "wait", "web").fails(t, "web was not updated for 7m: is the operator running?")
	if got := s.lbh(t).table(t); !strings.Contains(got, "web    Unknown   NotUpdated   7m") {
		t.Errorf("%s", got)
	}
	if got := s.lbh(t, "tree", "web").succeeds(t); !strings.HasPrefix(got, "web  Unknown  NotUpdated") || !strings.Contains(got, "not updated for 7m: is the operator running?") {
		t.Errorf("%s", got)
	}
	if r := s.lbh(t, "wait", "web", "--status-heartbeat=1h"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	s.observe(t, "asleep", labelled(unserved, "true"), suspended)
	s.store(t, "asleep", [][3]string{{v1alpha1.ConditionHealthy, "Unknown", v1alpha1.ReasonSuspended}}, 7*time.Minute)
	s.lbh(t, "wait", "asleep", "--timeout=1s").fails(t, "asleep is not healthy after 1s", "Suspended")
}

func waitUntilNotUpdated(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	s.store(t, "web", [][3]string{{v1alpha1.ConditionHealthy, "False", v1alpha1.ReasonBelowMinHealthy}}, 0)
	s.lbh(t, "wait", "web", "--status-heartbeat=1s").fails(t, "web was not updated for ", "is the operator running?", "BelowMinHealthy")
	s.observe(t, "new", labelled(unserved, "true"))
	s.lbh(t, "wait", "new", "--status-heartbeat=1s").fails(t, "new was not updated for ", "not observed yet")
}

func waitForRequested(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	s.store(t, "web", storedHealthy, time.Second)
	s.request(t, "web", "now")
	const pending = "web: the requested observation is pending\n"
	p := launch(t, s.command("wait", "web", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(pending)) })
	s.store(t, "web", storedThrottled, time.Second, attempted("now"))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(HaveSuffix("; cannot be observed: about Throttled\n")) })
	s.store(t, "web", storedHealthy, 0, handled("now"))
	if r := p.wait(t); r.code != 0 || r.stdout != "web is healthy\n" {
		t.Errorf("%+v", r)
	}
}

func waitForRequestedAndStalled(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	s.store(t, "web", storedStalled, time.Second)
	s.request(t, "web", "now")
	s.lbh(t, "wait", "web", "--timeout=1s").fails(t, "web is not healthy after 1s: the requested observation is pending")
	s.store(t, "web", storedStalled, time.Second, attempted("now"))
	s.lbh(t, "wait", "web").fails(t, "web is stalled: Forbidden: about Forbidden")
}

// hourly is an interval without a second observation, unless one is requested.
func hourly(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval = metav1.Duration{Duration: time.Hour} }

func refreshNow(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", hourly)
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	s.set(t, "web", "i-2", "abnormal")
	want := strings.ReplaceAll(`
web  Healthy  MinHealthyMet  lb-NS-web cn-hangzhou  since T
│  1 of 2 backends are normal (1 abnormal)
│  policy: minHealthy 1, unavailable Unknown; 0 disruptions allowed
│  status of an observation T ago, interval 60m
└─ 443/https  Healthy  1/2 normal, needs 1
   ├─ i-2 10.0.0.2:8443  abnormal     since T
   └─ i-1 10.0.0.1:8443  normal       since T
`, "NS", s.namespace)
	if got := "\n" + since.ReplaceAllString(s.lbh(t, "refresh", "web").succeeds(t), "$1 T"); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func refreshThrottled(t *testing.T, s *fixture) {
	s.put(t, "web", "normal")
	s.observe(t, "web", hourly)
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	s.Fail(t, s.lb("web"), "Throttling.User", 400, 0)
	s.set(t, "web", "i-1", "abnormal")
	s.lbh(t, "refresh", "web", "--timeout=5s").fails(t, "web could not be observed within 5s: Throttled: ", "kubectl lbh wait web")
	s.lbh(t, "wait", "web", "--timeout=1s").fails(t, "web is not healthy after 1s: the requested observation is pending; cannot be observed: ")
}

func refreshRecovers(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", hourly)
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	s.Fail(t, s.lb("web"), "InternalError", 500, 2)
	s.set(t, "web", "i-2", "abnormal")
	if got := s.lbh(t, "refresh", "web").succeeds(t); !strings.Contains(got, "1/2 normal") {
		t.Errorf("%s", got)
	}
}

func refreshStalls(t *testing.T, s *fixture) {
	s.observe(t, "nowhere", hourly)
	s.lbh(t, "refresh", "nowhere").fails(t, "nowhere cannot be observed: LoadBalancerNotFound: ")
	s.put(t, "keyless", "normal")
	s.observe(t, "keyless", hourly, func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "absent"}}
	})
	s.lbh(t, "refresh", "keyless").fails(t, "keyless cannot be observed: CredentialsNotFound: ", "absent does not exist: create it")
}

// refreshAfterStalled refreshes an object after its cause was fixed.
func refreshAfterStalled(t *testing.T, s *fixture) {
	s.put(t, "web", "normal")
	s.Fail(t, s.lb("web"), "Forbidden.RAM", 403, 1)
	s.observe(t, "web", hourly)
	s.until(t, "web", v1alpha1.ReasonForbidden)
	if got := s.lbh(t, "refresh", "web").succeeds(t); !strings.Contains(got, "web  Healthy  AllBackendsNormal") {
		t.Errorf("%s", got)
	}
}

func refreshStalledByStatus(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	s.store(t, "web", storedStalled, time.Second, attempted("older"), handled("older"))
	p := launch(t, s.command("refresh", "web", "-n", s.namespace))
	value := s.requested(t, "web", "")
	s.store(t, "web", storedThrottled, time.Second, attempted(value)) // a transient failure
	s.store(t, "web", storedStalled, time.Second, attempted(value))
	p.wait(t).fails(t, "web cannot be observed: Forbidden: about Forbidden")

	p = launch(t, s.command("refresh", "web", "-n", s.namespace))
	value = s.requested(t, "web", value)
	s.store(t, "web", storedThrottled, time.Second, attempted(value))
	s.store(t, "web", storedHealthy, time.Second, handled(value))
	if got := p.wait(t).succeeds(t); !strings.HasPrefix(got, "web  Healthy  AllBackendsNormal") {
		t.Errorf("%s", got)
	}
}

func refreshReplaced(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	p := launch(t, s.command("refresh", "web", "-n", s.namespace))
	s.requested(t, "web", "")
	s.request(t, "web", "by another")
	p.wait(t).fails(t, "run it again")
}

func refreshUnserved(t *testing.T, s *fixture) {
	s.pair(t)
	s.observe(t, "asleep", suspended)
	s.lbh(t, "refresh", "asleep").fails(t, "asleep is suspended", "spec.suspend")
	s.lbh(t, "refresh", "web", "--timeout=1s").fails(t, "web was not observed within 1s", "does slb-health-operator run")
}
