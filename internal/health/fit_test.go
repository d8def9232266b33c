// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// withoutNewFields is what an API server stores with the CustomResourceDefinition
// of the version before listeners had a state.
func withoutNewFields(status *v1alpha1.LoadBalancerHealthStatus) {
	status.LastAttemptedObserveRequest, status.History, status.MissingBackends = "", nil, nil
	if status.Summary != nil {
		status.Summary = &v1alpha1.Summary{Listeners: status.Summary.Listeners, Counts: status.Summary.Counts}
	}
	status.Listeners = slices.Clone(status.Listeners)
	for i := range status.Listeners {
		l := &status.Listeners[i]
		l.State, l.HealthCheck, l.LastTransitionTime, l.MissingSince = "", "", nil, nil
		l.Expected, l.Missing = nil, 0
	}
}

// The API server drops unknown fields, so without Fit each observation would
// find a difference.
func TestFieldsThatCannotBeStoredCauseNoFurtherWrites(t *testing.T) {
	env := newEnv(t)
	env.options.Fit = withoutNewFields
	observe := map[string]func() Outcome{
		"a listener that changed":    func() Outcome { return env.observe("80/tcp nn", "443/https aa") },
		"a listener that is missing": func() Outcome { return env.observe("80/tcp nn") },
		"a request that failed":      func() Outcome { return env.request("now").fail("Throttled") },
	}
	for _, name := range []string{"a listener that changed", "a listener that is missing", "a request that failed"} {
		t.Run(name, func(t *testing.T) {
			env.t = t
			env.observe("80/tcp nn", "443/https nn")
			env.after(time.Second)
			observe[name]()
			stored := env.object.Status.DeepCopy()
			withoutNewFields(stored)
			if !sameStatus(stored, &env.object.Status) {
				t.Error("the status has a field that cannot be stored")
			}
			for range 3 {
				env.after(time.Second)
				if outcome := observe[name](); outcome.Write {
					t.Errorf("the same status is written again: %+v", outcome.Status)
				}
			}
		})
	}
}

func TestMissingBackendsThatCannotBeStoredCauseNoFurtherWrites(t *testing.T) {
	env := newServiceEnv(t).expect("nn")
	env.options.Fit = withoutNewFields
	env.observe("n")
	env.after(30 * time.Second).observe("n")
	if got := env.condition("Registered"); got.Reason != v1alpha1.ReasonBackendsMissing {
		t.Errorf("Registered is %s", got.Reason)
	}
	for range 3 {
		if outcome := env.after(30 * time.Second).observe("n"); outcome.Write {
			t.Errorf("the same status is written again: %+v", outcome.Status)
		}
	}
}

func TestServiceThatCannotBeStoredCausesNoFurtherWrites(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.options.Fit = func(status *v1alpha1.LoadBalancerHealthStatus) {
		status.ServiceLoadBalancer = nil
		if status.ObservedTarget != nil {
			status.ObservedTarget = new(*status.ObservedTarget)
			status.ObservedTarget.ServiceName = ""
		}
	}
	env.failDiscovery("the CustomResourceDefinition is too old")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	for range 3 {
		env.after(time.Second)
		if outcome := env.failDiscovery("the CustomResourceDefinition is too old"); outcome.Write {
			t.Errorf("the same status is written again: %+v", outcome.Status)
		}
	}
	if outcome := env.discoverLoadBalancer("web", "lb-1"); outcome.Write {
		t.Error("a load balancer that cannot be stored causes a write")
	}
}
