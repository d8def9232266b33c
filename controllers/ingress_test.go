// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func withIngressRef(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID = "", ""
		o.Spec.IngressRef = &v1alpha1.IngressReference{Name: name}
	}
}

// createIngress creates an Ingress of an IngressClass with one path to the Service web.
func (f fixture) createIngress(ctx context.Context, name, class string) *networkingv1.Ingress {
	GinkgoHelper()
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		Spec:       networkingv1.IngressSpec{IngressClassName: &class, DefaultBackend: &backend},
	}
	Expect(admin.Create(ctx, ingress)).To(Succeed())
	return ingress
}

func setHost(ctx context.Context, ingress *networkingv1.Ingress, host string) {
	GinkgoHelper()
	before := ingress.DeepCopy()
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: host}}
	Expect(admin.Status().Patch(ctx, ingress, client.MergeFrom(before))).To(Succeed())
}

// createAlbConfigDefinition creates the CustomResourceDefinition of AlbConfig, which has no namespace in ACK clusters.
func createAlbConfigDefinition(ctx context.Context) {
	GinkgoHelper()
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "albconfigs.alibabacloud.com"},
		"spec": map[string]any{
			"group": "alibabacloud.com", "scope": "Cluster",
			"names": map[string]any{"kind": "AlbConfig", "listKind": "AlbConfigList", "plural": "albconfigs", "singular": "albconfig"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
	Expect(admin.Create(ctx, definition)).To(Succeed())
}

func newAlbConfig(name, loadBalancer string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "alibabacloud.com/v1", "kind": "AlbConfig", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"config": map[string]any{"id": loadBalancer}},
	}}
}

// albOf reads an object again, and returns the ALB instance and the region that were found.
func albOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth) func() (string, error) {
	return func() (string, error) {
		err := reload(ctx, object)
		if found := object.Status.IngressLoadBalancer; found != nil {
			return found.LoadBalancerID + " " + found.RegionID, err
		}
		return "", err
	}
}

func messageOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth) func() (string, error) {
	return func() (string, error) {
		err := reload(ctx, object)
		if condition(object, "Ready") == "" {
			return "", err
		}
		return message(object, "Ready"), err
	}
}

var _ = Describe("An Ingress", Ordered, func() {
	var withDiscovery *operator
	BeforeAll(func() {
		withDiscovery = startOperator(settings{shard: "ingresses", serviceDiscovery: true, regionID: region})
	})
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, withDiscovery) })

	It("has its ALB instance found as soon as it has one, and again when that changes", func(ctx SpecContext) {
		object := f.create(ctx, "health", withIngressRef("shop"))
		Eventually(conditionOf(ctx, object, "Observed")).Should(Equal("False LoadBalancerNotFound"))
		Expect(message(object, "Ready")).To(ContainSubstring("Ingress " + f.namespace + "/shop does not exist"))
		Expect(condition(object, "Ready")).To(Equal("Unknown Pending"))
		Expect(condition(object, "Stalled")).To(BeEmpty())

		ingress := f.createIngress(ctx, "shop", "none")
		Eventually(messageOf(ctx, object)).Should(ContainSubstring("has no load balancer yet: its status has no host name, and IngressClass none does not exist"))
		setHost(ctx, ingress, "alb-"+f.namespace+".cn-beijing.alb.aliyuncs.com")
		Eventually(albOf(ctx, object)).Should(Equal("alb-" + f.namespace + " cn-beijing"))
		Eventually(func() (*v1alpha1.ObservedTarget, error) {
			err := reload(ctx, object)
			return object.Status.ObservedTarget, err
		}).
			Should(HaveValue(HaveField("IngressName", "shop")))

		setHost(ctx, ingress, "alb-2-"+f.namespace+".cn-beijing.alb.aliyuncsslb.com")
		Eventually(albOf(ctx, object)).Should(Equal("alb-2-" + f.namespace + " cn-beijing"))
		Eventually(recordedEvents).WithContext(ctx).WithArguments(object).Should(ContainElement(
			"Normal LoadBalancerChanged: Ingress shop has the load balancer alb-2-" + f.namespace + ", had alb-" + f.namespace))

		Expect(admin.Delete(ctx, ingress)).To(Succeed())
		Eventually(albOf(ctx, object)).Should(BeEmpty())
		Expect(message(object, "Observed")).To(ContainSubstring("does not exist"))
	})

	It("of another controller is refused", func(ctx SpecContext) {
		object := f.create(ctx, "health", withIngressRef("shop"))
		setHost(ctx, f.createIngress(ctx, "shop", "nginx"), "lb.example.com")
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("has the address lb.example.com, which is not that of an ALB instance: replace ingressRef by serviceRef"))
	})

	It("without a host name has the ALB instance of its AlbConfig", func(ctx SpecContext) {
		group, class := "alibabacloud.com", "alb-of-"+f.namespace
		Expect(admin.Create(ctx, &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: class},
			Spec: networkingv1.IngressClassSpec{
				Controller: "ingress.k8s.alibabacloud/alb", Parameters: &networkingv1.IngressClassParametersReference{APIGroup: &group, Kind: "AlbConfig", Name: class},
			},
		})).To(Succeed())
		object := f.create(ctx, "health", withIngressRef("shop"))
		ingress := f.createIngress(ctx, "shop", class)
		Eventually(messageOf(ctx, object)).Should(ContainSubstring("the cluster has no AlbConfigs"))

		createAlbConfigDefinition(ctx)
		Eventually(func() error { return admin.Create(ctx, newAlbConfig(class, "alb-"+f.namespace)) }).Should(Succeed())
		Eventually(func(g Gomega) { // the operator reads it again when the Ingress changes, and every 30 s
			metav1.SetMetaDataAnnotation(&ingress.ObjectMeta, "test.lbhealth.dev/changed", time.Now().String())
			g.Expect(admin.Update(ctx, ingress)).To(Succeed())
			g.Expect(albOf(ctx, object)()).To(Equal("alb-" + f.namespace + " " + region))
		}).Should(Succeed())
	})

	It("needs --service-discovery", func(ctx SpecContext) {
		f := newFixture(ctx, shared)
		object := f.create(ctx, "health", withIngressRef("shop"))
		Eventually(conditionOf(ctx, object, "Stalled")).Should(Equal("True InvalidRequest"))
		Expect(message(object, "Ready")).To(ContainSubstring("spec.ingressRef needs an operator that runs with --service-discovery"))
	})
})
