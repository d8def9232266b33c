// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"maps"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

func all() *intstr.IntOrString { return new(intstr.FromString("100%")) }

// labelled are the labels of an object's series, and others as pairs of name and value.
func labelled(object *v1alpha1.LoadBalancerHealth, others ...string) map[string]string {
	labels := map[string]string{"namespace": object.Namespace, "name": object.Name}
	for i := 0; i < len(others); i += 2 {
		labels[others[i]] = others[i+1]
	}
	return labels
}

// series returns the series with these labels, by name and the other labels.
func (o *operator) series(labels map[string]string) map[string]float64 {
	GinkgoHelper()
	families, err := o.registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			matching := map[string]string{}
			var text []string
			for _, label := range metric.GetLabel() {
				matching[label.GetName()] = label.GetValue()
				if _, given := labels[label.GetName()]; !given {
					text = append(text, label.GetName()+"="+label.GetValue())
				}
			}
			maps.DeleteFunc(matching, func(name, value string) bool { return labels[name] != value || value == "" })
			if len(matching) == len(labels) {
				found[family.GetName()+"{"+strings.Join(text, ",")+"}"] =
					metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return found
}

// value is the value of the one series with this name and these labels.
func (o *operator) value(name string, labels map[string]string) float64 {
	GinkgoHelper()
	var values []float64
	for series, value := range o.series(labels) {
		if strings.HasPrefix(series, name+"{") {
			values = append(values, value)
		}
	}
	Expect(values).To(HaveLen(1), "%s%v", name, labels)
	return values[0]
}

func backendsOf(lb string, port int, protocol, status string) string {
	return fmt.Sprintf("slb_health_backends{listener_port=%d,listener_protocol=%s,load_balancer_id=%s,region=%s,server_group_id=,status=%s}", port, protocol, lb, region, status)
}

var _ = Describe("The metrics", func() {
	It("agree with the statuses, and have no series of a deleted object", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		backends := append(https(3), simulator.Backend{ServerID: "i-9", ListenerPort: 80, ListenerProtocol: "http", Port: 80, ServerHealthStatus: "unavailable"})
		backends[0].ServerHealthStatus = "abnormal"
		cloud.put(f.lb, backends...)
		object := f.observed(ctx, "web", nil)
		cloud.setStatus(f.lb, "i-2", "abnormal")
		observe(ctx, object)

		Eventually(func() map[string]float64 { return shared.series(labelled(object)) }).Should(And(
			HaveKeyWithValue(backendsOf(f.lb, 443, "https", "normal"), 1.0),
			HaveKeyWithValue(backendsOf(f.lb, 443, "https", "abnormal"), 2.0),
			HaveKeyWithValue(backendsOf(f.lb, 443, "https", "unavailable"), 0.0),
			HaveKeyWithValue(backendsOf(f.lb, 80, "http", "unavailable"), 1.0),
			HaveKeyWithValue("slb_health_condition{condition=Observed,status=True}", 1.0),
			HaveKeyWithValue("slb_health_condition{condition=Observed,status=False}", 0.0),
			HaveKeyWithValue("slb_health_condition{condition=Ready,status=Unknown}", 1.0),
			HaveKeyWithValue("slb_health_backend_transitions_total{to=abnormal}", 1.0),
			HaveKeyWithValue("slb_health_last_observation_timestamp_seconds{}", BeNumerically(">=", object.Status.LastObservedTime.Unix())),
		))
		Expect(shared.value("slb_api_requests_total", map[string]string{"action": "DescribeHealthStatus", "region": region, "product": "clb", "code": "OK"})).To(BeNumerically(">=", 2))
		Expect(shared.value("slb_api_rate_limit", map[string]string{"region": region, "account": "default", "product": "clb"})).To(And(BeNumerically(">", 0), BeNumerically("<=", 1000))) // other specs throttle

		Expect(admin.Delete(ctx, object)).To(Succeed())
		Eventually(func() map[string]float64 { return shared.series(labelled(object)) }).Should(BeEmpty())
	})

	It("have the load balancer of the backends, and no other", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		other := "lb-other-" + f.namespace
		cloud.put(f.lb, https(2)...)
		cloud.put(other, https(1)...)
		cloud.fail(other, simulator.Fault{Kind: simulator.FaultDelay, Delay: simulator.Duration(1500 * time.Millisecond)})
		object := f.observed(ctx, "web", nil)
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = other })
		Eventually(cloud.CallCount).WithArguments(other).Should(Equal(1))
		Expect(shared.series(labelled(object, "load_balancer_id", other))).To(BeEmpty())

		Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
		Eventually(func() map[string]float64 { return shared.series(labelled(object, "load_balancer_id", f.lb)) }).Should(BeEmpty())
	})

	It("can be gathered when another client writes a status that repeats a listener", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		cloud.put(f.lb, https(2)...)
		object := f.observed(ctx, "web", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = time.Hour })
		Eventually(func() error {
			if err := reload(ctx, object); err != nil {
				return err
			}
			object.Status.Listeners = append(object.Status.Listeners, object.Status.Listeners...)
			return admin.Status().Update(ctx, object)
		}).Should(Succeed())
		// series requires that the whole registry can be gathered.
		Eventually(func() map[string]float64 { return shared.series(labelled(object)) }).Should(And(
			HaveKeyWithValue("slb_health_dropped_series{}", 4.0),
			HaveKeyWithValue(backendsOf(f.lb, 443, "https", "normal"), 2.0),
		))
	})

	It("follow the naming conventions", func() {
		problems, err := testutil.GatherAndLint(shared.registry)
		Expect(err).NotTo(HaveOccurred())
		Expect(problems).To(BeEmpty())
	})
})
