// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

var listingSpecs = []spec{
	{"standard output has rows alone; the summary is on standard error, and only below a table", cleanOutput},
	{"--unhealthy shows the objects that are not Ready, in every format", unhealthyOnly},
	{"--sort-by takes short names and the JSONPath of kubectl get", sortBy},
	{"-w --unhealthy shows an object while it is not Ready", watchUnhealthy},
	{"flags that do not combine are refused", refusedFlags},
	{"listeners shows each listener with its state, its health and its minimum", showListeners},
	{"history and tree show the last changes", showHistory},
	{"a tree of thousands of backends is short, and --all shows the status", largeTree},
}

func cleanOutput(t *testing.T, s *fixture) {
	s.fleet(t)
	const rows = 6
	if got := s.lbh(t, "--no-headers").succeeds(t); strings.Count(got, "\n") != rows || strings.HasPrefix(got, "NAME") {
		t.Errorf("%s", got)
	}
	if got := s.lbh(t, "-o", "name").succeeds(t); strings.Count(got, "\n") != rows || !strings.HasPrefix(got, "loadbalancerhealth.slb.lbhealth.dev/bad\n") {
		t.Errorf("%s", got)
	}
	if got := s.lbh(t, "-o", "json").succeeds(t); !json.Valid([]byte(got)) {
		t.Errorf("%s", got)
	}
	if got := s.lbh(t).table(t); strings.Count(got, "\n") != 1+rows {
		t.Errorf("%s", got)
	}
}

func unhealthyOnly(t *testing.T, s *fixture) {
	s.fleet(t)
	const want = "bad forbidden new asleep"
	r := s.lbh(t, "--unhealthy")
	if got := firstColumn(r.table(t)); got != want || !strings.HasPrefix(r.stderr, "6 objects (4 shown): 1 Unhealthy, ") {
		t.Errorf("%q and %q", got, r.stderr)
	}
	names := strings.ReplaceAll(s.lbh(t, "--unhealthy", "-o", "name").succeeds(t), "loadbalancerhealth.slb.lbhealth.dev/", "")
	if got := strings.Join(strings.Fields(names), " "); got != want {
		t.Errorf("%q", got)
	}
	if got := s.lbh(t, "--unhealthy", "-o", "jsonpath={.items[*].metadata.name}").succeeds(t); got != want {
		t.Errorf("%q", got)
	}
	if r := s.lbh(t, "good", "--unhealthy"); r.table(t) != "" || !strings.HasPrefix(r.stderr, "1 object (none shown): 1 Healthy") {
		t.Errorf("%+v", r)
	}
}

func sortBy(t *testing.T, s *fixture) {
	s.fleet(t)
	for by, want := range map[string]string{
		"name": "asleep bad forbidden good new partly", "backends": "bad partly good forbidden new asleep",
		"ready": "bad forbidden new asleep partly good", ".metadata.name": "asleep bad forbidden good new partly",
		"{.status.summary.normal}": "forbidden new asleep bad partly good", "spec.suspend": "bad forbidden partly new good asleep",
	} {
		if got := firstColumn(s.lbh(t, "--sort-by", by).table(t)); got != want {
			t.Errorf("%s: %q, not %q", by, got, want)
		}
	}
	if got := firstColumn(s.lbh(t, "-A", "-l", "!none", "--sort-by=name", "--field-selector", "metadata.namespace="+s.namespace).table(t)); strings.Count(got, s.namespace) != 6 {
		t.Errorf("%q", got)
	}
	if got := s.lbh(t, "--sort-by=name", "-o", "jsonpath={.items[*].metadata.name}").succeeds(t); got != "asleep bad forbidden good new partly" {
		t.Errorf("%q", got)
	}
	s.lbh(t, "--sort-by={.a[}").fails(t, "write health, name, ready", "or a JSONPath such as .metadata.creationTimestamp")
	s.lbh(t, "--sort-by=.spec.nothing").fails(t, "no object has this field")
}

func watchUnhealthy(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	p := launch(t, s.command("-w", "--unhealthy", "--sort-by=since", "-n", s.namespace))
	eventually(t, func(g Gomega) {
		g.Expect(p.stderr.String()).To(Equal("1 object (none shown): 1 Healthy; 2 backends: 2 normal\n"))
	})
	s.set(t, "web", "i-2", "abnormal")
	s.logs(t, p, "web  443/https i-2 10.0.0.2:8443  normal → abnormal", "web  Healthy → Unhealthy (BelowMinHealthy)")
	s.deleteObject(t, "web")
	s.logs(t, p, "web  deleted")
	p.interrupt(t)
	if got := p.wait(t).table(t); strings.Count(got, "\n") != 3 {
		t.Errorf("%q", got)
	}
}

func refusedFlags(t *testing.T, s *fixture) {
	s.pair(t)
	s.lbh(t, "-w", "-o", "json").fails(t, "-o json with --watch", "kubectl get lbh --watch -o json")
	s.lbh(t, "-w", "--sort-by={").fails(t, "--sort-by={: write health, name")
	s.lbh(t, "watch", "--sort-by={").fails(t, "--sort-by={: write health, name")
	s.lbh(t, "listeners", "-o", "json").fails(t, "-o json: write -o wide", "kubectl get lbh -o json")
	s.lbh(t, "listeners", "web", "-l", "a=b").fails(t, "either names or -A, -l, --field-selector and --product")
	s.lbh(t, "tree", "web", "api").fails(t, "write the name of one LoadBalancerHealth")
}

func showListeners(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "abnormal", "abnormal")
	s.observe(t, "web", percent("50%"))
	s.observe(t, "api", labelled(unserved, "true"))
	s.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
	const want = `
NAME PORT PROTOCOL STATE HEALTH CHECK HEALTH SINCE NORMAL ABNORMAL UNAVAILABLE BACKENDS EXPECTED MISSING MIN HEALTHY
web 443 https Running Enabled Unhealthy - 1 2 0 3 - - 2
api - - - - Pending - - - - - - - -
`
	spaces := regexp.MustCompile(` +`)
	eventually(t, func(g Gomega) { // the state follows the first observation
		g.Expect("\n" + spaces.ReplaceAllString(s.lbh(t, "listeners").succeeds(t), " ")).To(Equal(want))
	})
	if got := s.lbh(t, "listeners", "web", "--no-headers").succeeds(t); strings.Count(got, "\n") != 1 {
		t.Errorf("%s", got)
	}
	s.set(t, "web", "i-2", "normal")
	s.until(t, "web", v1alpha1.ReasonMinHealthyMet)
	r := s.lbh(t, "listeners", "web", "--unhealthy")
	if r.stdout != "" || r.stderr != "Every listener of 1 object is Healthy.\n" {
		t.Errorf("%+v", r)
	}
	if got := s.lbh(t, "listeners", "web").succeeds(t); !regexp.MustCompile(`Healthy +\d+s `).MatchString(got) {
		t.Errorf("the listener has no SINCE: %s", got)
	}
}

func showHistory(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	if r := s.lbh(t, "history", "web"); r.stdout != "" || r.stderr != "The health of web has not changed since its first observation.\n" {
		t.Errorf("%+v", r)
	}
	s.set(t, "web", "i-2", "abnormal")
	s.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
	s.set(t, "web", "i-2", "normal")
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	rows := strings.Split(s.lbh(t, "history", "web").succeeds(t), "\n")
	if len(rows) != 4 || !strings.Contains(rows[1], "Healthy     AllBackendsNormal") || !strings.Contains(rows[2], "Unhealthy   BelowMinHealthy") ||
		!strings.HasSuffix(rows[2], "listener 443/https has 1 normal of 2 backends, needs 2 healthy") {
		t.Errorf("%q", rows)
	}
	if got := s.lbh(t, "tree", "web").succeeds(t); !regexp.MustCompile(`└─ history\n   ├─ Healthy    \d+s ago  AllBackendsNormal: .*\n   └─ Unhealthy  \d+s ago  BelowMinHealthy: .*\n$`).MatchString(got) {
		t.Errorf("%s", got)
	}
}

func largeTree(t *testing.T, s *fixture) {
	states := make([]string, 700)
	for i := range states {
		states[i] = v1alpha1.StatusNormal
	}
	states[650], states[660] = v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable
	backends := harness.Backends(443, "https", states...)
	for i := range backends {
		backends[i]["serverIp"] = fmt.Sprintf("10.0.%d.%d", i/250, i%250)
	}
	s.Put(t, s.lb("web"), backends...)
	s.observe(t, "web")
	s.until(t, "web", v1alpha1.ReasonMinHealthyMet)
	rows := strings.Split(s.lbh(t, "tree", "web").succeeds(t), "\n")
	if len(rows) != 27 || !strings.Contains(rows[5], "i-651 ") || !strings.Contains(rows[6], "i-661 ") ||
		rows[25] != "   └─ and 680 more: 680 normal (kubectl lbh tree web --all shows 480, the status omits the others)" {
		t.Errorf("%q", rows)
	}
	rows = strings.Split(s.lbh(t, "tree", "web", "--all").succeeds(t), "\n")
	if len(rows) != 507 || rows[505] != "   └─ and 200 more: 200 normal (the status omits them)" {
		t.Errorf("%d rows, the last are %q", len(rows), rows[len(rows)-3:])
	}
}
