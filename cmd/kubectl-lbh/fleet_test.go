// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestWorstFirst(t *testing.T) {
	t.Parallel()

	worst := []string{"worse", "bad", "stalled", "old", "stale", "failing", "partly", "new", "healthy", "suspended"}
	const succeeded = v1alpha1.ReasonObservationSucceeded
	fleet := []v1alpha1.LoadBalancerHealth{
		*object("healthy", allNormal(), "normal"),
		*object("suspended", conditions("Unknown", v1alpha1.ReasonSuspended, "Unknown", v1alpha1.ReasonSuspended)),
		*object("partly", conditions("True", v1alpha1.ReasonMinHealthyMet, "True", succeeded), "normal", "abnormal"),
		*object("new", nil),
		*object("failing", conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal"),
		*object("stale", conditions("Unknown", v1alpha1.ReasonObservationStale, "False", v1alpha1.ReasonThrottled), "normal"),
		*object("stalled", append(conditions("Unknown", v1alpha1.ReasonPending, "False", v1alpha1.ReasonForbidden),
			[3]string{v1alpha1.ConditionStalled, "True", v1alpha1.ReasonForbidden})),
		*updatedAgo("old", 7*time.Minute),
		*object("bad", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", succeeded), "abnormal"),
		*object("worse", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", succeeded), "abnormal", "abnormal"),
	}
	o, _ := newOptions()
	if names := o.namesBy(t, "", fleet...); !slices.Equal(names, worst) {
		t.Errorf("%q, not %q", names, worst)
	}
}

func TestFleetTable(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	objects := []v1alpha1.LoadBalancerHealth{
		*object("web", conditions("True", v1alpha1.ReasonMinHealthyMet, "True", v1alpha1.ReasonObservationSucceeded), "normal", "normal", "abnormal"),
		*object("a-longer-name", nil),
		*object("failing", conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal"),
		*updatedAgo("old", 7*time.Minute),
	}
	objects[0].Status.Summary.Missing = new(int32(4))
	if err := tableOf(o.items(objects), optionalColumns{namespaces: true, wide: true}).write(out, false); err != nil {
		t.Fatal(err)
	}
	want := `
NAMESPACE   NAME            HEALTH    REASON          SINCE   NORMAL   ABNORMAL   UNAVAILABLE   MISSING   LOADBALANCER       REGION        DISRUPTIONS ALLOWED   PRODUCT   UNUSED   PORT   OBSERVED   MESSAGE
prod        web             Healthy   MinHealthyMet   0s      2/3      1          0             4         lb-web             cn-hangzhou   -                     clb       -        *      -          about MinHealthyMet
prod        a-longer-name   Pending   -               -       -        0          0             -         lb-a-longer-name   cn-hangzhou   -                     clb       -        *      -          
prod        failing         Healthy   Throttled       0s      1/1      0          0             -         lb-failing         cn-hangzhou   -                     clb       -        *      -          about AllBackendsNormal
prod        old             Unknown   NotUpdated      7m      1/1      0          0             -         lb-old             cn-hangzhou   -                     clb       -        *      7m         not updated for 7m: is the operator running? about AllBackendsNormal
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestServiceIsShownUntilItHasALoadBalancer(t *testing.T) {
	t.Parallel()

	web := object("web", nil)
	web.Spec = v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: "shop"}}
	if id, region := targetOf(web); id != "service/shop" || region != "-" {
		t.Errorf("%q, %q", id, region)
	}
	web.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "shop", LoadBalancerID: "lb-shop", RegionID: "cn-hangzhou"}
	if id, region := targetOf(web); id != "lb-shop" || region != "cn-hangzhou" {
		t.Errorf("%q, %q", id, region)
	}
}

func TestColoursDoNotShiftColumns(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	objects := []v1alpha1.LoadBalancerHealth{
		*object("web", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "abnormal"), *object("api", allNormal(), "normal"),
	}
	_ = tableOf(o.items(objects), optionalColumns{}).write(out, false)
	plainText := out.String()
	out.Reset()
	_ = tableOf(o.items(objects), optionalColumns{}).write(out, true)
	colored := out.String()
	if !strings.Contains(colored, "\x1b[31mUnhealthy\x1b[0m") || !strings.Contains(colored, "\x1b[32mHealthy\x1b[0m") {
		t.Errorf("no colours: %q", colored)
	}
	for _, c := range []color{faint, red, green, yellow} {
		colored = strings.ReplaceAll(colored, c.paint("", true)[:len(c.paint("", true))-len("\x1b[0m")], "")
	}
	if colored = strings.ReplaceAll(colored, "\x1b[0m", ""); colored != plainText {
		t.Errorf("%q without its colours is not %q", colored, plainText)
	}
}

func TestControlCharactersAreReplaced(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	hostile := object("web", [][3]string{{v1alpha1.ConditionReady, "True", "x"}, {v1alpha1.ConditionHealthy, "True", "x"}}, "normal")
	const evil = "a\x1b[2J\x07\u202eb\nc"
	hostile.Status.Conditions[0].Message = evil
	hostile.Status.Backends[0].ServerID, hostile.Status.Backends[0].ServerHealthStatus = evil, evil
	hostile.Spec.LoadBalancerID = evil
	if err := tableOf(o.items([]v1alpha1.LoadBalancerHealth{*hostile}), optionalColumns{namespaces: true, wide: true}).write(out, false); err != nil {
		t.Fatal(err)
	}
	if err := tree(out, hostile, o); err != nil {
		t.Fatal(err)
	}
	other := hostile.DeepCopy()
	other.Status.Backends[0].ServerHealthStatus = "normal" + evil
	for _, c := range changes(hostile, other) {
		out.WriteString(logEntry{noon, evil, c}.render(false))
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\u202e") || strings.Contains(out.String(), "b\nc") {
		t.Errorf("%q", out.String())
	}
}

func TestTree(t *testing.T) {
	t.Parallel()

	o, out := newOptions()
	web := object("web", conditions("True", v1alpha1.ReasonMinHealthyMet, "False", v1alpha1.ReasonThrottled), "normal", "abnormal", "unavailable")
	web.Status.OmittedBackends = 7
	web.Status.Listeners[0].Backends, web.Status.Listeners[0].Normal = 10, 8
	if err := tree(out, web, o); err != nil {
		t.Fatal(err)
	}
	want := `
web  Healthy  MinHealthyMet  lb-web cn-hangzhou  since 0s
│  about MinHealthyMet
│  about Throttled
│  policy: minHealthy 1, unavailable Unknown
└─ 443/https  Healthy  8/10 normal, needs 1
   ├─ i-2 10.0.0.1:8443  abnormal     since 5m
   ├─ i-3 10.0.0.1:8443  unavailable  since 5m
   ├─ i-1 10.0.0.1:8443  normal       since 5m
   └─ and 7 more: 7 normal (the status omits them)
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}
