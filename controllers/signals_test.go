// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/controllers"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

// observationsAfter counts the observations of a load balancer after the first one.
func observationsAfter(lb string) func() int {
	first := len(cloud.callsFor(lb))
	return func() int { return len(cloud.callsFor(lb)) - first }
}

// cached waits until the operator's cache has an object as it is now.
func (f fixture) cached(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Eventually(func() (string, error) {
		found := object.DeepCopyObject().(client.Object)
		err := f.operator.cache.Get(ctx, client.ObjectKeyFromObject(object), found)
		return found.GetResourceVersion(), err
	}).Should(Equal(object.GetResourceVersion()))
}

// reconciles counts the reconciles of load balancers, by all operators of the suite.
func reconciles() (n float64) {
	GinkgoHelper()
	families, err := ctrlmetrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if family.GetName() == "controller_runtime_reconcile_total" && label.GetValue() == "loadbalancerhealth" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func withLabels(labels map[string]string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Labels = labels }
}

// The interval of each object is an hour, and the fast interval 20 minutes: a
// signal causes exactly one observation.
var _ = Describe("Fast observation", Ordered, func() {
	var fast *operator
	var awaited atomic.Pointer[alicloud.Target]
	BeforeAll(func() {
		fast = startOperator(settings{
			shard: "fast", serviceDiscovery: true, regionID: region, backendNames: true, fastInterval: 20 * time.Minute,
			awaited: func(target alicloud.Target) bool { at := awaited.Load(); return at != nil && *at == target },
		})
	})
	var f fixture
	BeforeEach(func(ctx SpecContext) { f = newFixture(ctx, fast) })

	// onceAfter expects one observation of a load balancer because of a change.
	onceAfter := func(lb string, change func()) {
		GinkgoHelper()
		count := observationsAfter(lb)
		change()
		Eventually(count).Should(Equal(1))
		Consistently(count).Should(Equal(1))
	}
	// podBehind creates a pod, and an object of a load balancer with its address.
	podBehind := func(ctx context.Context, ip string, edits ...func(*corev1.Pod)) *corev1.Pod {
		GinkgoHelper()
		pod := f.createPod(ctx, "web-1", "node", ip, edits...)
		f.cached(ctx, pod)
		cloud.put(f.lb, eni(ip))
		f.observed(ctx, "health", nil)
		return pod
	}

	It("starts when a pod that is a backend is not Ready any more", func(ctx SpecContext) {
		pod := podBehind(ctx, "10.9.0.1")
		onceAfter(f.lb, func() { setPod(ctx, pod, corev1.ConditionFalse) })
	})

	It("starts when a pod that is a backend begins to terminate", func(ctx SpecContext) {
		pod := podBehind(ctx, "10.9.0.2", func(pod *corev1.Pod) { pod.Spec.TerminationGracePeriodSeconds = new(int64(3600)) })
		onceAfter(f.lb, func() { Expect(admin.Delete(ctx, pod)).To(Succeed()) })
		Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
	})

	It("starts when a pod that is a backend is deleted", func(ctx SpecContext) {
		pod := podBehind(ctx, "10.9.0.3")
		onceAfter(f.lb, func() { Expect(admin.Delete(ctx, pod)).To(Succeed()) })
	})

	It("starts when a pod that a Service selects becomes Ready", func(ctx SpecContext) {
		service := f.createService(ctx, "web", f.lb)
		service.Spec.Selector = map[string]string{"app": "web", "tier": "front"}
		Expect(admin.Update(ctx, service)).To(Succeed())
		f.cached(ctx, service)
		cloud.put(f.lb, eni("10.9.0.4"))
		f.observed(ctx, "health", withServiceRef("web"))

		onceAfter(f.lb, func() {
			f.createPod(ctx, "web-2", "node", "10.9.0.5", withLabels(map[string]string{"app": "web", "tier": "front", "hash": "x"}))
		})
		count := observationsAfter(f.lb)
		f.createPod(ctx, "other", "node", "10.9.0.6", withLabels(map[string]string{"app": "web"}))
		Consistently(count).Should(BeZero(), "the Service does not select that pod")
	})

	It("starts when a node that is a backend is not Ready any more", func(ctx SpecContext) {
		node := createNode(ctx, "node-"+f.lb, region+".i-"+f.lb)
		f.cached(ctx, node)
		cloud.put(f.lb, simulator.Backend{ServerID: "i-" + f.lb, ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		f.observed(ctx, "health", nil)
		onceAfter(f.lb, func() { setNode(ctx, node, corev1.ConditionUnknown) })
	})

	It("starts when a node that is a backend is deleted", func(ctx SpecContext) {
		node := createNode(ctx, "node-"+f.lb, region+".i-"+f.lb)
		f.cached(ctx, node)
		cloud.put(f.lb, simulator.Backend{ServerID: "i-" + f.lb, ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		f.observed(ctx, "health", nil)
		onceAfter(f.lb, func() { Expect(admin.Delete(ctx, node)).To(Succeed()) })
	})

	It("starts when a node joins that should be a backend", func(ctx SpecContext) {
		service := f.createService(ctx, "web", f.lb)
		f.cached(ctx, service)
		local := f.lb + "-local"
		cloud.put(f.lb, https(1)...)
		cloud.put(local, https(1)...)
		f.observed(ctx, "health", withServiceRef("web"))
		f.observed(ctx, "by-id", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = local })
		other := observationsAfter(local)
		onceAfter(f.lb, func() { createNode(ctx, "node-"+f.lb, region+".i-new-"+f.lb) })
		Expect(other()).To(BeZero(), "no Service says that the node should be a backend")
	})

	It("starts when the ports of a Service change", func(ctx SpecContext) {
		service := f.createService(ctx, "web", f.lb)
		f.cached(ctx, service)
		cloud.put(f.lb, https(1)...)
		f.observed(ctx, "health", withServiceRef("web"))
		onceAfter(f.lb, func() {
			service.Spec.Ports[0].TargetPort = intstr.FromInt32(9443)
			Expect(admin.Update(ctx, service)).To(Succeed())
		})
	})

	It("starts when the endpoints of a Service change", func(ctx SpecContext) {
		service := f.createService(ctx, "web", f.lb)
		f.cached(ctx, service)
		slice := f.createEndpointSlice(ctx, "web", "10.9.0.20")
		f.cached(ctx, slice)
		cloud.put(f.lb, eni("10.9.0.20"))
		f.observed(ctx, "health", withServiceRef("web"))
		onceAfter(f.lb, func() {
			slice.Endpoints[0].Conditions.Ready = new(false)
			Expect(admin.Update(ctx, slice)).To(Succeed())
		})
	})

	It("starts when a pod waits for the health of a backend", func(ctx SpecContext) {
		cloud.put(f.lb, https(1)...)
		object := f.observed(ctx, "health", nil)
		target, ok := controllers.TargetOf(object)
		Expect(ok).To(BeTrue())
		onceAfter(f.lb, func() {
			awaited.Store(&target)
			fast.reconciler.Signal(target)
		})
	})

	It("starts for nothing else, and changes that do not count cause no reconcile", func(ctx SpecContext) {
		service := f.createService(ctx, "web", f.lb)
		service.Spec.Selector = map[string]string{"app": "web"}
		Expect(admin.Update(ctx, service)).To(Succeed())
		node := createNode(ctx, "node-"+f.lb, region+".i-"+f.lb)
		pod := f.createPod(ctx, "web-1", node.Name, "10.9.0.9", withLabels(map[string]string{"app": "web"}))
		for _, object := range []client.Object{service, node, pod} {
			f.cached(ctx, object)
		}
		cloud.put(f.lb, eni("10.9.0.9"), simulator.Backend{ServerID: "i-" + f.lb, ListenerPort: 443, ListenerProtocol: "https", Port: 30443})
		f.observed(ctx, "health", withServiceRef("web"))
		count, before := observationsAfter(f.lb), reconciles()
		for i := range 20 {
			word := strconv.Itoa(i)
			node.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(time.Now().Add(time.Duration(i) * time.Minute))
			Expect(admin.Status().Update(ctx, node)).To(Succeed())
			pod.Status.Message = word
			Expect(admin.Status().Update(ctx, pod)).To(Succeed())
			pod.Annotations = map[string]string{"example.com/word": word}
			Expect(admin.Update(ctx, pod)).To(Succeed())
			metav1.SetMetaDataAnnotation(&service.ObjectMeta, "example.com/word", word)
			Expect(admin.Update(ctx, service)).To(Succeed())
		}
		for _, object := range []client.Object{service, node, pod} {
			f.cached(ctx, object)
		}
		// One that counts: the operator has then processed those before it.
		onceAfter(f.lb, func() { setPod(ctx, pod, corev1.ConditionFalse) })
		Expect(count()).To(Equal(1))
		Expect(reconciles()-before).To(BeNumerically("<=", 3), "80 changes that do not count")
	})
})
