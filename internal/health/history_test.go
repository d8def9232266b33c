// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// changes formats a history, as in "False@90 True@30".
func changes(history []v1alpha1.HealthChange) string {
	words := make([]string, 0, len(history))
	for i := range history {
		words = append(words, fmt.Sprintf("%s@%d", history[i].Status, int(history[i].Time.Sub(start).Seconds())))
	}
	return strings.Join(words, " ")
}

func (env *testEnv) wantHistory(want string) {
	env.t.Helper()
	if got := changes(env.object.Status.History); got != want {
		env.t.Errorf("the history is %q, want %q", got, want)
	}
}

func TestHistoryHasTheChangesOfHealthy(t *testing.T) {
	env := newEnv(t)
	env.wait()
	env.observe("aa") // the first observation is no change
	env.wantHistory("")
	env.after(30 * time.Second).observe("na")
	env.after(30 * time.Second).observe("nn") // another reason
	env.wantHistory("True@30")
	env.after(30 * time.Second).observe("uu")
	env.after(30 * time.Second).observe("aa")
	env.wantHistory("False@120 Unknown@90 True@30")
	env.after(time.Second).fail(alicloud.Throttled)
	env.after(2 * time.Hour).fail(alicloud.Throttled)
	env.wantHistory("Unknown@7321 False@120 Unknown@90 True@30")
	newest := env.object.Status.History[0]
	if newest.Reason != v1alpha1.ReasonObservationStale || newest.Message != env.condition("Healthy").Message {
		t.Errorf("got %+v", newest)
	}
}

func TestSuspendingAndResumingAreNoChanges(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{"nn", "nn", ""},
		{"aa", "aa", ""},
		{"uu", "uu", ""},
		{"nn", "aa", "False@3"}, // it changed meanwhile
	} {
		env := newEnv(t)
		env.observe(test.before)
		env.edit(suspend).after(time.Second).wait()
		env.edit(resume).after(time.Second).wait()
		env.after(time.Second).observe(test.after)
		env.wantHistory(test.want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	for range 12 {
		env.after(30 * time.Second).observe("a")
		env.after(30 * time.Second).observe("n")
	}
	env.wantHistory("True@720 False@690 True@660 False@630 True@600 False@570 True@540 False@510 True@480 False@450")
}

func TestLongMessagesAreShortenedInTheHistory(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	env.after(time.Hour).fail(alicloud.Throttled, strings.Repeat("服", 300))
	message := env.object.Status.History[0].Message
	if n := utf8.RuneCountInString(message); n != 256 || !strings.HasSuffix(message, "服...") {
		t.Errorf("%d characters: %s", n, message)
	}
	checkFits(t, env.object, schemaOf(t))
}

func TestOtherTargetStartsTheHistoryAgain(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	env.after(30 * time.Second).observe("a")
	env.edit(otherLoadBalancer).after(time.Second).observe("n")
	env.wantHistory("")
}

// The history changes only together with Healthy, so it causes no write of its own.
func TestHistoryCausesNoWrite(t *testing.T) {
	env := newEnv(t)
	env.observe("n")
	env.after(30 * time.Second).observe("a")
	for range 3 {
		if outcome := env.after(30 * time.Second).observe("a"); outcome.Write {
			t.Error("the same observation is written again")
		}
	}
	// A user may remove it: it is not restored.
	env.object.Status.History = nil
	if outcome := env.after(30 * time.Second).observe("a"); outcome.Write {
		t.Error("a lost history causes a write")
	}
}

func TestDisruptionsAllowed(t *testing.T) {
	for _, test := range []struct {
		what        string
		minHealthy  string
		unavailable v1alpha1.Health
		listeners   []string
		want        string
	}{
		{"all normal", "1", v1alpha1.Unknown, []string{"nnn"}, "2"},
		{"one to spare", "2", v1alpha1.Unknown, []string{"nnna"}, "1"},
		{"none to spare", "3", v1alpha1.Unknown, []string{"nnna"}, "0"},
		{"unhealthy", "4", v1alpha1.Unknown, []string{"nnna"}, "0"},
		{"a percentage", "50%", v1alpha1.Unknown, []string{"nnnaa"}, "0"},
		{"the least of the listeners", "1", v1alpha1.Unknown, []string{"80/tcp nnn", "443/https nn"}, "1"},
		{"no minimum", "0", v1alpha1.Unknown, []string{"nnn"}, "3"},
		{"unknown", "1", v1alpha1.Unknown, []string{"uu"}, "absent"},
		{"unknown on one listener", "1", v1alpha1.Unknown, []string{"80/tcp nn", "443/https uu"}, "absent"},
		{"without results, not counted", "1", v1alpha1.Unknown, []string{"nnu"}, "1"},
		{"without results, as healthy", "1", v1alpha1.Healthy, []string{"nnu"}, "2"},
		{"without results, as unhealthy", "1", v1alpha1.Unhealthy, []string{"nnu"}, "1"},
		{"no backends", "1", v1alpha1.Unknown, nil, "absent"},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t, minHealthy(test.minHealthy), countUnavailable(test.unavailable))
			env.observe(test.listeners...)
			env.wantDisruptionsAllowed(test.want)
		})
	}
}

func (env *testEnv) wantDisruptionsAllowed(want string) {
	env.t.Helper()
	got := "absent"
	if allowed := env.object.Status.Summary.DisruptionsAllowed; allowed != nil {
		got = fmt.Sprint(*allowed)
	}
	if got != want {
		env.t.Errorf("disruptionsAllowed is %s, want %s", got, want)
	}
}

// Each allowed disruption leaves the verdict True, and the next one does not.
func TestDisruptionsAllowedAreThoseThatTheVerdictSurvives(t *testing.T) {
	for _, minimum := range []string{"1", "2", "3", "34%", "50%", "100%"} {
		for backends := 1; backends <= 6; backends++ {
			env := newEnv(t, minHealthy(minimum))
			env.observe(strings.Repeat("n", backends))
			allowed := env.object.Status.Summary.DisruptionsAllowed
			if allowed == nil || find(env.object.Status.Conditions, "Healthy").status != "True" {
				continue // it needs more backends than it has
			}
			for failed := 0; failed <= int(*allowed)+1 && failed <= backends; failed++ {
				env.after(30 * time.Second).observe(strings.Repeat("a", failed) + strings.Repeat("n", backends-failed))
				if healthy := env.condition("Healthy"); (healthy.Status == "True") != (failed <= int(*allowed)) {
					t.Errorf("minHealthy %s, %d of %d failed, %d allowed: %s", minimum, failed, backends, *allowed, healthy.Reason)
				}
			}
		}
	}
}

func TestDisruptionsAllowedNeedAListenerThatDecides(t *testing.T) {
	env := newEnv(t)
	env.details = &alicloud.ListenerDetails{Listeners: []alicloud.Listener{
		{Port: 80, Protocol: "http", Status: statusRunning, RedirectOnly: true}, {Port: 443, Protocol: "https", Status: statusRunning},
	}}
	env.observe("443/https nnn")
	env.wantDisruptionsAllowed("2")
	env.details.Listeners[1].Status = statusStopped
	env.after(time.Second).observe("443/https nnn")
	env.wantDisruptionsAllowed("absent")
}

func TestDisruptionsAllowedEndWithTheVerdict(t *testing.T) {
	for what, then := range map[string]struct {
		do   func(env *testEnv)
		want string
	}{
		"a failure":    {func(env *testEnv) { env.fail(alicloud.Throttled) }, "2"},
		"stale":        {func(env *testEnv) { env.after(time.Hour).fail(alicloud.Throttled) }, "absent"},
		"late":         {func(env *testEnv) { env.after(time.Hour).wait() }, "absent"},
		"suspended":    {func(env *testEnv) { env.edit(suspend).wait() }, "absent"},
		"resumed":      {func(env *testEnv) { env.edit(suspend).wait(); env.edit(resume).observe("nna") }, "1"},
		"another rule": {func(env *testEnv) { env.edit(minHealthy("2")).observe("nnn") }, "1"},
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			env.observe("nnn")
			then.do(env.after(time.Second))
			env.wantDisruptionsAllowed(then.want)
		})
	}
}
