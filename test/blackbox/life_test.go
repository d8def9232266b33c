// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var lifeSpecs = []spec{
	{"conditions, rows, summary and events follow a load balancer from healthy to unhealthy and back", followsALoadBalancer},
	{"added, removed and unavailable backends are reported, and the verdict is Unknown where it depends on an unavailable one", reportsAddedAndRemoved},
	{"kubectl shows the columns, and waits for Ready", kubectlShowsColumns},
	{"a request annotation is served at once", servesRequests},
	{"the series of a deleted object are deleted", deletesSeries},
	{"a suspended object is not observed, and suspending and resuming records no event", suspends},
}

func web(server, ip, status string) backend {
	return backend{
		ServerID: server, ServerIP: ip, Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443,
		ServerHealthStatus: status,
	}
}

func needing(minimum string) func(*v1alpha1.LoadBalancerHealth) {
	return func(object *v1alpha1.LoadBalancerHealth) {
		value := intstr.Parse(minimum)
		object.Spec.HealthPolicy = &v1alpha1.HealthPolicy{MinHealthy: &value}
	}
}

func counts(normal, abnormal, unavailable int32) v1alpha1.Counts {
	return v1alpha1.Counts{Backends: normal + abnormal + unavailable, Normal: normal, Abnormal: abnormal, Unavailable: unavailable}
}

func followsALoadBalancer(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-life"
	w.simulator.put(t, id, web("i-1", "10.0.0.1", "normal"), web("i-2", "10.0.0.2", "normal"), web("i-3", "10.0.0.3", "normal"))
	object := named(mainNamespace, id, needing("2"))
	w.create(t, object)

	found := w.await(t, object, good("AllBackendsNormal"))
	g.Expect(found.Status.Summary).To(Equal(&v1alpha1.Summary{Listeners: 1, Counts: counts(3, 0, 0), DisruptionsAllowed: new(int32(1))}))
	g.Expect(found.Status.Listeners).To(Equal([]v1alpha1.ListenerStatus{
		{Port: 443, Protocol: "https", Health: v1alpha1.Healthy, Counts: counts(3, 0, 0), State: v1alpha1.ListenerRunning, HealthCheck: v1alpha1.HealthCheckEnabled},
	}))
	row := found.Status.Backends[1]
	g.Expect(row.LastTransitionTime.IsZero()).To(BeFalse())
	g.Expect(row).To(Equal(v1alpha1.BackendStatus{
		ServerID: "i-2", ServerIP: "10.0.0.2", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443,
		ServerHealthStatus: "normal", LastTransitionTime: row.LastTransitionTime,
	}))
	g.Expect(found.Status.LastRequestID).NotTo(BeEmpty())
	g.Expect(found.Status.LastObservedTime).NotTo(BeNil())
	for _, c := range found.Status.Conditions {
		g.Expect(c.ObservedGeneration).To(Equal(found.Generation), c.Type)
	}
	g.Expect(w.events(g, object)).To(BeEmpty())

	w.simulator.set(t, id, "i-2", "abnormal")
	found = w.await(t, object, good("MinHealthyMet"))
	g.Expect(found.Status.Summary.Counts).To(Equal(counts(2, 1, 0)))
	g.Expect(rowsOf(found)).To(Equal(map[string]string{"i-1": "normal", "i-2": "abnormal", "i-3": "normal"}))
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 1})
	g.Expect(w.events(g, object).notes("BackendAbnormal")).To(ConsistOf(ContainSubstring("i-2")))

	w.simulator.set(t, id, "i-3", "abnormal")
	found = w.await(t, object, bad("BelowMinHealthy"))
	g.Expect(found.Status.Listeners[0].Health).To(Equal(v1alpha1.Unhealthy))
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 2, "Warning LoadBalancerUnhealthy": 1})
	w.eventually(t, func(g Gomega) {
		series := w.main.metrics(g)
		labels := `{listener_port="443",listener_protocol="https",load_balancer_id="lb-life",name="lb-life",namespace="main",region="cn-hangzhou",server_group_id="",status=`
		g.Expect(series).To(HaveKeyWithValue("slb_health_backends"+labels+`"normal"}`, 1.0))
		g.Expect(series).To(HaveKeyWithValue("slb_health_backends"+labels+`"abnormal"}`, 2.0))
		g.Expect(series).To(HaveKeyWithValue("slb_health_backends"+labels+`"unavailable"}`, 0.0))
		g.Expect(series).To(HaveKeyWithValue(`slb_health_condition{condition="Ready",name="lb-life",namespace="main",status="False"}`, 1.0))
		g.Expect(series).To(HaveKeyWithValue(`slb_health_condition{condition="Ready",name="lb-life",namespace="main",status="True"}`, 0.0))
		g.Expect(series).To(HaveKeyWithValue(`slb_health_backend_transitions_total{name="lb-life",namespace="main",to="abnormal"}`, 2.0))
		g.Expect(series).To(HaveKeyWithValue(`slb_health_last_observation_timestamp_seconds{name="lb-life",namespace="main"}`, BeNumerically(">", 1e9)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_requests_total{action="DescribeHealthStatus",code="OK",product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_requests_total{action="DescribeLoadBalancerListeners",code="OK",product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_request_duration_seconds_count{product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_rate_limit{account="default",product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue("slb_health_observation_lag_seconds_count", BeNumerically(">", 0)))
	})

	w.simulator.set(t, id, "i-2", "normal")
	w.simulator.set(t, id, "i-3", "normal")
	found = w.await(t, object, good("AllBackendsNormal"))
	g.Expect(found.Status.Summary.Counts).To(Equal(counts(3, 0, 0)))
	w.awaitEvents(t, object, map[string]int{
		"Warning BackendAbnormal": 2, "Warning LoadBalancerUnhealthy": 1,
		"Normal BackendNormal": 2, "Normal LoadBalancerHealthy": 1,
	})
}

// awaitEvents waits for exactly these events about the object.
func (w *env) awaitEvents(t *testing.T, object *v1alpha1.LoadBalancerHealth, want map[string]int) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		g.Expect(w.events(g, object).reasons()).To(Equal(want))
	})
}

func reportsAddedAndRemoved(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-added-removed"
	w.simulator.put(t, id, web("i-1", "10.0.1.1", "normal"), web("i-2", "10.0.1.2", "normal"))
	object := named(mainNamespace, id, needing("100%"))
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))

	w.simulator.set(t, id, "i-2", "unavailable")
	found := w.await(t, object, unknown("HealthCheckUnavailable"))
	g.Expect(found.Status.Listeners[0].Health).To(Equal(v1alpha1.Unknown))
	w.awaitEvents(t, object, map[string]int{"Warning BackendUnavailable": 1, "Warning LoadBalancerHealthUnknown": 1})

	w.simulator.remove(t, id, "i-2")
	w.simulator.add(t, id, web("i-3", "10.0.1.3", "normal"))
	w.eventually(t, func(g Gomega) {
		g.Expect(rowsOf(w.get(g, object))).To(Equal(map[string]string{"i-1": "normal", "i-3": "normal"}))
	})
	w.awaitEvents(t, object, map[string]int{
		"Warning BackendUnavailable": 1, "Warning LoadBalancerHealthUnknown": 1,
		"Normal BackendRemoved": 1, "Normal BackendAdded": 1, "Normal LoadBalancerHealthy": 1,
	})

	w.simulator.put(t, id)
	w.await(t, object, bad("NoBackends"))
}

func kubectlShowsColumns(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-columns"
	w.simulator.put(t, id, web("i-1", "10.0.2.1", "normal"), web("i-2", "10.0.2.2", "abnormal"))
	object := named(mainNamespace, id)
	w.create(t, object)
	g.Expect(w.kubectl(t, "wait", "-n", mainNamespace, "lbh/"+id, "--for=condition=Ready", "--timeout=90s")).To(ContainSubstring("condition met"))

	rows := strings.Split(w.kubectl(t, "get", "-n", mainNamespace, "lbh", id), "\n")
	g.Expect(strings.Fields(rows[0])).To(Equal([]string{"NAME", "READY", "STATUS", "SINCE", "NORMAL", "BACKENDS", "LOADBALANCER", "REGION", "AGE"}))
	fields := strings.Fields(rows[1])
	g.Expect(slices.Delete(fields, 3, 4)[:7]).To(Equal([]string{id, "True", "MinHealthyMet", "1", "2", id, region}))

	rows = strings.Split(w.kubectl(t, "get", "-n", mainNamespace, "slb", "-o", "wide"), "\n")
	g.Expect(strings.Fields(rows[0])).To(Equal([]string{
		"NAME", "READY", "STATUS", "SINCE", "NORMAL", "BACKENDS", "LOADBALANCER", "REGION", "AGE",
		"PORT", "ABNORMAL", "UNAVAILABLE", "DISRUPTIONSALLOWED", "OBSERVED", "MESSAGE",
	}))
}

func servesRequests(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-request"
	w.simulator.put(t, id, web("i-1", "10.0.3.1", "normal"))
	object := named(mainNamespace, id, once)
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))

	w.simulator.set(t, id, "i-1", "abnormal")
	w.requestObservation(t, object, "now")
	found := w.await(t, object, bad("BelowMinHealthy"))
	g.Expect(found.Status.LastHandledObserveRequest).To(Equal("now"))
	g.Expect(w.simulator.calls(t, id)).To(HaveLen(2))
}

func deletesSeries(t *testing.T, w *env) {
	const id = "lb-deleted"
	w.simulator.put(t, id, web("i-1", "10.0.4.1", "normal"))
	object := named(mainNamespace, id)
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))
	w.eventually(t, func(g Gomega) { g.Expect(w.main.series(g, object)).To(BeNumerically(">", 0)) })
	if err := w.admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, func(g Gomega) { g.Expect(w.main.series(g, object)).To(BeZero()) })
}

func suspends(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, neighbour = "lb-suspended", "lb-suspended-neighbour"
	w.simulator.put(t, id, web("i-1", "10.0.5.1", "normal"))
	w.simulator.put(t, neighbour, web("i-1", "10.0.5.2", "normal"))
	object := named(mainNamespace, id)
	w.create(t, object)
	w.create(t, named(mainNamespace, neighbour))
	w.await(t, object, good("AllBackendsNormal"))

	suspend := func(value string) {
		w.kubectl(t, "patch", "-n", mainNamespace, "lbh", id, "--type=merge", `-p={"spec":{"suspend":`+value+`}}`)
	}
	suspend("true")
	found := w.await(t, object, states{"Ready": "Unknown Suspended", "Healthy": "Unknown Suspended", "Observed": "Unknown Suspended"})
	g.Expect(rowsOf(found)).To(HaveLen(1))
	before := len(w.simulator.calls(t, id))
	w.awaitMoreCalls(t, neighbour, 3)
	g.Expect(w.simulator.calls(t, id)).To(HaveLen(before))

	suspend("false")
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitCalls(t, id, before, 2)
	g.Expect(w.events(g, object)).To(BeEmpty())
}
