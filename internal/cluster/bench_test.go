// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
)

// benchmarkCached measures the heap of a cached object with its indexes. next
// makes the nth one, as the API server sends it.
func benchmarkCached(b *testing.B, indexers toolscache.Indexers, per int, next func(n int) any) {
	b.Helper()
	index := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, indexers)
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, n := heap(), 0
	for b.Loop() {
		n++
		slim, err := Slim(next(n))
		if err != nil {
			b.Fatal(err)
		}
		if err := index.Add(slim); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/float64(n*per), "heapB/op")
	runtime.KeepAlive(index)
}

func byNamespace() toolscache.Indexers {
	return toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc}
}

// namedMeta is that of an object which a user created with kubectl apply.
func namedMeta(kind string, n int) metav1.ObjectMeta {
	name := fmt.Sprintf("%s-5d9c7b6f48-%05d", kind, n)
	return metav1.ObjectMeta{
		Namespace: fmt.Sprintf("team-%d", n%50), Name: name, ResourceVersion: strconv.Itoa(n), UID: types.UID(fmt.Sprintf("0b9f4c52-6a0e-4d3b-9f1f-%012d", n)),
		Labels: map[string]string{
			"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": fmt.Sprintf("web-%d", n%50), "pod-template-hash": fmt.Sprintf("5d9c7b%04d", n/50),
		},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: strings.Repeat(name, 50)},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(strings.Repeat(name, 50))}},
	}
}

func nodeName(n int) string { return fmt.Sprintf("cn-hangzhou.192.168.%d.%d", n/30/250, n/30%250) }

func podIP(n int) string { return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255) }

// BenchmarkCachedPod is with --backend-names.
func BenchmarkCachedPod(b *testing.B) {
	indexers := byNamespace()
	indexers[podsByIP] = func(object any) ([]string, error) { return Addresses(object.(*corev1.Pod)), nil }
	benchmarkCached(b, indexers, 1, func(n int) any {
		return &corev1.Pod{
			ObjectMeta: namedMeta("web", n),
			Spec: corev1.PodSpec{
				NodeName:   nodeName(n),
				Containers: []corev1.Container{{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}},
			},
			Status: corev1.PodStatus{
				PodIPs:     []corev1.PodIP{{IP: podIP(n)}},
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
			},
		}
	})
}

// BenchmarkCachedEndpoint is one endpoint of EndpointSlices with 20.
func BenchmarkCachedEndpoint(b *testing.B) {
	const per = 20
	benchmarkCached(b, byNamespace(), per, func(n int) any { return endpointSlice(n, per) })
}

// BenchmarkCachedEndpointSlice is an EndpointSlice with one endpoint.
func BenchmarkCachedEndpointSlice(b *testing.B) {
	benchmarkCached(b, byNamespace(), 1, func(n int) any { return endpointSlice(n, 1) })
}

func endpointSlice(n, endpoints int) *discoveryv1.EndpointSlice {
	slice := newCluster().slices[0]
	slice.ObjectMeta = namedMeta("web", n)
	slice.Labels[discoveryv1.LabelServiceName] = fmt.Sprintf("web-%d", n)
	slice.Endpoints = nil
	for i := range endpoints {
		at := n*endpoints + i
		e := endpointOn(podIP(at), strings.Clone(nodeName(at)), fmt.Sprintf("web-5d9c7b6f48-%05d", at))
		e.Zone, e.TargetRef.UID = new("cn-hangzhou-b"), types.UID(fmt.Sprintf("0b9f4c52-6a0e-4d3b-9f1f-%012d", at))
		slice.Endpoints = append(slice.Endpoints, e)
	}
	return slice
}

// BenchmarkCachedService is with --service-discovery.
func BenchmarkCachedService(b *testing.B) {
	benchmarkCached(b, byNamespace(), 1, func(n int) any {
		service := newCluster(eni).service
		annotations := service.Annotations
		service.ObjectMeta = namedMeta("web", n)
		service.Annotations[annotationBackendType] = annotations[annotationBackendType]
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: podIP(n)}}
		return service
	})
}

// BenchmarkCachedNode has the labels of a node on ACK.
func BenchmarkCachedNode(b *testing.B) {
	benchmarkCached(b, toolscache.Indexers{}, 1, func(n int) any {
		node := ecsNode(nodeName(n*30), fmt.Sprintf("i-bp1%020d", n))
		for i := range 20 {
			node.Labels[fmt.Sprintf("node.kubernetes.io/label-%d", i)] = "cn-hangzhou-b"
		}
		node.Labels[corev1.LabelHostname] = node.Name
		return node
	})
}

// BenchmarkCachedNetworkPolicy has one rule for a range of addresses.
func BenchmarkCachedNetworkPolicy(b *testing.B) {
	benchmarkCached(b, byNamespace(), 1, func(n int) any {
		policy := blocking("web", admit(from("100.64.0.0/10")))
		policy.ObjectMeta = namedMeta("web", n)
		return policy
	})
}

// BenchmarkExpect is the work of one observation of a Service, without reading the cache.
func BenchmarkExpect(b *testing.B) {
	for _, size := range []int{20, 10000} {
		for name, edits := range map[string]edit{"ENI": eni, "Local": local, "Cluster": allNodes} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				c := newCluster(edits)
				c.slices, c.pods, c.nodes = nil, nil, nil
				for n := 0; n*100 < size; n++ {
					c.slices = append(c.slices, endpointSlice(n, min(size, 100)))
				}
				for n := range 50 {
					c.nodes = append(c.nodes, ecsNode(nodeName(n*30), fmt.Sprintf("i-%d", n)))
				}
				state := c.input(true)
				b.ReportAllocs()
				for b.Loop() {
					if expected := Expect(state); len(expected.Listeners[0].Backends) == 0 {
						b.Fatal("nothing is expected")
					}
				}
			})
		}
	}
}
