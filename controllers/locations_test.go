// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

// createNode creates a Ready node of an ECS instance, and deletes it after the
// spec: other specs determine the region from all nodes.
func createNode(ctx context.Context, name, providerID string) *corev1.Node {
	GinkgoHelper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: providerID}}
	Expect(admin.Create(ctx, node)).To(Succeed())
	DeferCleanup(func() { Expect(client.IgnoreNotFound(admin.Delete(context.WithoutCancel(ctx), node))).To(Succeed()) })
	setNode(ctx, node, corev1.ConditionTrue)
	return node
}

func setNode(ctx context.Context, node *corev1.Node, ready corev1.ConditionStatus) {
	GinkgoHelper()
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	Expect(admin.Status().Update(ctx, node)).To(Succeed())
}

// createPod creates a running pod that has been Ready for an hour.
func (f fixture) createPod(ctx context.Context, name, node, ip string, edits ...func(*corev1.Pod)) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "web", Image: "web"}}, TerminationGracePeriodSeconds: new(int64(0))},
	}
	for _, edit := range edits {
		edit(pod)
	}
	Expect(admin.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
	setPod(ctx, pod, corev1.ConditionTrue)
	return pod
}

// setPod patches the status, as the kubelet does: the operator may patch a gate at the same time.
func setPod(ctx context.Context, pod *corev1.Pod, ready corev1.ConditionStatus) {
	GinkgoHelper()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour))}}
	without := pod.DeepCopy()
	without.Status = corev1.PodStatus{}
	// Not an update: the operator may have opened a gate of the new pod already.
	Expect(admin.Status().Patch(ctx, pod, client.StrategicMergeFrom(without))).To(Succeed())
}

func onHostNetwork(pod *corev1.Pod) {
	pod.Spec.HostNetwork = true
}

// eni is a backend with a pod's address.
func eni(ip string) simulator.Backend {
	return simulator.Backend{ServerID: "eni-1", ServerIP: ip, Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443}
}

// locationsOf observes an object, and returns the location of each backend.
func locationsOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth) func() []string {
	return func() (all []string) {
		observe(ctx, object) // the cache may lag behind the spec
		for i := range object.Status.Backends {
			all = append(all, object.Status.Backends[i].ServerID+": "+object.Status.Backends[i].Location())
		}
		return all
	}
}

var _ = Describe("The location of a backend", Ordered, func() {
	var locating *operator
	BeforeAll(func() { locating = startOperator(settings{shard: "locations", backendNames: true}) })
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, locating) })

	It("is its node, until the node is deleted", func(ctx SpecContext) {
		node := createNode(ctx, "node-a", region+".i-a")
		createNode(ctx, "node-b", region+".i-b")
		cloud.put(f.lb,
			simulator.Backend{ServerID: "i-a", ListenerPort: 443, ListenerProtocol: "https", Port: 30443},
			simulator.Backend{ServerID: "i-b", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := f.observed(ctx, "health", nil)
		Eventually(locationsOf(ctx, object)).Should(Equal([]string{"i-a: node node-a", "i-b: node node-b"}))

		setNode(ctx, node, corev1.ConditionUnknown)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-a: node node-a; the node is not Ready", "i-b: node node-b"))
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"), "the location does not change the verdict")

		Expect(admin.Delete(ctx, node)).To(Succeed())
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-a: no node or pod of this cluster", "i-b: node node-b"))
		Expect(object.Status.Backends[0].Diagnosis).To(Equal(v1alpha1.DiagnosisOrphan))
		Expect(recordedEvents(ctx, object)).To(BeEmpty(), "no backend changed")
	})

	It("is unknown while a node without a providerID could be the backend", func(ctx SpecContext) {
		createNode(ctx, "node-g", region+".i-g")
		cloud.put(f.lb,
			simulator.Backend{ServerID: "i-g", ListenerPort: 443, ListenerProtocol: "https", Port: 30443},
			simulator.Backend{ServerID: "i-h", ServerIP: "10.7.4.1", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := f.observed(ctx, "health", nil)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: no node or pod of this cluster"))

		node := createNode(ctx, "node-h", "")
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: "))
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.7.4.1"}}
		setNode(ctx, node, corev1.ConditionTrue)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: node node-h"))
	})

	It("is the pod with its address, and its events have the pod's readiness", func(ctx SpecContext) {
		createNode(ctx, "node-c", region+".i-c")
		pod := f.createPod(ctx, "web-1", "node-c", "10.7.0.1")
		f.createPod(ctx, "web-2", "node-c", "10.7.0.2")
		cloud.put(f.lb, eni("10.7.0.1"), eni("10.7.0.2"))
		object := f.observed(ctx, "health", nil)
		location := "pod " + f.namespace + "/web-1; node node-c"
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("eni-1: "+location, "eni-1: pod "+f.namespace+"/web-2; node node-c"))

		abnormal := eni("10.7.0.1")
		abnormal.ServerHealthStatus = "abnormal"
		cloud.put(f.lb, abnormal, eni("10.7.0.2"))
		observe(ctx, object)
		const backend = "backend eni-1 10.7.0.1:8443 (listener 443/https) "
		becameAbnormal := "Warning BackendAbnormal: " + backend + "is abnormal: its health check fails, was normal; " + location + "; the pod is Ready"
		expectEvents(ctx, object, becameAbnormal)
		Expect(object.Status.Backends[0].Diagnosis).To(BeEmpty(), "the pod may become not Ready, too")

		setPod(ctx, pod, corev1.ConditionFalse)
		Eventually(locationsOf(ctx, object)).Should(ContainElement("eni-1: " + location + "; the pod is not Ready"))
		cloud.put(f.lb, eni("10.7.0.2"))
		observe(ctx, object)
		expectEvents(ctx, object, becameAbnormal, "Normal BackendRemoved: "+backend+"was removed, was abnormal; "+location)
	})

	It("is unknown while two pods have its address, or two nodes its instance", func(ctx SpecContext) {
		f.createPod(ctx, "web-1", "", "10.7.1.1")
		f.createPod(ctx, "web-2", "", "10.7.1.1")
		f.createPod(ctx, "web-3", "", "10.7.1.3")
		createNode(ctx, "node-e", region+".i-e")
		createNode(ctx, "node-e-again", region+".i-e")
		cloud.put(f.lb, eni("10.7.1.1"), eni("10.7.1.3"), simulator.Backend{ServerID: "i-e", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := f.observed(ctx, "health", nil)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("eni-1: ", "eni-1: pod "+f.namespace+"/web-3", "i-e: "))
	})

	It("is the node of a pod on the host network, and no pod of another region", func(ctx SpecContext) {
		createNode(ctx, "node-f", region+".i-f")
		createNode(ctx, "node-far", "cn-beijing.i-far")
		f.createPod(ctx, "ingress", "node-f", "10.7.2.1", onHostNetwork)
		f.createPod(ctx, "web", "node-far", "10.7.2.2")
		cloud.put(f.lb, eni("10.7.2.1"), eni("10.7.2.2"), eni("10.7.2.3"))
		object := f.observed(ctx, "health", nil)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("eni-1: node node-f", "eni-1: ", "eni-1: no node or pod of this cluster"))
	})

	It("is unknown for pods in namespaces that are not watched", func(ctx SpecContext) {
		served, other := newFixture(ctx, locating), newFixture(ctx, locating)
		one := startOperator(settings{shard: "locations-one", backendNames: true, namespaces: []string{served.namespace}})
		served.operator = one
		served.createPod(ctx, "web", "", "10.7.3.1")
		other.createPod(ctx, "web", "", "10.7.3.2")
		cloud.put(served.lb, eni("10.7.3.1"), eni("10.7.3.2"))
		object := served.observed(ctx, "health", nil)
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("eni-1: pod "+served.namespace+"/web", "eni-1: "))
	})

	It("causes no write while it is unchanged, and is absent without --backend-names", func(ctx SpecContext) {
		createNode(ctx, "node-d", region+".i-d")
		cloud.put(f.lb, simulator.Backend{ServerID: "i-d", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := f.observed(ctx, "health", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = 5 * time.Second })
		Eventually(locationsOf(ctx, object)).Should(HaveExactElements("i-d: node node-d"))
		version, calls := object.ResourceVersion, len(cloud.callsFor(f.lb))
		// The second call is made after the first observation was evaluated.
		Eventually(func() int { return len(cloud.callsFor(f.lb)) }).Should(BeNumerically(">", calls+1))
		Expect(reload(ctx, object)).To(Succeed())
		Expect(object.ResourceVersion).To(Equal(version))

		other := newFixture(ctx, shared)
		withoutFlag := other.observed(ctx, "health", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = f.lb })
		Expect(withoutFlag.Status.Backends[0].Location()).To(BeEmpty())
	})
})
