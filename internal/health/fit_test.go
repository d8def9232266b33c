// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// withoutNews is what an API server stores whose CustomResourceDefinition is of
// the version before listeners had a state.
func withoutNews(status *v1alpha1.LoadBalancerHealthStatus) {
	status.LastAttemptedObserveRequest = ""
	status.Listeners = slices.Clone(status.Listeners)
	for i := range status.Listeners {
		l := &status.Listeners[i]
		l.State, l.HealthCheck, l.LastTransitionTime, l.MissingSince = "", "", nil, nil
	}
}

// The API server drops what it does not know, so each observation would find
// another status than it wants.
func TestWhatCannotBeStoredIsNotWrittenAgainAndAgain(t *testing.T) {
	env := newEnv(t)
	env.options.Fit = withoutNews
	observe := map[string]func() Outcome{
		"a listener that changed":    func() Outcome { return env.answer("80/tcp nn", "443/https aa") },
		"a listener that is missing": func() Outcome { return env.answer("80/tcp nn") },
		"a request without answer":   func() Outcome { return env.ask("now").fail("Throttled") },
	}
	for _, name := range []string{"a listener that changed", "a listener that is missing", "a request without answer"} {
		t.Run(name, func(t *testing.T) {
			env.t = t
			env.answer("80/tcp nn", "443/https nn")
			env.after(time.Second)
			observe[name]()
			stored := env.object.Status.DeepCopy()
			withoutNews(stored)
			if !sameStatus(stored, &env.object.Status) {
				t.Error("what cannot be stored is written")
			}
			for range 3 {
				env.after(time.Second)
				if outcome := observe[name](); outcome.Write {
					t.Errorf("the same is written again: %+v", outcome.Status)
				}
			}
		})
	}
}

func TestAServiceThatCannotBeStoredIsNotWrittenAgainAndAgain(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.options.Fit = func(status *v1alpha1.LoadBalancerHealthStatus) {
		status.ServiceLoadBalancer = nil
		if status.ObservedTarget != nil {
			status.ObservedTarget = new(*status.ObservedTarget)
			status.ObservedTarget.ServiceName = ""
		}
	}
	env.lose("the CustomResourceDefinition is too old")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	for range 3 {
		env.after(time.Second)
		if outcome := env.lose("the CustomResourceDefinition is too old"); outcome.Write {
			t.Errorf("the same is written again: %+v", outcome.Status)
		}
	}
	if outcome := env.find("web", "lb-1"); outcome.Write {
		t.Error("a load balancer that cannot be stored is written")
	}
}
