// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	newPrefix = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-"
	oldPrefix = "service.beta.kubernetes.io/alicloud-loadbalancer-"
)

// webPorts is a Service of the load balancer lb-1 with the ports 80 and 443 of TCP, and 53 of UDP.
func webPorts(annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "prod", Name: "web", UID: "u", ResourceVersion: "7",
			Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1", "app": "web"}, Annotations: annotations,
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{
			{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http"), NodePort: 30080},
			{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
		}},
	}
}

func TestPortsOf(t *testing.T) {
	all := []health.ServicePort{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "tcp"}, {Port: 53, Protocol: "udp"}}
	named := []health.ServicePort{{Port: 80, Protocol: "http"}, {Port: 443, Protocol: "https"}, {Port: 53, Protocol: "udp"}}
	for name, test := range map[string]struct {
		annotations map[string]string
		want        []health.ServicePort
	}{
		"without annotations":               {nil, all},
		"protocols":                         {map[string]string{newPrefix + "protocol-port": "https:443,http:80"}, named},
		"protocols with spaces":             {map[string]string{newPrefix + "protocol-port": "https:443, http: 80"}, named},
		"protocols of the old prefix":       {map[string]string{oldPrefix + "protocol-port": "https:443,http:80"}, named},
		"both prefixes":                     {map[string]string{oldPrefix + "protocol-port": "http:443", newPrefix + "protocol-port": "https:443,http:80"}, named},
		"invalid protocols":                 {map[string]string{newPrefix + "protocol-port": "https"}, all},
		"a port that redirects":             {map[string]string{newPrefix + "forward-port": "80:443"}, all[1:]},
		"a load balancer of the user":       {map[string]string{newPrefix + "id": "lb-1"}, nil},
		"the same, of the old prefix":       {map[string]string{oldPrefix + "id": "lb-1"}, nil},
		"the same, with override":           {map[string]string{newPrefix + "id": "lb-1", newPrefix + "force-override-listeners": "true"}, all},
		"the same, with another override":   {map[string]string{newPrefix + "id": "lb-1", newPrefix + "force-override-listeners": "false"}, nil},
		"a server group of the user":        {map[string]string{newPrefix + "id": "lb-1", newPrefix + "force-override-listeners": "true", newPrefix + "vgroup-port": "rsp-1:80"}, nil},
		"another one's annotation of an id": {map[string]string{"example.com/loadbalancer-id": "lb-1"}, all},
	} {
		t.Run(name, func(t *testing.T) {
			kept, err := Slim(webPorts(test.annotations))
			if err != nil {
				t.Fatal(err)
			}
			if got := portsOf(kept.(*corev1.Service)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	terminating, internal := webPorts(nil), webPorts(nil)
	terminating.DeletionTimestamp = &metav1.Time{Time: start}
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	for name, service := range map[string]*corev1.Service{"a terminating Service": terminating, "a Service without a load balancer": internal} {
		if got := portsOf(slimService(service)); got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// serviceCache returns one Service; nil: none.
type serviceCache struct {
	client.Reader
	service *corev1.Service
	err     error
}

func (c *serviceCache) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if c.err != nil {
		return c.err
	}
	if c.service == nil || client.ObjectKeyFromObject(c.service) != key {
		return apierrors.NewNotFound(corev1.Resource("services"), key.Name)
	}
	c.service.DeepCopyInto(object.(*corev1.Service))
	return nil
}

func TestServicePortsFor(t *testing.T) {
	object := func(service, loadBalancerID string) v1alpha1.LoadBalancerHealth {
		object := v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "object"}}
		if service != "" {
			object.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: service}
		}
		if loadBalancerID != "" {
			object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: service, LoadBalancerID: loadBalancerID, RegionID: "cn-hangzhou"}
		}
		return object
	}
	for name, test := range map[string]struct {
		ports  *ServicePorts
		object v1alpha1.LoadBalancerHealth
		want   int
	}{
		"its Service's":                         {&ServicePorts{&serviceCache{service: webPorts(nil)}}, object("web", "lb-1"), 3},
		"another Service's":                     {&ServicePorts{&serviceCache{service: webPorts(nil)}}, object("api", "lb-1"), 0},
		"an object of an earlier load balancer": {&ServicePorts{&serviceCache{service: webPorts(nil)}}, object("web", "lb-0"), 0},
		"no Service":                            {&ServicePorts{&serviceCache{}}, object("web", "lb-1"), 0},
		"a Service without a load balancer":     {&ServicePorts{&serviceCache{service: webPorts(nil)}}, object("web", ""), 0},
		"an object without serviceRef":          {&ServicePorts{&serviceCache{err: errors.New("must not be read")}}, object("", ""), 0},
		"an operator without permission":        {nil, object("web", "lb-1"), 0},
		"an object without a load balancer ":    {nil, object("web", ""), 0},
	} {
		if got, err := test.ports.For(t.Context(), &test.object); len(got) != test.want || err != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	broken, of := &ServicePorts{&serviceCache{err: errors.New("no informer")}}, object("web", "lb-1")
	if _, err := broken.For(t.Context(), &of); err == nil {
		t.Error("an error of the cache is ignored")
	}
}

func TestSlimService(t *testing.T) {
	annotations := map[string]string{v1alpha1.MonitorAnnotation: "true", newPrefix + "id": "lb-1", oldPrefix + "forward-port": "80:443"}
	want := webPorts(annotations)
	want.DeletionTimestamp, want.Spec.ExternalTrafficPolicy = &metav1.Time{Time: start}, corev1.ServiceExternalTrafficPolicyLocal
	want.Spec.Selector = map[string]string{"app": "web"}
	stored := want.DeepCopy()
	stored.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"
	stored.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	stored.Finalizers = []string{"service.k8s.alibaba/resources"}
	stored.Spec.ClusterIP = "10.0.0.1"
	stored.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "1.2.3.4"}}
	kept, err := Slim(stored)
	if err != nil {
		t.Fatal(err)
	}
	if !apiequality.Semantic.DeepEqual(kept, want) {
		t.Errorf("kept %+v, not %+v", kept, want)
	}
}
