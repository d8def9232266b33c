// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/health"
)

func slimmed[T any](t *testing.T, object T) T {
	t.Helper()
	slim, err := Slim(object)
	if err != nil {
		t.Fatal(err)
	}
	return slim.(T)
}

// slimAs checks what the cache keeps of an object.
func slimAs[T any](t *testing.T, object, want T) {
	t.Helper()
	if slim := slimmed(t, object); !apiequality.Semantic.DeepEqual(slim, want) {
		t.Errorf("kept %+v\nwant %+v", slim, want)
	}
}

func TestSlimEndpointSlice(t *testing.T) {
	stored := newCluster().slices[0]
	stored.UID, stored.ResourceVersion, stored.GenerateName = "u", "7", "web-"
	stored.Labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io"
	stored.Annotations = map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05Z"}
	stored.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager"}}
	stored.OwnerReferences = []metav1.OwnerReference{{Name: "web"}}
	stored.Ports[0].AppProtocol = new("http")
	e := &stored.Endpoints[0]
	e.Hostname, e.Zone, e.Hints, e.TargetRef.UID = new("web-1"), new("a"), &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}}}, "p"
	stored.Endpoints[1].TargetRef.Kind = "Node"

	want := newCluster().slices[0]
	want.UID, want.ResourceVersion = "u", "7"
	want.Ports[0].Protocol = nil
	want.Endpoints[0].Conditions.Serving, want.Endpoints[1].Conditions.Serving = nil, nil
	want.Endpoints[1].TargetRef = nil
	slimAs(t, stored, want)

	e.NodeName, stored.Endpoints[1].NodeName = new("n1"), new("n1")
	slim := slimmed(t, stored)
	if slim.Endpoints[0].NodeName != slim.Endpoints[1].NodeName || slim.Endpoints[0].Conditions.Ready != slim.Endpoints[1].Conditions.Ready {
		t.Error("endpoints store the same node or condition twice")
	}
	delete(stored.Labels, discoveryv1.LabelServiceName)
	if slim := slimmed(t, stored); slim.Endpoints != nil || slim.Ports != nil {
		t.Errorf("of no Service, kept %+v", slim)
	}
}

func TestSlimNetworkPolicy(t *testing.T) {
	stored := blocking("web", admit(from("100.64.0.0/10")), selecting(metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}))
	want := stored.DeepCopy()
	stored.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}
	stored.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	stored.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
	slimAs(t, stored, want)
}

func TestSlimNode(t *testing.T) {
	stored := ecsNode("n1", "i-1")
	stored.Labels["pool"] = "web"
	stored.Spec.Unschedulable = true
	want := stored.DeepCopy()
	want.Spec.Taints = []corev1.Taint{{Key: taintAutoscaler}}
	want.Status.Conditions = want.Status.Conditions[1:]
	stored.Annotations = map[string]string{"csi.volume.kubernetes.io/nodeid": "{}"}
	stored.Spec.Taints = []corev1.Taint{{Key: "other"}, {Key: taintAutoscaler, Value: "1700000000"}}
	stored.Spec.PodCIDR = "10.0.0.0/24"
	stored.Status.Images = []corev1.ContainerImage{{Names: []string{"web"}}}
	stored.Status.Conditions[0].Message = "no pressure"
	slimAs(t, stored, want)
}

func TestSlimPodKeepsNamedPorts(t *testing.T) {
	pod := func(port int32) *corev1.Pod {
		p := podOn("web-1", "n1")
		p.Spec.InitContainers = []corev1.Container{{Name: "proxy", Ports: []corev1.ContainerPort{{Name: "admin", ContainerPort: 15000}}}}
		p.Spec.Containers = []corev1.Container{
			{Name: "web", Image: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port, HostPort: 80}, {ContainerPort: 9090}}},
			{Name: "dns", Ports: []corev1.ContainerPort{{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}}},
		}
		return p
	}
	want := podOn("web-1", "n1")
	want.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "admin", ContainerPort: 15000, Protocol: corev1.ProtocolTCP}, {Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}, {Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
	}}}
	slimAs(t, pod(8080), want)
	a, b, other := slimmed(t, pod(8080)), slimmed(t, pod(8080)), slimmed(t, pod(8081))
	if unsafe.SliceData(a.Spec.Containers) != unsafe.SliceData(b.Spec.Containers) {
		t.Error("two pods store the same ports twice")
	}
	if other.Spec.Containers[0].Ports[1].ContainerPort != 8081 {
		t.Errorf("pods share different ports: %+v", other.Spec.Containers)
	}
	if none := slimmed(t, podOn("web-1", "n1")); none.Spec.Containers != nil {
		t.Errorf("without ports, kept %+v", none.Spec.Containers)
	}
}

// What keeps a node or a pod from serving is in the location of a backend.
func TestLocationShowsDrainsAndTerminations(t *testing.T) {
	for name, test := range map[string]struct {
		edit edit
		want string
	}{
		"a node":                        {node(1, func(*corev1.Node) {}), ""},
		"unschedulable":                 {unschedulable(1), health.Unschedulable},
		"the autoscaler's taint":        {tainted(1, taintAutoscaler), taintAutoscaler},
		"both":                          {func(c *cluster) { unschedulable(1)(c); tainted(1, taintAutoscaler)(c) }, taintAutoscaler},
		"the taint of an unready node":  {tainted(1, "node.kubernetes.io/not-ready"), ""},
		"the taint of unschedulability": {tainted(1, "node.kubernetes.io/unschedulable"), ""},
	} {
		equal(t, name, locationOf(slimNode(newCluster(test.edit).nodes[0])), health.Location{Node: "n1", NodeDraining: test.want})
	}
	now := metav1.NewTime(start)
	terminating := func(p *corev1.Pod) { p.DeletionTimestamp = &now }
	ended := func(p *corev1.Pod) { terminating(p); p.Status.Conditions[1].Status = corev1.ConditionFalse }
	for name, test := range map[string]struct {
		edit edit
		want health.Location
	}{
		"a Ready pod":                       {podAt(1, func(*corev1.Pod) {}), health.Location{Pod: "prod/web-1", PodReadySince: start}},
		"a pod that waits for a gate":       {gate(1, registering), health.Location{Pod: "prod/web-1", PodReadySince: start}},
		"a terminating pod that is Ready":   {podAt(1, terminating), health.Location{Pod: "prod/web-1", PodTerminating: true}},
		"a terminating pod that has exited": {podAt(1, ended), health.Location{Pod: "prod/web-1"}},
	} {
		var got health.Location
		setPod(&got, slimPod(newCluster(test.edit).pods[0]))
		got.PodReadySince, test.want.PodReadySince = got.PodReadySince.UTC(), test.want.PodReadySince.UTC()
		equal(t, name, got, test.want)
	}
}
