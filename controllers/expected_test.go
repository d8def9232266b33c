// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// createEndpointSlice creates the ready endpoints of a Service.
func (f fixture) createEndpointSlice(ctx context.Context, service string, addresses ...string) *discoveryv1.EndpointSlice {
	GinkgoHelper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, GenerateName: service + "-",
			Labels: map[string]string{discoveryv1.LabelServiceName: service, shardLabel: f.operator.shard},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new(""), Port: new(int32(8443))}},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: new("node"), Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	Expect(admin.Create(ctx, slice)).To(Succeed())
	return slice
}

var _ = Describe("Expected backends", Ordered, func() {
	var discovers *operator
	BeforeAll(func() {
		discovers = startOperator(settings{shard: "expected", serviceDiscovery: true, regionID: region})
	})

	It("are compared with the observation, and a backend that is registered late is not missing", func(ctx SpecContext) {
		f := newFixture(ctx, discovers)
		service := f.createService(ctx, "web", f.lb)
		service.Spec.Ports[0].TargetPort = intstr.FromInt32(8443)
		service.Annotations = map[string]string{
			"service.beta.kubernetes.io/backend-type":                             "eni",
			"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port": "https:443",
		}
		Expect(admin.Update(ctx, service)).To(Succeed())
		f.cached(ctx, service)
		f.cached(ctx, f.createEndpointSlice(ctx, "web", "10.9.1.1", "10.9.1.2"))
		cloud.put(f.lb, eni("10.9.1.1"))
		object := f.observed(ctx, "health", withServiceRef("web"))
		Expect(condition(object, v1alpha1.ConditionRegistered)).To(Equal("Unknown Pending"), "one is absent, and not missing yet")
		Expect(*object.Status.Listeners[0].Expected).To(BeEquivalentTo(2))

		cloud.put(f.lb, eni("10.9.1.1"), eni("10.9.1.2"))
		observe(ctx, object)
		Expect(condition(object, v1alpha1.ConditionRegistered)).To(Equal("True AllRegistered"))
		Expect(*object.Status.Summary.Missing).To(BeZero())
	})

	It("are not those of an object without a Service", func(ctx SpecContext) {
		f := newFixture(ctx, discovers)
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "health", nil)
		Expect(condition(object, v1alpha1.ConditionRegistered)).To(BeEmpty())
		Expect(object.Status.Listeners[0].Expected).To(BeNil())
	})
})
