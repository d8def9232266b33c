// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

func everyFiveSeconds(edits ...func(*v1alpha1.LoadBalancerHealth)) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Interval = metav1.Duration{Duration: 5 * time.Second}
		for _, edit := range edits {
			edit(o)
		}
	}
}

// These specs last several intervals. All of them are set up first, so that they
// wait at the same time.
var _ = Describe("Over time", Ordered, func() {
	const intervals = 5
	var (
		quiet, beating, suspended, deleted, missing, wrong fixture

		ten                                    []*v1alpha1.LoadBalancerHealth
		beat, createdSecret, fixedSecret, idle *v1alpha1.LoadBalancerHealth
		deletedCalls, tenCalls                 int
		fixedAt                                time.Time
	)

	BeforeAll(func(ctx SpecContext) {
		missing, wrong = newFixture(ctx, shared), newFixture(ctx, shared)
		cloud.put(missing.lb, https(1)...)
		cloud.put(wrong.lb, https(1)...)
		cloud.setAccount(missing.account("created-later"))
		cloud.setAccount(wrong.account("fixed-later"))
		wrong.writeSecret(ctx, wrong.account("wrong-at-first"))
		createdSecret = missing.observed(ctx, "web", withSecret("slb-reader"))
		fixedSecret = wrong.observed(ctx, "web", withSecret("slb-reader"))
		missing.writeSecret(ctx, missing.account("created-later"))
		wrong.writeSecret(ctx, wrong.account("fixed-later"))
		fixedAt = time.Now()
		Expect(condition(createdSecret, "Stalled")).To(Equal("True CredentialsNotFound"))
		Expect(condition(fixedSecret, "Stalled")).To(Equal("True InvalidCredentials"))

		deleted = newFixture(ctx, shared)
		cloud.put(deleted.lb, https(1)...)
		Expect(admin.Delete(ctx, deleted.observed(ctx, "web", everyFiveSeconds()))).To(Succeed())
		deletedCalls = cloud.CallCount(deleted.lb)

		suspended = newFixture(ctx, shared)
		cloud.put(suspended.lb, https(1)...)
		idle = suspended.observed(ctx, "web", everyFiveSeconds(func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true }))

		beating = newFixture(ctx, startOperator(settings{shard: "heartbeat", heartbeat: time.Second}))
		cloud.put(beating.lb, https(1)...)
		beat = beating.observed(ctx, "web", everyFiveSeconds())

		quiet = newFixture(ctx, shared)
		var backends []simulator.Backend
		for port := range 10 {
			backends = append(backends, simulator.Backend{ServerID: "i-1", ListenerPort: 8000 + port, ListenerProtocol: "tcp", Port: 80})
		}
		cloud.put(quiet.lb, backends...)
		for i := range int32(10) {
			listener := onListener(8000+i, "")
			if i == 9 {
				listener = func(*v1alpha1.LoadBalancerHealth) {}
			}
			ten = append(ten, quiet.observed(ctx, fmt.Sprintf("web-%d", i), everyFiveSeconds(listener)))
		}
		tenCalls = cloud.CallCount(quiet.lb)
	})

	It("the heartbeat writes an unchanged status with the time and request id of its observation", func(ctx SpecContext) {
		before := beat.DeepCopy()
		Eventually(func() (string, error) {
			err := reload(ctx, beat)
			return beat.ResourceVersion, err
		}).Should(Not(Equal(before.ResourceVersion)))
		Expect(beat.Status.LastObservedTime.Time).To(BeTemporally(">", before.Status.LastObservedTime.Time))
		Expect(beat.Status.LastRequestID).NotTo(Equal(before.Status.LastRequestID))
		beat.Status.LastObservedTime, beat.Status.LastRequestID = before.Status.LastObservedTime, before.Status.LastRequestID
		Expect(beat.Status).To(Equal(before.Status))
	})

	It("ten objects on one load balancer cost one call in each interval, and are not written while nothing changes", func(ctx SpecContext) {
		Eventually(cloud.CallCount).WithArguments(quiet.lb).WithTimeout(2 * intervals * 5 * time.Second).
			Should(BeNumerically(">", tenCalls+intervals))
		calls := cloud.callsFor(quiet.lb)[tenCalls:]
		for i, call := range calls {
			Expect(call.Outcome).To(Equal("OK"))
			Expect(call.ListenerPort).To(BeZero())
			if i > 0 {
				Expect(call.Time.Sub(calls[i-1].Time)).To(BeNumerically(">", time.Second))
			}
		}
		Expect(calls[len(calls)-1].Time.Sub(calls[0].Time)).To(BeNumerically(">", (intervals-1)*5*time.Second))
		for _, object := range ten {
			before := object.DeepCopy()
			Expect(reload(ctx, object)).To(Succeed())
			Expect(object).To(Equal(before))
			Expect(rows(object)).To(HaveLen(map[bool]int{true: 1, false: 10}[object.Spec.ListenerPort != nil]))
		}
	})

	It("a suspended object is not observed", func(ctx SpecContext) {
		Expect(cloud.CallCount(suspended.lb)).To(BeZero())
		before := idle.ResourceVersion
		Expect(reload(ctx, idle)).To(Succeed())
		Expect(idle.ResourceVersion).To(Equal(before))
	})

	It("a deleted object is not observed", func() {
		Expect(cloud.CallCount(deleted.lb)).To(Equal(deletedCalls))
	})

	DescribeTable("a fixed Secret is used within half a minute without a request",
		func(ctx SpecContext, object **v1alpha1.LoadBalancerHealth) {
			Eventually(func() (string, error) {
				err := reload(ctx, *object)
				return condition(*object, "Ready"), err
			}).WithTimeout(45 * time.Second).Should(Equal("True AllBackendsNormal"))
			Expect(time.Since(fixedAt)).To(BeNumerically("<", 45*time.Second))
		},
		Entry("a missing Secret", &createdSecret),
		Entry("a refused Secret", &fixedSecret),
	)
})
