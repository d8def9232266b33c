// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// killServices are the Services whose pods have gates, each with a load balancer.
const killServices = 4

// gateKills are pods with readiness gates that an operator serves while it is killed.
type gateKills struct {
	pods []*gatePod

	mu       sync.Mutex
	statuses map[types.UID][]string // those of each gate, the first one first
}

// gatePod is a pod, and the backend that it is.
type gatePod struct {
	*corev1.Pod
	service, server string
}

func (p *gatePod) gate() string         { return v1alpha1.ReadinessGatePrefix + p.service }
func (p *gatePod) loadBalancer() string { return "lb-" + p.service }

// addGates creates Services with load balancers, and records the gates of their pods.
func (k *killTest) addGates(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"service-discovery", "backend-names", "readiness-gates"} {
		k.bind(t, k.operator, "", "../"+folder+"/role.yaml")
	}
	for i := range killServices {
		service := fmt.Sprintf("gated-%d", i)
		meta := metav1.ObjectMeta{Namespace: "kills", Name: service, Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-" + service}}
		// A load balancer whose backends are all unavailable might not check health.
		k.simulator.put(t, "lb-"+service, web("i-other", "10.11.255.1", "normal"))
		k.create(t, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 443}}}})
		k.create(t, &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: "kills", Name: service}, Spec: v1alpha1.LoadBalancerHealthSpec{
			ServiceRef: &v1alpha1.ServiceReference{Name: service}, Interval: metav1.Duration{Duration: interval},
		}})
	}
	k.gates = &gateKills{statuses: map[types.UID][]string{}}
	watched, err := cache.New(k.plane.Config, cache.Options{DefaultNamespaces: map[string]cache.Config{"kills": {}}})
	if err != nil {
		t.Fatal(err)
	}
	informer, err := watched.GetInformer(t.Context(), &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: k.gates.record, UpdateFunc: func(_, object any) { k.gates.record(object) },
	}); err != nil {
		t.Fatal(err)
	}
	go func() { _ = watched.Start(t.Context()) }()
	if !watched.WaitForCacheSync(t.Context()) {
		t.Fatal("the pods are not watched")
	}
}

func (g *gateKills) record(object any) {
	pod := object.(*corev1.Pod)
	status := gateStatus(pod, string(pod.Spec.ReadinessGates[0].ConditionType))
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.statuses[pod.UID]
	if n := len(all); n == 0 && status != "" || n > 0 && all[n-1] != status {
		g.statuses[pod.UID] = append(all, status)
	}
}

// changeGates creates a pod whose containers are ready, and changes some backends.
func (k *killTest) changeGates(t *testing.T) {
	t.Helper()
	n := len(k.gates.pods)
	ip := fmt.Sprintf("10.11.%d.%d", n/250, n%250)
	pod := &gatePod{service: fmt.Sprintf("gated-%d", k.random.IntN(killServices)), server: fmt.Sprintf("eni-%d", n)}
	pod.Pod = k.createGatedPod(t, "kills", fmt.Sprintf("pod-%d", n), ip, pod.gate())
	k.gates.pods = append(k.gates.pods, pod)
	row := web(pod.server, ip, k.anyStatus())
	row.Type = "eni"
	k.simulator.add(t, pod.loadBalancer(), row)
	for range 3 {
		pod := k.gates.pods[k.random.IntN(len(k.gates.pods))]
		k.simulator.set(t, pod.loadBalancer(), pod.server, k.anyStatus())
	}
}

func (k *killTest) anyStatus() string {
	return []string{"normal", "abnormal", "unavailable"}[k.random.IntN(3)]
}

// checkGates requires that every pod whose backend is normal has an open gate, that no
// gate changed after it was open, and that none opened for a backend that was never normal.
func (k *killTest) checkGates(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	wasNormal := map[string]bool{}
	for _, response := range k.log.responses() {
		for server, status := range response.rows {
			wasNormal[server] = wasNormal[server] || status == "normal"
		}
	}
	open, changed := 0, 0
	for _, pod := range k.gates.pods {
		k.gates.mu.Lock()
		statuses := slices.Clone(k.gates.statuses[pod.UID])
		k.gates.mu.Unlock()
		const opened = "True BackendNormal"
		first := slices.Index(statuses, opened)
		g.Expect(first < 0 || first == len(statuses)-1).To(BeTrue(), "the gate of %s was %q", pod.Name, statuses)
		g.Expect(first < 0 || wasNormal[pod.server]).To(BeTrue(), "the gate of %s was opened", pod.Name)
		changed += len(statuses)
		if first >= 0 {
			open++
		}
	}
	t.Logf("%d of %d readiness gates were opened, with %d conditions", open, len(k.gates.pods), changed)
	g.Expect(open).To(BeNumerically(">=", kills/3))
}

// awaitGates waits until the gate of every pod whose backend is normal is open.
func (k *killTest) awaitGates(t *testing.T) {
	t.Helper()
	normal := map[string]bool{}
	for i := range killServices {
		var lb struct {
			Backends []backend `json:"backends"`
		}
		k.simulator.do(t, "GET", fmt.Sprintf("loadbalancers/lb-gated-%d", i), nil, &lb)
		for _, b := range lb.Backends {
			normal[b.ServerID] = b.ServerHealthStatus == "normal"
		}
	}
	for _, pod := range k.gates.pods {
		if normal[pod.server] {
			k.awaitGate(t, pod.Pod, pod.gate(), "True BackendNormal")
		}
	}
}
