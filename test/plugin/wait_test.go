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
	{"wait says how far it is, and ends with 0 when it is there", waitForHealth},
	{"wait ends at once where there is nothing to wait for", nothingToWaitFor},
	{"wait that takes too long says what was seen last, and ends with 1", waitTooLong},
	{"wait ends when the object is deleted", waitForTheDeleted},
	{"Ctrl-C ends wait with 130, and is no failure of the object", waitInterrupted},
	{"wait takes healthy, ready and observed", waitForWhat},
}

var refreshSpecs = []spec{
	{"refresh shows what the API says now", refreshNow},
	{"refresh shows why the API does not answer", refreshFails},
	{"refresh says when nobody observes the object", refreshUnserved},
}

// set changes the state of the server of that number.
func (s *stage) set(t *testing.T, name, server, state string) {
	t.Helper()
	s.admin(t, http.MethodPatch, "loadbalancers/"+s.lb(name)+"/backends", map[string]any{"serverId": server, "serverHealthStatus": state})
}

// belowMinimum makes a load balancer with 3 of 5 backends normal, which needs all.
func (s *stage) belowMinimum(t *testing.T) {
	t.Helper()
	s.put(t, "web", "normal", "normal", "normal", "abnormal", "abnormal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
}

const threeOfFive = "web: 3/5 backends normal (BelowMinHealthy)\n"

func waitForHealth(t *testing.T, s *stage) {
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

func nothingToWaitFor(t *testing.T, s *stage) {
	s.put(t, "web", "normal")
	s.observe(t, "web")
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	if r := s.lbh(t, "wait", "web", "--timeout=0s"); r.code != 0 || r.stdout != "web is healthy\n" {
		t.Errorf("%+v", r)
	}
}

func waitTooLong(t *testing.T, s *stage) {
	s.belowMinimum(t)
	r := s.lbh(t, "wait", "web", "--timeout=2s")
	r.fails(t, "web is not healthy after 2s: 3/5 backends normal (BelowMinHealthy)")
	if !strings.HasPrefix(r.stderr, threeOfFive) {
		t.Errorf("%+v", r)
	}
}

func waitForTheDeleted(t *testing.T, s *stage) {
	s.belowMinimum(t)
	p := launch(t, s.command("wait", "web", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(threeOfFive)) })
	object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := s.client.Delete(s.ctx, object); err != nil {
		t.Fatal(err)
	}
	p.wait(t).fails(t, "web was deleted")
}

func waitInterrupted(t *testing.T, s *stage) {
	s.belowMinimum(t)
	p := launch(t, s.command("wait", "web", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(p.stderr.String()).To(Equal(threeOfFive)) })
	p.interrupt(t)
	if r := p.wait(t); r.code != 130 || r.stdout != "" || r.stderr != threeOfFive {
		t.Errorf("%+v", r)
	}
}

func waitForWhat(t *testing.T, s *stage) {
	s.belowMinimum(t)
	if r := s.lbh(t, "wait", "web", "--for=observed"); r.code != 0 || r.stdout != "web is observed\n" {
		t.Errorf("%+v", r)
	}
	s.lbh(t, "wait", "web", "--for=ready", "--timeout=1s").fails(t, "web is not ready after 1s")
	s.lbh(t, "wait", "web", "--for=condition=Ready").fails(t, "write healthy, ready or observed")
}

// seldom is observed once, unless somebody asks.
func seldom(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval = metav1.Duration{Duration: time.Hour} }

func refreshNow(t *testing.T, s *stage) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", seldom)
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	s.set(t, "web", "i-2", "abnormal")
	want := strings.ReplaceAll(`
web  Healthy  MinHealthyMet  lb-NS-web cn-hangzhou
│  1 of 2 backends are normal (1 abnormal)
└─ 443/https  Healthy  1/2 normal
   ├─ i-1 10.0.0.1:8443  normal       since T
   └─ i-2 10.0.0.2:8443  abnormal     since T
`, "NS", s.namespace)
	if got := "\n" + since.ReplaceAllString(s.lbh(t, "refresh", "web").succeeds(t), "since T"); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func refreshFails(t *testing.T, s *stage) {
	s.put(t, "web", "normal")
	s.observe(t, "web", seldom)
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	s.fail(t, "web", "InternalError", 500)
	got := s.lbh(t, "refresh", "web").succeeds(t)
	if !strings.Contains(got, "web  Healthy  AllBackendsNormal") || !strings.Contains(got, "│  InternalError: ") {
		t.Errorf("%s", got)
	}
}

func refreshUnserved(t *testing.T, s *stage) {
	s.pair(t)
	s.observe(t, "asleep", suspended)
	s.lbh(t, "refresh", "asleep").fails(t, "asleep is suspended", "spec.suspend")
	s.lbh(t, "refresh", "web", "--timeout=1s").fails(t, "web was not observed within 1s", "does slb-health-operator run")
}
