// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

const (
	webGate         = v1alpha1.ReadinessGatePrefix + "web"
	webRegistration = v1alpha1.RegistrationGatePrefix + "web"
)

// grantGates allows the operators to patch the status of pods, as the role of --readiness-gates does.
func grantGates(ctx context.Context) {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "readiness-gates"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/status"}, Verbs: []string{"patch"}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "readiness-gates"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
	}
	for _, object := range []client.Object{role, binding} {
		Expect(admin.Create(ctx, object)).To(Succeed())
		DeferCleanup(func() { Expect(admin.Delete(context.WithoutCancel(ctx), object)).To(Succeed()) })
	}
}

// gated adds gates to a pod.
func gated(gates ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for _, gate := range gates {
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(gate)})
		}
	}
}

// createGated creates a pod with gates whose containers are ready.
func (f fixture) createGated(ctx context.Context, name, ip string, edits ...func(*corev1.Pod)) *corev1.Pod {
	GinkgoHelper()
	pod := f.createPod(ctx, name, "", ip, edits...)
	setPodCondition(ctx, pod, "ContainersReady", corev1.ConditionTrue)
	return pod
}

// setPodCondition sets one condition of a pod, as the kubelet does.
func setPodCondition(ctx context.Context, pod *corev1.Pod, conditionType string, status corev1.ConditionStatus) {
	GinkgoHelper()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{
		{Type: corev1.PodConditionType(conditionType), Status: status, LastTransitionTime: metav1.Now()},
	}}})
	Expect(err).NotTo(HaveOccurred())
	Expect(admin.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch))).To(Succeed())
}

// gateOf reads a pod again, and returns the condition of a gate as "Status Reason".
func gateOf(ctx context.Context, pod *corev1.Pod, gate string) func() (string, error) {
	return func() (string, error) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		for _, c := range pod.Status.Conditions {
			if string(c.Type) == gate {
				return string(c.Status) + " " + c.Reason, err
			}
		}
		return "", err
	}
}

func eniStatus(ip, status string) simulator.Backend {
	b := eni(ip)
	b.ServerHealthStatus = status
	return b
}

// createGatedService creates a Service with an HTTPS port that opts in, and its object.
func (f fixture) createGatedService(ctx context.Context, name string) *v1alpha1.LoadBalancerHealth {
	GinkgoHelper()
	service := f.createService(ctx, name, f.lb)
	before := service.DeepCopy()
	service.Labels[v1alpha1.ReadinessGateLabel] = v1alpha1.ReadinessGateEnabled
	metav1.SetMetaDataAnnotation(&service.ObjectMeta, "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port", "https:443")
	Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
	return f.observed(ctx, name, withServiceRef(name))
}

// waiting are the gates of the fixture that wait, by the metric.
func (f fixture) waiting() (all []string) {
	GinkgoHelper()
	families, err := f.operator.registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != "slb_readiness_gates_waiting" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["namespace"] == f.namespace {
				all = append(all, fmt.Sprintf("%s %s %g", labels["service"], labels["reason"], m.GetGauge().GetValue()))
			}
		}
	}
	return all
}

var _ = Describe("A readiness gate", Ordered, func() {
	var gates *operator
	BeforeAll(func(ctx SpecContext) {
		grantGates(ctx)
		gates = startOperator(settings{shard: "gates", serviceDiscovery: true, regionID: region, backendNames: true, gates: true, unknownTimeout: time.Hour})
	})
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, gates) })

	It("opens once the pod is normal, after it was not registered and abnormal, and never closes", func(ctx SpecContext) {
		cloud.put(f.lb, eni("10.8.0.9"))
		object := f.createGatedService(ctx, "web")
		pod := f.createGated(ctx, "web-1", "10.8.0.1", gated(webGate, webRegistration))
		Eventually(f.waiting).Should(ConsistOf("web WaitingForObservation 1"))
		Expect(gateOf(ctx, pod, webGate)()).To(BeEmpty(), "a quick pod costs one patch")

		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"))
		cloud.put(f.lb, eni("10.8.0.9"), eniStatus("10.8.0.1", "normal"))
		observe(ctx, object)
		Consistently(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"), "the cloud controller manager's gate is closed: the row may be of another pod")

		setPodCondition(ctx, pod, webRegistration, corev1.ConditionTrue)
		Consistently(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"), "no observation since then")
		cloud.put(f.lb, eni("10.8.0.9"), eniStatus("10.8.0.1", "abnormal"))
		observe(ctx, object)
		Eventually(f.waiting).Should(ConsistOf("web BackendAbnormal 1"))
		Consistently(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"), "another reason is written after 30 s at the earliest")

		cloud.put(f.lb, eni("10.8.0.9"), eni("10.8.0.1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("True BackendNormal"))
		Eventually(f.waiting).Should(BeEmpty())
		Expect(traffic.podPatchesIn(f.namespace)).To(Equal(2), "one that is closed, one that is open")

		cloud.put(f.lb, eni("10.8.0.9"), eniStatus("10.8.0.1", "abnormal"))
		observe(ctx, object)
		setPodCondition(ctx, pod, "ContainersReady", corev1.ConditionFalse)
		setPodCondition(ctx, pod, "ContainersReady", corev1.ConditionTrue)
		observe(ctx, object)
		Consistently(gateOf(ctx, pod, webGate)).Should(Equal("True BackendNormal"))
		Expect(traffic.podPatchesIn(f.namespace)).To(Equal(2))
	})

	It("of pods that a bounded status omits is decided from every row", func(ctx SpecContext) {
		const pods = 40
		var backends []simulator.Backend
		for i := range 600 {
			status := "abnormal"
			if i < pods {
				status = "normal"
			}
			backends = append(backends, eniStatus(fmt.Sprintf("10.8.%d.%d", 10+i/200, i%200), status))
		}
		cloud.put(f.lb, backends...)
		object := f.createGatedService(ctx, "web")
		for i := range pods {
			f.createGated(ctx, fmt.Sprintf("web-%d", i), fmt.Sprintf("10.8.10.%d", i), gated(webGate))
		}
		Eventually(f.waiting).Should(ConsistOf(fmt.Sprintf("web WaitingForObservation %d", pods)))
		observe(ctx, object)
		Eventually(f.waiting).Should(BeEmpty())
		Expect(object.Status.OmittedBackends).To(BeNumerically(">=", pods))
		Expect(traffic.podPatchesIn(f.namespace)).To(Equal(pods))
	})

	It("of each Service of a pod is decided by itself, and other gates and conditions stay", func(ctx SpecContext) {
		cloud.put(f.lb, eni("10.8.1.1"))
		object := f.createGatedService(ctx, "web")
		pod := f.createGated(ctx, "web-1", "10.8.1.1", gated("example.com/other", webGate, v1alpha1.ReadinessGatePrefix+"api"))
		setPodCondition(ctx, pod, "example.com/other", corev1.ConditionFalse)
		Eventually(f.waiting).Should(ConsistOf("web WaitingForObservation 1", "api WaitingForObservation 1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("True BackendNormal"))
		Expect(gateOf(ctx, pod, "example.com/other")()).To(Equal("False "))
		Expect(gateOf(ctx, pod, v1alpha1.ReadinessGatePrefix+"api")()).To(BeEmpty(), "Service api does not exist, perhaps not yet")
		Eventually(f.waiting).Should(ConsistOf("api WaitingForObservation 1"))
	})

	It("opens at once by the label of the pod or of the Service", func(ctx SpecContext) {
		cloud.put(f.lb, eni("10.8.2.9"))
		object := f.createGatedService(ctx, "web")
		optedOut := f.createPod(ctx, "web-1", "", "10.8.2.1", gated(webGate), func(pod *corev1.Pod) {
			pod.Labels = map[string]string{v1alpha1.ReadinessGateLabel: v1alpha1.ReadinessGateDisabled}
		})
		Eventually(gateOf(ctx, optedOut, webGate)).Should(Equal("True Disabled"))
		pod := f.createGated(ctx, "web-2", "10.8.2.2", gated(webGate))
		Eventually(f.waiting).Should(ConsistOf("web WaitingForObservation 1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"))

		service := &corev1.Service{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "web"}, service)).To(Succeed())
		before := service.DeepCopy()
		service.Labels[v1alpha1.ReadinessGateLabel] = v1alpha1.ReadinessGateOff
		Expect(admin.Patch(ctx, service, client.MergeFrom(before))).To(Succeed())
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("True Disabled"))
	})

	It("is decided by a new leader, which does not write again what an earlier one wrote", func(ctx SpecContext) {
		first := startOperator(settings{shard: "gates-failover", serviceDiscovery: true, regionID: region, backendNames: true, gates: true})
		f.operator = first
		cloud.put(f.lb, eni("10.8.3.9"))
		object := f.createGatedService(ctx, "web")
		pod := f.createGated(ctx, "web-1", "10.8.3.1", gated(webGate))
		Eventually(f.waiting).Should(ConsistOf("web WaitingForObservation 1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"))
		first.stop()

		f.operator = startOperator(settings{shard: "gates-failover", serviceDiscovery: true, regionID: region, backendNames: true, gates: true})
		Eventually(f.waiting).Should(ConsistOf("web NotRegistered 1"))
		observe(ctx, object)
		Consistently(gateOf(ctx, pod, webGate)).Should(Equal("False NotRegistered"))
		Expect(traffic.podPatchesIn(f.namespace)).To(Equal(1))
		cloud.put(f.lb, eni("10.8.3.9"), eni("10.8.3.1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, pod, webGate)).Should(Equal("True BackendNormal"))
	})

	It("opens after the timeout while observations fail, and says so", func(ctx SpecContext) {
		impatient := startOperator(settings{shard: "gates-unknown", serviceDiscovery: true, regionID: region, backendNames: true, gates: true, unknownTimeout: 3 * time.Second})
		f.operator = impatient
		cloud.put(f.lb, eniStatus("10.8.4.1", "abnormal"), eni("10.8.4.9"))
		object := f.createGatedService(ctx, "web")
		bad := f.createGated(ctx, "web-1", "10.8.4.1", gated(webGate))
		Eventually(f.waiting).Should(ConsistOf("web WaitingForObservation 1"))
		observe(ctx, object)
		Eventually(gateOf(ctx, bad, webGate)).Should(Equal("False BackendAbnormal"))
		Consistently(gateOf(ctx, bad, webGate), 4*time.Second).Should(Equal("False BackendAbnormal"), "it is known to be bad")

		cloud.fail(f.lb, simulator.Fault{Kind: simulator.FaultThrottle})
		observe(ctx, object)
		unknown := f.createGated(ctx, "web-2", "10.8.4.2", gated(webGate))
		Eventually(gateOf(ctx, unknown, webGate)).Should(Equal("True HealthUnknown"))
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(admin.List(ctx, &list, client.InNamespace(f.namespace))).To(Succeed())
			var notes []string
			for _, e := range list.Items {
				if e.Reason == v1alpha1.EventReadinessGateOpened && e.Type == corev1.EventTypeWarning {
					notes = append(notes, e.Regarding.Kind+" "+e.Regarding.Name+": "+e.Note)
				}
			}
			g.Expect(notes).To(ContainElements(
				HavePrefix("Pod web-2: readiness gate "+webGate+" was opened without knowing the health of the pod"),
				And(HavePrefix("LoadBalancerHealth web: readiness gate "+webGate+" of "), ContainSubstring("web-2"), ContainSubstring("Throttled"))))
		}).Should(Succeed())
		Expect(strings.Join(f.waiting(), " ")).NotTo(ContainSubstring("HealthUnknown"))
	})

	It("of a pod that has the name of another one is not opened for that", func(ctx SpecContext) {
		pod := f.createGated(ctx, "web-1", "10.8.5.1", gated(webGate))
		patch := fmt.Sprintf(`{"metadata":{"uid":"0b9f4c52-6a0e-4d3b-9f1f-2f6a1a0c3d11"},"status":{"conditions":[{"type":%q,"status":"True"}]}}`, webGate)
		err := admin.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
		Expect(err).To(HaveOccurred())
		Expect(gateOf(ctx, pod, webGate)()).To(BeEmpty())
	})
})
