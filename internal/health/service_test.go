// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func ofService(name string) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.LoadBalancerID, spec.RegionID = "", ""
		spec.ServiceRef = &v1alpha1.ServiceReference{Name: name}
	}
}

// find stores that the Service has a load balancer, and returns whether that was a write.
func (env *testEnv) find(service, id string) Outcome {
	env.t.Helper()
	return env.discover(Discovery{Found: &v1alpha1.ServiceLoadBalancer{ServiceName: service, LoadBalancerID: id, RegionID: "cn-hangzhou"}})
}

func (env *testEnv) lose(why string) Outcome {
	env.t.Helper()
	if env.failingSince.IsZero() {
		env.failingSince = env.now
	}
	return env.discover(Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: why}, FailingSince: env.failingSince})
}

func (env *testEnv) discover(d Discovery) Outcome {
	env.t.Helper()
	outcome := Discover(env.object, d, env.now, env.options)
	if !outcome.Write && !sameStatus(&outcome.Status, &env.object.Status) {
		env.t.Error("a status that differs is not written")
	}
	env.object.Status = stored(env.t, outcome.Status)
	if again := Discover(env.object, d, env.now, env.options); again.Write {
		env.t.Error("the same discovery is written twice")
	}
	return outcome
}

func TestAServiceWithoutALoadBalancerIsAwaited(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.lose("Service prod/web does not exist")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("there is a load balancer")
	}

	if outcome := env.find("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("the first load balancer of a Service is no change")
	}
	if !Edited(env.object) {
		t.Error("nobody asks about the load balancer before it is due")
	}
	env.failingSince = time.Time{}
	env.answer("443/https nn")
	if Edited(env.object) {
		t.Error("the load balancer was asked about")
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
}

func TestAnotherLoadBalancerOfAServiceIsTold(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.find("web", "lb-1")
	env.answer("443/https nn")
	outcome := env.find("web", "lb-2")
	if change := outcome.Transitions.LoadBalancer; change == nil || *change != (LoadBalancerTransition{Service: "web", From: "lb-1", To: "lb-2"}) {
		t.Fatalf("got %v", change)
	}
	if !Edited(env.object) {
		t.Error("nobody asks about the new one before it is due")
	}
	if outcome := env.answer("443/https na"); len(outcome.Transitions.Backends) > 0 {
		t.Error("backends of one load balancer are told as changes of another's")
	}
	if target := env.object.Status.ObservedTarget; target.LoadBalancerID != "lb-2" || target.ServiceName != "web" {
		t.Errorf("observed %+v", target)
	}
}

func TestAServiceThatLosesItsLoadBalancerKeepsTheVerdictUntilItIsStale(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.find("web", "lb-1")
	env.answer("443/https nn")
	outcome := env.lose("Service prod/web does not exist")
	if outcome.Transitions.Observation == nil || outcome.StaleAt.IsZero() {
		t.Errorf("told %v, stale at %s", outcome.Transitions, outcome.StaleAt)
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=False(LoadBalancerNotFound)")
	if len(env.object.Status.Backends) != 2 {
		t.Error("what was known is gone")
	}
	env.now = outcome.StaleAt
	if outcome = env.lose("Service prod/web does not exist"); outcome.Transitions.Verdict == nil {
		t.Error("a verdict that went stale is not told")
	}
	env.want("Healthy=Unknown(ObservationStale) Observed=False(LoadBalancerNotFound)")

	// The same one again: nothing changed.
	if outcome := env.find("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("told as another one")
	}
	env.failingSince = time.Time{}
	if outcome := env.answer("443/https nn"); len(outcome.Transitions.Backends) > 0 {
		t.Error("told as other backends")
	}
}

// Unlike the API's words, those about a Service hold no digits that mean nothing.
func TestAServiceIsNamedWithTheLoadBalancerThatItHasNow(t *testing.T) {
	env := newEnv(t, ofService("web"))
	for _, message := range []string{"Service prod/web has the NLB instance nlb-1", "Service prod/web has the NLB instance nlb-2"} {
		env.lose(message)
		if got := env.condition("Observed").Message; got != message {
			t.Errorf("got %q, want %q", got, message)
		}
	}
}

func TestALoadBalancerIsOfTheServiceThatIsNamed(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.find("web", "lb-1")
	env.answer("443/https nn")
	env.edit(ofService("shop"))
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("another Service's load balancer counts")
	}
	env.lose("Service prod/shop does not exist")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if len(env.object.Status.Backends) != 0 {
		t.Error("the backends of another Service stayed")
	}

	env.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.ServiceRef, spec.LoadBalancerID, spec.RegionID = nil, "lb-1", "cn-hangzhou"
	})
	env.answer("443/https n")
	if env.object.Status.ServiceLoadBalancer != nil || env.object.Status.ObservedTarget.ServiceName != "" {
		t.Errorf("something of the Service stayed: %+v", env.object.Status)
	}
}

// A node of another provider that joins must not take the load balancers away
// of Services that had them observed.
func TestALoadBalancerThatIsKnownKeepsItsRegion(t *testing.T) {
	unknown := func(service, id string) Discovery {
		return Discovery{
			WithoutRegion: &v1alpha1.ServiceLoadBalancer{ServiceName: service, LoadBalancerID: id},
			Failure:       &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "the nodes are in several regions"},
		}
	}
	env := newEnv(t, ofService("web"))
	env.find("web", "lb-1")
	env.answer("443/https nn")
	if outcome := env.discover(unknown("web", "lb-1")); outcome.Write {
		t.Error("what is known already is written again")
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
	if _, region, ok := env.object.LoadBalancer(); !ok || region != "cn-hangzhou" {
		t.Errorf("the region is %q", region)
	}

	env.discover(unknown("web", "lb-2"))
	env.want("Ready=False(InvalidRequest) Healthy=True(AllBackendsNormal) Observed=False(InvalidRequest) Stalled=True(InvalidRequest)")
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("the region of one load balancer is taken for that of another")
	}

	env = newEnv(t, ofService("web"))
	env.find("web", "lb-1")
	env.object.Spec.ServiceRef.Name = "api"
	env.object.Generation++
	env.discover(unknown("api", "lb-1"))
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("the load balancer of one Service is taken for that of another")
	}
}
