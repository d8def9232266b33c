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

func serviceReference(name string) v1alpha1.Reference {
	return v1alpha1.Reference{Kind: v1alpha1.ReferenceService, Name: name}
}

// discoverLoadBalancer is a discovery of the load balancer of a Service.
func (env *testEnv) discoverLoadBalancer(service, id string) Outcome {
	env.t.Helper()
	return env.discover(Discovery{Found: &v1alpha1.ReferencedLoadBalancer{Reference: serviceReference(service), LoadBalancerID: id, RegionID: "cn-hangzhou"}})
}

// failDiscovery is a discovery that fails.
func (env *testEnv) failDiscovery(message string) Outcome {
	env.t.Helper()
	if env.failingSince.IsZero() {
		env.failingSince = env.now
	}
	return env.discover(Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: message}, FailingSince: env.failingSince})
}

func (env *testEnv) discover(d Discovery) Outcome {
	env.t.Helper()
	outcome := Discover(env.object, d, env.now, env.options)
	if !outcome.Write && !sameStatus(&outcome.Status, &env.object.Status) {
		env.t.Error("Write is false, but the status differs")
	}
	env.object.Status = stored(env.t, outcome.Status)
	if again := Discover(env.object, d, env.now, env.options); again.Write {
		env.t.Error("the same discovery causes a second write")
	}
	return outcome
}

func TestServiceWithoutALoadBalancerIsPending(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.failDiscovery("Service prod/web does not exist")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("the object has a load balancer")
	}

	if outcome := env.discoverLoadBalancer("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("the first load balancer of a Service is a transition")
	}
	if !Edited(env.object) {
		t.Error("the discovered load balancer needs no observation")
	}
	env.failingSince = time.Time{}
	env.observe("443/https nn")
	if Edited(env.object) {
		t.Error("the observed load balancer needs another observation")
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
}

func TestAnotherLoadBalancerOfAServiceIsATransition(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.discoverLoadBalancer("web", "lb-1")
	env.observe("443/https nn")
	outcome := env.discoverLoadBalancer("web", "lb-2")
	if transition := outcome.Transitions.LoadBalancer; transition == nil || *transition != (LoadBalancerTransition{Reference: serviceReference("web"), From: "lb-1", To: "lb-2"}) {
		t.Fatalf("got %v", transition)
	}
	if !Edited(env.object) {
		t.Error("the new load balancer needs no observation")
	}
	if outcome := env.observe("443/https na"); len(outcome.Transitions.Backends) > 0 {
		t.Error("the backends of two load balancers are compared")
	}
	if target := env.object.Status.ObservedTarget; target.LoadBalancerID != "lb-2" || target.ServiceName != "web" {
		t.Errorf("observed %+v", target)
	}
}

func TestServiceWithoutItsLoadBalancerKeepsTheVerdictUntilItIsStale(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.discoverLoadBalancer("web", "lb-1")
	env.observe("443/https nn")
	outcome := env.failDiscovery("Service prod/web does not exist")
	if outcome.Transitions.Observation == nil || outcome.StaleAt.IsZero() {
		t.Errorf("transitions %v, stale at %s", outcome.Transitions, outcome.StaleAt)
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=False(LoadBalancerNotFound)")
	if len(env.object.Status.Backends) != 2 {
		t.Error("the backends were removed")
	}
	env.now = outcome.StaleAt
	if outcome = env.failDiscovery("Service prod/web does not exist"); outcome.Transitions.Verdict == nil {
		t.Error("the stale verdict is no transition")
	}
	env.want("Healthy=Unknown(ObservationStale) Observed=False(LoadBalancerNotFound)")

	// The Service has the same load balancer again.
	if outcome := env.discoverLoadBalancer("web", "lb-1"); outcome.Transitions.LoadBalancer != nil {
		t.Error("the same load balancer is a transition")
	}
	env.failingSince = time.Time{}
	if outcome := env.observe("443/https nn"); len(outcome.Transitions.Backends) > 0 {
		t.Error("the same backends are transitions")
	}
}

// Unlike the API's messages, those about a Service have no meaningless numbers.
func TestMessageNamesTheCurrentLoadBalancerOfTheService(t *testing.T) {
	env := newEnv(t, ofService("web"))
	for _, message := range []string{"Service prod/web has the NLB instance nlb-1", "Service prod/web has the NLB instance nlb-2"} {
		env.failDiscovery(message)
		if got := env.condition("Observed").Message; got != message {
			t.Errorf("got %q, want %q", got, message)
		}
	}
}

func TestLoadBalancerOfAnotherServiceDoesNotCount(t *testing.T) {
	env := newEnv(t, ofService("web"))
	env.discoverLoadBalancer("web", "lb-1")
	env.observe("443/https nn")
	env.edit(ofService("shop"))
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("the object has the load balancer of another Service")
	}
	env.failDiscovery("Service prod/shop does not exist")
	env.want("Healthy=Unknown(Pending) Observed=False(LoadBalancerNotFound)")
	if len(env.object.Status.Backends) != 0 {
		t.Error("the status has the backends of another Service")
	}

	env.edit(func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.ServiceRef, spec.LoadBalancerID, spec.RegionID = nil, "lb-1", "cn-hangzhou"
	})
	env.observe("443/https n")
	if env.object.Status.ServiceLoadBalancer != nil || env.object.Status.ObservedTarget.ServiceName != "" {
		t.Errorf("the status names the previous Service: %+v", env.object.Status)
	}
}

// A new node of another provider makes the region unknown. That must not stop the
// observation of load balancers whose region is in the status.
func TestKnownLoadBalancerKeepsItsRegion(t *testing.T) {
	unknown := func(service, id string) Discovery {
		return Discovery{
			WithoutRegion: &v1alpha1.ReferencedLoadBalancer{Reference: serviceReference(service), LoadBalancerID: id},
			Failure:       &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: "the nodes are in several regions"},
		}
	}
	env := newEnv(t, ofService("web"))
	env.discoverLoadBalancer("web", "lb-1")
	env.observe("443/https nn")
	if outcome := env.discover(unknown("web", "lb-1")); outcome.Write {
		t.Error("a known load balancer causes a write")
	}
	env.want("Healthy=True(AllBackendsNormal) Observed=True(ObservationSucceeded)")
	if _, region, ok := env.object.LoadBalancer(); !ok || region != "cn-hangzhou" {
		t.Errorf("the region is %q", region)
	}

	env.discover(unknown("web", "lb-2"))
	env.want("Ready=False(InvalidRequest) Healthy=True(AllBackendsNormal) Observed=False(InvalidRequest) Stalled=True(InvalidRequest)")
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("a load balancer has the region of another one")
	}

	env = newEnv(t, ofService("web"))
	env.discoverLoadBalancer("web", "lb-1")
	env.object.Spec.ServiceRef.Name = "api"
	env.object.Generation++
	env.discover(unknown("api", "lb-1"))
	if _, _, ok := env.object.LoadBalancer(); ok {
		t.Error("a Service has the load balancer of another one")
	}
}

func TestServiceLoadBalancerIsKeptWhileTheSpecNamesTheService(t *testing.T) {
	known := v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID, s.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &known
	env.observe("nn") // the status had no target
	env.after(time.Second).edit(listener(443, "")).observe("nn")
	if kept := env.object.Status.ServiceLoadBalancer; kept == nil || *kept != known {
		t.Errorf("got %+v", kept)
	}
	env.edit(func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID, s.ServiceRef = "lb-web", "cn-hangzhou", nil
	}).after(time.Second).observe("nn")
	if kept := env.object.Status.ServiceLoadBalancer; kept != nil {
		t.Errorf("without serviceRef the status has %+v", kept)
	}
}
