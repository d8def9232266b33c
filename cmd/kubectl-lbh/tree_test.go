// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestTreeShowsLocations(t *testing.T) {
	o, out := newOptions()
	web := object("web", allNormal(), "normal", "abnormal", "normal", "normal")
	backends := web.Status.Backends
	backends[0].Node = "node-1"
	backends[1].Pod, backends[1].Node, backends[1].Diagnosis = "prod/web-1", "node-2", v1alpha1.DiagnosisPodReadyButAbnormal
	backends[2].Diagnosis = v1alpha1.DiagnosisOrphan
	if err := tree(out, web, o); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"since 5m  pod prod/web-1; node node-2",
		"│     PodReadyButAbnormal: the pod is Ready: does a NetworkPolicy or a host firewall block health checks from 100.64.0.0/10?",
		"since 5m",
		"│     Orphan: no node or pod of this cluster: check the events of the Service, and the log of the cloud controller manager",
		"since 5m  node node-1",
		"since 5m",
	} {
		if row := rows[i+4]; !strings.HasSuffix(row, want) {
			t.Errorf("%q lacks the suffix %q", row, want)
		}
	}
}

// A stalled object whose Service has no load balancer shows why, and no region.
func TestTreeOfAStalledService(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	shop := object("shop", [][3]string{
		{v1alpha1.ConditionReady, "Unknown", v1alpha1.ReasonPending},
		{v1alpha1.ConditionStalled, "True", v1alpha1.ReasonLoadBalancerNotFound},
	})
	shop.Spec = v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: "shop"}}
	if err := tree(out, shop, o); err != nil {
		t.Fatal(err)
	}
	want := "shop  Stalled  LoadBalancerNotFound  service/shop  since 0s\n"
	if head, _, _ := strings.Cut(out.String(), "│"); head != want {
		t.Errorf("the tree begins with %q, not %q", head, want)
	}
}

func TestChangeShowsLocation(t *testing.T) {
	before, after := object("web", allNormal(), "normal"), object("web", allNormal(), "abnormal")
	after.Status.Backends[0].Pod = "prod/\x1bweb-1"
	got := changes(before, after)
	want := change{"443/https i-1 10.0.0.1:8443  normal → abnormal  pod prod/·web-1", red}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestIPv6AddressIsBracketed(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	before, after := object("web", allNormal(), "normal"), object("web", allNormal(), "abnormal")
	for _, web := range []*v1alpha1.LoadBalancerHealth{before, after} {
		web.Status.Backends[0].ServerIP = "2408::8"
	}
	if err := tree(out, after, o); err != nil {
		t.Fatal(err)
	}
	if want := "i-1 [2408::8]:8443  abnormal"; !strings.Contains(out.String(), want) {
		t.Errorf("the tree %q has no %q", out, want)
	}
	if got, want := textsOf(changes(before, after)), "443/https i-1 [2408::8]:8443  normal → abnormal"; len(got) != 1 || got[0] != want {
		t.Errorf("the change is %q, not %q", got, want)
	}
}
