// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// The rule of the cloud controller, by endpoint and pod.
func TestBackends(t *testing.T) {
	const gate, ip = CloudGatePrefix + "web", "10.0.0.1"
	gated := corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: gate}}}
	containers := func(ready bool) corev1.PodStatus {
		return corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.ContainersReady, ready, "")}}
	}
	for name, test := range map[string]struct {
		ready, terminating  bool
		pod                 *corev1.Pod
		registered, pending bool
	}{
		"Ready":                        {ready: true, pod: &corev1.Pod{}, registered: true},
		"Ready and terminating":        {ready: true, terminating: true, pod: &corev1.Pod{Spec: gated, Status: containers(true)}},
		"not Ready":                    {pod: &corev1.Pod{Status: containers(true)}},
		"gate, containers not ready":   {pod: &corev1.Pod{Spec: gated, Status: containers(false)}, pending: true},
		"gate, containers ready":       {pod: &corev1.Pod{Spec: gated, Status: containers(true)}, registered: true},
		"gate, ready, and terminating": {terminating: true, pod: &corev1.Pod{Spec: gated, Status: containers(true)}},
		"pod is not in the cache":      {pending: true},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{&discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Endpoints: []discoveryv1.Endpoint{{
					Addresses: []string{ip}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "pod"},
					Conditions: discoveryv1.EndpointConditions{Ready: &test.ready, Terminating: &test.terminating},
				}},
			}}
			if test.pod != nil {
				test.pod.ObjectMeta = metav1.ObjectMeta{Namespace: "ns", Name: "pod"}
				objects = append(objects, test.pod)
			}
			c := &cloudController{Client: fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).Build()}
			service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
			found, pending, err := c.backendsOf(t.Context(), service, &LoadBalancer{})
			if err != nil {
				t.Fatal(err)
			}
			if registered := len(found) == 1 && found[0].key == ip; registered != test.registered || pending != test.pending {
				t.Errorf("registered %v, pending %v", registered, pending)
			}
		})
	}
}
