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
	{"watch in a pipe prints the table, and then each change", watchInAPipe},
	{"watch in a pipe reports an empty table, and added objects", watchNothing},
}

var terminalSpecs = []spec{
	{"in a terminal the table has colours, unless disabled", coloursInATerminal},
	{"in a narrow terminal the table omits columns, and -o wide does not", narrowTerminal},
	{"the live view shows changes, and Ctrl-C restores the terminal", liveView},
	{"the live view has the current size of the terminal", liveViewIsResized},
	{"the live view reports an unreachable API server, and its recovery", liveViewIsDisconnected},
	{"a terminal without escapes has the view of a pipe", dumbTerminal},
}

func watchInAPipe(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	p := launch(t, s.command("watch", "-n", s.namespace))
	eventually(t, func(g Gomega) { g.Expect(firstColumn(p.stdout.String())).To(Equal("web")) })
	s.set(t, "web", "i-2", "abnormal")
	s.logs(t, p, "web  443/https i-2 10.0.0.2:8443  normal → abnormal", "web  Healthy → Unhealthy (BelowMinHealthy)")
	s.Fail(t, s.lb("web"), "InternalError", 500, 0)
	s.logs(t, p, "web  observation failed: InternalError: ")
	s.deleteObject(t, "web")
	s.logs(t, p, "web  deleted")
	p.interrupt(t)
	if got := p.wait(t).table(t); strings.Contains(got, "\x1b") || strings.Count(got, "\n") != 6 {
		t.Errorf("%q", got)
	}
}

// logs waits for the last entries of a view in a pipe.
func (s *fixture) logs(t *testing.T, p *process, want ...string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		rows := strings.Split(strings.TrimSuffix(p.stdout.String(), "\n"), "\n")
		last := rows[max(0, len(rows)-len(want)):]
		g.Expect(last).To(HaveLen(len(want)))
		for i, row := range last {
			_, text, _ := strings.Cut(row, "  ")
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
	s.logs(t, p, "api  added", "web  added")
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
		term.waitExit(t)
		if bad, good := term.colorOf(t, "  Unhealthy"), term.colorOf(t, "  Healthy"); bad != c.bad || good != c.good {
			t.Errorf("%s: %d and %d, want %s", c.script, bad, good, c.wanted)
		}
	}
}

func narrowTerminal(t *testing.T, s *fixture) {
	s.pair(t)
	const script = "kubectl lbh -n $NS; kubectl lbh -n $NS -o wide --no-headers | cat"
	term := s.terminal(t, 80, 24, script)
	term.waitExit(t)
	rows := term.rows()
	if want := "NAME   HEALTH    REASON   SINCE   NORMAL   ABNORMAL   UNAVAILABLE   MISSING"; rows[0] != want || len(rows) < 6 {
		t.Errorf("got %q, not %q", rows, want)
	}
	if text := strings.Join(rows[4:], ""); strings.Count(text, "*") != 2 { // the column PORT

		t.Errorf("-o wide is truncated: %q", text)
	}
}

func liveView(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", percent("100%"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	settings := filepath.Join(t.TempDir(), "stty")
	term := s.terminal(t, 120, 24, `trap : INT
echo earlier output
stty -g >$SETTINGS.before
kubectl lbh watch -n $NS
echo "exit code $?"
stty -g >$SETTINGS.after`, "SETTINGS="+settings)
	term.shows(t, "web    Healthy   AllBackendsNormal", "1 object: 1 Healthy; 2 backends: 2 normal")
	if !term.live() || term.cursorVisible() {
		t.Error("the view does not use the alternate screen, or shows the cursor")
	}
	s.set(t, "web", "i-2", "abnormal")
	changes := []string{"web  443/https i-2 10.0.0.2:8443  normal → abnormal", "web  Healthy → Unhealthy (BelowMinHealthy)"}
	term.shows(t, append(changes, "web    Unhealthy   BelowMinHealthy", "1 object: 1 Unhealthy; 2 backends: 1 normal, 1 abnormal")...)
	if text := strings.Join(term.rows(), "\n"); strings.Contains(text, "AllBackendsNormal") || strings.Contains(text, "earlier output") {
		t.Errorf("the screen has earlier output:\n%s", text)
	}
	term.press(t, "\x03") // Ctrl-C
	term.waitExit(t)
	term.shows(t, append(changes, "earlier output", "exit code 0")...)
	if term.live() || !term.cursorVisible() {
		t.Error("the view does not restore the screen or the cursor")
	}
	before, _ := os.ReadFile(settings + ".before")
	after, _ := os.ReadFile(settings + ".after")
	if len(before) == 0 || !bytes.Equal(before, after) {
		t.Errorf("the terminal had the settings %q before, and %q after", before, after)
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
		rows := term.rows()
		g.Expect(rows[0]).To(Equal("NAME        HEALTH    REASON   SINCE   NORMAL   ABNORMAL"))
		g.Expect(slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, "… and ") })).To(BeNumerically(">", 5))
		g.Expect(len(rows)).To(BeNumerically("<=", 12))
	})
	s.deleteObject(t, "object-17")
	term.shows(t, "object-17  deleted")
	term.resize(t, 130, 50)
	term.shows(t, "REGION", "object-29", "object-17  deleted")
}

func liveViewIsDisconnected(t *testing.T, s *fixture) {
	s.observe(t, "web", labelled(unserved, "true"))
	server, err := url.Parse(s.Plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	relay := harness.OpenRelayFor(t, server.Host)
	term := s.terminal(t, 120, 24, "kubectl lbh watch --context elsewhere", "KUBECONFIG="+s.kubeconfig(t, "https://"+relay.Address))
	term.shows(t, "web    Pending")
	relay.Shut()
	term.shows(t, "API server  is unreachable: ", "the view may be old")
	if rows := term.rows(); !strings.HasPrefix(rows[1], "web    Pending") || len(rows) > 7 {
		t.Errorf("something else wrote to the screen:\n%s", strings.Join(rows, "\n"))
	}
	if err := relay.Open(); err != nil {
		t.Fatal(err)
	}
	term.shows(t, "API server  is reachable again")
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

// hostile must not reach a terminal. It clears the screen, beeps, moves the
// cursor, reverses the text, and changes the title.
const hostile = "a\x1b[2J\x07\b\u202eb\nc\x1b]0;title\x07"

func controlCharacters(t *testing.T, s *fixture) {
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
	const sanitized = "a·[2J···b·c·]0;title·"
	term := s.terminal(t, 160, 30, `kubectl lbh -n $NS -o wide
kubectl lbh tree web -n $NS
kubectl lbh wait web -n $NS --timeout=1s
kubectl lbh watch -n $NS`)
	eventually(t, func(g Gomega) { g.Expect(term.live()).To(BeTrue()) })
	if raw := term.raw.String(); strings.Count(raw, sanitized) < 4 || strings.ContainsAny(raw, "\x07\b\u202e") || strings.Contains(raw, "\x1b]") {
		t.Errorf("%q", raw)
	}
}
