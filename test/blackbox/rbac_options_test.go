// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// servicesAllowed adds config/service-discovery, and then the role of a version that did not need EndpointSlices.
func (w *env) servicesAllowed(t *testing.T, i installation, log *auditLog) {
	i.components = []string{"service-discovery"}
	w.install(t, i)
	op := w.startInstalled(t, i)
	w.workThroughServices(t, i)
	op.terminate(t, stopGrace)
	requests := log.of(t, i.user(), anyRequest)
	refusedNothing(t, requests)
	onlyNeeded(t, w.permissionsOf(t, i.namespace, serviceAccountName), requests)
	w.withoutEndpointSlices(t, i)
	w.withoutIngresses(t, i)
	w.revoke(t, servicesBinding)
}

const (
	servicesBinding = "slb-health-operator-service-discovery-rolebinding"
	namesBinding    = "slb-health-operator-backend-names-rolebinding"
	gatesBinding    = "slb-health-operator-readiness-gates.slb.lbhealth.dev"
)

// workThroughServices makes the operator find the load balancer of a Service, compare its backends with those that the
// cluster expects, and create, label and delete the object that the Service requests.
func (w *env) workThroughServices(t *testing.T, i installation) {
	t.Helper()
	w.create(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{ProviderID: region + ".i-1"}})
	service := w.createServed(t, i, "shop", map[string]string{v1alpha1.MonitorAnnotation: "true"})
	object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: "shop"}}
	found := w.await(t, object, registered("True AllRegistered"))
	NewWithT(t).Expect(found.Status.Listeners).To(HaveExactElements(HaveField("Expected", HaveValue(BeEquivalentTo(1)))))
	merge := func(patch string) {
		if err := w.admin.Patch(w.ctx, service, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	w.slb.on("lb-of-shop-2", always(success(servedRow("normal"))))
	merge(`{"metadata":{"labels":{"` + v1alpha1.ServiceLoadBalancerLabel + `":"lb-of-shop-2"}}}`)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		g.Expect(object.Labels).To(HaveKeyWithValue(v1alpha1.ServiceLoadBalancerLabel, "lb-of-shop-2"))
	})
	w.findALBs(t, i)
	merge(`{"metadata":{"annotations":null}}`)
	w.eventually(t, func(g Gomega) {
		err := w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), object)
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})
}

// gatesAllowed adds config/readiness-gates and config/service-discovery, which it needs.
func (w *env) gatesAllowed(t *testing.T, i installation, log *auditLog) {
	if !strings.Contains(w.kubectl(t, "get", "--raw", "/apis/admissionregistration.k8s.io/v1"), `"mutatingadmissionpolicies"`) {
		t.Skip("this Kubernetes does not serve MutatingAdmissionPolicy v1, which the component contains")
	}
	i.components = []string{"service-discovery", "readiness-gates"}
	w.install(t, i)
	start := len(log.of(t, i.user(), anyRequest))
	op := w.startInstalled(t, i)
	w.openOneGate(t, i)
	op.terminate(t, stopGrace)
	requests := log.of(t, i.user(), anyRequest)
	refusedNothing(t, requests[start:])
	onlyNeeded(t, w.permissionsOf(t, i.namespace, serviceAccountName), requests)
	w.revoke(t, servicesBinding, gatesBinding)
}

// openOneGate makes the operator close the gate of a pod, and open it. The guard of the
// component permits both writes.
func (w *env) openOneGate(t *testing.T, i installation) {
	t.Helper()
	const service, lb, ip = "gated", "lb-of-gated", "10.9.9.8"
	listed := func(status string) fakeResponse {
		return success(row{"ServerId": "eni-8", "ServerIp": ip, "Type": "eni", "ServerHealthStatus": status})
	}
	w.slb.on(lb, always(listed("abnormal")))
	w.create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: service, Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: lb}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}},
	})
	w.create(t, &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: service},
		Spec:       v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: service}, Interval: metav1.Duration{Duration: interval}},
	})
	pod := w.createGatedPod(t, i.served, "gated", ip, v1alpha1.ReadinessGatePrefix+service)
	w.awaitGate(t, pod, v1alpha1.ReadinessGatePrefix+service, "False BackendAbnormal")
	w.slb.on(lb, always(listed("normal")))
	w.awaitGate(t, pod, v1alpha1.ReadinessGatePrefix+service, "True BackendNormal")
}

// createGatedPod creates a pod with gates whose containers are ready.
func (w *env) createGatedPod(t *testing.T, namespace, name, ip string, gates ...string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	for _, gate := range gates {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(gate)})
	}
	w.create(t, pod)
	pod.Status.PodIP, pod.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	if err := w.admin.Status().Update(w.ctx, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// awaitGate waits until a gate has this status and reason.
func (w *env) awaitGate(t *testing.T, pod *corev1.Pod, gate, want string) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		g.Expect(w.admin.Get(w.ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
		g.Expect(gateStatus(pod, gate)).To(Equal(want))
	})
}

// gateStatus returns the status and the reason of a gate; "" if it was never set.
func gateStatus(pod *corev1.Pod, gate string) string {
	for _, c := range pod.Status.Conditions {
		if string(c.Type) == gate {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

// namesAllowed adds config/backend-names, at first without its permissions, then with the role of a version that did
// not need NetworkPolicies. They are of use for the load balancers of Services, whose component permits nodes, too.
func (w *env) namesAllowed(t *testing.T, i installation, log *auditLog) {
	i.components = []string{"service-discovery", "backend-names"}
	lb := w.createNamed(t, i)
	blocked := w.createBlocked(t, i)
	w.install(t, i)
	w.revoke(t, namesBinding)
	w.awaitPermission(t, i, "pods", false)
	i.run = "-without-permissions"
	op := w.startInstalled(t, i)
	g := NewWithT(t)
	g.Expect(w.await(t, lb, good("AllBackendsNormal")).Status.Backends).To(HaveEach(
		And(HaveField("Pod", ""), HaveField("Diagnosis", v1alpha1.Diagnosis("")))))
	op.terminate(t, stopGrace)
	_, stderr := op.output(t)
	g.Expect(stderr).To(And(ContainSubstring("apply config/backend-names"), ContainSubstring("cannot list resource")))
	w.withoutNetworkPolicies(t, i, blocked)

	w.install(t, i)
	w.awaitPermission(t, i, "networkpolicies.networking.k8s.io", true)
	i.run = "-with-permissions"
	start := len(log.of(t, i.user(), anyRequest))
	op = w.startInstalled(t, i)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.get(g, lb).Status.Backends).To(HaveExactElements(
			And(HaveField("ServerID", "eni-9"), HaveField("Pod", i.served+"/web-9"), HaveField("Node", "node-9")),
			And(HaveField("ServerID", "i-9"), HaveField("Pod", ""), HaveField("Node", "node-9")),
		))
		g.Expect(w.get(g, blocked).Status.Backends).To(HaveExactElements(HaveField("Diagnosis", v1alpha1.DiagnosisNetworkPolicyBlocks)))
	})
	op.terminate(t, stopGrace)
	requests := log.of(t, i.user(), anyRequest)[start:]
	refusedNothing(t, requests)
	needed(t, w.permissionsIn(t, "", rbacv1.RoleRef{Kind: "ClusterRole", Name: "slb-health-operator-backend-names-role"}), requests)
}

// createNamed creates a node, a pod, and an object for a load balancer with both as backends.
func (w *env) createNamed(t *testing.T, i installation) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	w.create(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-9"}, Spec: corev1.NodeSpec{ProviderID: region + ".i-9"}})
	w.createServedPod(t, i)
	lb := named(i.served, "lb-of-names")
	w.slb.on(lb.Spec.LoadBalancerID, always(success(
		normalRow("i-9"), row{"ServerId": "eni-9", "ServerIp": servedIP, "Type": "eni", "ServerHealthStatus": "normal"},
	)))
	w.create(t, lb)
	return lb
}

// revoke deletes ClusterRoleBindings.
func (w *env) revoke(t *testing.T, bindings ...string) {
	t.Helper()
	for _, name := range bindings {
		if err := w.admin.Delete(w.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitPermission waits until the API server allows, or denies, the operator to list a resource, such as pods or
// endpointslices.discovery.k8s.io, in the namespace that it serves.
func (w *env) awaitPermission(t *testing.T, i installation, resource string, want bool) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		name, group, _ := strings.Cut(resource, ".")
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: i.user(), ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: i.served, Verb: "list", Group: group, Resource: name},
		}}
		g.Expect(w.admin.Create(w.ctx, review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(Equal(want))
	})
}
