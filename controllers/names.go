// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// Indexes of the cache.
const (
	nodesByInstance = "instance"
	podsByIP        = "ip"
)

// Names finds the nodes and pods that backends are. One that was not set up
// finds nothing, and costs nothing.
type Names struct {
	reader client.Reader
	// nodes and pods tell which of them may be read.
	nodes, pods bool
}

// SetupWithManager has the cache hold nodes, and the pods of the namespaces
// that are served. What may not be read is left out: the rest is of use without.
func (n *Names) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	n.reader = mgr.GetClient()
	for _, kind := range []struct {
		name   string
		read   *bool
		object client.Object
		index  string
		keys   client.IndexerFunc
	}{
		{kindNode, &n.nodes, &corev1.Node{}, nodesByInstance, func(object client.Object) []string { return instanceOf(object.(*corev1.Node)) }},
		{kindPod, &n.pods, &corev1.Pod{}, podsByIP, func(object client.Object) []string { return addressesOf(object.(*corev1.Pod)) }},
	} {
		if err := mayList(ctx, mgr.GetAPIReader(), kind.name, namespaces); err != nil {
			mgr.GetLogger().Info("--backend-names: backends get no name of this kind: apply config/backend-names, or leave the flag out", "kind", kind.name, "reason", err.Error())
			continue
		}
		if err := mgr.GetFieldIndexer().IndexField(ctx, kind.object, kind.index, kind.keys); err != nil {
			return err
		}
		*kind.read = true
	}
	return nil
}

// placesOf says where the backends of an answer run; nil: nobody may look.
func (n *Names) placesOf(ctx context.Context, sample *slb.Sample) (health.Places, error) {
	if n == nil || sample == nil || !n.nodes && !n.pods {
		return nil, nil
	}
	places := make(health.Places, len(sample.Backends))
	for i := range sample.Backends {
		b := &sample.Backends[i]
		key := health.PlaceKey(b.Type, b.ServerID, b.ServerIP)
		if _, found := places[key]; found || key == "" {
			continue
		}
		find, may := n.node, n.nodes
		if b.Type == health.TypeENI {
			find, may = n.pod, n.pods
		}
		if !may {
			continue
		}
		place, err := find(ctx, key)
		if err != nil {
			return nil, err
		}
		places[key] = place
	}
	return places, nil
}

// node finds the node that an ECS instance is.
func (n *Names) node(ctx context.Context, instance string) (health.Place, error) {
	var list corev1.NodeList
	if err := n.reader.List(ctx, &list, client.MatchingFields{nodesByInstance: instance}, client.UnsafeDisableDeepCopy); err != nil {
		return health.Place{}, fmt.Errorf("looking for the node that is %s: %w", instance, err)
	}
	switch len(list.Items) {
	case 0:
		return health.Place{Missing: true}, nil
	case 1:
		return placeOfNode(&list.Items[0]), nil
	default:
		return health.Place{}, nil // while it goes from one name to another
	}
}

// pod finds the pod that has an address, and its node.
func (n *Names) pod(ctx context.Context, ip string) (health.Place, error) {
	var list corev1.PodList
	if err := n.reader.List(ctx, &list, client.MatchingFields{podsByIP: ip}, client.UnsafeDisableDeepCopy); err != nil {
		return health.Place{}, fmt.Errorf("looking for the pod that has the address %s: %w", ip, err)
	}
	switch len(list.Items) {
	case 0:
		return health.Place{Missing: true}, nil
	case 1:
	default:
		return health.Place{}, nil // while an address goes from one pod to the next, it is nobody's
	}
	pod := &list.Items[0]
	place := health.Place{Pod: pod.Namespace + "/" + pod.Name, Node: pod.Spec.NodeName, PodReadySince: readySince(pod)}
	if !n.nodes || place.Node == "" {
		return place, nil
	}
	node := &corev1.Node{}
	err := n.reader.Get(ctx, client.ObjectKey{Name: place.Node}, node)
	if client.IgnoreNotFound(err) != nil {
		return health.Place{}, fmt.Errorf("looking for the node of the pod %s: %w", place.Pod, err)
	}
	place.NodeNotReady = err == nil && placeOfNode(node).NodeNotReady
	return place, nil
}

// placeOfNode is that of a node. One that nobody said anything of yet is not
// said to be not Ready.
func placeOfNode(node *corev1.Node) health.Place {
	place := health.Place{Node: node.Name}
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			place.NodeNotReady = c.Status != corev1.ConditionTrue
		}
	}
	return place
}

// readySince is when a pod turned Ready; zero: it is not, or it is on its way
// out, which an EndpointSlice calls not ready, too.
func readySince(pod *corev1.Pod) time.Time {
	if pod.DeletionTimestamp != nil {
		return time.Time{}
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// instanceOf is the ECS instance that a node is.
func instanceOf(node *corev1.Node) []string {
	if _, instance, ours := identityOf(node); ours && instance != "" {
		return []string{instance}
	}
	return nil
}

// addressesOf are the addresses that a pod has to itself: not those of its
// node, and none once it ended, when another may have them.
func addressesOf(pod *corev1.Pod) []string {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	ips := make([]string, 0, len(pod.Status.PodIPs))
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

// slimNode keeps of a node what tells its region, which instance it is, and whether it is Ready.
func slimNode(node *corev1.Node) *corev1.Node {
	slim := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion,
			Labels: only(node.Labels, corev1.LabelTopologyRegion),
		},
		Spec: corev1.NodeSpec{ProviderID: node.Spec.ProviderID},
	}
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			slim.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return slim
}

// slimPod keeps of a pod its addresses, its node, and since when it is Ready.
func slimPod(pod *corev1.Pod) *corev1.Pod {
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp},
		Spec:       corev1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork},
		Status:     corev1.PodStatus{Phase: pod.Status.Phase, PodIPs: pod.Status.PodIPs},
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			slim.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}}
		}
	}
	return slim
}
