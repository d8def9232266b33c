// SPDX-License-Identifier: Apache-2.0

package health

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func ofIngress(name string) func(*v1alpha1.LoadBalancerHealthSpec) {
	return func(spec *v1alpha1.LoadBalancerHealthSpec) {
		spec.LoadBalancerID, spec.RegionID, spec.ServiceRef = "", "", nil
		spec.IngressRef = &v1alpha1.IngressReference{Name: name}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, not %v", what, got, want)
	}
}

// ingressEnv evaluates observations of an ALB for an object of the Ingress shop.
type ingressEnv struct {
	*groupsEnv
	absences Absences
}

func newIngressEnv(t *testing.T, edits ...func(*v1alpha1.LoadBalancerHealthSpec)) *ingressEnv {
	t.Helper()
	env := &ingressEnv{groupsEnv: &groupsEnv{t: t, object: newEnv(t, append(edits, ofIngress("shop"))...).object, now: start}}
	env.object.Status.IngressLoadBalancer = &v1alpha1.IngressLoadBalancer{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: "cn-hangzhou"}
	return env
}

// observe evaluates an observation of the whole ALB. expected says which groups are those of the Ingress.
func (env *ingressEnv) observe(expected *Expected, listeners ...string) Outcome {
	env.t.Helper()
	env.now = env.now.Add(30 * time.Second)
	outcome := Evaluate(env.object, Input{
		Observation: groupsObservation(env.t, env.now, listeners...), Expected: expected, Absences: env.absences, Since: start,
	}, env.now, defaults)
	env.object.Status, env.absences = outcome.Status, outcome.Absences
	return outcome
}

func ownGroups(ids ...string) *Expected {
	expected := &Expected{}
	for _, id := range ids {
		expected.Groups = append(expected.Groups, OwnGroup{ID: id, Services: []string{"web"}})
	}
	return expected
}

func withoutGroupOf(what string, ids ...string) *Expected {
	expected := ownGroups(ids...)
	expected.GroupsNotDetermined = NotDetermined{Reason: ServerGroupUnknown, Object: what}
	return expected
}

const othersFail = "443/https sgp-other running on a a"

func TestObjectOfIngressHasItsOwnServerGroups(t *testing.T) {
	const own, unknown = "443/https sgp-1 running on n n", "port 80 of Service api"
	for name, test := range map[string]struct {
		expected                        *Expected
		listeners                       []string
		healthy, registered, want, text string
	}{
		"the group of another team fails": {
			ownGroups("sgp-1"), []string{own, othersFail}, "True AllBackendsNormal", "True AllRegistered",
			"443 sgp-1 Healthy 2/2 Running Enabled", "2 of 2 backends are normal",
		},
		"its own group fails": {
			ownGroups("sgp-1", "sgp-2"), []string{own, "443/https sgp-2 running on a", othersFail}, "False BelowMinHealthy", "True AllRegistered",
			"443 sgp-1 Healthy 2/2 Running Enabled, 443 sgp-2 Unhealthy 0/1 Running Enabled", "listener 443/https (server group sgp-2) has 0 normal of 1 backend",
		},
		"its own group is empty": {
			ownGroups("sgp-1"), []string{"443/https sgp-1 running on", othersFail}, "False NoBackends", "True AllRegistered",
			"443 sgp-1 Unhealthy 0/0 Running Enabled", "",
		},
		"checks are off, as the ALB Ingress controller leaves them": {
			ownGroups("sgp-1"), []string{"443/https sgp-1 running off u u", othersFail}, "Unknown HealthCheckUnavailable", "True AllRegistered",
			"443 sgp-1 Unknown 0/2 Running Disabled", "2 whose health check is off",
		},
		"one group is not known": {
			withoutGroupOf(unknown, "sgp-1"), []string{own, othersFail}, "Unknown NotDetermined", "Unknown NotDetermined",
			"443 sgp-1 Healthy 2/2 Running Enabled", "which server groups serve Ingress shop is not determined: no server group has the backends of port 80 of Service api",
		},
		"one group is not known, and another fails": {
			withoutGroupOf(unknown, "sgp-1"), []string{"443/https sgp-1 running on a"}, "False BelowMinHealthy", "Unknown NotDetermined",
			"443 sgp-1 Unhealthy 0/1 Running Enabled", "",
		},
		"no group is known": {
			withoutGroupOf(unknown), []string{othersFail, "80/http - running on"}, "Unknown NotDetermined", "Unknown NotDetermined", "", "Service api",
		},
		"this process does not know": {nil, []string{othersFail}, "Unknown NotDetermined", "Unknown Pending", "", "the operator may not read Ingresses"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newIngressEnv(t)
			env.observe(test.expected, test.listeners...)
			registered := find(env.object.Status.Conditions, v1alpha1.ConditionRegistered)
			healthy := find(env.object.Status.Conditions, v1alpha1.ConditionHealthy)
			if env.healthy() != test.healthy || string(registered.status)+" "+registered.reason != test.registered || env.listeners() != test.want {
				t.Errorf("got %s, %s %s with %s", env.healthy(), registered.status, registered.reason, env.listeners())
			}
			if !strings.Contains(healthy.message, test.text) {
				t.Errorf("the message is %s", healthy.message)
			}
			for i := range env.object.Status.Backends {
				if env.object.Status.Backends[i].ServerGroupID == "sgp-other" {
					t.Error("the status has a backend of another team")
				}
			}
			if again := env.observe(test.expected, test.listeners...); again.Write && test.expected != nil {
				t.Error("an equal observation is written")
			}
		})
	}
}

func TestNoServerGroupIsNeededForMinHealthyZero(t *testing.T) {
	env := newIngressEnv(t, minHealthy("0"))
	env.observe(withoutGroupOf("port 80 of Service web"), othersFail)
	equal(t, "Healthy", env.healthy(), "True AllBackendsNormal")
}

// A stopped listener has no server groups in an observation.
func TestListenerOfIngressThatStopsIsKept(t *testing.T) {
	env := newIngressEnv(t)
	env.observe(ownGroups("sgp-1"), "443/https sgp-1 running on n", "80/http sgp-other running on a")
	for range 2 {
		env.observe(ownGroups("sgp-1"), "443/https - stopped on", "80/http - stopped on")
		equal(t, "the listeners", env.listeners(), "443 Unknown 0/0 Stopped Enabled")
		equal(t, "Healthy", env.healthy(), "False NoBackends")
	}
}

func TestKnownGroupsAreThoseOfTheTarget(t *testing.T) {
	env := newIngressEnv(t)
	env.observe(ownGroups("sgp-1"), "443/https sgp-1 running on n", "80/http sgp-1 running on n", othersFail)
	if groups := KnownGroups(env.object); len(groups) != 1 || groups[0].ID != "sgp-1" {
		t.Errorf("got %v", groups)
	}
	env.object.Status.IngressLoadBalancer.LoadBalancerID = "alb-2"
	if groups := KnownGroups(env.object); groups != nil {
		t.Errorf("for another ALB: got %v", groups)
	}
}

func TestMissingBackendsNameTheirServerGroup(t *testing.T) {
	env := newIngressEnv(t)
	expected := ownGroups("sgp-1", "sgp-2")
	for _, id := range []string{"sgp-1", "sgp-2"} {
		expected.Listeners = append(expected.Listeners, ExpectedListener{
			ServicePort: ServicePort{Port: 443, Protocol: "https"}, ServerGroupID: id, Policy: PolicyENI,
			Backends: []ExpectedBackend{{Type: TypeENI, ServerIP: "10.0.0.1", Port: 8080}},
		})
	}
	listeners := []string{"443/https sgp-1 running on n", "443/https sgp-2 running on n"}
	observe := func() {
		env.now = env.now.Add(30 * time.Second)
		observation := groupsObservation(t, env.now, listeners...)
		observation.Backends[0].ServerIP, observation.Backends[1].ServerIP = "10.0.0.1", "10.0.0.9"
		outcome := Evaluate(env.object, Input{Observation: observation, Expected: expected, Absences: env.absences, Since: start}, env.now, defaults)
		env.object.Status, env.absences = outcome.Status, outcome.Absences
	}
	for range 3 {
		observe()
	}
	missing := env.object.Status.MissingBackends
	if len(missing) != 1 || missing[0].ServerGroupID != "sgp-2" || missing[0].ServerIP != "10.0.0.1" {
		t.Errorf("got %+v", missing)
	}
	if l := env.object.Status.Listeners; l[0].Missing != 0 || l[1].Missing != 1 || *l[0].Expected != 1 {
		t.Errorf("the listeners are %+v", l)
	}
}

func TestALBOfIngressIsDiscovered(t *testing.T) {
	env := newEnv(t, ofIngress("shop"))
	reference := v1alpha1.Reference{Kind: v1alpha1.ReferenceIngress, Name: "shop"}
	discover := func(id string) Outcome {
		outcome := Discover(env.object, Discovery{Found: &v1alpha1.ReferencedLoadBalancer{Reference: reference, LoadBalancerID: id, RegionID: "cn-hangzhou"}}, env.now, env.options)
		env.object.Status = outcome.Status
		return outcome
	}
	if outcome := discover("alb-1"); !outcome.Write || outcome.Transitions.LoadBalancer != nil {
		t.Errorf("got %+v", outcome)
	}
	if id, region, ok := env.object.LoadBalancer(); !ok || id != "alb-1" || region != "cn-hangzhou" || env.object.Status.ServiceLoadBalancer != nil {
		t.Errorf("got %s in %s, %+v", id, region, env.object.Status)
	}
	outcome := Evaluate(env.object, Input{Observation: groupsObservation(t, env.now, "443/https sgp-1 running on n"), Expected: ownGroups("sgp-1"), Since: start}, env.now, env.options)
	env.object.Status = outcome.Status
	equal(t, "the Ingress of the target", env.object.Status.ObservedTarget.IngressName, "shop")
	if transition := discover("alb-2").Transitions.LoadBalancer; transition == nil || *transition != (LoadBalancerTransition{reference, "alb-1", "alb-2"}) {
		t.Errorf("got %+v", transition)
	}
	gone := Discover(env.object, Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: "m"}, FailingSince: env.now}, env.now, env.options)
	if gone.Status.IngressLoadBalancer != nil || !gone.Write || find(gone.Status.Conditions, v1alpha1.ConditionObserved).status != metav1.ConditionFalse {
		t.Errorf("got %+v", gone.Status)
	}
}
