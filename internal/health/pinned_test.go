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
		t.Errorf("an observation serves further objects for %s, and the least interval is 5s", FreshFor)
	}
}

func TestNilAndZeroPointersAreNotEqual(t *testing.T) {
	at := metav1.NewTime(start)
	for name, status := range map[string]v1alpha1.LoadBalancerHealthStatus{
		"serviceLoadBalancer": {ServiceLoadBalancer: &v1alpha1.ServiceLoadBalancer{}},
		"observedTarget":      {ObservedTarget: &v1alpha1.ObservedTarget{}},
		"summary":             {Summary: &v1alpha1.Summary{}},
		"lastObservedTime":    {LastObservedTime: &at},
	} {
		if sameStatus(&status, &v1alpha1.LoadBalancerHealthStatus{}) || sameStatus(&v1alpha1.LoadBalancerHealthStatus{}, &status) {
			t.Errorf("%s is not compared", name)
		}
	}
	missing := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{MissingSince: &at}}}
	changed := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{LastTransitionTime: &at}}}
	none := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{}}}
	if sameStatus(&missing, &none) || sameStatus(&none, &changed) || !sameStatus(&none, &none) {
		t.Error("the times of a listener are not compared")
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

func TestMessagesCountBackendsWithoutAResult(t *testing.T) {
	env := newEnv(t, minHealthy("2"))
	env.observe("nau")
	env.wantMessage("listener 443/https has 1 normal and 1 without a health-check result of 3 backends, needs 2 healthy")
	env.after(time.Second).observe("nnu")
	env.wantMessage("2 of 3 backends are normal (1 without a health-check result)")
}
