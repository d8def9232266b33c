// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

var _ = Describe("A failed observation", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, shared) })

	DescribeTable("keeps the rows and the verdict, and has one event until it recovers",
		func(ctx SpecContext, fault simulator.Fault, reason string) {
			cloud.put(f.lb, https(2)...)
			object := f.observed(ctx, "web", nil)
			cloud.fail(f.lb, fault)
			cloud.setStatus(f.lb, "i-1", "abnormal")
			for range 2 {
				observe(ctx, object)
				Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed False "+reason, "Reconciling True ObservationRequested"))
			}
			Expect(rows(object)).To(Equal([]string{"443/https i-1 normal", "443/https i-2 normal"}))
			failed := HavePrefix("Warning ObservationFailed: " + reason + ": ")
			expectEvents(ctx, object, failed)

			cloud.restore(f.lb)
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True MinHealthyMet", "Healthy True MinHealthyMet", "Observed True ObservationSucceeded"))
			expectEvents(ctx, object, failed, becameAbnormal(1),
				"Normal ObservationRecovered: DescribeHealthStatus succeeds again, after "+reason)
		},
		Entry("throttled", simulator.Fault{Kind: simulator.FaultThrottle}, "Throttled"),
		Entry("the connection is reset", simulator.Fault{Kind: simulator.FaultReset}, "EndpointUnreachable"),
		Entry("the API fails", simulator.Fault{Kind: simulator.FaultStatus, HTTPStatus: 500, Code: "InternalError"}, "ServiceError"),
		Entry("a proxy responds with a page", simulator.Fault{Kind: simulator.FaultContentType}, "InvalidResponse"),
	)

	DescribeTable("that requires manual action stalls",
		func(ctx SpecContext, fault simulator.Fault, reason string) {
			cloud.put(f.lb, https(2)...)
			object := f.observed(ctx, "web", nil)
			cloud.fail(f.lb, fault)
			observe(ctx, object)
			Expect(object).To(haveConditions(
				"Ready False "+reason, "Healthy True AllBackendsNormal", "Observed False "+reason, "Stalled True "+reason))
			Expect(message(object, "Ready")).To(Equal(message(object, "Stalled")))
			Expect(rows(object)).To(HaveLen(2))
			failed := HavePrefix("Warning ObservationFailed: " + reason + ": ")
			expectEvents(ctx, object, failed)

			cloud.restore(f.lb)
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed True ObservationSucceeded"))
			expectEvents(ctx, object, failed, HavePrefix("Normal ObservationRecovered: "))
		},
		Entry("forbidden", simulator.Fault{Kind: simulator.FaultStatus, HTTPStatus: 403, Code: "Forbidden.RAM"}, "Forbidden"),
	)

	It("with LoadBalancerNotFound stalls after three in a row", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		Expect(cloud.DeleteLoadBalancer(f.lb)).To(BeTrue())
		for range 2 {
			observe(ctx, object)
			Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed False LoadBalancerNotFound", "Reconciling True ObservationRequested"))
		}
		observe(ctx, object)
		Expect(object).To(haveConditions("Ready False LoadBalancerNotFound", "Healthy True AllBackendsNormal",
			"Observed False LoadBalancerNotFound", "Stalled True LoadBalancerNotFound"))
		Expect(message(object, "Stalled")).To(And(ContainSubstring(f.lb), ContainSubstring(region)))
		failed := HavePrefix("Warning ObservationFailed: LoadBalancerNotFound: ")
		expectEvents(ctx, object, failed)

		cloud.put(f.lb, https(1)...)
		observe(ctx, object)
		Expect(condition(object, "Stalled")).To(BeEmpty())
		expectEvents(ctx, object, failed, HavePrefix("Normal ObservationRecovered: "))
	})

	It("before the first success has an unknown verdict", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		object := f.observed(ctx, "web", nil)
		Expect(object).To(haveConditions("Ready Unknown Pending", "Healthy Unknown Pending", "Observed False Throttled"))
		Expect(object.Status.Summary).To(BeNil())
		cloud.restore(f.lb)
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
	})

	It("with another reason has another event", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		observe(ctx, object)
		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultReset})
		observe(ctx, object)
		expectEvents(ctx, object, HavePrefix("Warning ObservationFailed: Throttled: "), HavePrefix("Warning ObservationFailed: EndpointUnreachable: "))
	})
})
