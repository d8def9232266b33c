// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
)

// BenchmarkCachedPod measures the heap of a cached pod with its indexes, as with
// --backend-names.
func BenchmarkCachedPod(b *testing.B) {
	index := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{
		podsByIP:                  func(object any) ([]string, error) { return Addresses(object.(*corev1.Pod)), nil },
		toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc,
	})
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, n := heap(), 0
	for b.Loop() {
		n++
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: fmt.Sprintf("team-%d", n%50), Name: fmt.Sprintf("web-5d9c7b6f48-%05d", n), ResourceVersion: strconv.Itoa(n),
				UID: types.UID(fmt.Sprintf("0b9f4c52-6a0e-4d3b-9f1f-%012d", n)),
				Labels: map[string]string{
					"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": fmt.Sprintf("web-%d", n%50), "pod-template-hash": fmt.Sprintf("5d9c7b%04d", n/50),
				},
			},
			Spec: corev1.PodSpec{NodeName: fmt.Sprintf("cn-hangzhou.192.168.%d.%d", n/30/250, n/30%250)},
			Status: corev1.PodStatus{
				PodIPs:     []corev1.PodIP{{IP: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)}},
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
			},
		}
		if err := index.Add(slimPod(pod)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/float64(n), "heapB/op")
	runtime.KeepAlive(index)
}
