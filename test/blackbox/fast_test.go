// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// eniRow is a backend with the address of a pod.
func eniRow(ip string) backend {
	row := web("eni-"+ip, ip, "normal")
	row.Type = "eni"
	return row
}

// readyPod creates a Ready pod.
func (w *env) readyPod(t *testing.T, name, ip string, labels map[string]string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: mainNamespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	w.create(t, pod)
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
	w.setReady(t, pod, corev1.ConditionTrue)
	return pod
}

func (w *env) setReady(t *testing.T, object client.Object, ready corev1.ConditionStatus) {
	t.Helper()
	switch object := object.(type) {
	case *corev1.Pod:
		object.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	case *corev1.Node:
		object.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	}
	if err := w.admin.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func (w *env) readyNode(t *testing.T, instance string) *corev1.Node {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + instance}, Spec: corev1.NodeSpec{ProviderID: region + "." + instance}}
	w.create(t, node)
	w.setReady(t, node, corev1.ConditionTrue)
	return node
}

// TestFastObservation makes one change for each load balancer. Every interval is an
// hour, so each further call has that change as its cause.
func TestFastObservation(t *testing.T) {
	w := newEnv(t, envOptions{})
	w.addSimulator(t)
	w.bind(t, w.operator, "", "../service-discovery/role.yaml")
	w.bind(t, w.operator, "", "../backend-names/role.yaml")
	w.createNamespace(t, mainNamespace)

	node, leaver := w.readyNode(t, "i-1"), w.readyNode(t, "i-2")
	pods := map[string]*corev1.Pod{}
	put := func(id string, rows ...backend) {
		w.simulator.put(t, id, rows...)
		w.create(t, named(mainNamespace, id, once))
	}
	for n, id := range []string{"lb-not-ready", "lb-deleted", "lb-quiet"} {
		ip := fmt.Sprintf("10.0.0.%d", n+1)
		pods[id] = w.readyPod(t, id, ip, nil)
		put(id, eniRow(ip))
	}
	put("lb-node", web("i-1", "10.1.0.1", "normal"))
	put("lb-node-deleted", web("i-2", "10.1.0.2", "normal"))
	put("lb-transition", web("i-9", "10.1.0.9", "normal"))
	services := map[string]*corev1.Service{}
	for _, id := range []string{"lb-selected", "lb-ports", "lb-joined"} {
		services[id] = balanced(id, id, func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app": id}
			if id != "lb-joined" {
				s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			}
		})
		w.create(t, services[id])
		w.simulator.put(t, id, web("i-8", "10.1.0.8", "normal"))
		w.create(t, named(mainNamespace, id, once, func(o *v1alpha1.LoadBalancerHealth) {
			o.Spec.LoadBalancerID, o.Spec.RegionID, o.Spec.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: id}
		}))
	}
	ids := []string{"lb-not-ready", "lb-deleted", "lb-quiet", "lb-node", "lb-node-deleted", "lb-transition", "lb-selected", "lb-ports", "lb-joined"}

	op := w.startOperator(t, operatorOptions{
		name: mainNamespace, account: w.mainAccount,
		args: []string{"--service-discovery", "--region-id=" + region, "--backend-names", "--fast-interval=1s", "--listener-details=off", "--slb-qps=100"},
	})
	for _, id := range ids {
		w.await(t, named(mainNamespace, id), good("AllBackendsNormal"))
		NewWithT(t).Expect(w.simulator.calls(t, id)).To(HaveLen(1), id)
	}

	changed := map[string]bool{}
	for _, change := range []struct {
		id string
		do func()
	}{
		{"lb-joined", func() { w.readyNode(t, "i-3") }}, // first: every Ready node should be a backend of it
		{"lb-not-ready", func() { w.setReady(t, pods["lb-not-ready"], corev1.ConditionFalse) }},
		{"lb-deleted", func() { w.delete(t, pods["lb-deleted"]) }},
		{"lb-node", func() { w.setReady(t, node, corev1.ConditionUnknown) }},
		{"lb-node-deleted", func() { w.delete(t, leaver) }},
		{"lb-selected", func() { w.readyPod(t, "new", "10.0.0.99", map[string]string{"app": "lb-selected", "version": "2"}) }},
		{"lb-ports", func() {
			w.kubectl(t, "patch", "-n", mainNamespace, "service/lb-ports", "--type=json", `-p=[{"op":"replace","path":"/spec/ports/0/targetPort","value":8443}]`)
		}},
		{"lb-transition", func() {
			w.simulator.set(t, "lb-transition", "i-9", "abnormal")
			w.requestObservation(t, named(mainNamespace, "lb-transition"), "now")
		}},
	} {
		change.do()
		w.awaitCalls(t, change.id, 1, 4)
		changed[change.id] = true
		for _, id := range ids {
			if !changed[id] {
				NewWithT(t).Expect(w.simulator.calls(t, id)).To(HaveLen(1), id+" after the change of "+change.id)
			}
		}
	}
	w.eventually(t, func(g Gomega) {
		g.Expect(op.metrics(g)).To(HaveKeyWithValue(`slb_health_observations_total{class="fast"}`, BeNumerically(">=", 4*len(changed)-1)))
	})
}

func (w *env) delete(t *testing.T, object client.Object) {
	t.Helper()
	if err := w.admin.Delete(t.Context(), object, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}
