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
func (w *world) find(service, id string) Outcome {
	w.t.Helper()
	return w.discover(Discovery{Found: &v1alpha1.ServiceLoadBalancer{ServiceName: service, LoadBalancerID: id, RegionID: "cn-hangzhou"}})
}

func (w *world) lose(why string) Outcome {
	w.t.Helper()
	if w.failingSince.IsZero() {
		w.failingSince = w.now
	}
	return w.discover(Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: why}, FailingSince: w.failingSince})
}

func (w *world) discover(d Discovery) Outcome {
	w.t.Helper()
	outcome := Discover(w.object, d, w.now, w.options)
	if !outcome.Write && !sameStatus(&outcome.Status, &w.object.Status) {
		w.t.Error("a status that differs is not written")
	}
	w.object.Status = stored(w.t, outcome.Status)
	if again := Discover(w.object, d, w.now, w.options); again.Write {
		w.t.Error("the same discovery is written twice")
	}
	return outcome
}

func TestAServiceWithoutALoadBalancerIsAwaited(t *testing.T) {
	w := newWorld(t, ofService("web"))
	w.lose("Service prod/web does not exist")
	w.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if _, _, ok := w.object.LoadBalancer(); ok {
		t.Error("there is a load balancer")
	}

	if outcome := w.find("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("the first load balancer of a Service is no change")
	}
	if !Edited(w.object) {
		t.Error("nobody asks about the load balancer before it is due")
	}
	w.failingSince = time.Time{}
	w.answer("443/https nn")
	if Edited(w.object) {
		t.Error("the load balancer was asked about")
	}
	w.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
}

func TestAnotherLoadBalancerOfAServiceIsTold(t *testing.T) {
	w := newWorld(t, ofService("web"))
	w.find("web", "lb-1")
	w.answer("443/https nn")
	outcome := w.find("web", "lb-2")
	if change := outcome.Transitions.LoadBalancer; change == nil || *change != (LoadBalancerTransition{Service: "web", From: "lb-1", To: "lb-2"}) {
		t.Fatalf("got %v", change)
	}
	if !Edited(w.object) {
		t.Error("nobody asks about the new one before it is due")
	}
	if outcome := w.answer("443/https na"); len(outcome.Transitions.Backends) > 0 {
		t.Error("backends of one load balancer are told as changes of another's")
	}
	if target := w.object.Status.ObservedTarget; target.LoadBalancerID != "lb-2" || target.ServiceName != "web" {
		t.Errorf("observed %+v", target)
	}
}

func TestAServiceThatLosesItsLoadBalancerKeepsTheVerdictUntilItIsStale(t *testing.T) {
	w := newWorld(t, ofService("web"))
	w.find("web", "lb-1")
	w.answer("443/https nn")
	outcome := w.lose("Service prod/web does not exist")
	if outcome.Transitions.Observation == nil || outcome.StaleAt.IsZero() {
		t.Errorf("told %v, stale at %s", outcome.Transitions, outcome.StaleAt)
	}
	w.want("Healthy=True(AllBackendsNormal) Observed=False(LoadBalancerNotFound)")
	if len(w.object.Status.Backends) != 2 {
		t.Error("what was known is gone")
	}
	w.now = outcome.StaleAt
	if outcome = w.lose("Service prod/web does not exist"); outcome.Transitions.Verdict == nil {
		t.Error("a verdict that went stale is not told")
	}
	w.want("Healthy=Unknown(ObservationStale) Observed=False(LoadBalancerNotFound)")

	// The same one again: nothing changed.
	if outcome := w.find("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("told as another one")
	}
	w.failingSince = time.Time{}
	if outcome := w.answer("443/https nn"); len(outcome.Transitions.Backends) > 0 {
		t.Error("told as other backends")
	}
}

// Unlike the API's words, those about a Service hold no digits that mean nothing.
func TestAServiceIsNamedWithTheLoadBalancerThatItHasNow(t *testing.T) {
	w := newWorld(t, ofService("web"))
	for _, message := range []string{"Service prod/web has the NLB instance nlb-1", "Service prod/web has the NLB instance nlb-2"} {
		w.lose(message)
		if got := w.condition("Observed").Message; got != message {
			t.Errorf("got %q, want %q", got, message)
		}
	}
}

func TestALoadBalancerIsOfTheServiceThatIsNamed(t *testing.T) {
	w := newWorld(t, ofService("web"))
	w.find("web", "lb-1")
	w.answer("443/https nn")
	w.edit(ofService("shop"))
	if _, _, ok := w.object.LoadBalancer(); ok {
		t.Error("another Service's load balancer counts")
	}
	w.lose("Service prod/shop does not exist")
	w.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if len(w.object.Status.Backends) != 0 {
		t.Error("the backends of another Service stayed")
	}

	w.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.ServiceRef, spec.LoadBalancerID, spec.RegionID = nil, "lb-1", "cn-hangzhou"
	})
	w.answer("443/https n")
	if w.object.Status.ServiceLoadBalancer != nil || w.object.Status.ObservedTarget.ServiceName != "" {
		t.Errorf("something of the Service stayed: %+v", w.object.Status)
	}
}

// A node of another provider that joins must not take the load balancers away
// of Services that had them observed.
func TestALoadBalancerThatIsKnownKeepsItsRegion(t *testing.T) {
	unknown := func(service, id string) Discovery {
		return Discovery{
			Without: &v1alpha1.ServiceLoadBalancer{ServiceName: service, LoadBalancerID: id},
			Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "the nodes are in several regions"},
		}
	}
	w := newWorld(t, ofService("web"))
	w.find("web", "lb-1")
	w.answer("443/https nn")
	if outcome := w.discover(unknown("web", "lb-1")); outcome.Write {
		t.Error("what is known already is written again")
	}
	w.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
	if _, region, ok := w.object.LoadBalancer(); !ok || region != "cn-hangzhou" {
		t.Errorf("the region is %q", region)
	}

	w.discover(unknown("web", "lb-2"))
	w.want("Ready=False(InvalidRequest) Healthy=True(AllBackendsNormal) Observed=False(InvalidRequest) Stalled=True(InvalidRequest)")
	if _, _, ok := w.object.LoadBalancer(); ok {
		t.Error("the region of one load balancer is taken for that of another")
	}

	w = newWorld(t, ofService("web"))
	w.find("web", "lb-1")
	w.object.Spec.ServiceRef.Name = "api"
	w.object.Generation++
	w.discover(unknown("api", "lb-1"))
	if _, _, ok := w.object.LoadBalancer(); ok {
		t.Error("the load balancer of one Service is taken for that of another")
	}
}
