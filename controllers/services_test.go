// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
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

// createService makes a Service that the operator serves; load balancer "": it has none yet.
func (p place) createService(ctx context.Context, name, loadBalancer string) *corev1.Service {
	GinkgoHelper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name, Labels: map[string]string{shardLabel: p.operator.shard}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	if loadBalancer != "" {
		service.Labels[v1alpha1.ServiceLoadBalancerLabel] = loadBalancer
	}
	Expect(admin.Create(ctx, service)).To(Succeed())
	return service
}

func giveLoadBalancer(ctx context.Context, service *corev1.Service, loadBalancer string) {
	GinkgoHelper()
	before := service.DeepCopy()
	service.Labels[v1alpha1.ServiceLoadBalancerLabel] = loadBalancer
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
}

func annotate(ctx context.Context, service *corev1.Service, monitor string) {
	GinkgoHelper()
	before := service.DeepCopy()
	metav1.SetMetaDataAnnotation(&service.ObjectMeta, v1alpha1.MonitorAnnotation, monitor)
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
}

func ofService(name string) func(*v1alpha1.LoadBalancerHealth) {
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
	var discovering *operator
	BeforeAll(func(ctx SpecContext) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{ProviderID: region + ".i-1"}}
		Expect(admin.Create(ctx, node)).To(Succeed())
		discovering = startOperator(settings{shard: "discovering", discovery: true})
	})
	var at place
	BeforeEach(func(ctx SpecContext) { at = newPlace(ctx, discovering) })

	It("has its load balancer observed as soon as it has one, and the next one when it has another", func(ctx SpecContext) {
		cloud.put(at.lb, https(2)...)
		cloud.put(at.lb+"-2", https(3)...)
		object := at.create(ctx, "health", ofService("web"))
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		Expect(message(object, "Ready")).To(ContainSubstring("Service " + at.namespace + "/web does not exist"))
		Expect(condition(object, "Ready")).To(Equal("Unknown Pending"))
		Expect(condition(object, "Stalled")).To(BeEmpty())

		service := at.createService(ctx, "web", "")
		Eventually(func() (string, error) { err := reload(ctx, object); return message(object, "Ready"), err }).
			Should(ContainSubstring("has no load balancer yet"))
		giveLoadBalancer(ctx, service, at.lb)
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(rows(object)).To(HaveLen(2))
		Expect(object.Status.ServiceLoadBalancer.LoadBalancerID).To(Equal(at.lb))
		Expect(object.Status.ServiceLoadBalancer.RegionID).To(Equal(region))

		giveLoadBalancer(ctx, service, at.lb+"-2")
		Eventually(func() ([]string, error) { err := reload(ctx, object); return rows(object), err }).Should(HaveLen(3))
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
		Eventually(recordedEvents).WithContext(ctx).WithArguments(object).Should(ContainElement(
			"Normal LoadBalancerChanged: Service web has the load balancer " + at.lb + "-2, had " + at.lb))
		recorded, err := recordedEvents(ctx, object)
		Expect(err).NotTo(HaveOccurred())
		Expect(recorded).NotTo(ContainElement(ContainSubstring("Backend")), "the backends of two load balancers are not compared")

		Expect(admin.Delete(ctx, service)).To(Succeed())
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		Expect(rows(object)).To(HaveLen(3), "what was known stays")
		Expect(condition(object, "Healthy")).To(Equal("True AllBackendsNormal"), "until it is stale")
		calls := len(cloud.callsFor(at.lb + "-2"))
		observe(ctx, object) // a request is served: by saying that there is nothing to ask
		Expect(cloud.callsFor(at.lb + "-2")).To(HaveLen(calls))
	})

	It("shares the calls of the objects that name its load balancer", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		at.createService(ctx, "web", at.lb)
		one, other := at.create(ctx, "one", ofService("web")), at.create(ctx, "other", ofService("web"))
		Eventually(conditionOf(ctx, one, "Ready")).Should(Equal("True AllBackendsNormal"))
		Eventually(conditionOf(ctx, other, "Ready")).Should(Equal("True AllBackendsNormal"))
		byID := at.observed(ctx, "by-id", nil)
		Expect(condition(byID, "Ready")).To(Equal("True AllBackendsNormal"))
		Expect(len(cloud.callsFor(at.lb))).To(BeNumerically("<=", 2))
	})

	It("with an NLB stalls its objects, which say so", func(ctx SpecContext) {
		at.createService(ctx, "web", "nlb-1")
		object := at.create(ctx, "health", ofService("web"))
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("has the NLB instance nlb-1, which DescribeHealthStatus does not know"))
	})

	It("is nothing to an operator that may not look", func(ctx SpecContext) {
		at := newPlace(ctx, shared)
		at.createService(ctx, "web", at.lb)
		object := at.create(ctx, "health", ofService("web"))
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("--service-discovery"))
		edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) {
			cloud.put(at.lb, https(1)...)
			o.Spec.ServiceRef, o.Spec.LoadBalancerID, o.Spec.RegionID = nil, at.lb, region
		})
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(object.Status.ServiceLoadBalancer).To(BeNil())
	})

	It("that is annotated gets an object of its own, as long as it is", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, "true")
		object := at.theObject("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(metav1.IsControlledBy(object, service)).To(BeTrue())
		Expect(object.Labels).To(HaveKeyWithValue(shardLabel, "discovering"))
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))

		first := object.UID
		Expect(admin.Delete(ctx, object)).To(Succeed())
		Eventually(func() (bool, error) {
			err := reload(ctx, object)
			return object.UID != first, client.IgnoreNotFound(err)
		}).Should(BeTrue(), "it is made again")

		annotate(ctx, service, "false")
		Eventually(func() bool { return apierrors.IsNotFound(reload(ctx, object)) }).Should(BeTrue())
	})

	It("that is annotated leaves alone what another made, and says that the name is taken", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		object := at.observed(ctx, "web", nil)
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, "true")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(
			"Warning MonitorRefused: LoadBalancerHealth web exists and does not belong to the Service, so the operator leaves it alone: " +
				"delete it, or set the annotation slb.lbhealth.dev/monitor to false"))
		annotate(ctx, service, "false")
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(object.Generation).To(BeEquivalentTo(1))
		Expect(object.OwnerReferences).To(BeEmpty())
		Expect(warningsOf(ctx, service)).To(HaveLen(1))

		annotate(ctx, service, "true")
		Expect(admin.Delete(ctx, object)).To(Succeed())
		Eventually(func() (bool, error) {
			err := reload(ctx, object)
			return metav1.IsControlledBy(object, service), client.IgnoreNotFound(err)
		}).Should(BeTrue(), "the name is free now")
	})

	It("says that its annotation is no boolean, and nothing changes until it is", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, " TRUE ")
		object := at.theObject("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		annotate(ctx, service, "enabled")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(
			`Warning MonitorAnnotationInvalid: the annotation slb.lbhealth.dev/monitor has the value "enabled", which is neither true nor false: write one of them; nothing changes until then`))
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		annotate(ctx, service, "False")
		Eventually(func() bool { return apierrors.IsNotFound(reload(ctx, object)) }).Should(BeTrue())
	})

	It("says that a quota refuses its object, which is made once there is room", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		const counted = "count/loadbalancerhealths.slb.lbhealth.dev"
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: at.namespace, Name: "none"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("0")}},
		}
		Expect(admin.Create(ctx, quota)).To(Succeed())
		quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{counted: resource.MustParse("0")}}
		Expect(admin.Status().Update(ctx, quota)).To(Succeed()) // as its controller does
		logged := len(logs.String())
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, "true")
		Eventually(warningsOf).WithContext(ctx).WithArguments(service).Should(ConsistOf(And(
			HavePrefix("Warning MonitorRefused: LoadBalancerHealth web cannot be created: "),
			ContainSubstring("exceeded quota: none, requested: "+counted+"=1, used: "+counted+"=0, limited: "+counted+"=0"))))
		Expect(admin.Delete(ctx, quota)).To(Succeed())
		Eventually(conditionOf(ctx, at.theObject("web"), "Ready")).Should(Equal("True AllBackendsNormal"))
		Expect(warningsOf(ctx, service)).To(ConsistOf(Not(ContainSubstring("times"))), "once for each cause")
		Expect(logs.String()[logged:]).NotTo(ContainSubstring("Reconciler error"))
	})

	It("leaves an object alone that another manages by now", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, "true")
		object := at.theObject("web")
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		before := object.DeepCopy()
		object.Spec.Interval.Duration = time.Minute
		Expect(admin.Patch(ctx, object, client.MergeFrom(before), client.FieldOwner("argocd-controller"))).To(Succeed())
		annotate(ctx, service, "false")
		Eventually(logs.String).Should(And(ContainSubstring("it is not deleted"), ContainSubstring("argocd-controller")))
		Consistently(func() error { return reload(ctx, object) }).Should(Succeed())
		Expect(object.DeletionTimestamp).To(BeNil())
	})

	It("has the label of its load balancer on its object, also after it got another", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		service := at.createService(ctx, "web", "")
		annotate(ctx, service, "true")
		object := at.theObject("web")
		Eventually(func() error { return reload(ctx, object) }).Should(Succeed())
		label := func() (string, error) {
			err := reload(ctx, object)
			return object.Labels[v1alpha1.ServiceLoadBalancerLabel], err
		}
		giveLoadBalancer(ctx, service, at.lb)
		Eventually(label).Should(Equal(at.lb))
		giveLoadBalancer(ctx, service, at.lb+"-2")
		Eventually(label).Should(Equal(at.lb + "-2"))
	})

	It("makes no error in the log while its namespace is deleted", func(ctx SpecContext) {
		cloud.put(at.lb, https(1)...)
		service := at.createService(ctx, "web", at.lb)
		annotate(ctx, service, "true")
		object := at.theObject("web")
		Eventually(conditionOf(ctx, object, "Ready")).Should(Equal("True AllBackendsNormal"))
		logged := len(logs.String())
		Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: at.namespace}})).To(Succeed())
		asked := traffic.creationsIn(at.namespace)
		Expect(admin.Delete(ctx, object)).To(Succeed()) // as the controller of namespaces does: objects in any order
		Eventually(func() int { return traffic.creationsIn(at.namespace) }).Should(BeNumerically(">", asked), "it is asked for once more")
		Consistently(func() string { return logs.String()[logged:] }).ShouldNot(ContainSubstring("Reconciler error"))
		Expect(warningsOf(ctx, service)).To(BeEmpty())
	})
})

// theObject is the one that a Service of the name asks for.
func (p place) theObject(service string) *v1alpha1.LoadBalancerHealth {
	return &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: service}}
}

// warningsOf are the events of a Service, chosen as kubectl events --for service/NAME does.
func warningsOf(ctx context.Context, service *corev1.Service) ([]string, error) {
	var list corev1.EventList
	err := admin.List(ctx, &list, client.InNamespace(service.Namespace), client.MatchingFields{
		"involvedObject.kind": "Service", "involvedObject.name": service.Name, "involvedObject.uid": string(service.UID),
	})
	var all []string
	for _, e := range list.Items {
		text := e.Type + " " + e.Reason + ": " + e.Message
		if e.Series != nil {
			text += fmt.Sprintf(" (%d times)", e.Series.Count)
		}
		all = append(all, text)
	}
	return all, err
}
