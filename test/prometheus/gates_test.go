// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// gateArgs let an operator open readiness gates in a cluster without nodes.
var gateArgs = []string{"--readiness-gates", "--region-id=" + harness.Region}

// protocolAnnotation gives listeners of a Service a protocol.
const protocolAnnotation = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port"

// putPods puts a load balancer with pods as backends into the simulator.
func (s *env) putPods(t *testing.T, id, state string, ips ...string) {
	t.Helper()
	backends := harness.Backends(443, "https", make([]string, len(ips))...)
	for i, ip := range ips {
		backends[i]["type"], backends[i]["serverIp"], backends[i]["serverHealthStatus"] = "eni", ip, state
	}
	s.Put(t, id, backends...)
}

// addGated creates a Service with a load balancer, an object that observes it, and
// a pod for each address, whose containers are ready and which waits for its readiness gate.
func (s *env) addGated(t *testing.T, namespace, name, id string, ips ...string) []client.Object {
	t.Helper()
	created := []client.Object{
		s.addService(t, namespace, name, map[string]string{v1alpha1.ServiceLoadBalancerLabel: id}, map[string]string{protocolAnnotation: "https:443"}),
		&v1alpha1.LoadBalancerHealth{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: v1alpha1.LoadBalancerHealthSpec{
				ServiceRef: &v1alpha1.ServiceReference{Name: name}, Interval: metav1.Duration{Duration: interval},
			},
		},
	}
	s.create(t, created[1])
	for _, ip := range ips {
		created = append(created, s.addWaitingPod(t, namespace, name, ip))
	}
	return created
}

func (s *env) addWaitingPod(t *testing.T, namespace, service, ip string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: service + "-"},
		Spec: corev1.PodSpec{
			Containers:     []corev1.Container{{Name: "app", Image: "registry.example/app:1"}},
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: corev1.PodConditionType(v1alpha1.ReadinessGatePrefix + service)}},
		},
	}
	s.create(t, pod)
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	if err := s.Client.Status().Update(s.Ctx, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// addRefused creates a Service that requests the object of a name that another
// object has.
func (s *env) addRefused(t *testing.T, namespace, name string) *corev1.Service {
	t.Helper()
	return s.addService(t, namespace, name, nil, map[string]string{v1alpha1.MonitorAnnotation: "true"})
}

func (s *env) addService(t *testing.T, namespace, name string, labels, annotations map[string]string) *corev1.Service {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: annotations},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}},
		},
	}
	s.create(t, service)
	return service
}

// expectPods creates the EndpointSlice of a Service with these ready pods: the load balancer should have them.
func (s *env) expectPods(t *testing.T, namespace, service string, ips ...string) *discoveryv1.EndpointSlice {
	t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, ip := range ips {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	s.create(t, slice)
	return slice
}
