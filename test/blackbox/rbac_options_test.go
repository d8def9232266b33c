// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
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

// servicesAllowed adds config/service-discovery.
func (w *env) servicesAllowed(t *testing.T, i installation, log *auditLog) {
	i.component = "service-discovery"
	w.install(t, i)
	op := w.startInstalled(t, i)
	w.workThroughServices(t, i)
	op.terminate(t, stopGrace)
	requests := log.of(t, i.user(), anyRequest)
	refusedNothing(t, requests)
	onlyNeeded(t, w.permissionsOf(t, i.namespace, serviceAccountName), requests)
	w.revoke(t, i)
}

// workThroughServices makes the operator find the load balancer of a Service, and create, label and delete the object
// that the Service requests.
func (w *env) workThroughServices(t *testing.T, i installation) {
	t.Helper()
	w.create(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Spec: corev1.NodeSpec{ProviderID: region + ".i-1"}})
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: i.served, Name: "shop",
			Labels:      map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-of-shop"},
			Annotations: map[string]string{v1alpha1.MonitorAnnotation: "true"},
		},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}
	w.slb.on("lb-of-shop", always(success(normalRow("i-1"))))
	w.create(t, service)
	object := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: "shop"}}
	w.await(t, object, good("AllBackendsNormal"))
	merge := func(patch string) {
		if err := w.admin.Patch(w.ctx, service, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	w.slb.on("lb-of-shop-2", always(success(normalRow("i-1"))))
	merge(`{"metadata":{"labels":{"` + v1alpha1.ServiceLoadBalancerLabel + `":"lb-of-shop-2"}}}`)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		g.Expect(object.Labels).To(HaveKeyWithValue(v1alpha1.ServiceLoadBalancerLabel, "lb-of-shop-2"))
	})
	merge(`{"metadata":{"annotations":null}}`)
	w.eventually(t, func(g Gomega) {
		err := w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), object)
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})
}

// namesAllowed adds config/backend-names, at first without its permissions.
func (w *env) namesAllowed(t *testing.T, i installation, log *auditLog) {
	i.component = "backend-names"
	lb := w.createNamed(t, i)
	w.install(t, i)
	w.revoke(t, i)
	w.awaitPermission(t, i, "pods", false)
	i.run = "-without-permissions"
	op := w.startInstalled(t, i)
	g := NewWithT(t)
	g.Expect(w.await(t, lb, good("AllBackendsNormal")).Status.Backends).To(HaveEach(
		And(HaveField("Node", ""), HaveField("Pod", ""), HaveField("Diagnosis", v1alpha1.Diagnosis("")))))
	op.terminate(t, stopGrace)
	_, stderr := op.output(t)
	g.Expect(stderr).To(And(ContainSubstring("apply config/backend-names"), ContainSubstring("cannot list resource")))

	w.install(t, i)
	w.awaitPermission(t, i, "pods", true)
	i.run = "-with-permissions"
	start := len(log.of(t, i.user(), anyRequest))
	op = w.startInstalled(t, i)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.get(g, lb).Status.Backends).To(HaveExactElements(
			And(HaveField("ServerID", "eni-9"), HaveField("Pod", i.served+"/web-9"), HaveField("Node", "node-9")),
			And(HaveField("ServerID", "i-9"), HaveField("Pod", ""), HaveField("Node", "node-9")),
		))
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
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: "web-9"},
		Spec:       corev1.PodSpec{NodeName: "node-9", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	w.create(t, pod)
	pod.Status.PodIP, pod.Status.PodIPs = "10.9.9.9", []corev1.PodIP{{IP: "10.9.9.9"}}
	if err := w.admin.Status().Update(w.ctx, pod); err != nil {
		t.Fatal(err)
	}
	lb := named(i.served, "lb-of-names")
	w.slb.on(lb.Spec.LoadBalancerID, always(success(
		normalRow("i-9"), row{"ServerId": "eni-9", "ServerIp": "10.9.9.9", "Type": "eni", "ServerHealthStatus": "normal"},
	)))
	w.create(t, lb)
	return lb
}

// revoke deletes the ClusterRoleBinding of a component.
func (w *env) revoke(t *testing.T, i installation) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "slb-health-operator-" + i.component + "-rolebinding"}}
	if err := w.admin.Delete(w.ctx, binding); err != nil {
		t.Fatal(err)
	}
}

// awaitPermission waits until the API server allows, or denies, the operator to list a resource.
func (w *env) awaitPermission(t *testing.T, i installation, resource string, want bool) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: i.user(), ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: resource},
		}}
		g.Expect(w.admin.Create(w.ctx, review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(Equal(want))
	})
}
