// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"maps"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	createdByDefault    = "Normal MonitorCreated: LoadBalancerHealth web was created: the Service has a load balancer (--monitor=all)"
	deletedByAnnotation = "Normal MonitorDeleted: LoadBalancerHealth web was deleted: the annotation slb.lbhealth.dev/monitor is false"
	deletedByType       = "Normal MonitorDeleted: LoadBalancerHealth web was deleted: the Service is not of type LoadBalancer"
)

func editService(ctx context.Context, service *corev1.Service, edit func(*corev1.Service)) {
	GinkgoHelper()
	before := service.DeepCopy()
	edit(service)
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
}

// deleted waits until an object does not exist.
func deleted(ctx context.Context, object *v1alpha1.LoadBalancerHealth) {
	GinkgoHelper()
	Eventually(func() bool { return apierrors.IsNotFound(reload(ctx, object)) }).Should(BeTrue())
}

// serviceStates waits until the metric counts these Services of the fixture's namespace.
func (f fixture) serviceStates(want map[string]float64) {
	GinkgoHelper()
	series := map[string]float64{}
	for state, count := range want {
		series["slb_health_services{state="+state+"}"] = count
	}
	Eventually(func() map[string]float64 { return f.operator.servicesIn(f.namespace) }).Should(Equal(series))
}

func (o *operator) servicesIn(namespace string) map[string]float64 {
	found := o.series(map[string]string{"namespace": namespace})
	maps.DeleteFunc(found, func(series string, _ float64) bool { return !strings.HasPrefix(series, "slb_health_services{") })
	return found
}

var _ = Describe("With --monitor=all, a Service", func() {
	all := settings{shard: "monitor-all", serviceDiscovery: true, monitorAll: true, regionID: region}

	It("has an object while it has a load balancer", func(ctx SpecContext) {
		f := newFixture(ctx, startOperator(all))
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", "")
		f.serviceStates(map[string]float64{"pending": 1})
		object := f.objectOf("web")
		Expect(apierrors.IsNotFound(reload(ctx, object))).To(BeTrue())
		setLoadBalancer(ctx, service, f.lb)
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(metav1.IsControlledBy(object, service)).To(BeTrue())
		Eventually(serviceEvents).WithContext(ctx).WithArguments(service).Should(ConsistOf(createdByDefault))
		f.serviceStates(map[string]float64{"monitored": 1})

		By("losing the load balancer, which its object reports")
		editService(ctx, service, func(s *corev1.Service) { delete(s.Labels, v1alpha1.ServiceLoadBalancerLabel) })
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		setLoadBalancer(ctx, service, f.lb)
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("True ObservationSucceeded"))

		By("opting out, and in again")
		setMonitor(ctx, service, "false")
		deleted(ctx, object)
		f.serviceStates(map[string]float64{"opted_out": 1})
		editService(ctx, service, func(s *corev1.Service) { s.Annotations = nil })
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())

		By("changing its type")
		editService(ctx, service, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		deleted(ctx, object)
		f.serviceStates(map[string]float64{})
		Eventually(serviceEvents).WithContext(ctx).WithArguments(service).Should(ConsistOf(
			createdByDefault+" (2 times)", deletedByAnnotation, deletedByType))
	})

	It("without a load balancer that can be observed has no object", func(ctx SpecContext) {
		f := newFixture(ctx, startOperator(all))
		gateway := f.createService(ctx, "gateway", "gwlb-1")
		plain := f.createService(ctx, "plain", "")
		editService(ctx, plain, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		cloud.put(f.lb, https(1)...)
		f.createService(ctx, "web", f.lb)
		f.serviceStates(map[string]float64{"monitored": 1, "unsupported": 1})
		var objects v1alpha1.LoadBalancerHealthList
		Expect(admin.List(ctx, &objects, client.InNamespace(f.namespace))).To(Succeed())
		Expect(objects.Items).To(HaveExactElements(HaveField("Name", "web")))
		Expect(serviceEvents(ctx, gateway)).To(BeEmpty())

		By("being annotated, which requests an object that says why it cannot be observed")
		setMonitor(ctx, gateway, "true")
		Eventually(conditionOf(ctx, f.objectOf("gateway"), "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(admin.Delete(ctx, gateway)).To(Succeed())
		f.serviceStates(map[string]float64{"monitored": 1})
	})

	It("keeps the object that a user created", func(ctx SpecContext) {
		f := newFixture(ctx, startOperator(all))
		cloud.put(f.lb, https(1)...)
		byRef, byID := f.create(ctx, "by-ref", withServiceRef("by-ref")), f.create(ctx, "by-id", nil)
		other := f.create(ctx, "other", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID += "-2" })
		for _, name := range []string{"by-ref", "by-id"} {
			Expect(serviceEvents(ctx, f.createService(ctx, name, f.lb))).To(BeEmpty())
		}
		refused := f.createService(ctx, "other", f.lb)
		f.serviceStates(map[string]float64{"monitored": 2, "refused": 1})
		Eventually(serviceEvents).WithContext(ctx).WithArguments(refused).Should(ConsistOf(HavePrefix("Warning MonitorRefused: LoadBalancerHealth other exists")))
		for _, object := range []*v1alpha1.LoadBalancerHealth{byRef, byID, other} {
			Expect(reload(ctx, object)).To(Succeed())
			Expect(object.OwnerReferences).To(BeEmpty())
		}
		Expect(admin.Delete(ctx, byRef)).To(Succeed())
		Eventually(func() (bool, error) {
			err := reload(ctx, byRef)
			return metav1.GetControllerOf(byRef) != nil, client.IgnoreNotFound(err)
		}).Should(BeTrue(), "the operator creates its own")
	})

	It("has no second event after a restart, and no object after --monitor=annotated", func(ctx SpecContext) {
		first := startOperator(all)
		f := newFixture(ctx, first)
		cloud.put(f.lb, https(1)...)
		web, kept, edited := f.createService(ctx, "web", f.lb), f.createService(ctx, "kept", f.lb), f.createService(ctx, "edited", f.lb)
		own := f.create(ctx, "own", withServiceRef("own"))
		f.createService(ctx, "own", f.lb)
		f.serviceStates(map[string]float64{"monitored": 4})
		for _, service := range []*corev1.Service{web, kept, edited} {
			Eventually(serviceEvents).WithContext(ctx).WithArguments(service).Should(ConsistOf(HavePrefix("Normal MonitorCreated")))
		}
		first.stop()

		creations := traffic.creationsIn(f.namespace)
		f.operator = startOperator(all)
		f.serviceStates(map[string]float64{"monitored": 4})
		Expect(traffic.creationsIn(f.namespace)).To(Equal(creations))
		Expect(serviceEvents(ctx, web)).To(ConsistOf(createdByDefault))

		setMonitor(ctx, kept, "true")
		object := f.objectOf("edited")
		Expect(reload(ctx, object)).To(Succeed())
		before := object.DeepCopy()
		object.Spec.Suspend = true
		Expect(admin.Patch(ctx, object, client.MergeFrom(before), client.FieldOwner("kubectl-edit"))).To(Succeed())
		f.operator.stop()

		annotated := all
		annotated.monitorAll = false
		f.operator = startOperator(annotated)
		deleted(ctx, f.objectOf("web"))
		Eventually(serviceEvents).WithContext(ctx).WithArguments(web).Should(ConsistOf(createdByDefault,
			"Normal MonitorDeleted: LoadBalancerHealth web was deleted: the Service has no annotation slb.lbhealth.dev/monitor"))
		f.serviceStates(map[string]float64{"monitored": 1})
		Expect(reload(ctx, f.objectOf("kept"))).To(Succeed())
		Expect(reload(ctx, object)).To(Succeed())
		Expect(object.DeletionTimestamp).To(BeNil())
		Expect(reload(ctx, own)).To(Succeed())
		Expect(serviceEvents(ctx, edited)).To(HaveLen(1))
	})
})
