// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// Indexes of the cache.
const (
	nodesByInstance = "instance"
	podsByIP        = "ip"
)

// A virtual node stands for pods that run on no node, and has this label.
const (
	labelType   = "type"
	typeVirtual = "virtual-kubelet"
)

// noInstance is the index of nodes whose providerID does not say which instance they are.
const noInstance = "?"

// Names finds the nodes and pods that backends are. nil, and one that was not
// set up, finds nothing.
type Names struct {
	reader client.Reader
	// nodes and pods tell which of them may be read.
	nodes, pods atomic.Bool
	// everywhere tells that pods of every namespace are there, so that one which
	// is not found is none.
	everywhere bool
}

// SetupWithManager has the cache hold nodes, and the pods of the namespaces
// that are served. What cannot be read now is left out until the next start:
// the rest, and health above all, is of use without.
func (n *Names) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	n.reader, n.everywhere = mgr.GetClient(), len(namespaces) == 0
	for _, kind := range []struct {
		name   string
		read   *atomic.Bool
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
		kind.read.Store(true)
	}
	return nil
}

// watchFailed is the cache's handler of failed watches. What may be read no more
// is left out as well: the cache would go on showing what it held then.
func (n *Names) watchFailed(ctx context.Context, reflector *toolscache.Reflector, err error) {
	toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
	if n == nil || !apierrors.IsForbidden(err) {
		return
	}
	switch reflector.TypeDescription() {
	case fmt.Sprintf("%T", &corev1.Node{}):
		n.nodes.Store(false)
	case fmt.Sprintf("%T", &corev1.Pod{}):
		n.pods.Store(false)
	}
}

// placesOf says where the backends of an answer run; nil: nobody may look.
func (n *Names) placesOf(ctx context.Context, region string, sample *alicloud.Observation) (health.Locations, error) {
	if n == nil || sample == nil || !n.nodes.Load() && !n.pods.Load() {
		return nil, nil
	}
	places := make(health.Locations, len(sample.Backends))
	search := search{Names: n, region: region}
	for i := range sample.Backends {
		b := &sample.Backends[i]
		key := health.LocationKey(b.Type, b.ServerID, b.ServerIP)
		if _, found := places[key]; found || key == "" {
			continue
		}
		var place health.Location
		var err error
		switch {
		case b.Type != health.TypeENI && n.nodes.Load():
			place, err = search.node(ctx, b)
		case b.Type == health.TypeENI && n.pods.Load():
			place, err = search.pod(ctx, key)
		}
		if err != nil {
			return nil, err
		}
		places[key] = place
	}
	return places, nil
}

// search looks for the backends of one answer.
type search struct {
	*Names
	// region is the load balancer's.
	region string
	// unnamed are the nodes without a providerID, read when the first backend is
	// none of the others; nil: not yet.
	unnamed []corev1.Node
}

// node finds the node that an ECS instance is. While two have it, it is neither.
// While there are nodes without a providerID, any may be it: a cloud controller
// manager that does not run yet, or does not know the node, names none.
func (s *search) node(ctx context.Context, b *alicloud.Backend) (health.Location, error) {
	nodes, err := s.nodesOf(ctx, b.ServerID)
	switch {
	case err != nil:
		return health.Location{}, err
	case len(nodes) == 1:
		return placeOfNode(&nodes[0]), nil
	case len(nodes) > 1:
		return health.Location{}, nil
	}
	is := func(node *corev1.Node) bool {
		return hasName(node, b.ServerID) || b.ServerIP != "" && hasAddress(node, health.Address(b.ServerIP))
	}
	place, err := s.among(ctx, is)
	place.Missing = err == nil && len(s.unnamed) == 0
	return place, err
}

// among finds the one node without a providerID of which is holds; one in
// another region than the load balancer has the address by accident.
func (s *search) among(ctx context.Context, is func(*corev1.Node) bool) (health.Location, error) {
	if s.unnamed == nil {
		nodes, err := s.nodesOf(ctx, noInstance)
		if err != nil {
			return health.Location{}, err
		}
		s.unnamed = append([]corev1.Node{}, nodes...)
	}
	var found []*corev1.Node
	for i := range s.unnamed {
		node := &s.unnamed[i]
		if in := regionOf(node); is(node) && (in == "" || in == s.region) {
			found = append(found, node)
		}
	}
	if len(found) != 1 {
		return health.Location{}, nil
	}
	return placeOfNode(found[0]), nil
}

func (s *search) nodesOf(ctx context.Context, instance string) ([]corev1.Node, error) {
	var list corev1.NodeList
	if err := s.reader.List(ctx, &list, client.MatchingFields{nodesByInstance: instance}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("looking for the node that is %q: %w", instance, err)
	}
	return list.Items, nil
}

// pod finds the pod that has an address to itself, or else the node whose
// address it is. While two pods have it, it is neither's.
func (s *search) pod(ctx context.Context, ip string) (health.Location, error) {
	var list corev1.PodList
	if err := s.reader.List(ctx, &list, client.MatchingFields{podsByIP: ip}, client.UnsafeDisableDeepCopy); err != nil {
		return health.Location{}, fmt.Errorf("looking for the pod that has the address %s: %w", ip, err)
	}
	var own []*corev1.Pod
	for i := range list.Items {
		if pod := &list.Items[i]; !pod.Spec.HostNetwork {
			own = append(own, pod)
		}
	}
	switch {
	case len(own) == 1:
		return s.onNode(ctx, health.Location{Pod: own[0].Namespace + "/" + own[0].Name, PodReadySince: readySince(own[0])}, own[0].Spec.NodeName)
	case len(own) == 0 && len(list.Items) > 0:
		return s.onNode(ctx, health.Location{}, list.Items[0].Spec.NodeName)
	case len(own) == 0 && s.nodes.Load():
		return s.nodeAt(ctx, ip)
	default:
		return health.Location{Missing: len(list.Items) == 0 && s.everywhere}, nil
	}
}

// nodeAt finds the node without a providerID that has an address, of which no pod
// is known. One that has no address yet may be the one.
func (s *search) nodeAt(ctx context.Context, ip string) (health.Location, error) {
	place, err := s.among(ctx, func(node *corev1.Node) bool { return hasAddress(node, ip) })
	if err != nil || place.Node != "" {
		return place, err
	}
	couldBe := slices.ContainsFunc(s.unnamed, func(node corev1.Node) bool {
		return len(node.Status.Addresses) == 0 || hasAddress(&node, ip)
	})
	return health.Location{Missing: s.everywhere && !couldBe}, nil
}

// hasName tells whether a node is called after an instance, as in i-bp1 and cn-hangzhou.i-bp1.
func hasName(node *corev1.Node, instance string) bool {
	return node.Name == instance || strings.HasSuffix(node.Name, "."+instance)
}

func hasAddress(node *corev1.Node, ip string) bool {
	return slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return health.Address(a.Address) == ip })
}

// onNode adds the node to a place. One in another region than the load
// balancer has the address by accident: regions have networks of their own.
func (s *search) onNode(ctx context.Context, place health.Location, name string) (health.Location, error) {
	place.Node = name
	if name == "" || !s.nodes.Load() {
		return place, nil
	}
	node := &corev1.Node{}
	if err := s.reader.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return place, client.IgnoreNotFound(err)
	}
	if is := regionOf(node); is != "" && is != s.region {
		return health.Location{}, nil
	}
	place.NodeNotReady = placeOfNode(node).NodeNotReady
	return place, nil
}

// placeOfNode is that of a node. One that nobody said anything of yet is not
// said to be not Ready.
func placeOfNode(node *corev1.Node) health.Location {
	place := health.Location{Node: node.Name}
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

// instanceOf is the ECS instance that a node is: noInstance where its providerID
// does not say, none where it is another provider's, or no machine at all.
func instanceOf(node *corev1.Node) []string {
	_, instance, ours := identityOf(node)
	if !ours || instance == "" && node.Labels[labelType] == typeVirtual {
		return nil
	}
	return []string{cmp.Or(instance, noInstance)}
}

func addressesOf(pod *corev1.Pod) []string {
	ips := make([]string, 0, len(pod.Status.PodIPs))
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, health.Address(ip.IP))
	}
	return ips
}

// slimNode keeps of a node what tells its region, which instance it is, its own
// addresses, and whether it is Ready.
func slimNode(node *corev1.Node) *corev1.Node {
	slim := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion,
			Labels: only(node.Labels, corev1.LabelTopologyRegion, labelType),
		},
		Spec: corev1.NodeSpec{ProviderID: node.Spec.ProviderID},
	}
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			slim.Status.Addresses = append(slim.Status.Addresses, address)
		}
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
		Status:     corev1.PodStatus{PodIPs: pod.Status.PodIPs},
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			slim.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime}}
		}
	}
	return slim
}
