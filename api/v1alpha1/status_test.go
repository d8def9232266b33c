// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxStatusBackends is the maximum of --max-status-backends.
const maxStatusBackends = 5000

func newObject(ctx SpecContext) *v1alpha1.LoadBalancerHealth {
	GinkgoHelper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(ctx), Name: "web"},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: webID, RegionID: "cn-hangzhou", ListenerPort: new(int32(443))},
	}
	Expect(typed.Create(ctx, object)).To(Succeed())
	return object
}

var _ = Describe("The status", func() {
	It("is written through its subresource only, and does not count as a generation", func(ctx SpecContext) {
		object := newObject(ctx)
		object.Status.LastRequestID = "spoofed"
		Expect(typed.Update(ctx, object)).To(Succeed())
		Expect(object.Status.LastRequestID).To(BeEmpty())

		object.Status.LastRequestID = "observed"
		object.Spec.Suspend = true
		Expect(typed.Status().Update(ctx, object)).To(Succeed())
		found := read(ctx, object.Namespace, object.Name)
		Expect(found.Status.LastRequestID).To(Equal("observed"))
		Expect(found.Spec.Suspend).To(BeFalse())
		Expect(found.Generation).To(BeEquivalentTo(1))
	})

	// One object that a Go client cannot decode makes its list of all objects fail,
	// and the operator can never update an object that it cannot encode again.
	DescribeTable("refuses a time that Go cannot decode or encode", func(ctx SpecContext, at string, accepted bool) {
		object := newObject(ctx)
		for _, status := range []map[string]any{
			{"lastObservedTime": at},
			{"backends": []map[string]string{{"serverId": "i-1", "serverHealthStatus": "normal", "lastTransitionTime": at}}},
			{"conditions": []map[string]string{{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": at}}},
		} {
			patch := client.RawPatch(types.MergePatchType, encode(map[string]any{"status": status}))
			err := typed.Status().Patch(ctx, object, patch)
			if accepted {
				Expect(err).NotTo(HaveOccurred())
				continue
			}
			Expect(err).To(MatchError(apierrors.IsInvalid, "IsInvalid"), "%v", status)
			Expect(err).To(MatchError(ContainSubstring("Time must be a time such as 2026-01-02T03:04:05Z")))
		}
		found := read(ctx, object.Namespace, object.Name)
		Expect(typed.Status().Update(ctx, found)).To(Succeed())
	},
		Entry("in UTC", "2026-01-02T03:04:05Z", true),
		Entry("with an offset", "2026-01-02T03:04:05+08:00", true),
		Entry("with a fraction", "2026-01-02T03:04:05.678Z", true),
		Entry("of a clock that was never set", "1970-01-01T00:00:00Z", true),
		Entry("in lower case", "2026-01-02t03:04:05z", false),
		Entry("with an invalid offset", "2026-01-02T03:04:05+99:99", false),
		Entry("with an invalid fraction", "2026-01-02T03:04:05x5Z", false),
		Entry("that is zero in Go", "0001-01-01T00:00:00Z", false),
		Entry("of the year 10000 in UTC", "9999-12-31T23:59:59-23:59", false),
	)

	It("fits into the API server and etcd with as many rows as --max-status-backends allows", func(ctx SpecContext) {
		object := newObject(ctx)
		for i := range maxStatusBackends {
			object.Status.Backends = append(object.Status.Backends, v1alpha1.BackendStatus{
				ServerID: fmt.Sprintf("eni-bp1do02x7n4nua4k%04d", i), ServerIP: "192.168.123.123", EniHost: "192.168.123.123", Type: "eni",
				ListenerPort: 30443, ListenerProtocol: "https", Port: 30443,
				ServerHealthStatus: v1alpha1.StatusUnavailable, LastTransitionTime: metav1.Now(),
			})
		}
		Expect(typed.Status().Update(ctx, object)).To(Succeed())
		// A patch of one row has all rows: the list is atomic.
		before := object.DeepCopy()
		object.Status.Backends[0].ServerHealthStatus = v1alpha1.StatusNormal
		Expect(typed.Status().Patch(ctx, object, client.MergeFrom(before))).To(Succeed())

		found := read(ctx, object.Namespace, object.Name)
		Expect(found.Status.Backends).To(HaveLen(maxStatusBackends))
		Expect(found.Status.Backends[0].ServerHealthStatus).To(Equal(v1alpha1.StatusNormal))
	})
})

var _ = Describe("kubectl", func() {
	It("shows the columns of the contract in their order", func(ctx SpecContext) {
		object := newObject(ctx)
		observed := metav1.NewTime(time.Now().Add(-2 * time.Minute))
		object.Status = v1alpha1.LoadBalancerHealthStatus{
			ObservedGeneration: 1,
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "ReasonOfReady", Message: "message-of-ready", LastTransitionTime: observed},
				{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionFalse, Reason: "ReasonOfHealthy", Message: "message-of-healthy", LastTransitionTime: observed},
				{Type: v1alpha1.ConditionObserved, Status: metav1.ConditionTrue, Reason: "ReasonOfObserved", Message: "message-of-observed", LastTransitionTime: observed},
			},
			Summary:          &v1alpha1.Summary{Listeners: 2, Counts: v1alpha1.Counts{Backends: 96, Normal: 41, Abnormal: 32, Unavailable: 23}, DisruptionsAllowed: new(int32(7))},
			LastObservedTime: &observed,
			ObservedTarget:   &v1alpha1.ObservedTarget{LoadBalancerID: "lb-observed", RegionID: "cn-shanghai"},
		}
		Expect(typed.Status().Update(ctx, object)).To(Succeed())

		table := func(args ...string) (header, row []string) {
			GinkgoHelper()
			output, err := kubectl(ctx, append([]string{"-n", object.Namespace, "get"}, args...)...)
			Expect(err).NotTo(HaveOccurred(), output)
			lines := strings.Split(output, "\n")
			Expect(lines).To(HaveLen(2), output)
			return strings.Fields(lines[0]), strings.Fields(lines[1])
		}
		header, row := table("lbh")
		Expect(header).To(Equal(strings.Fields("NAME READY STATUS SINCE NORMAL BACKENDS LOADBALANCER REGION AGE")))
		Expect(row[:3]).To(Equal([]string{"web", "False", "ReasonOfReady"}))
		Expect(row[3]).To(MatchRegexp(`^\d+(m\d+)?[ms]$`))
		Expect(row[4:8]).To(Equal([]string{"41", "96", "lb-observed", "cn-shanghai"}))

		header, row = table("lbh", "-o", "wide")
		Expect(header).To(Equal(strings.Fields("NAME READY STATUS SINCE NORMAL BACKENDS LOADBALANCER REGION AGE PORT ABNORMAL UNAVAILABLE DISRUPTIONSALLOWED OBSERVED MESSAGE")))
		Expect(row[9:13]).To(Equal([]string{"443", "32", "23", "7"}))
		Expect(row[13]).To(MatchRegexp(`^\d+(m\d+)?[ms]$`))
		Expect(row[14]).To(Equal("message-of-ready"))

		header, _ = table("slb")
		Expect(header).To(HaveLen(9))
	})

	It("selects objects by their target", func(ctx SpecContext) {
		object := newObject(ctx)
		found := func(selector string) string {
			GinkgoHelper()
			output, err := kubectl(ctx, "-n", object.Namespace, "get", "lbh", "-o", "name", "--field-selector", selector)
			Expect(err).NotTo(HaveOccurred(), output)
			return output
		}
		Expect(found("spec.loadBalancerId=" + webID)).To(HaveSuffix("/web"))
		Expect(found("spec.regionId=cn-hangzhou")).To(HaveSuffix("/web"))
		Expect(found("spec.regionId=cn-shanghai")).To(BeEmpty())
		Expect(found("spec.serviceRef.name=web")).To(BeEmpty())
	})

	It("explains the fields", func(ctx SpecContext) {
		explain := func(field string) func() (string, error) {
			return func() (string, error) { return kubectl(ctx, "explain", field) }
		}
		Eventually(explain("lbh.spec.healthPolicy")).Should(And(
			ContainSubstring("healthPolicy says what counts as healthy"),
			MatchRegexp(`minHealthy\t<`), ContainSubstring("unavailable\t<string>"), ContainSubstring("enum: Healthy, Unhealthy, Unknown"),
			ContainSubstring("a count"), ContainSubstring(`"50%", rounded up`)))
		Expect(explain("lbh.spec")()).To(And(ContainSubstring("from 5s to 1h"), MatchRegexp(`loadBalancerId\t<string>`), MatchRegexp(`serviceRef\t<Object>`)))
		Expect(explain("lbh.status.backends.serverHealthStatus")()).To(ContainSubstring("normal, abnormal or unavailable"))
	})
})
