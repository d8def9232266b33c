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

// createNode makes a node that is an ECS instance, and Ready, until the spec ends:
// others tell the region from all nodes.
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

// createPod makes a pod as a kubelet has it run, Ready for an hour.
func (p place) createPod(ctx context.Context, name, node, ip string, edits ...func(*corev1.Pod)) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "web", Image: "web"}}, TerminationGracePeriodSeconds: new(int64(0))},
	}
	for _, edit := range edits {
		edit(pod)
	}
	Expect(admin.Create(ctx, pod)).To(Succeed())
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	setPod(ctx, pod, corev1.ConditionTrue)
	return pod
}

func setPod(ctx context.Context, pod *corev1.Pod, ready corev1.ConditionStatus) {
	GinkgoHelper()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour))}}
	Expect(admin.Status().Update(ctx, pod)).To(Succeed())
}

func onItsNodesNetwork(pod *corev1.Pod) {
	pod.Spec.HostNetwork = true
}

// eni is a backend that is a pod's address.
func eni(ip string) simulator.Backend {
	return simulator.Backend{ServerID: "eni-1", ServerIP: ip, Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443}
}

// whereabouts are where the backends run, as observed now.
func whereabouts(ctx context.Context, object *v1alpha1.LoadBalancerHealth) func() []string {
	return func() (all []string) {
		observe(ctx, object) // the cache may be behind what a spec just did
		for i := range object.Status.Backends {
			all = append(all, object.Status.Backends[i].ServerID+": "+object.Status.Backends[i].Location())
		}
		return all
	}
}

var _ = Describe("The name of a backend", Ordered, func() {
	var naming *operator
	BeforeAll(func() { naming = startOperator(settings{shard: "naming", names: true}) })
	var at place
	BeforeEach(func(ctx SpecContext) { at = newPlace(ctx, naming) })

	It("is that of the node that it is, while that is there", func(ctx SpecContext) {
		node := createNode(ctx, "node-a", region+".i-a")
		createNode(ctx, "node-b", region+".i-b")
		cloud.put(at.lb,
			simulator.Backend{ServerID: "i-a", ListenerPort: 443, ListenerProtocol: "https", Port: 30443},
			simulator.Backend{ServerID: "i-b", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := at.observed(ctx, "health", nil)
		Eventually(whereabouts(ctx, object)).Should(Equal([]string{"i-a: node node-a", "i-b: node node-b"}))

		setNode(ctx, node, corev1.ConditionUnknown)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-a: node node-a; the node is not Ready", "i-b: node node-b"))
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"), "what the cluster says is no verdict")

		Expect(admin.Delete(ctx, node)).To(Succeed())
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-a: no node or pod of this cluster", "i-b: node node-b"))
		Expect(object.Status.Backends[0].Diagnosis).To(Equal(v1alpha1.DiagnosisOrphan))
		Expect(recordedEvents(ctx, object)).To(BeEmpty(), "nothing turned")
	})

	It("is of no orphan while a node without a providerID could be it", func(ctx SpecContext) {
		createNode(ctx, "node-g", region+".i-g")
		cloud.put(at.lb,
			simulator.Backend{ServerID: "i-g", ListenerPort: 443, ListenerProtocol: "https", Port: 30443},
			simulator.Backend{ServerID: "i-h", ServerIP: "10.7.4.1", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := at.observed(ctx, "health", nil)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: no node or pod of this cluster"))

		node := createNode(ctx, "node-h", "")
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: "))
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.7.4.1"}}
		setNode(ctx, node, corev1.ConditionTrue)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-g: node node-g", "i-h: node node-h"))
	})

	It("is that of the pod that has its address, and its events say what the pod says", func(ctx SpecContext) {
		createNode(ctx, "node-c", region+".i-c")
		pod := at.createPod(ctx, "web-1", "node-c", "10.7.0.1")
		at.createPod(ctx, "web-2", "node-c", "10.7.0.2")
		cloud.put(at.lb, eni("10.7.0.1"), eni("10.7.0.2"))
		object := at.observed(ctx, "health", nil)
		where := "pod " + at.namespace + "/web-1; node node-c"
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("eni-1: "+where, "eni-1: pod "+at.namespace+"/web-2; node node-c"))

		sick := eni("10.7.0.1")
		sick.ServerHealthStatus = "abnormal"
		cloud.put(at.lb, sick, eni("10.7.0.2"))
		observe(ctx, object)
		const backend = "backend eni-1 10.7.0.1:8443 (listener 443/https) "
		turned := "Warning BackendAbnormal: " + backend + "is abnormal: its health check fails, was normal; " + where + "; the pod is Ready"
		expectEvents(ctx, object, turned)
		Expect(object.Status.Backends[0].Diagnosis).To(BeEmpty(), "it may be about to turn, too")

		setPod(ctx, pod, corev1.ConditionFalse)
		Eventually(whereabouts(ctx, object)).Should(ContainElement("eni-1: " + where + "; the pod is not Ready"))
		cloud.put(at.lb, eni("10.7.0.2"))
		observe(ctx, object)
		expectEvents(ctx, object, turned, "Normal BackendRemoved: "+backend+"was removed, was abnormal; "+where)
	})

	It("is nobody's while two have its address, or are its instance", func(ctx SpecContext) {
		at.createPod(ctx, "web-1", "", "10.7.1.1")
		at.createPod(ctx, "web-2", "", "10.7.1.1")
		at.createPod(ctx, "web-3", "", "10.7.1.3")
		createNode(ctx, "node-e", region+".i-e")
		createNode(ctx, "node-e-again", region+".i-e")
		cloud.put(at.lb, eni("10.7.1.1"), eni("10.7.1.3"), simulator.Backend{ServerID: "i-e", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := at.observed(ctx, "health", nil)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("eni-1: ", "eni-1: pod "+at.namespace+"/web-3", "i-e: "))
	})

	It("is that of the node whose network its pod is on, and no pod's in another region", func(ctx SpecContext) {
		createNode(ctx, "node-f", region+".i-f")
		createNode(ctx, "node-far", "cn-beijing.i-far")
		at.createPod(ctx, "ingress", "node-f", "10.7.2.1", onItsNodesNetwork)
		at.createPod(ctx, "web", "node-far", "10.7.2.2")
		cloud.put(at.lb, eni("10.7.2.1"), eni("10.7.2.2"), eni("10.7.2.3"))
		object := at.observed(ctx, "health", nil)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("eni-1: node node-f", "eni-1: ", "eni-1: no node or pod of this cluster"))
	})

	It("is not known of pods in namespaces that are not served, which makes no orphans", func(ctx SpecContext) {
		served, other := newPlace(ctx, naming), newPlace(ctx, naming)
		one := startOperator(settings{shard: "naming-one", names: true, namespaces: []string{served.namespace}})
		served.operator = one
		served.createPod(ctx, "web", "", "10.7.3.1")
		other.createPod(ctx, "web", "", "10.7.3.2")
		cloud.put(served.lb, eni("10.7.3.1"), eni("10.7.3.2"))
		object := served.observed(ctx, "health", nil)
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("eni-1: pod "+served.namespace+"/web", "eni-1: "))
	})

	It("costs no write while it stays, and is not there for an operator without the flag", func(ctx SpecContext) {
		createNode(ctx, "node-d", region+".i-d")
		cloud.put(at.lb, simulator.Backend{ServerID: "i-d", ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		object := at.observed(ctx, "health", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = 5 * time.Second })
		Eventually(whereabouts(ctx, object)).Should(HaveExactElements("i-d: node node-d"))
		version, calls := object.ResourceVersion, len(cloud.callsFor(at.lb))
		// The second call comes after what the first one found was judged.
		Eventually(func() int { return len(cloud.callsFor(at.lb)) }).Should(BeNumerically(">", calls+1))
		Expect(reload(ctx, object)).To(Succeed())
		Expect(object.ResourceVersion).To(Equal(version))

		other := newPlace(ctx, shared)
		unnamed := other.observed(ctx, "health", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = at.lb })
		Expect(unnamed.Status.Backends[0].Location()).To(BeEmpty())
	})
})
