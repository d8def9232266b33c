// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// api is an ALB with three server groups behind port 443: one fails, one has no health
// check, and one has an unused backend. Port 80 has one group.
func api() *v1alpha1.LoadBalancerHealth {
	o := object("api", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "normal")
	o.Spec.LoadBalancerID = "alb-api"
	o.Status.ObservedTarget.LoadBalancerID = "alb-api"
	o.Status.Summary = &v1alpha1.Summary{Listeners: 4, Counts: v1alpha1.Counts{Backends: 5, Normal: 2, Abnormal: 1, Unavailable: 2}, Unused: 1}
	o.Status.Listeners = []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "http", ServerGroupID: "sgp-1", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}, Unused: 1},
		{Port: 443, Protocol: "https", ServerGroupID: "sgp-1", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}, Unused: 1},
		{Port: 443, Protocol: "https", ServerGroupID: "sgp-2", Health: v1alpha1.Unhealthy, Counts: v1alpha1.Counts{Backends: 1, Abnormal: 1}},
		{Port: 443, Protocol: "https", ServerGroupID: "sgp-3", Health: v1alpha1.Unknown, Counts: v1alpha1.Counts{Backends: 1, Unavailable: 1}, HealthCheck: v1alpha1.HealthCheckDisabled},
	}
	o.Status.Backends = nil
	for _, b := range []struct {
		port                    int32
		protocol, group, server string
		state, reason           string
	}{
		{80, "http", "sgp-1", "eni-1", "normal", ""},
		{443, "https", "sgp-1", "eni-1", "normal", ""},
		{443, "https", "sgp-1", "eni-2", "unused", ""},
		{443, "https", "sgp-2", "eni-1", "abnormal", "RESPONSE_MISMATCH: 502, expected http_2xx"},
		{443, "https", "sgp-3", "eni-1", "unavailable", ""},
	} {
		o.Status.Backends = append(o.Status.Backends, v1alpha1.BackendStatus{
			ServerID: b.server, ServerIP: "10.9.0.1", Type: "eni", Port: 8080, ListenerPort: b.port, ListenerProtocol: b.protocol, ServerGroupID: b.group,
			ServerHealthStatus: b.state, Reason: b.reason, LastTransitionTime: metav1.NewTime(noon.Add(-5 * time.Minute)),
		})
	}
	return o
}

func TestTreeOfServerGroups(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	o.allBackends = true
	object := api()
	object.Status.Backends[3].Diagnosis, object.Status.Backends[3].Pod = v1alpha1.DiagnosisPodNotReady, "prod/api-1"
	if err := tree(out, object, o); err != nil {
		t.Fatal(err)
	}
	want := `
api  Unhealthy  BelowMinHealthy  alb-api cn-hangzhou  since 0s
│  about BelowMinHealthy
│  policy: minHealthy 1, unavailable Unknown
├─ 443/https  Unhealthy  3 server groups: 1 Unhealthy, 1 Unknown, 1 Healthy
│  ├─ sgp-2  Unhealthy  0/1 normal, needs 1
│  │  └─ eni-1 10.9.0.1:8080  abnormal     since 5m  pod prod/api-1
│  │        RESPONSE_MISMATCH: 502, expected http_2xx
│  │        PodNotReady: the pod is not Ready: check kubectl describe pod -n prod api-1
│  ├─ sgp-3  Unknown  0/1 normal, needs 1  health check off
│  │  └─ eni-1 10.9.0.1:8080  unavailable  since 5m
│  └─ sgp-1  Healthy  1/1 normal, needs 1  1 not used: weight 0
│     ├─ eni-1 10.9.0.1:8080  normal       since 5m
│     └─ eni-2 10.9.0.1:8080  unused       since 5m
└─ 80/http sgp-1  Healthy  1/1 normal, needs 1  1 not used: weight 0
   ├─ eni-1 10.9.0.1:8080  normal       since 5m
   └─ and 1 more: 1 unused (the status omits them)
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// An object of CLB beside it has no values in the columns of server groups.
func TestListenerTableHasServerGroups(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	objects := []v1alpha1.LoadBalancerHealth{*api(), *object("web", allNormal(), "normal"), *object("new", nil)}
	if err := o.listenerTable(o.items(objects), false).write(out, false); err != nil {
		t.Fatal(err)
	}
	want := `
NAME   PORT   PROTOCOL   SERVER GROUP   STATE   HEALTH CHECK   HEALTH      SINCE   NORMAL   ABNORMAL   UNAVAILABLE   UNUSED   BACKENDS   EXPECTED   MISSING   MIN HEALTHY
api    443    https      sgp-2          -       -              Unhealthy   -       0        1          0             0        1          -          -         1
api    443    https      sgp-3          -       Disabled       Unknown     -       0        0          1             0        1          -          -         1
api    80     http       sgp-1          -       -              Healthy     -       1        0          0             1        1          -          -         1
api    443    https      sgp-1          -       -              Healthy     -       1        0          0             1        1          -          -         1
web    443    https      -              -       -              Healthy     -       1        0          0             -        1          -          -         1
new    -      -          -              -       -              Pending     -       -        -          -             -        -          -          -         -
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// The same server may be in several groups of one listener.
func TestChangesOfServerGroups(t *testing.T) {
	t.Parallel()

	before, after := api(), api()
	before.Status.Backends[3].ServerHealthStatus, before.Status.Backends[3].Reason = "normal", ""
	after.Status.Backends[2].ServerHealthStatus = "normal"
	want := []string{
		"443/https sgp-1 eni-2 10.9.0.1:8080  unused → normal",
		"443/https sgp-2 eni-1 10.9.0.1:8080  normal → abnormal  RESPONSE_MISMATCH: 502, expected http_2xx",
	}
	if got := textsOf(changes(before, after)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A missing backend has no server group: it is shown below the one that lacks some.
func TestTreeOfAMissingBackendOfAServerGroup(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	object := api()
	object.Status.Listeners[2].Expected, object.Status.Listeners[2].Missing = new(int32(2)), 1
	object.Status.MissingBackends = []v1alpha1.MissingBackend{{ListenerPort: 443, ListenerProtocol: "https", Pod: "prod/api-2", ServerIP: "10.9.0.2", Port: 8080, Since: metav1.NewTime(noon)}}
	if err := tree(out, object, o); err != nil {
		t.Fatal(err)
	}
	_, below, _ := strings.Cut(out.String(), "sgp-2")
	group, others, _ := strings.Cut(below, "sgp-3")
	if !strings.Contains(group, "pod prod/api-2") || strings.Contains(others, "prod/api-2") {
		t.Errorf("got %s", out)
	}
}

func TestProductAndUnusedBackendsAreInTheWideTable(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	waits := object("waits", nil)
	waits.Spec = v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: "waits"}}
	nlb := object("nlb", allNormal(), "normal")
	nlb.Spec.LoadBalancerID = "nlb-1"
	items := o.items([]v1alpha1.LoadBalancerHealth{*api(), *nlb, *object("web", allNormal(), "normal"), *waits})
	wide := tableOf(items, optionalColumns{wide: true})
	product, unused := slices.Index(wide.header, "PRODUCT"), slices.Index(wide.header, "UNUSED")
	var got []string
	for _, row := range wide.rows {
		got = append(got, row[product].text+" "+row[unused].text)
	}
	if want := []string{"alb 1", "nlb 0", "clb -", "- -"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if slices.Contains(tableOf(items, optionalColumns{}).header, "PRODUCT") {
		t.Error("the usual table has the product")
	}
	s, err := o.selectItems(items)
	if err == nil {
		err = o.writeFleet(s, "prod", optionalColumns{})
	}
	const want = "7 backends: 4 normal, 1 abnormal, 2 unavailable, 1 unused\n"
	if got := o.ErrOut.(*bytes.Buffer).String(); err != nil || !strings.HasSuffix(got, want) {
		t.Errorf("the summary %q, %v, not %q\n%s", got, err, want, out)
	}
}

func TestWatchShowsTheObjectsOfAProduct(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.product = v1alpha1.ProductALB
	recorded := &recordedView{}
	f := &fleetView{o: o, c: &client{namespace: "prod"}, view: recorded, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}, notUpdated: map[cache.ObjectName]bool{}, complete: true}
	failed := api()
	failed.Status.Backends[0].ServerHealthStatus = "abnormal"
	web, failedWeb := object("web", allNormal(), "normal"), object("web", allNormal(), "abnormal")
	for _, step := range []struct {
		update  update
		rows    int
		entries []string
	}{
		{update{nil, web}, 0, nil},
		{update{nil, api()}, 1, []string{"api added"}},
		{update{web, failedWeb}, 1, nil},
		{update{api(), failed}, 1, []string{"api 80/http sgp-1 eni-1 10.9.0.1:8080  normal → abnormal"}},
		{update{failed, nil}, 0, []string{"api deleted"}},
	} {
		recorded.entries = nil
		if err := f.onUpdate(step.update); err != nil {
			t.Fatal(err)
		}
		if recorded.rows != step.rows || !slices.Equal(recorded.entries, step.entries) {
			t.Errorf("got %d rows and %q, want %d and %q", recorded.rows, recorded.entries, step.rows, step.entries)
		}
	}
}
