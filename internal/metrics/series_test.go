// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// scrape requests the metrics of objects as Prometheus does, from a registry that
// validates them.
func scrape(t *testing.T, objects ...v1alpha1.LoadBalancerHealth) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newFleet(&cache{objects: objects}, time.Time{}))
	if _, err := registry.Gather(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", response.Status, err, body)
	}
	return string(body)
}

// wantSeries checks that the metrics contain each of the series.
func wantSeries(t *testing.T, metrics string, series ...string) {
	t.Helper()
	for _, want := range series {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("there is no %s in\n%s", want, metrics)
		}
	}
}

const (
	droppedOfWeb   = `slb_health_dropped_series{name="web",namespace="prod"}`
	conditionOfAPI = `slb_health_condition{condition="Ready",name="api",namespace="prod",status="True"} 1`
)

func TestSeriesThatAStatusRepeatsAreDroppedAndCounted(t *testing.T) {
	t.Parallel()

	api, twice := web(), web()
	api.Name = "api"
	api.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	again := v1alpha1.ListenerStatus{Port: 443, Protocol: "https", Health: v1alpha1.Unhealthy, Counts: v1alpha1.Counts{Backends: 9, Abnormal: 9}}
	twice.Status.Listeners = append(twice.Status.Listeners, again, again)
	twice.Status.Conditions = append(twice.Status.Conditions, twice.Status.Conditions...)

	metrics := scrape(t, twice, api)
	const ofEach = 4 // three of backends, one of the listener
	wantSeries(t, metrics, fmt.Sprintf("%s %d", droppedOfWeb, 2*ofEach), conditionOfAPI,
		`slb_health_backends{listener_port="443",listener_protocol="https",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="abnormal"} 2`)
	if n := strings.Count(metrics, `slb_health_listener{health="Unhealthy"`); n != 0 {
		t.Errorf("a repeated listener has a series of its own %d times", n)
	}
	if strings.Contains(scrape(t, web(), api), "slb_health_dropped_series") {
		t.Error("series are dropped of a status without fault")
	}
}

// webOfALB is an object of an ALB with two server groups behind one listener, one of
// which is behind another listener, too, and a listener that only redirects.
func webOfALB() v1alpha1.LoadBalancerHealth {
	object := web()
	object.Status.ObservedTarget.LoadBalancerID = "alb-1"
	object.Status.Listeners = []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "http", Health: v1alpha1.Unknown, State: v1alpha1.ListenerRedirect},
		{Port: 443, Protocol: "https", ServerGroupID: "sgp-1", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 3, Normal: 3}, Unused: 2},
		{Port: 443, Protocol: "https", ServerGroupID: "sgp-2", Health: v1alpha1.Unknown, Counts: v1alpha1.Counts{Backends: 1, Unavailable: 1}, HealthCheck: v1alpha1.HealthCheckDisabled},
		{Port: 443, Protocol: "quic", ServerGroupID: "sgp-1", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 3, Normal: 3}},
	}
	return object
}

// Only server groups have a series of unused backends, and each has one.
func TestBackendsAreCountedByServerGroup(t *testing.T) {
	t.Parallel()

	var want []string
	for group, counts := range map[string][4]int{
		`listener_port="80",listener_protocol="http",load_balancer_id="alb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id=""`:        {},
		`listener_port="443",listener_protocol="https",load_balancer_id="alb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="sgp-1"`: {3, 0, 0, 2},
		`listener_port="443",listener_protocol="https",load_balancer_id="alb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="sgp-2"`: {0, 0, 1, 0},
		`listener_port="443",listener_protocol="quic",load_balancer_id="alb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="sgp-1"`:  {3, 0, 0, 0},
	} {
		for i, status := range []string{"normal", "abnormal", "unavailable", "unused"} {
			if status != "unused" || !strings.Contains(group, `server_group_id=""`) {
				want = append(want, fmt.Sprintf("slb_health_backends{%s,status=%q} %d", group, status, counts[i]))
			}
		}
	}
	expectBackends(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{webOfALB()}}, time.Time{}), strings.Join(want, "\n"))
}

func TestServerGroupsOfOneListenerHaveSeriesOfTheirOwn(t *testing.T) {
	t.Parallel()

	expect(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{webOfALB()}}, time.Time{}), "slb_health_listener", listenerHelp, "gauge", `
slb_health_listener{health="Healthy",health_check="",listener_port="443",listener_protocol="https",name="web",namespace="prod",server_group_id="sgp-1",state=""} 1
slb_health_listener{health="Healthy",health_check="",listener_port="443",listener_protocol="quic",name="web",namespace="prod",server_group_id="sgp-1",state=""} 1
slb_health_listener{health="Unknown",health_check="",listener_port="80",listener_protocol="http",name="web",namespace="prod",server_group_id="",state="Redirect"} 1
slb_health_listener{health="Unknown",health_check="Disabled",listener_port="443",listener_protocol="https",name="web",namespace="prod",server_group_id="sgp-2",state=""} 1
`)
	repeated := webOfALB()
	repeated.Status.Listeners = append(repeated.Status.Listeners, repeated.Status.Listeners...)
	const ofAll = 3*(4+1) + 3 + 1
	wantSeries(t, scrape(t, repeated), fmt.Sprintf("%s %d", droppedOfWeb, ofAll))
}

func TestSeriesWithTextThatIsNotUTF8AreDroppedAndCounted(t *testing.T) {
	t.Parallel()

	api, odd := web(), web()
	api.Name = "api"
	api.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	odd.Status.Listeners[1].Protocol = "https\xff"
	odd.Status.Conditions[0].Reason = "\xc3\x28"
	wantSeries(t, scrape(t, odd, api), droppedOfWeb+" 5", conditionOfAPI,
		`slb_health_backends{listener_port="80",listener_protocol="",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="unavailable"} 1`)
}

// TestNoStatusMakesAScrapeInvalid writes random statuses from few words, so that
// many values are repeated.
func TestNoStatusMakesAScrapeInvalid(t *testing.T) {
	t.Parallel()

	const seed = 12
	random := rand.New(rand.NewPCG(seed, seed))
	words := []string{"", "http", "HTTP", "a\xffb", "\x00", "\"\n\\", strings.Repeat("x", 1_000), "Ready", "True", "Missing"}
	word := func() string { return words[random.IntN(len(words))] }
	for range 100 {
		object := web()
		object.Status.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: word(), RegionID: word(), ServiceName: word()}
		for range random.IntN(20) {
			object.Status.Listeners = append(object.Status.Listeners, v1alpha1.ListenerStatus{
				Port: int32(random.IntN(3) - 1), Protocol: word(), ServerGroupID: word(), Health: v1alpha1.Health(word()),
				State: v1alpha1.ListenerState(word()), HealthCheck: v1alpha1.HealthCheckState(word()),
			})
			object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{
				Type: word(), Status: metav1.ConditionStatus(word()), Reason: word(),
			})
		}
		scrape(t, object)
	}
}

const (
	infoHelp     = "1, with the load balancer that was observed, its product, the Service that names it, and the reason of the condition Ready."
	listenerHelp = "1, with the verdict on a listener or one of its server groups, its state, and whether it checks its backends' health. Empty is not known."
)

func TestInfoHasLoadBalancerServiceAndReason(t *testing.T) {
	t.Parallel()

	withReason := web()
	withReason.Status.Conditions[0].Reason = v1alpha1.ReasonForbidden
	edited := withReason
	edited.Spec.LoadBalancerID, edited.Spec.RegionID = "lb-2", "cn-shanghai"
	ofService := withReason
	ofService.Spec = v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: "shop"}}
	ofService.Status.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: "nlb-1", RegionID: "cn-hangzhou", ServiceName: "shop"}
	waits := ofService
	waits.Status = v1alpha1.LoadBalancerHealthStatus{}
	alb := web()
	alb.Status.ObservedTarget.LoadBalancerID = "alb-1"
	alb.Status.Conditions = nil

	for name, test := range map[string]struct {
		object v1alpha1.LoadBalancerHealth
		labels string
	}{
		"observed":                       {withReason, `load_balancer_id="lb-1",name="web",namespace="prod",product="clb",reason="Forbidden",region="cn-hangzhou",service=""`},
		"edited since":                   {edited, `load_balancer_id="lb-1",name="web",namespace="prod",product="clb",reason="Forbidden",region="cn-hangzhou",service=""`},
		"of a Service":                   {ofService, `load_balancer_id="nlb-1",name="web",namespace="prod",product="nlb",reason="Forbidden",region="cn-hangzhou",service="shop"`},
		"of a Service that has none yet": {waits, `load_balancer_id="",name="web",namespace="prod",product="clb",reason="Pending",region="",service="shop"`},
		"ALB, not evaluated yet":         {alb, `load_balancer_id="alb-1",name="web",namespace="prod",product="alb",reason="Pending",region="cn-hangzhou",service=""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{test.object}}, time.Time{}), "slb_health_info", infoHelp, "gauge",
				"slb_health_info{"+test.labels+"} 1")
		})
	}
}

func TestListenersHaveVerdictStateAndHealthCheck(t *testing.T) {
	t.Parallel()

	object := web()
	object.Status.Listeners = []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "http", Health: v1alpha1.Healthy},
		{Port: 81, Protocol: "http", Health: v1alpha1.Unknown, State: v1alpha1.ListenerRunning, HealthCheck: v1alpha1.HealthCheckDisabled},
		{Port: 82, Protocol: "http", Health: v1alpha1.Unhealthy, State: v1alpha1.ListenerStopped, HealthCheck: v1alpha1.HealthCheckEnabled},
		{Port: 83, Protocol: "http", Health: v1alpha1.Unknown, State: v1alpha1.ListenerRunning, MissingSince: &metav1.Time{Time: observedAt}},
	}
	expect(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{object}}, time.Time{}), "slb_health_listener", listenerHelp, "gauge", `
slb_health_listener{health="Healthy",health_check="",listener_port="80",listener_protocol="http",name="web",namespace="prod",server_group_id="",state=""} 1
slb_health_listener{health="Unhealthy",health_check="Enabled",listener_port="82",listener_protocol="http",name="web",namespace="prod",server_group_id="",state="Stopped"} 1
slb_health_listener{health="Unknown",health_check="",listener_port="83",listener_protocol="http",name="web",namespace="prod",server_group_id="",state="Missing"} 1
slb_health_listener{health="Unknown",health_check="Disabled",listener_port="81",listener_protocol="http",name="web",namespace="prod",server_group_id="",state="Running"} 1
`)
}

// ofTheProcess are the series without an object: the lag, and the observations of three classes.
const ofTheProcess = 4

func TestADeletedObjectHasNoSeries(t *testing.T) {
	t.Parallel()

	objects := &cache{objects: []v1alpha1.LoadBalancerHealth{web()}}
	fleet := newFleet(objects, observedAt)
	if n := testutil.CollectAndCount(fleet); n <= ofTheProcess {
		t.Errorf("%d series of an object", n)
	}
	objects.objects = nil
	if n := testutil.CollectAndCount(fleet); n != ofTheProcess {
		t.Errorf("%d series of a deleted object", n-ofTheProcess)
	}
}
