// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

var watchSpecs = []spec{
	{"watch in a pipe writes the table, and then a line for what turns", watchInAPipe},
	{"watch in a pipe says that there is nothing, and what comes", watchNothing},
}

var terminalSpecs = []spec{
	{"in a terminal the table has colours, unless switched off", coloursInATerminal},
	{"in a narrow terminal the table leaves columns out, and -o wide does not", narrowTerminal},
	{"the live view is redrawn when something turns, and Ctrl-C leaves the terminal as it was", liveView},
	{"the live view takes the size that the terminal has now", liveViewIsResized},
	{"the live view says when it may be old, and goes on when the API server is back", liveViewIsCutOff},
	{"a terminal that obeys nothing gets lines", dumbTerminal},
}

func watchInAPipe(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	p := launch(t, s.command("watch", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(firstColumn(p.stdout.String())).To(Equal("web")) })
	s.set(t, "web", "i-2", "abnormal")
	s.tells(t, p, "web  443/https i-2 10.0.0.2:8443  normal → abnormal", "web  Healthy → Unhealthy (BelowMinHealthy)")
	s.Fail(t, s.lb("web"), "InternalError", 500, 0)
	s.tells(t, p, "web  observation failed: InternalError: ")
	s.deleteObject(t, "web")
	s.tells(t, p, "web  deleted")
	p.interrupt(t)
	if got := p.wait(t).succeeds(t); strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 6 {
		t.Errorf("%q", got)
	}
}

// tells waits for what a view in a pipe says last, after the time.
func (s *fixture) tells(t *testing.T, p *process, want ...string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		lines := strings.Split(strings.TrimSuffix(p.stdout.String(), "\n"), "\n")
		last := lines[max(0, len(lines)-len(want)):]
		g.Expect(last).To(HaveLen(len(want)))
		for i, line := range last {
			_, text, _ := strings.Cut(line, "  ")
			g.Expect(text).To(HavePrefix(want[i]))
		}
	})
}

func (s *fixture) deleteObject(t *testing.T, name string) {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	if err := s.Client.Delete(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

func watchNothing(t *testing.T, s *fixture) {
	p := launch(t, s.command("watch", "-n", s.namespace))
	eventually(t, func(g Gomega) {
		g.Expect(p.stderr.String()).To(Equal("No LoadBalancerHealth found in namespace " + s.namespace + ".\n"))
	})
	s.pair(t)
	s.tells(t, p, "api  is new", "web  is new")
	p.interrupt(t)
	if r := p.wait(t); r.code != 0 {
		t.Errorf("%+v", r)
	}
}

func coloursInATerminal(t *testing.T, s *fixture) {
	s.put(t, "bad", "abnormal")
	s.put(t, "good", "normal")
	s.observe(t, "bad")
	s.observe(t, "good")
	s.until(t, "bad", v1alpha1.ReasonBelowMinHealthy)
	s.until(t, "good", v1alpha1.ReasonAllBackendsNormal)
	for _, c := range []struct {
		script    string
		variables []string
		bad, good vt10x.Color
		wanted    string
	}{
		{"kubectl lbh -n $NS", nil, vt10x.Red, vt10x.Green, "colours"},
		{"kubectl lbh -n $NS", []string{"NO_COLOR="}, vt10x.DefaultFG, vt10x.DefaultFG, "none: NO_COLOR is set"},
		{"kubectl lbh -n $NS --color=never", nil, vt10x.DefaultFG, vt10x.DefaultFG, "none: --color=never"},
		{"kubectl lbh -n $NS | cat", nil, vt10x.DefaultFG, vt10x.DefaultFG, "none: a pipe"},
	} {
		term := s.terminal(t, 120, 24, c.script, c.variables...)
		term.end(t)
		if bad, good := term.colorOf(t, "  Unhealthy"), term.colorOf(t, "  Healthy"); bad != c.bad || good != c.good {
			t.Errorf("%s: %d and %d, want %s", c.script, bad, good, c.wanted)
		}
	}
}

func narrowTerminal(t *testing.T, s *fixture) {
	s.pair(t)
	const script = "kubectl lbh -n $NS; kubectl lbh -n $NS -o wide | cat"
	term := s.terminal(t, 80, 24, script)
	term.end(t)
	lines := term.lines()
	if want := "NAME   HEALTH    REASON   NORMAL   ABNORMAL   UNAVAILABLE   LOADBALANCER"; lines[0] != want || len(lines) < 6 {
		t.Errorf("got %q, not %q", lines, want)
	}
	if text := strings.Join(lines[3:], ""); !strings.Contains(text, "MESSAGE") {
		t.Errorf("-o wide is cut: %q", text)
	}
}

func liveView(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	settings := filepath.Join(t.TempDir(), "stty")
	term := s.terminal(t, 120, 24, `trap : INT
echo what was there
stty -g >$SETTINGS.before
kubectl lbh watch -n $NS
echo "it ended with $?"
stty -g >$SETTINGS.after`, "SETTINGS="+settings)
	term.shows(t, "web    Healthy   AllBackendsNormal   2/2")
	if !term.live() || term.cursorIsThere() {
		t.Error("the view does not have the screen for itself")
	}
	s.set(t, "web", "i-2", "abnormal")
	turned := []string{"web  443/https i-2 10.0.0.2:8443  normal → abnormal", "web  Healthy → Unhealthy (BelowMinHealthy)"}
	term.shows(t, append(turned, "web    Unhealthy   BelowMinHealthy   1/2")...)
	if text := strings.Join(term.lines(), "\n"); strings.Contains(text, "AllBackendsNormal") || strings.Contains(text, "what was there") {
		t.Errorf("what was there is still there:\n%s", text)
	}
	term.press(t, "\x03") // Ctrl-C
	term.end(t)
	term.shows(t, append(turned, "what was there", "it ended with 0")...)
	if term.live() || !term.cursorIsThere() {
		t.Error("the view keeps the screen, or the cursor")
	}
	before, _ := os.ReadFile(settings + ".before")
	after, _ := os.ReadFile(settings + ".after")
	if len(before) == 0 || !bytes.Equal(before, after) {
		t.Errorf("the terminal had the settings %q, and has %q", before, after)
	}
}

func liveViewIsResized(t *testing.T, s *fixture) {
	for i := range 30 {
		s.observe(t, fmt.Sprintf("object-%02d", i), labelled(unserved, "true"))
	}
	term := s.terminal(t, 120, 40, "kubectl lbh watch -n $NS")
	term.shows(t, "REGION", "object-00", "object-29")
	term.resize(t, 60, 12)
	eventually(t, func(g Gomega) {
		lines := term.lines()
		g.Expect(lines[0]).To(Equal("NAME        HEALTH    REASON   NORMAL   ABNORMAL"))
		g.Expect(slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "… and ") })).To(BeNumerically(">", 5))
		g.Expect(len(lines)).To(BeNumerically("<=", 12))
	})
	s.deleteObject(t, "object-17")
	term.shows(t, "object-17  deleted")
	term.resize(t, 130, 50)
	term.shows(t, "REGION", "object-29", "object-17  deleted")
}

func liveViewIsCutOff(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	server, err := url.Parse(s.Plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	relay := harness.OpenRelayFor(t, server.Host)
	term := s.terminal(t, 120, 24, "kubectl lbh watch --context elsewhere", "KUBECONFIG="+s.kubeconfig(t, "https://"+relay.Address))
	term.shows(t, "web    Pending")
	relay.Shut()
	term.shows(t, "API server  does not answer: ", "what is shown may be old")
	if lines := term.lines(); !strings.HasPrefix(lines[1], "web    Pending") || len(lines) > 6 {
		t.Errorf("something else wrote to the screen:\n%s", strings.Join(lines, "\n"))
	}
	if err := relay.Open(); err != nil {
		t.Fatal(err)
	}
	term.shows(t, "API server  answers again")
	s.deleteObject(t, "web")
	term.shows(t, "web  deleted", "No LoadBalancerHealth found in namespace "+s.namespace)
}

func dumbTerminal(t *testing.T, s *fixture) {
	s.pair(t)
	term := s.terminal(t, 80, 24, "kubectl lbh watch -n $NS", "TERM=dumb")
	term.shows(t, "api    Pending", "web    Pending")
	if strings.Contains(term.raw.String(), "\x1b") {
		t.Errorf("%q", term.raw)
	}
}

// hostile is what must not reach a terminal: to clear its
// screen, ring, go back, turn its text around, and change its title.
const hostile = "a\x1b[2J\x07\b\u202eb\nc\x1b]0;title\x07"

func hostileCharacters(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	object := &v1alpha1.LoadBalancerHealth{}
	if err := s.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.namespace, Name: "web"}, object); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionHealthy, v1alpha1.ConditionObserved} {
		object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonServiceError, Message: hostile,
			ObservedGeneration: object.Generation, LastTransitionTime: metav1.Now(),
		})
	}
	object.Status.ObservedGeneration = object.Generation
	if err := s.Client.Status().Update(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
	const tamed = "a·[2J···b·c·]0;title·"
	term := s.terminal(t, 160, 30, `kubectl lbh -n $NS -o wide
kubectl lbh tree web -n $NS
kubectl lbh wait web -n $NS --timeout=1s
kubectl lbh watch -n $NS`)
	eventually(t, func(g Gomega) { g.Expect(term.live()).To(BeTrue()) })
	if raw := term.raw.String(); strings.Count(raw, tamed) < 4 || strings.ContainsAny(raw, "\x07\b\u202e") || strings.Contains(raw, "\x1b]") {
		t.Errorf("%q", raw)
	}
}
