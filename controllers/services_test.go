// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// createService creates a Service in the operator's shard; loadBalancer "": none yet.
func (f fixture) createService(ctx context.Context, name, loadBalancer string) *corev1.Service {
	GinkgoHelper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: map[string]string{shardLabel: f.operator.shard}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	if loadBalancer != "" {
		service.Labels[v1alpha1.ServiceLoadBalancerLabel] = loadBalancer
	}
	Expect(admin.Create(ctx, service)).To(Succeed())
	return service
}

func setLoadBalancer(ctx context.Context, service *corev1.Service, loadBalancer string) {
	GinkgoHelper()
	before := service.DeepCopy()
	service.Labels[v1alpha1.ServiceLoadBalancerLabel] = loadBalancer
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
}

// setMonitor sets the annotation that requests an object.
func setMonitor(ctx context.Context, service *corev1.Service, monitor string) {
	GinkgoHelper()
	before := service.DeepCopy()
	metav1.SetMetaDataAnnotation(&service.ObjectMeta, v1alpha1.MonitorAnnotation, monitor)
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
}

func withServiceRef(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID = "", ""
		o.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: name}
	}
}

// conditionOf reads an object again and returns one of its conditions.
func conditionOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth, conditionType string) func() (string, error) {
	return func() (string, error) {
		err := reload(ctx, object)
		return condition(object, conditionType), err
	}
}

var _ = Describe("A Service", Ordered, func() {
	var withDiscovery *operator
	BeforeAll(func(ctx SpecContext) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{ProviderID: region + ".i-1"}}
		Expect(admin.Create(ctx, node)).To(Succeed())
		withDiscovery = startOperator(settings{shard: "discovery", serviceDiscovery: true})
	})
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, withDiscovery) })

	It("has its load balancer observed as soon as it has one, and again when that changes", func(ctx SpecContext) {
		cloud.put(f.lb, https(2)...)
		cloud.put(f.lb+"-2", https(3)...)
		object := f.create(ctx, "health", withServiceRef("web"))
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		Expect(message(object, "Ready")).To(ContainSubstring("Service " + f.namespace + "/web does not exist"))
		Expect(condition(object, "Ready")).To(Equal("Unknown Pending"))
		Expect(condition(object, "Stalled")).To(BeEmpty())

		service := f.createService(ctx, "web", "")
		Eventually(func() (string, error) { err := reload(ctx, object); return message(object, "Ready"), err }).
			Should(ContainSubstring("has no load balancer yet"))
		setLoadBalancer(ctx, service, f.lb)
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(rows(object)).To(HaveLen(2))
		Expect(object.Status.ServiceLoadBalancer.LoadBalancerID).To(Equal(f.lb))
		Expect(object.Status.ServiceLoadBalancer.RegionID).To(Equal(region))

		setLoadBalancer(ctx, service, f.lb+"-2")
		Eventually(func() ([]string, error) { err := reload(ctx, object); return rows(object), err }).Should(HaveLen(3))
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
		Eventually(recordedEvents).WithContext(ctx).WithArguments(object).Should(ContainElement(
			"Normal LoadBalancerChanged: Service web has the load balancer " + f.lb + "-2, had " + f.lb))
		recorded, err := recordedEvents(ctx, object)
		Expect(err).NotTo(HaveOccurred())
		Expect(recorded).NotTo(ContainElement(ContainSubstring("Backend")), "the backends of two load balancers are not compared")

		Expect(admin.Delete(ctx, service)).To(Succeed())
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		Expect(rows(object)).To(HaveLen(3), "the last rows are kept")
		Expect(condition(object, "Healthy")).To(Equal("True AllBackendsNormal"), "until it is stale")
		calls := len(cloud.callsFor(f.lb + "-2"))
		observe(ctx, object) // handled without a call, as there is no load balancer
		Expect(cloud.callsFor(f.lb + "-2")).To(HaveLen(calls))
	})

	It("shares the calls of the objects that reference its load balancer", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		f.createService(ctx, "web", f.lb)
		one, other := f.create(ctx, "one", withServiceRef("web")), f.create(ctx, "other", withServiceRef("web"))
		Eventually(conditionOf(ctx, one, "Ready")).Should(Equal("True AllBackendsNormal"))
		Eventually(conditionOf(ctx, other, "Ready")).Should(Equal("True AllBackendsNormal"))
		byID := f.observed(ctx, "by-id", nil)
		Expect(condition(byID, "Ready")).To(Equal("True AllBackendsNormal"))
		Expect(len(cloud.callsFor(f.lb))).To(BeNumerically("<=", 2))
	})

	It("with a Gateway Load Balancer stalls its objects with that message", func(ctx SpecContext) {
		f.createService(ctx, "web", "gwlb-1")
		object := f.create(ctx, "health", withServiceRef("web"))
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("has the Gateway Load Balancer gwlb-1, which serves network appliances and no Kubernetes cluster"))
	})

	It("is not read without --service-discovery", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		f.createService(ctx, "web", f.lb)
		object := f.create(ctx, "health", withServiceRef("web"))
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("--service-discovery"))
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) {
			cloud.put(f.lb, https(1)...)
			o.Spec.ServiceRef, o.Spec.LoadBalancerID, o.Spec.RegionID = nil, f.lb, region
		})
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(object.Status.ServiceLoadBalancer).To(BeNil())
	})

	It("has an object of its own while it is annotated", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, "true")
		object := f.objectOf("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(metav1.IsControlledBy(object, service)).To(BeTrue())
		Expect(object.Labels).To(HaveKeyWithValue(shardLabel, "discovery"))
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))

		first := object.UID
		Expect(admin.Delete(ctx, object)).To(Succeed())
		Eventually(func() (bool, error) {
			err := reload(ctx, object)
			return object.UID != first, client.IgnoreNotFound(err)
		}).Should(BeTrue(), "it is created again")

		setMonitor(ctx, service, "false")
		Eventually(func() bool { return apierrors.IsNotFound(reload(ctx, object)) }).Should(BeTrue())
	})

	It("does not change a foreign object of its name, and has an event about it", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "web", nil)
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, "true")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(
			"Warning MonitorRefused: LoadBalancerHealth web exists and is not controlled by the Service, so the operator does not change it: " +
				"delete it, or set the annotation slb.lbhealth.dev/monitor to false"))
		setMonitor(ctx, service, "false")
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(object.Generation).To(BeEquivalentTo(1))
		Expect(object.OwnerReferences).To(BeEmpty())
		Expect(warningsOf(ctx, service)).To(HaveLen(1))

		setMonitor(ctx, service, "true")
		Expect(admin.Delete(ctx, object)).To(Succeed())
		Eventually(func() (bool, error) {
			err := reload(ctx, object)
			return metav1.IsControlledBy(object, service), client.IgnoreNotFound(err)
		}).Should(BeTrue(), "the name is available now")
	})

	It("has an event about an annotation that is no boolean, which changes nothing", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, " TRUE ")
		object := f.objectOf("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		setMonitor(ctx, service, "enabled")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(
			`Warning MonitorAnnotationInvalid: the annotation slb.lbhealth.dev/monitor has the value "enabled", which is neither true nor false: write one of them; nothing changes until then`))
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		setMonitor(ctx, service, "False")
		Eventually(func() bool { return apierrors.IsNotFound(reload(ctx, object)) }).Should(BeTrue())
	})

	It("has an event about a quota that refuses its object, which is created after the quota is removed", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		const counted = "count/loadbalancerhealths.slb.lbhealth.dev"
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "none"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("0")}},
		}
		Expect(admin.Create(ctx, quota)).To(Succeed())
		quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{counted: resource.MustParse("0")}}
		Expect(admin.Status().Update(ctx, quota)).To(Succeed()) // as its controller does
		logged := len(logs.String())
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, "true")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(And(
			HavePrefix("Warning MonitorRefused: LoadBalancerHealth web cannot be created: "),
			ContainSubstring("exceeded quota: none, requested: "+counted+"=1, used: "+counted+"=0, limited: "+counted+"=0"))))
		Expect(admin.Delete(ctx, quota)).To(Succeed())
		Eventually(conditionOf(ctx, f.objectOf("web"), "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(warningsOf(ctx, service)).To(ConsistOf(Not(ContainSubstring("times"))), "once for each cause")
		Expect(logs.String()[logged:]).NotTo(ContainSubstring("Reconciler error"))
	})

	It("keeps an object that another field manager has changed", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, "true")
		object := f.objectOf("web")
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		before := object.DeepCopy()
		object.Spec.Interval.Duration = time.Minute
		Expect(admin.Patch(ctx, object, client.MergeFrom(before), client.FieldOwner("argocd-controller"))).To(Succeed())
		setMonitor(ctx, service, "false")
		Eventually(logs.String).Should(And(ContainSubstring("it is not deleted"), ContainSubstring("argocd-controller")))
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(object.DeletionTimestamp).To(BeNil())
	})

	It("has the current label of its load balancer on its object", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", "")
		setMonitor(ctx, service, "true")
		object := f.objectOf("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		label := func() (string, error) {
			err := reload(ctx, object)
			return object.Labels[v1alpha1.ServiceLoadBalancerLabel], err
		}
		setLoadBalancer(ctx, service, f.lb)
		Eventually(label).Should(Equal(f.lb))
		setLoadBalancer(ctx, service, f.lb+"-2")
		Eventually(label).Should(Equal(f.lb + "-2"))
	})

	It("causes no error in the log while its namespace is terminating", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		service := f.createService(ctx, "web", f.lb)
		setMonitor(ctx, service, "true")
		object := f.objectOf("web")
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		logged := len(logs.String())
		Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})).To(Succeed())
		before := traffic.creationsIn(f.namespace)
		Expect(admin.Delete(ctx, object)).To(Succeed()) // as the namespace controller does: objects in any order
		Eventually(func() int { return traffic.creationsIn(f.namespace) }).Should(BeNumerically(">", before), "the operator tries to create it")
		Consistently(func() string { return logs.String()[logged:] }).ShouldNot(ContainSubstring("Reconciler error"))
		Expect(warningsOf(ctx, service)).To(BeEmpty())
	})
})

// objectOf is the key of the object that a Service requests.
func (f fixture) objectOf(service string) *v1alpha1.LoadBalancerHealth {
	return &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: service}}
}

// warningsOf are the Warning events of a Service.
func warningsOf(ctx context.Context, service *corev1.Service) ([]string, error) {
	events, err := serviceEvents(ctx, service)
	return slices.DeleteFunc(events, func(e string) bool { return !strings.HasPrefix(e, "Warning ") }), err
}

// serviceEvents are the operator's events of a Service, chosen as kubectl events --for service/NAME does.
func serviceEvents(ctx context.Context, service *corev1.Service) ([]string, error) {
	var list corev1.EventList
	err := admin.List(ctx, &list, client.InNamespace(service.Namespace), client.MatchingFields{
		"involvedObject.kind": "Service", "involvedObject.name": service.Name, "involvedObject.uid": string(service.UID),
	})
	var all []string
	for _, e := range list.Items {
		if e.ReportingController != "slb-health-operator" {
			continue // the API server has events about addresses of Services
		}
		text := e.Type + " " + e.Reason + ": " + e.Message
		if e.Series != nil {
			text += fmt.Sprintf(" (%d times)", e.Series.Count)
		}
		all = append(all, text)
	}
	return all, err
}
