// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestFreshForIsTheLeastInterval(t *testing.T) {
	if FreshFor != 5*time.Second {
		t.Errorf("an answer serves others for %s, and the least interval is 5s", FreshFor)
	}
}

func TestAFieldThatIsThereAndOneThatIsNotAreNotTheSame(t *testing.T) {
	at := metav1.NewTime(start)
	for name, status := range map[string]v1alpha1.LoadBalancerHealthStatus{
		"serviceLoadBalancer": {ServiceLoadBalancer: &v1alpha1.ServiceLoadBalancer{}},
		"observedTarget":      {ObservedTarget: &v1alpha1.ObservedTarget{}},
		"summary":             {Summary: &v1alpha1.Summary{}},
		"lastObservedTime":    {LastObservedTime: &at},
	} {
		if sameStatus(&status, &v1alpha1.LoadBalancerHealthStatus{}) || sameStatus(&v1alpha1.LoadBalancerHealthStatus{}, &status) {
			t.Errorf("%s does not count", name)
		}
	}
	missing := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{MissingSince: &at}}}
	turned := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{LastTransitionTime: &at}}}
	none := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{}}}
	if sameStatus(&missing, &none) || sameStatus(&none, &turned) || !sameStatus(&none, &none) {
		t.Error("the times of a listener do not count")
	}
}

func TestTheLoadBalancerOfAServiceIsKept(t *testing.T) {
	has := v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-web", RegionID: "cn-hangzhou"}
	env := newEnv(t, func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID, s.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: "web"}
	})
	env.object.Status.ServiceLoadBalancer = &has
	env.answer("nn") // another target than the status had: none
	env.after(time.Second).edit(listener(443, "")).answer("nn")
	if kept := env.object.Status.ServiceLoadBalancer; kept == nil || *kept != has {
		t.Errorf("got %+v", kept)
	}
	env.edit(func(s *v1alpha1.LoadBalancerHealthSpec) {
		s.LoadBalancerID, s.RegionID, s.ServiceRef = "lb-web", "cn-hangzhou", nil
	}).after(time.Second).answer("nn")
	if kept := env.object.Status.ServiceLoadBalancer; kept != nil {
		t.Errorf("without serviceRef there is %+v", kept)
	}
}

func TestMessagesCountBackendsWithoutAResult(t *testing.T) {
	env := newEnv(t, minHealthy("2"))
	env.answer("nau")
	env.wantMessage("listener 443/https has 1 normal and 1 without a health-check result of 3 backends, needs 2 healthy")
	env.after(time.Second).answer("nnu")
	env.wantMessage("2 of 3 backends are normal (1 without a health-check result)")
}
