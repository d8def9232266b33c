// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// noInstance is the index of nodes whose providerID has no instance.
const noInstance = "?"

// BackendLocator finds the node or pod that a backend is. A nil locator, and
// one without SetupWithManager, locates nothing.
type BackendLocator struct {
	reader client.Reader
	// nodes and pods are true while the operator may read them; endpointSlices,
	// policies and ingresses are for ServiceBackends.
	nodes, pods, endpointSlices, policies, ingresses atomic.Bool
	// allNamespaces is true when the cache has the pods of every namespace: an
	// address that no pod has then belongs to no pod.
	allNamespaces bool
}

// SetupWithManager indexes nodes and the pods of the given namespaces in the
// cache. A kind that the operator may not list is ignored until the next
// start: health, and the other kind, are of use without it.
func (l *BackendLocator) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	l.reader, l.allNamespaces = mgr.GetClient(), len(namespaces) == 0
	for _, kind := range []struct {
		name   string
		allow  *atomic.Bool
		object client.Object
		index  string
		keys   client.IndexerFunc
	}{
		{KindNode, &l.nodes, &corev1.Node{}, nodesByInstance, func(object client.Object) []string { return instanceOf(object.(*corev1.Node)) }},
		{KindPod, &l.pods, &corev1.Pod{}, podsByIP, func(object client.Object) []string { return Addresses(object.(*corev1.Pod)) }},
	} {
		if !mayList(ctx, mgr, kind.name, namespaces, "--backend-names: the status has no backend of this kind: apply config/backend-names or upgrade the chart, or remove the flag") {
			continue
		}
		if err := mgr.GetFieldIndexer().IndexField(ctx, kind.object, kind.index, kind.keys); err != nil {
			return err
		}
		kind.allow.Store(true)
	}
	return nil
}

// Reads reports which kinds the cache has: those that the operator may list.
func (l *BackendLocator) Reads() (pods, nodes bool) {
	if l == nil {
		return false, false
	}
	return l.pods.Load(), l.nodes.Load()
}

// watchFailed handles watch errors of the cache. The locator ignores a kind that
// the operator may no longer read: the cache would keep showing its old contents.
func (l *BackendLocator) watchFailed(ctx context.Context, reflector *toolscache.Reflector, err error) {
	toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
	if l == nil || !apierrors.IsForbidden(err) {
		return
	}
	switch reflector.TypeDescription() {
	case fmt.Sprintf("%T", &corev1.Node{}):
		l.nodes.Store(false)
	case fmt.Sprintf("%T", &corev1.Pod{}):
		l.pods.Store(false)
	case fmt.Sprintf("%T", &discoveryv1.EndpointSlice{}):
		l.endpointSlices.Store(false)
	case fmt.Sprintf("%T", &networkingv1.NetworkPolicy{}):
		l.policies.Store(false)
	case fmt.Sprintf("%T", &networkingv1.Ingress{}):
		l.ingresses.Store(false)
	}
}

// Locate returns the location of each backend of an observation; nil when the
// operator may read neither nodes nor pods. region is the load balancer's.
func (l *BackendLocator) Locate(ctx context.Context, region string, observation *alicloud.Observation) (health.Locations, error) {
	if l == nil || observation == nil || !l.nodes.Load() && !l.pods.Load() {
		return nil, nil
	}
	locations := make(health.Locations, len(observation.Backends))
	search := search{locator: l, region: region}
	for i := range observation.Backends {
		b := &observation.Backends[i]
		key := health.LocationKey(b.Type, b.ServerID, b.ServerIP)
		if _, found := locations[key]; found || key == "" {
			continue
		}
		var location health.Location
		var err error
		switch {
		case !health.IsAddress(b.Type) && l.nodes.Load():
			location, err = search.node(ctx, b)
		case health.IsAddress(b.Type) && l.pods.Load():
			location, err = search.pod(ctx, key)
			location.Missing = location.Missing && !health.MayBeNode(b.Type)
		}
		if err != nil {
			return nil, err
		}
		locations[key] = location
	}
	return locations, nil
}

// search locates the backends of one observation.
type search struct {
	locator *BackendLocator
	// region is the load balancer's.
	region string
	// unnamed are the nodes without a providerID. They are listed once, for the
	// first backend that matches no providerID; nil until then.
	unnamed []corev1.Node
}

// node finds the node that an ECS instance is. When two nodes name the instance,
// it matches neither. While nodes without a providerID exist, each may be the
// instance: the cloud controller manager may not have set the providerID yet.
func (s *search) node(ctx context.Context, b *alicloud.Backend) (health.Location, error) {
	nodes, err := s.nodesOf(ctx, b.ServerID)
	switch {
	case err != nil:
		return health.Location{}, err
	case len(nodes) == 1:
		return locationOf(&nodes[0]), nil
	case len(nodes) > 1:
		return health.Location{}, nil
	}
	matches := func(node *corev1.Node) bool {
		return hasName(node, b.ServerID) || b.ServerIP != "" && hasAddress(node, health.Address(b.ServerIP))
	}
	location, err := s.unnamedNode(ctx, matches)
	location.Missing = err == nil && len(s.unnamed) == 0
	return location, err
}

// unnamedNode finds the one node without a providerID that matches. A node in
// another region than the load balancer has the same address by accident.
func (s *search) unnamedNode(ctx context.Context, matches func(*corev1.Node) bool) (health.Location, error) {
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
		if region := regionOf(node); matches(node) && (region == "" || region == s.region) {
			found = append(found, node)
		}
	}
	if len(found) != 1 {
		return health.Location{}, nil
	}
	return locationOf(found[0]), nil
}

func (s *search) nodesOf(ctx context.Context, instance string) ([]corev1.Node, error) {
	var list corev1.NodeList
	if err := s.locator.reader.List(ctx, &list, client.MatchingFields{nodesByInstance: instance}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the nodes of instance %q: %w", instance, err)
	}
	return list.Items, nil
}

// pod finds the pod with an address of its own, or else the node that has the
// address. When two pods have it, it matches neither.
func (s *search) pod(ctx context.Context, ip string) (health.Location, error) {
	var list corev1.PodList
	if err := s.locator.reader.List(ctx, &list, client.MatchingFields{podsByIP: ip}, client.UnsafeDisableDeepCopy); err != nil {
		return health.Location{}, fmt.Errorf("listing the pods with address %s: %w", ip, err)
	}
	var own []*corev1.Pod
	for i := range list.Items {
		if pod := &list.Items[i]; !pod.Spec.HostNetwork {
			own = append(own, pod)
		}
	}
	switch {
	case len(own) == 1:
		var location health.Location
		setPod(&location, own[0])
		return s.onNode(ctx, location, own[0].Spec.NodeName)
	case len(own) == 0 && len(list.Items) > 0:
		return s.onNode(ctx, health.Location{}, list.Items[0].Spec.NodeName)
	case len(own) == 0 && s.locator.nodes.Load():
		return s.nodeAt(ctx, ip)
	default:
		return health.Location{Missing: len(list.Items) == 0 && s.locator.allNamespaces}, nil
	}
}

// nodeAt finds the node without a providerID that has an address which no pod
// has. A node without addresses may get this one.
func (s *search) nodeAt(ctx context.Context, ip string) (health.Location, error) {
	location, err := s.unnamedNode(ctx, func(node *corev1.Node) bool { return hasAddress(node, ip) })
	if err != nil || location.Node != "" {
		return location, err
	}
	couldBe := slices.ContainsFunc(s.unnamed, func(node corev1.Node) bool {
		return len(node.Status.Addresses) == 0 || hasAddress(&node, ip)
	})
	return health.Location{Missing: s.locator.allNamespaces && !couldBe}, nil
}

// hasName reports whether a node is named after an instance, such as i-bp1 or cn-hangzhou.i-bp1.
func hasName(node *corev1.Node, instance string) bool {
	return node.Name == instance || strings.HasSuffix(node.Name, "."+instance)
}

func hasAddress(node *corev1.Node, ip string) bool {
	return slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return health.Address(a.Address) == ip })
}

// onNode adds the node to a location. A node in another region than the load
// balancer has the address by accident: regions have networks of their own.
func (s *search) onNode(ctx context.Context, location health.Location, name string) (health.Location, error) {
	location.Node = name
	if name == "" || !s.locator.nodes.Load() {
		return location, nil
	}
	node := &corev1.Node{}
	if err := s.locator.reader.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return location, client.IgnoreNotFound(err)
	}
	if region := regionOf(node); region != "" && region != s.region {
		return health.Location{}, nil
	}
	at := locationOf(node)
	location.NodeNotReady, location.NodeDraining = at.NodeNotReady, at.NodeDraining
	return location, nil
}

// locationOf is the location of a node. A node without a Ready condition is not
// reported as not Ready.
func locationOf(node *corev1.Node) health.Location {
	location := health.Location{Node: node.Name}
	if hasTaint(node, taintAutoscaler) {
		location.NodeDraining = taintAutoscaler
	} else if node.Spec.Unschedulable {
		location.NodeDraining = health.Unschedulable
	}
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			location.NodeNotReady = c.Status != corev1.ConditionTrue
		}
	}
	return location
}

// setPod sets the pod of a location.
func setPod(location *health.Location, pod *corev1.Pod) {
	location.Pod = pod.Namespace + "/" + pod.Name
	location.PodReadySince = readySince(pod)
	location.PodTerminating = pod.DeletionTimestamp != nil && !conditionSince(pod, readinessOf(pod)).IsZero()
}

// readySince is when a pod could serve; zero while it cannot or is
// terminating, as in an EndpointSlice.
func readySince(pod *corev1.Pod) time.Time {
	if pod.DeletionTimestamp != nil {
		return time.Time{}
	}
	return conditionSince(pod, readinessOf(pod))
}

// conditionSince is since when a condition of a pod is True; zero while it is not.
func conditionSince(pod *corev1.Pod, condition corev1.PodConditionType) time.Time {
	if c := Condition(pod, condition); isTrue(c) {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// instanceOf is the index value of a node: its ECS instance, noInstance when its
// providerID has none, or no value for another provider's and for virtual nodes.
func instanceOf(node *corev1.Node) []string {
	_, instance, ok := parseProviderID(node)
	if !ok || instance == "" && node.Labels[labelType] == typeVirtual {
		return nil
	}
	return []string{cmp.Or(instance, noInstance)}
}

// Addresses returns the addresses of a pod in the form of health.Address.
func Addresses(pod *corev1.Pod) []string {
	ips := make([]string, 0, len(pod.Status.PodIPs))
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, health.Address(ip.IP))
	}
	return ips
}
