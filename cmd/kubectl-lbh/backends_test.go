// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestTreeShowsAbnormalAndMissingBackendsFirst(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	web := shop()
	web.Spec.ServiceRef, web.Spec.LoadBalancerID = &v1alpha1.ServiceReference{Name: "shop"}, ""
	web.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "shop", LoadBalancerID: "lb-shop", RegionID: "cn-hangzhou"}
	web.Status.Conditions = append(web.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionRegistered, Status: "False", Reason: v1alpha1.ReasonBackendsMissing, Message: "1 of 3 is not", LastTransitionTime: metav1.NewTime(noon),
	})
	web.Status.LastObservedTime = new(metav1.NewTime(noon))
	web.Status.Summary.DisruptionsAllowed = new(int32(0))
	web.Status.Backends[1].Node, web.Status.Backends[1].Diagnosis = "node-1", v1alpha1.DiagnosisNodeDraining
	if err := tree(out, web, o); err != nil {
		t.Fatal(err)
	}
	want := `
shop  Unhealthy  BelowMinHealthy  lb-shop cn-hangzhou service/shop  since 0s
│  about BelowMinHealthy
│  Registered False, BackendsMissing: 1 of 3 is not  since 0s
│  policy: minHealthy 50%, unavailable Unknown; 0 disruptions allowed
│  status of an observation 0s ago, interval 30s
├─ 443/https  Unhealthy  1/2 normal, needs 2  1 of 3 expected missing  since 4m
│  ├─ i-2 10.0.0.1:8443              abnormal     since 5m  node node-1
│  │     NodeDraining: the node is being drained: check kubectl describe node node-1
│  ├─ pod prod/shop-3 10.9.0.3:8080  missing      since 3m  node node-2
│  │     not registered: check the events of the Service, and the log of the cloud controller manager
│  └─ i-1 10.0.0.1:8443              normal       since 5m
├─ 81  Unknown  0/0 normal, needs 0  Stopped  health check off
├─ 82/tcp  Unknown  0/0 normal, needs 0  Missing  since 60s
└─ 80/http  Healthy  2/2 normal, needs 1
   └─ and 2 more: 2 normal (the status omits them)
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// large is an object with this many backends of a state each; its status omits the
// normal ones beyond 2000, and the missing ones beyond 20.
func large(abnormal, missing, normal int) *v1alpha1.LoadBalancerHealth {
	states := slices.Concat(slices.Repeat([]string{"normal"}, min(normal, 2000)), slices.Repeat([]string{"abnormal"}, abnormal))
	o := object("web", allNormal(), states...)
	l := &o.Status.Listeners[0]
	l.Backends, l.Normal = l.Backends+int32(max(0, normal-2000)), int32(normal)
	l.Expected, l.Missing = new(int32(abnormal+missing+normal)), int32(missing)
	for i := range min(missing, 20) {
		o.Status.MissingBackends = append(o.Status.MissingBackends, v1alpha1.MissingBackend{
			ListenerPort: 443, ListenerProtocol: "https", ServerID: fmt.Sprintf("i-missing-%d", i), Since: metav1.NewTime(noon),
		})
	}
	return o
}

func TestTreeIsBounded(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		abnormal, missing, normal       int
		all                             bool
		shownAbnormal, shownMissing, up int
		rest                            string
	}{
		{0, 0, 20, false, 0, 0, 20, ""},
		{0, 0, 21, false, 0, 0, 20, "and 1 more: 1 normal (kubectl lbh tree web --all)"},
		{3, 1, 5000, false, 3, 1, 16, "and 4984 more: 4984 normal (kubectl lbh tree web --all shows 1984, the status omits the others)"},
		{900, 0, 5, false, 20, 0, 0, "and 885 more: 5 normal, 880 abnormal (kubectl lbh tree web --all)"},
		{900, 3, 5, false, 17, 3, 0, "and 888 more: 5 normal, 883 abnormal (kubectl lbh tree web --all)"},
		{900, 50, 0, false, 10, 10, 0, "and 930 more: 890 abnormal, 40 missing (kubectl lbh tree web --all shows 900, the status omits the others)"},
		{2, 50, 0, false, 2, 18, 0, "and 32 more: 32 missing (kubectl lbh tree web --all shows 2, the status omits the others)"},
		{900, 50, 2500, true, 900, 20, 2000, "and 530 more: 500 normal, 30 missing (the status omits them)"},
		{900, 3, 5, true, 900, 3, 5, ""},
	} {
		o, out := newOptions()
		o.allBackends = c.all
		if err := tree(out, large(c.abnormal, c.missing, c.normal), o); err != nil {
			t.Fatal(err)
		}
		rows := func(state string) int { return strings.Count(out.String(), "  "+state+" ") }
		if rows("abnormal") != c.shownAbnormal || rows("missing") != c.shownMissing || rows("normal") != c.up {
			t.Errorf("%+v: %d abnormal, %d missing, %d normal", c, rows("abnormal"), rows("missing"), rows("normal"))
		}
		last := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if got := last[len(last)-1]; c.rest != "" && got != "   └─ "+c.rest || c.rest == "" && strings.Contains(got, " more") {
			t.Errorf("%+v: the tree ends with %q", c, got)
		}
	}
}

func TestCauseHasTheFactAndWhatToCheck(t *testing.T) {
	t.Parallel()

	const controller = ": check the events of the Service, and the log of the cloud controller manager"
	for diagnosis, want := range map[v1alpha1.Diagnosis]string{
		"":                                    "",
		"Later":                               "Later",
		v1alpha1.DiagnosisNodeNotReady:        "NodeNotReady: the node is not Ready: check kubectl describe node node-1",
		v1alpha1.DiagnosisPodNotReady:         "PodNotReady: the pod is not Ready: check kubectl describe pod -n prod web-1",
		v1alpha1.DiagnosisPodTerminating:      "PodTerminating: the pod is terminating" + controller,
		v1alpha1.DiagnosisNodeDraining:        "NodeDraining: the node is being drained: check kubectl describe node node-1",
		v1alpha1.DiagnosisNodeExcluded:        "NodeExcluded: a label excludes the node from load balancers" + controller,
		v1alpha1.DiagnosisNoLocalEndpoint:     "NoLocalEndpoint: the node has no ready pod of the Service, whose externalTrafficPolicy is Local" + controller,
		v1alpha1.DiagnosisPortMismatch:        "PortMismatch: the registered port is not that of the Service" + controller,
		v1alpha1.DiagnosisNetworkPolicyBlocks: "NetworkPolicyBlocks: a NetworkPolicy admits no health checks from 100.64.0.0/10: check its ingress rules",
		v1alpha1.DiagnosisHealthCheckOff:      "HealthCheckOff: the health check of the listener is off: check the Service's annotations about health checks, and the listener in the console",
		v1alpha1.DiagnosisPodReadyButAbnormal: "PodReadyButAbnormal: the pod is Ready: does a NetworkPolicy or a host firewall block health checks from 100.64.0.0/10?",
		v1alpha1.DiagnosisOrphan:              "Orphan: no node or pod of this cluster" + controller,
	} {
		registered := v1alpha1.BackendStatus{Pod: "prod/web-1", Node: "node-1", Diagnosis: diagnosis}
		if got := registered.Cause(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
		missing := v1alpha1.MissingBackend{Pod: "prod/web-1", Node: "node-1", Diagnosis: diagnosis}
		if diagnosis == "" {
			want = "not registered" + controller
		}
		if got := missing.Cause(); got != want {
			t.Errorf("of a missing backend: %q, not %q", got, want)
		}
	}
}
