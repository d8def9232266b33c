// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

var _ = Describe("A failed observation", func() {
	var at place
	BeforeEach(func(ctx SpecContext) { at = newPlace(ctx, shared) })

	DescribeTable("keeps the rows and the verdict, and is told once until it is over",
		func(ctx SpecContext, fault simulator.Fault, reason string) {
			cloud.put(at.lb, https(2)...)
			object := at.observed(ctx, "web", nil)
			cloud.fail(at.lb, fault)
			cloud.turn(at.lb, "i-1", "abnormal")
			for range 2 {
				observe(ctx, object)
				Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed False "+reason, "Reconciling True ObservationRequested"))
			}
			Expect(rows(object)).To(Equal([]string{"443/https i-1 normal", "443/https i-2 normal"}))
			failed := HavePrefix("Warning ObservationFailed: " + reason + ": ")
			expectEvents(ctx, object, failed)

			cloud.heal(at.lb)
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True MinHealthyMet", "Healthy True MinHealthyMet", "Observed True ObservationSucceeded"))
			expectEvents(ctx, object, failed, turnedAbnormal(1),
				"Normal ObservationRecovered: DescribeHealthStatus answers again, after "+reason)
		},
		Entry("throttled", simulator.Fault{Kind: simulator.FaultThrottle}, "Throttled"),
		Entry("the connection is reset", simulator.Fault{Kind: simulator.FaultReset}, "EndpointUnreachable"),
		Entry("the API fails", simulator.Fault{Kind: simulator.FaultStatus, HTTPStatus: 500, Code: "InternalError"}, "ServiceError"),
		Entry("a proxy's page answers", simulator.Fault{Kind: simulator.FaultContentType}, "InvalidResponse"),
	)

	DescribeTable("that requires manual action stalls",
		func(ctx SpecContext, fault simulator.Fault, reason string) {
			cloud.put(at.lb, https(2)...)
			object := at.observed(ctx, "web", nil)
			cloud.fail(at.lb, fault)
			observe(ctx, object)
			Expect(object).To(haveConditions(
				"Ready False "+reason, "Healthy True AllBackendsNormal", "Observed False "+reason, "Stalled True "+reason))
			Expect(message(object, "Ready")).To(Equal(message(object, "Stalled")))
			Expect(rows(object)).To(HaveLen(2))
			failed := HavePrefix("Warning ObservationFailed: " + reason + ": ")
			expectEvents(ctx, object, failed)

			cloud.heal(at.lb)
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed True ObservationSucceeded"))
			expectEvents(ctx, object, failed, HavePrefix("Normal ObservationRecovered: "))
		},
		Entry("forbidden", simulator.Fault{Kind: simulator.FaultStatus, HTTPStatus: 403, Code: "Forbidden.RAM"}, "Forbidden"),
	)

	It("for want of the load balancer stalls when three in a row say so", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		object := at.observed(ctx, "web", nil)
		Expect(cloud.DeleteLoadBalancer(at.lb)).To(BeTrue())
		for range 2 {
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed False LoadBalancerNotFound", "Reconciling True ObservationRequested"))
		}
		observe(ctx, object)
		Expect(object).To(haveConditions("Ready False LoadBalancerNotFound", "Healthy True AllBackendsNormal",
			"Observed False LoadBalancerNotFound", "Stalled True LoadBalancerNotFound"))
		Expect(message(object, "Stalled")).To(And(ContainSubstring(at.lb), ContainSubstring(region)))
		failed := HavePrefix("Warning ObservationFailed: LoadBalancerNotFound: ")
		expectEvents(ctx, object, failed)

		cloud.put(at.lb, https(1)...)
		observe(ctx, object)
		Expect(condition(object, "Stalled")).To(BeEmpty())
		expectEvents(ctx, object, failed, HavePrefix("Normal ObservationRecovered: "))
	})

	It("before the first answer leaves the verdict unknown", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		cloud.fail(at.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		object := at.observed(ctx, "web", nil)
		Expect(object).To(haveConditions("Ready Unknown Pending", "Healthy Unknown Pending", "Observed False Throttled"))
		Expect(object.Status.Summary).To(BeNil())
		cloud.heal(at.lb)
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
	})

	It("that changes its reason is told again", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		object := at.observed(ctx, "web", nil)
		cloud.fail(at.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		observe(ctx, object)
		cloud.fail(at.lb, simulator.Fault{Kind: simulator.FaultReset})
		observe(ctx, object)
		expectEvents(ctx, object, HavePrefix("Warning ObservationFailed: Throttled: "), HavePrefix("Warning ObservationFailed: EndpointUnreachable: "))
	})
})
