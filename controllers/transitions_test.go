// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

// backendOf is a backend of https in the note of an event.
func backendOf(i int) string { return fmt.Sprintf("i-%d 10.0.0.%d:8443 (listener 443/https)", i, i) }

func becameAbnormal(i int) string {
	return "Warning BackendAbnormal: backend " + backendOf(i) + " is abnormal: its health check fails, was normal"
}

// nextSecond waits until the current time differs from t in seconds, as in a status.
func nextSecond(t time.Time) {
	GinkgoHelper()
	Eventually(func() time.Time { return time.Now().Truncate(time.Second) }).Should(BeTemporally(">", t))
}

var _ = Describe("A transition", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, shared) })

	It("of three backends in one observation is three rows and three events", func(ctx SpecContext) {
		cloud.put(f.lb, https(4)...)
		object := f.observed(ctx, "web", nil)
		first := object.Status.Backends[0].LastTransitionTime
		nextSecond(first.Time)
		for i := 1; i <= 3; i++ {
			cloud.setStatus(f.lb, fmt.Sprintf("i-%d", i), "abnormal")
		}
		observe(ctx, object)
		for _, b := range object.Status.Backends[:3] {
			Expect(b.ServerHealthStatus).To(Equal("abnormal"))
			Expect(b.LastTransitionTime.Time).To(BeTemporally(">", first.Time))
		}
		Expect(object.Status.Backends[3].ServerHealthStatus).To(Equal("normal"))
		Expect(object.Status.Backends[3].LastTransitionTime).To(Equal(first))
		Expect(condition(object, "Healthy")).To(Equal("True MinHealthyMet"))
		expectEvents(ctx, object, becameAbnormal(1), becameAbnormal(2), becameAbnormal(3))

		events, err := eventsOf(ctx, object)
		Expect(err).NotTo(HaveOccurred())
		related := map[string]bool{}
		for _, event := range events {
			Expect(event.Regarding.Kind).To(Equal("LoadBalancerHealth"))
			Expect(event.Regarding.APIVersion).To(Equal("slb.lbhealth.dev/v1alpha1"))
			Expect(event.Regarding.Name).To(Equal("web"))
			Expect(event.Regarding.ResourceVersion).To(BeEmpty())
			Expect(event.ReportingController).To(Equal("slb-health-operator"))
			related[event.Related.FieldPath] = true
		}
		Expect(related).To(HaveLen(3))
	})

	It("of each kind has its event", func(ctx SpecContext) {
		backends := https(6)
		backends[0].ServerHealthStatus = "abnormal"
		cloud.put(f.lb, backends[:4]...)
		object := f.observed(ctx, "web", nil)
		backends[0].ServerHealthStatus = "normal"
		backends[1].ServerHealthStatus = "unavailable"
		backends[5].ServerHealthStatus = "abnormal"
		cloud.put(f.lb, backends[0], backends[1], backends[3], backends[4], backends[5])
		observe(ctx, object)
		expectEvents(ctx, object,
			"Normal BackendNormal: backend "+backendOf(1)+" is normal, was abnormal",
			"Warning BackendUnavailable: backend "+backendOf(2)+" has no health-check result, was normal",
			"Normal BackendRemoved: backend "+backendOf(3)+" was removed, was normal",
			"Normal BackendAdded: backend "+backendOf(5)+" was added, and is normal",
			"Normal BackendAdded: backend "+backendOf(6)+" was added, and is abnormal",
			"Warning BackendAbnormal: backend "+backendOf(6)+" is abnormal: its health check fails",
		)
	})

	It("of more than ten backends is one event", func(ctx SpecContext) {
		cloud.put(f.lb, https(30)...)
		object := f.observed(ctx, "web", nil)
		for i := 1; i <= 11; i++ {
			cloud.setStatus(f.lb, fmt.Sprintf("i-%d", i), "abnormal")
		}
		cloud.setStatus(f.lb, "i-30", "unavailable")
		observe(ctx, object)
		expectEvents(ctx, object, HavePrefix("Warning BackendsChanged: 12 backends changed: 11 abnormal, 1 without a health-check result; among them "+backendOf(1)+", "))
	})

	It("of the verdict has its event, after those of the backends", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		needs := " of 1 backend, needs 1 healthy"

		cloud.setStatus(f.lb, "i-1", "abnormal")
		observe(ctx, object)
		Expect(object).To(haveConditions("Ready False BelowMinHealthy", "Healthy False BelowMinHealthy", "Observed True ObservationSucceeded"))
		unhealthy := []any{becameAbnormal(1), "Warning LoadBalancerUnhealthy: BelowMinHealthy: listener 443/https has 0 normal" + needs}
		expectEvents(ctx, object, unhealthy...)

		cloud.setStatus(f.lb, "i-1", "unavailable")
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("Unknown HealthCheckUnavailable"))
		unknown := append(unhealthy,
			"Warning BackendUnavailable: backend "+backendOf(1)+" has no health-check result, was abnormal",
			"Warning LoadBalancerHealthUnknown: HealthCheckUnavailable: listener 443/https has 0 normal and 1 without a health-check result"+needs)
		expectEvents(ctx, object, unknown...)

		cloud.setStatus(f.lb, "i-1", "normal")
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
		expectEvents(ctx, object, append(unknown,
			"Normal BackendNormal: backend "+backendOf(1)+" is normal, was unavailable",
			"Normal LoadBalancerHealthy: AllBackendsNormal: 1 of 1 backend is normal")...)
	})

	It("is none in a first observation, unless the load balancer is unhealthy", func(ctx SpecContext) {
		backends := https(3)
		backends[0].ServerHealthStatus = "abnormal"
		cloud.put(f.lb, backends...)
		healthy := f.observed(ctx, "healthy", nil)
		unhealthy := f.observed(ctx, "unhealthy", func(o *v1alpha1.LoadBalancerHealth) {
			o.Spec.HealthPolicy = &v1alpha1.HealthPolicy{Unavailable: v1alpha1.Unhealthy, MinHealthy: all()}
		})
		expectEvents(ctx, unhealthy, HavePrefix("Warning LoadBalancerUnhealthy: BelowMinHealthy: "))
		expectEvents(ctx, healthy)
	})

	It("has exactly one event while another client writes the object", func(ctx SpecContext) {
		const flips = 6
		cloud.put(f.lb, https(flips+1)...)
		object := f.observed(ctx, "web", nil)

		writing, stop := context.WithCancel(ctx)
		written := make(chan struct{})
		other := object.DeepCopy()
		go func() {
			defer close(written)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 0; writing.Err() == nil; i++ {
				<-tick.C
				patch := fmt.Appendf(nil, `{"metadata":{"labels":{"written":"%d"}}}`, i)
				_ = admin.Patch(writing, other, client.RawPatch(types.MergePatchType, patch))
			}
		}()
		var wanted []any
		for i := 1; i <= flips; i++ {
			cloud.setStatus(f.lb, fmt.Sprintf("i-%d", i), "abnormal")
			observe(ctx, object)
			wanted = append(wanted, becameAbnormal(i))
		}
		Eventually(func(g Gomega) {
			observe(ctx, object)
			g.Expect(traffic.conflictsIn(f.namespace)).To(BeNumerically(">", 0))
		}).Should(Succeed())
		stop()
		Eventually(written).Should(BeClosed())

		expectEvents(ctx, object, wanted...)
		Expect(shared.value("slb_health_backend_transitions_total", labelled(object, "to", "abnormal"))).To(BeEquivalentTo(flips))
	})
})

var _ = Describe("An operator that restarts", func() {
	It("repeats no event, and records the transitions during its absence", func(ctx SpecContext) {
		first := startOperator(settings{shard: "restart"})
		f := newFixture(ctx, first)
		cloud.put(f.lb, https(3)...)
		object := f.observed(ctx, "web", nil)
		cloud.setStatus(f.lb, "i-1", "abnormal")
		observe(ctx, object)
		expectEvents(ctx, object, becameAbnormal(1))
		first.stop()

		second := startOperator(settings{shard: "restart"})
		observe(ctx, object)
		expectEvents(ctx, object, becameAbnormal(1))
		Expect(second.value("slb_health_backend_transitions_total", labelled(object, "to", "abnormal"))).To(BeZero())
		second.stop()

		cloud.setStatus(f.lb, "i-2", "abnormal")
		startOperator(settings{shard: "restart"})
		observe(ctx, object)
		expectEvents(ctx, object, becameAbnormal(1), becameAbnormal(2))
	})
})

var _ = Describe("A suspended object", func() {
	It("is not observed, keeps its rows, and has no event when it is suspended or resumed", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		cloud.put(f.lb, https(2)...)
		object := f.observed(ctx, "web", nil)
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true })
		Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
		Expect(object).To(haveConditions("Ready Unknown Suspended", "Healthy Unknown Suspended", "Observed Unknown Suspended"))
		Expect(rows(object)).To(HaveLen(2))
		value := request(ctx, object)
		Consistently(cloud.CallCount).WithArguments(f.lb).Should(Equal(1))

		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = false })
		Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
		Expect(object).To(haveConditions("Ready True AllBackendsNormal", "Healthy True AllBackendsNormal", "Observed True ObservationSucceeded"))
		Expect(object.Status.LastHandledObserveRequest).To(Equal(value))
		Expect(cloud.CallCount(f.lb)).To(Equal(2))
		expectEvents(ctx, object)
	})

	It("does not prevent the observation of others on its load balancer", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		cloud.put(f.lb, https(1)...)
		suspended := f.observed(ctx, "suspended", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true })
		Expect(cloud.CallCount(f.lb)).To(BeZero())
		object := f.observed(ctx, "web", nil)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
		Expect(reload(ctx, suspended)).To(Succeed())
		Expect(condition(suspended, "Ready")).To(Equal("Unknown Suspended"))
		Expect(rows(suspended)).To(BeEmpty())
	})
})

var _ = Describe("Backends that the status omits", func() {
	It("have an event when they become abnormal", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		cloud.put(f.lb, https(502)...)
		object := f.observed(ctx, "web", nil)
		Expect(object.Status.OmittedBackends).To(BeEquivalentTo(2))
		listed := map[string]bool{}
		for _, b := range object.Status.Backends {
			listed[b.ServerID] = true
		}
		var omitted simulator.Backend
		for _, b := range https(502) {
			if !listed[b.ServerID] {
				omitted = b
			}
		}
		cloud.setStatus(f.lb, omitted.ServerID, "abnormal")
		observe(ctx, object)
		Expect(rows(object)).To(ContainElement("443/https " + omitted.ServerID + " abnormal"))
		expectEvents(ctx, object, HavePrefix("Warning BackendAbnormal: backend "+omitted.ServerID+" "))
	})
})
