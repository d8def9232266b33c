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

// What takes several intervals to see is set up first and looked at later, so
// that the specs of this container wait at the same time.
var _ = Describe("Over time", Ordered, func() {
	const intervals = 5
	var (
		quiet, beating, suspended, deleted, missing, wrong place

		ten                          []*v1alpha1.LoadBalancerHealth
		beat, unsecret, mended, idle *v1alpha1.LoadBalancerHealth
		deletedCalls, tenCalls       int
		mendedAt                     time.Time
	)

	BeforeAll(func(ctx SpecContext) {
		missing, wrong = newPlace(ctx, shared), newPlace(ctx, shared)
		cloud.put(missing.lb, https(1)...)
		cloud.put(wrong.lb, https(1)...)
		cloud.setAccount(missing.account("created-later"))
		cloud.setAccount(wrong.account("mended-later"))
		wrong.writeSecret(ctx, wrong.account("wrong-at-first"))
		unsecret = missing.observed(ctx, "web", withSecret("slb-reader"))
		mended = wrong.observed(ctx, "web", withSecret("slb-reader"))
		missing.writeSecret(ctx, missing.account("created-later"))
		wrong.writeSecret(ctx, wrong.account("mended-later"))
		mendedAt = time.Now()
		Expect(condition(unsecret, "Stalled")).To(Equal("True CredentialsNotFound"))
		Expect(condition(mended, "Stalled")).To(Equal("True InvalidCredentials"))

		deleted = newPlace(ctx, shared)
		cloud.put(deleted.lb, https(1)...)
		Expect(admin.Delete(ctx, deleted.observed(ctx, "web", everyFiveSeconds()))).To(Succeed())
		deletedCalls = cloud.CallCount(deleted.lb)

		suspended = newPlace(ctx, shared)
		cloud.put(suspended.lb, https(1)...)
		idle = suspended.observed(ctx, "web", everyFiveSeconds(func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true }))

		beating = newPlace(ctx, startOperator(settings{shard: "heartbeat", heartbeat: time.Second}))
		cloud.put(beating.lb, https(1)...)
		beat = beating.observed(ctx, "web", everyFiveSeconds())

		quiet = newPlace(ctx, shared)
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

	It("an unchanged status is written as a heartbeat, with nothing new but the observation", func(ctx SpecContext) {
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

	It("nobody asks about a suspended object", func(ctx SpecContext) {
		Expect(cloud.CallCount(suspended.lb)).To(BeZero())
		before := idle.ResourceVersion
		Expect(reload(ctx, idle)).To(Succeed())
		Expect(idle.ResourceVersion).To(Equal(before))
	})

	It("nobody asks about a deleted object", func() {
		Expect(cloud.CallCount(deleted.lb)).To(Equal(deletedCalls))
	})

	DescribeTable("a Secret that was mended is used within half a minute, unasked",
		func(ctx SpecContext, object **v1alpha1.LoadBalancerHealth) {
			Eventually(func() (string, error) {
				err := reload(ctx, *object)
				return condition(*object, "Ready"), err
			}).WithTimeout(45 * time.Second).Should(Equal("True AllBackendsNormal"))
			Expect(time.Since(mendedAt)).To(BeNumerically("<", 45*time.Second))
		},
		Entry("one that was missing", &unsecret),
		Entry("one that was refused", &mended),
	)
})
