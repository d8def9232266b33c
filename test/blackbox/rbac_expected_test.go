// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// servedPod and servedIP are the only endpoint of each Service that createServed creates.
const servedPod, servedIP = "web-9", "10.9.9.9"

// servedRow is that endpoint as a backend.
func servedRow(status string) row {
	return row{"ServerId": "eni-9", "ServerIp": servedIP, "Type": "eni", "ListenerPort": 443, "Protocol": "tcp", "Port": 8443, "ServerHealthStatus": status}
}

// createServed creates a Service with a load balancer, lb-of-NAME, and one endpoint, which
// is registered and normal.
func (w *env) createServed(t *testing.T, i installation, name string, annotations map[string]string) *corev1.Service {
	t.Helper()
	w.slb.on("lb-of-"+name, always(success(servedRow("normal"))))
	w.create(t, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: i.served, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{servedIP}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: i.served, Name: servedPod},
		}},
	})
	all := map[string]string{"service.beta.kubernetes.io/backend-type": "eni"}
	maps.Copy(all, annotations)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: i.served, Name: name, Annotations: all,
			Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-of-" + name},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}},
		},
	}
	w.create(t, service)
	return service
}

// createServedPod creates the pod of that endpoint, which is Ready.
func (w *env) createServedPod(t *testing.T, i installation) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: servedPod, Labels: map[string]string{"app": servedPod}},
		Spec:       corev1.PodSpec{NodeName: "node-9", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	w.create(t, pod)
	pod.Status.PodIP, pod.Status.PodIPs = servedIP, []corev1.PodIP{{IP: servedIP}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	if err := w.admin.Status().Update(w.ctx, pod); err != nil {
		t.Fatal(err)
	}
}

// registered are the states of a healthy object with this condition Registered.
func registered(status string) states {
	return with(good("AllBackendsNormal"), states{"Registered": status})
}

// onceInLog requires that the operator logged a text once.
func onceInLog(t *testing.T, op *operator, text string) {
	t.Helper()
	_, stderr := op.output(t)
	NewWithT(t).Expect(strings.Count(stderr, text)).To(Equal(1), stderr)
}

// withoutEndpointSlices requires that the operator works as before where its role does not name EndpointSlices.
func (w *env) withoutEndpointSlices(t *testing.T, i installation) {
	t.Helper()
	i.without, i.run = "endpointslices", "-without-endpointslices"
	w.install(t, i)
	w.awaitPermission(t, i, "endpointslices.discovery.k8s.io", false)
	w.awaitPermission(t, i, "services", true)
	op := w.startInstalled(t, i)
	w.createServed(t, i, "old-role", map[string]string{v1alpha1.MonitorAnnotation: "true"})
	found := w.await(t, named(i.served, "old-role"), registered("Unknown NotDetermined"))
	NewWithT(t).Expect(conditionOf(found, "Registered").Message).To(ContainSubstring("apply config/service-discovery or upgrade the chart"))
	NewWithT(t).Expect(found.Status.Listeners).To(HaveEach(HaveField("Expected", BeNil())))
	op.terminate(t, stopGrace)
	onceInLog(t, op, "Registered is not determined: apply config/service-discovery")
}

// createBlocked creates a NetworkPolicy that admits no health checks to the pod of createServedPod, and an object
// of a Service with this pod, whose health check fails.
func (w *env) createBlocked(t *testing.T, i installation) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	w.create(t, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: "only-pods"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": servedPod}},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
		},
	})
	w.createServed(t, i, "blocked", nil)
	w.slb.on("lb-of-blocked", always(success(servedRow("abnormal"))))
	object := named(i.served, "blocked", func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID, o.Spec.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: "blocked"}
	})
	w.create(t, object)
	return object
}

// withoutNetworkPolicies requires that the operator works as before where its role does not name NetworkPolicies.
func (w *env) withoutNetworkPolicies(t *testing.T, i installation, blocked *v1alpha1.LoadBalancerHealth) {
	t.Helper()
	i.without, i.run = "networkpolicies", "-without-networkpolicies"
	w.install(t, i)
	w.awaitPermission(t, i, "pods", true)
	w.awaitPermission(t, i, "networkpolicies.networking.k8s.io", false)
	op := w.startInstalled(t, i)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.get(g, blocked).Status.Backends).To(HaveExactElements(
			And(HaveField("Pod", i.served+"/"+servedPod), HaveField("Diagnosis", Not(Equal(v1alpha1.DiagnosisNetworkPolicyBlocks))))))
	})
	op.terminate(t, stopGrace)
	onceInLog(t, op, "no diagnosis names a NetworkPolicy: apply config/backend-names")
}

// servicesInNamespace gives the operator of one namespace the permissions of both components, but for nodes, as Roles.
func (w *env) servicesInNamespace(t *testing.T, i installation, log *auditLog) {
	i.run, i.args = "-services", []string{"--service-discovery", "--region-id=" + region, "--backend-names"}
	for _, component := range []string{"service-discovery", "backend-names"} {
		meta := metav1.ObjectMeta{Namespace: i.namespace, Name: component}
		role := roleWithout(t, filepath.Join("..", "..", "config", component, "role.yaml"), "nodes")
		w.create(t, &rbacv1.Role{ObjectMeta: meta, Rules: role.Rules})
		w.create(t, &rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: component},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: i.namespace, Name: serviceAccountName}},
		})
	}
	w.awaitPermission(t, i, "endpointslices.discovery.k8s.io", true)
	w.awaitPermission(t, i, "networkpolicies.networking.k8s.io", true)
	w.createServedPod(t, i)
	blocked := w.createBlocked(t, i)
	exceptNodes := func(r *auditedRequest) bool { return r.ObjectRef == nil || r.ObjectRef.Resource != "nodes" }
	start := len(log.of(t, i.user(), exceptNodes))
	op := w.startInstalled(t, i)
	w.eventually(t, func(g Gomega) {
		found := w.get(g, blocked)
		g.Expect(statesOf(found)).To(HaveKeyWithValue("Registered", "True AllRegistered"))
		g.Expect(found.Status.Backends).To(HaveExactElements(HaveField("Diagnosis", v1alpha1.DiagnosisNetworkPolicyBlocks)))
	})
	w.createServed(t, i, "shop", map[string]string{v1alpha1.MonitorAnnotation: "true"})
	w.await(t, named(i.served, "shop"), registered("True AllRegistered"))
	op.terminate(t, stopGrace)
	refusedNothing(t, log.of(t, i.user(), exceptNodes)[start:])
}
