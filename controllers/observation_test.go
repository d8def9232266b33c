// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

func onListener(port int32, protocol v1alpha1.ListenerProtocol) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.ListenerPort, o.Spec.ListenerProtocol = new(port), protocol
	}
}

var _ = Describe("An observation", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, shared) })

	It("of a new object is made at once, and the status has all of it", func(ctx SpecContext) {
		cloud.put(f.lb,
			simulator.Backend{ServerID: "i-2", ServerIP: "10.0.0.2", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "abnormal"},
			simulator.Backend{ServerID: "i-1", ServerIP: "10.0.0.1", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443},
			simulator.Backend{ServerID: "eni-3", ServerIP: "10.0.0.3", EniHost: "10.0.0.30", Type: "eni", ListenerPort: 80, ListenerProtocol: "http", Port: 8080, ServerHealthStatus: "unavailable"},
		)
		before := time.Now().Truncate(time.Second)
		object := f.observed(ctx, "web", nil)

		status := object.Status
		now := metav1.Time{Time: status.LastObservedTime.Time}
		Expect(now.Time).To(And(BeTemporally(">=", before), BeTemporally("<=", time.Now())))
		Expect(status.LastRequestID).To(Equal(cloud.lastCall(f.lb).RequestID))
		Expect(*status.Summary).To(Equal(v1alpha1.Summary{Listeners: 2, Counts: v1alpha1.Counts{Backends: 3, Normal: 1, Abnormal: 1, Unavailable: 1}}))
		Expect(status.Listeners).To(Equal([]v1alpha1.ListenerStatus{
			{Port: 80, Protocol: "http", Health: v1alpha1.Unknown, Counts: v1alpha1.Counts{Backends: 1, Unavailable: 1}},
			{Port: 443, Protocol: "https", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 2, Normal: 1, Abnormal: 1}},
		}))
		for i := range status.Backends {
			Expect(status.Backends[i].LastTransitionTime.Time).To(BeTemporally("~", now.Time, 2*time.Second))
			status.Backends[i].LastTransitionTime = metav1.Time{}
		}
		Expect(status.Backends).To(Equal([]v1alpha1.BackendStatus{
			{ServerID: "eni-3", ServerIP: "10.0.0.3", EniHost: "10.0.0.30", Type: "eni", ListenerPort: 80, ListenerProtocol: "http", Port: 8080, ServerHealthStatus: "unavailable"},
			{ServerID: "i-1", ServerIP: "10.0.0.1", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"},
			{ServerID: "i-2", ServerIP: "10.0.0.2", Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "abnormal"},
		}))
		Expect(object).To(haveConditions(
			"Ready Unknown HealthCheckUnavailable", "Healthy Unknown HealthCheckUnavailable", "Observed True ObservationSucceeded"))
		for _, c := range status.Conditions {
			Expect(c.ObservedGeneration).To(Equal(object.Generation))
		}
		Expect(cloud.CallCount(f.lb)).To(Equal(1))
	})

	// The body of the write has neither spec nor metadata.
	It("changes nothing but the status, and owns no other field", func(ctx SpecContext) {
		cloud.put(f.lb, https(2)...)
		object := f.observed(ctx, "web", func(o *v1alpha1.LoadBalancerHealth) {
			o.Labels["team"], o.Annotations = "a", map[string]string{"note": "b"}
		})
		Expect(object.Spec.LoadBalancerID).To(Equal(f.lb))
		Expect(object.Labels).To(HaveKeyWithValue("team", "a"))
		Expect(object.Annotations).To(Equal(map[string]string{"note": "b"}))
		Expect(object.Generation).To(Equal(int64(1)))
		owned := map[string]string{}
		for _, entry := range object.ManagedFields {
			owned[entry.Subresource] += entry.FieldsV1.GetRawString()
		}
		Expect(owned).To(HaveLen(2))
		Expect(owned[""]).To(And(ContainSubstring("f:loadBalancerId"), ContainSubstring("f:team"), ContainSubstring("f:note")))
		Expect(owned["status"]).To(And(ContainSubstring("f:summary"), Not(ContainSubstring("f:spec")), Not(ContainSubstring("f:metadata"))))
	})

	It("is of one listener for one object, and of all listeners for several", func(ctx SpecContext) {
		cloud.put(f.lb, append(https(2),
			simulator.Backend{ServerID: "i-1", ServerIP: "10.0.0.1", ListenerPort: 80, ListenerProtocol: "http", Port: 8080, ServerHealthStatus: "abnormal"})...)
		secure := f.observed(ctx, "secure", onListener(443, v1alpha1.ProtocolHTTPS))
		call := cloud.lastCall(f.lb)
		Expect(call.ListenerPort).To(Equal(443))
		Expect(call.ListenerProtocol).To(Equal("https"))

		plain := f.observed(ctx, "plain", onListener(80, ""))
		call = cloud.lastCall(f.lb)
		Expect(call.ListenerPort).To(BeZero())
		Expect(call.ListenerProtocol).To(BeEmpty())
		Expect(cloud.CallCount(f.lb)).To(Equal(2))

		Expect(rows(secure)).To(Equal([]string{"443/https i-1 normal", "443/https i-2 normal"}))
		Expect(rows(plain)).To(Equal([]string{"80/http i-1 abnormal"}))
		Expect(condition(secure, "Ready")).To(Equal("True AllBackendsNormal"))
		Expect(condition(plain, "Ready")).To(Equal("False BelowMinHealthy"))

		observe(ctx, plain)
		Expect(cloud.lastCall(f.lb).ListenerPort).To(BeZero())
		Expect(cloud.CallCount(f.lb)).To(Equal(3))
	})

	It("of a port that TCP and UDP share is of all listeners, from the first refusal on", func(ctx SpecContext) {
		cloud.put(f.lb,
			simulator.Backend{ServerID: "i-1", ListenerPort: 53, ListenerProtocol: "tcp", Port: 53},
			simulator.Backend{ServerID: "i-1", ListenerPort: 53, ListenerProtocol: "udp", Port: 53, ServerHealthStatus: "abnormal"},
			simulator.Backend{ServerID: "i-1", ListenerPort: 80, ListenerProtocol: "http", Port: 80})
		object := f.observed(ctx, "dns", onListener(53, ""))
		Expect(rows(object)).To(Equal([]string{"53/tcp i-1 normal", "53/udp i-1 abnormal"}))
		Expect(condition(object, "Observed")).To(Equal("True ObservationSucceeded"))
		calls := cloud.callsFor(f.lb)
		Expect(calls).To(HaveLen(2))
		Expect(calls[0].Outcome).To(Equal("TooManyListeners"))
		Expect(calls[1].ListenerPort).To(BeZero())

		observe(ctx, object)
		Expect(cloud.CallCount(f.lb)).To(Equal(3))
		Expect(cloud.lastCall(f.lb).ListenerPort).To(BeZero())
	})

	It("without backends has a verdict, too", func(ctx SpecContext) {
		cloud.put(f.lb)
		object := f.observed(ctx, "web", nil)
		Expect(object).To(haveConditions("Ready False NoBackends", "Healthy False NoBackends", "Observed True ObservationSucceeded"))
		Expect(*object.Status.Summary).To(Equal(v1alpha1.Summary{}))
	})

	It("serves a second object that is created within seconds", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		f.observed(ctx, "first", nil)
		second := f.observed(ctx, "second", onListener(443, ""))
		Expect(rows(second)).To(HaveLen(1))
		calls := cloud.callsFor(f.lb)
		for _, further := range calls[1:] { // on a machine that paused
			Expect(further.Time.Sub(calls[0].Time)).To(BeNumerically(">", health.FreshFor-time.Second))
		}
	})

	It("of 10,000 rows keeps the abnormal ones and counts all", func(ctx SpecContext) {
		backends := https(10_000)
		for i := range backends {
			switch {
			case i >= 9_700 && i < 9_900:
				backends[i].ServerHealthStatus = "abnormal"
			case i >= 9_900:
				backends[i].ServerHealthStatus = "unavailable"
			}
		}
		cloud.put(f.lb, backends...)
		object := f.observed(ctx, "large", nil)
		Expect(*object.Status.Summary).To(Equal(v1alpha1.Summary{Listeners: 1, Counts: v1alpha1.Counts{Backends: 10_000, Normal: 9_700, Abnormal: 200, Unavailable: 100}, DisruptionsAllowed: new(int32(9_699))}))
		Expect(object.Status.OmittedBackends).To(BeEquivalentTo(9_500))
		kept := map[string]int{}
		for _, b := range object.Status.Backends {
			kept[b.ServerHealthStatus]++
		}
		Expect(kept).To(Equal(map[string]int{"abnormal": 200, "unavailable": 100, "normal": 200}))
		expectEvents(ctx, object)
	})
})

var _ = Describe("An edited spec", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, shared) })

	It("is evaluated at once", func(ctx SpecContext) {
		cloud.put(f.lb, https(2)...)
		object := f.observed(ctx, "web", nil)
		for i, policy := range []struct {
			minHealthy intstr.IntOrString
			ready      string
		}{
			{intstr.FromInt32(3), "False BelowMinHealthy"},
			{intstr.FromString("100%"), "True AllBackendsNormal"},
		} {
			edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) {
				o.Spec.HealthPolicy = &v1alpha1.HealthPolicy{MinHealthy: &policy.minHealthy}
			})
			Expect(object.Generation).To(BeEquivalentTo(i + 2))
			Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
			Expect(condition(object, "Ready")).To(Equal(policy.ready))
			Expect(condition(object, "Reconciling")).To(BeEmpty())
		}
	})

	It("with another load balancer is observed at once, and drops the old backends without events", func(ctx SpecContext) {
		cloud.put(f.lb, https(3)...)
		other := "lb-other-" + f.namespace
		cloud.put(other, simulator.Backend{ServerID: "i-9", ListenerPort: 80, ListenerProtocol: "http", Port: 80})
		object := f.observed(ctx, "web", nil)
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = other })
		Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
		Expect(rows(object)).To(Equal([]string{"80/http i-9 normal"}))
		Expect(object.Status.ObservedTarget.LoadBalancerID).To(Equal(other))
		Expect(cloud.CallCount(f.lb)).To(Equal(1))
		Expect(cloud.CallCount(other)).To(Equal(1))
		expectEvents(ctx, object)
	})

	It("with another listener drops the backends of the old one without events", func(ctx SpecContext) {
		cloud.put(f.lb, append(https(2), simulator.Backend{ServerID: "i-9", ListenerPort: 80, ListenerProtocol: "http", Port: 80})...)
		object := f.observed(ctx, "web", onListener(443, ""))
		edit(ctx, object, onListener(80, ""))
		Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
		Expect(rows(object)).To(Equal([]string{"80/http i-9 normal"}))
		expectEvents(ctx, object)
	})
})

var _ = Describe("The request annotation", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, shared) })

	once := func(ctx SpecContext, object *v1alpha1.LoadBalancerHealth) {
		GinkgoHelper()
		before := cloud.CallCount(f.lb)
		observe(ctx, object)
		Expect(cloud.CallCount(f.lb)).To(Equal(before + 1))
		Consistently(cloud.CallCount).WithArguments(f.lb).Should(Equal(before + 1))
	}

	It("is served at once, and once for each value", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		once(ctx, object)
		once(ctx, object)
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) { o.Annotations = nil })
		Consistently(cloud.CallCount).WithArguments(f.lb).Should(Equal(3))
	})

	It("is attempted at once while observations fail", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		once(ctx, object)
		Expect(condition(object, "Observed")).To(Equal("False Throttled"))
		once(ctx, object)
		Expect(object.Status.LastHandledObserveRequest).To(BeEmpty(), "a failure serves no request")
	})

	It("is retried until it succeeds, and is Reconciling until then", func(ctx SpecContext) {
		cloud.put(f.lb, https(2)...)
		object := f.observed(ctx, "web", nil)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		cloud.setStatus(f.lb, "i-1", "abnormal")
		cloud.setStatus(f.lb, "i-2", "abnormal")
		value := request(ctx, object)
		Eventually(conditionOf(ctx, object, "Reconciling")).Should(Equal("True ObservationRequested"))
		Expect(object.Status.LastAttemptedObserveRequest).To(Equal(value))
		cloud.restore(f.lb)
		Eventually(conditionOf(ctx, object, "Reconciling")).WithTimeout(20 * time.Second).Should(BeEmpty())
		Expect(object.Status.LastHandledObserveRequest).To(Equal(value))
		Expect(condition(object, "Ready")).To(Equal("False BelowMinHealthy"))
	})

	It("is attempted once while stalled", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultStatus, HTTPStatus: 403, Code: "Forbidden.RAM", Message: "User not authorized"})
		once(ctx, object)
		Expect(condition(object, "Stalled")).To(Equal("True Forbidden"))
		once(ctx, object)
		cloud.restore(f.lb)
		once(ctx, object)
		Expect(condition(object, "Stalled")).To(BeEmpty())
	})

	It("on several objects of one load balancer is served by one observation each at most", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		var objects []*v1alpha1.LoadBalancerHealth
		for i := range 4 {
			objects = append(objects, f.observed(ctx, fmt.Sprintf("web-%d", i), nil))
		}
		before := cloud.CallCount(f.lb)
		var values []string
		for _, object := range objects {
			values = append(values, request(ctx, object))
		}
		for i, object := range objects {
			Eventually(func() (string, error) {
				err := reload(ctx, object)
				return object.Status.LastHandledObserveRequest, err
			}).Should(Equal(values[i]))
		}
		Expect(cloud.CallCount(f.lb) - before).To(And(BeNumerically(">=", 1), BeNumerically("<=", len(objects))))
	})
})
