// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// PodChanged reports whether a change of a pod can change the backends of a load
// balancer, or their health: it became Ready or not, got or lost an address or a
// label, or began to terminate. nil stands for a pod that does not exist.
func PodChanged(before, after *corev1.Pod) bool {
	a, b := podFactsOf(before), podFactsOf(after)
	if a.scalars != b.scalars || !slices.Equal(a.addresses, b.addresses) {
		return true
	}
	return before != nil && after != nil && !maps.Equal(before.Labels, after.Labels)
}

// podFacts is what PodChanged compares. A pod without an address has none: it is
// no backend yet.
type podFacts struct {
	scalars   podScalars
	addresses []string
}

type podScalars struct {
	readySince, containersReadySince time.Time
	terminating                      bool
}

func podFactsOf(pod *corev1.Pod) (facts podFacts) {
	if pod == nil || len(pod.Status.PodIPs) == 0 {
		return facts
	}
	facts.addresses = Addresses(pod)
	facts.scalars = podScalars{
		readySince: conditionSince(pod, corev1.PodReady), containersReadySince: conditionSince(pod, corev1.ContainersReady),
		terminating: pod.DeletionTimestamp != nil,
	}
	return facts
}

// BackendAddresses are the addresses of the backends that a pod is; none for a
// pod that has those of its node.
func BackendAddresses(pod *corev1.Pod) []string {
	if pod.Spec.HostNetwork {
		return nil
	}
	return Addresses(pod)
}

// NodeChanged is PodChanged for a node: it also reports what makes the cloud
// controller manager register a node with load balancers, or remove it.
func NodeChanged(before, after *corev1.Node) bool {
	if before == nil || after == nil {
		return before != after
	}
	return nodeStateOf(before) != nodeStateOf(after) || !slices.Equal(before.Status.Addresses, after.Status.Addresses)
}

// nodeState is what NodeChanged compares beside the addresses.
type nodeState struct {
	ready, terminating, unschedulable bool
	providerID                        string
	// excluded is why the node is no backend; zero: it is one.
	excluded health.Excluded
}

func nodeStateOf(node *corev1.Node) nodeState {
	state := nodeState{
		ready: isReady(node), terminating: node.DeletionTimestamp != nil, unschedulable: node.Spec.Unschedulable,
		providerID: node.Spec.ProviderID,
	}
	facts := nodeFactsOf(node)
	if why := cmp.Or(facts.early, facts.late); why != nil {
		state.excluded = *why
	}
	return state
}

// EndpointSliceChanged is PodChanged for an EndpointSlice: an endpoint came, went,
// became ready or not, or began to terminate, or a port changed.
func EndpointSliceChanged(before, after *discoveryv1.EndpointSlice) bool {
	if before == nil || after == nil {
		return before != after && len(cmp.Or(before, after).Endpoints) > 0
	}
	return !equality.Semantic.DeepEqual(before.Ports, after.Ports) || !equality.Semantic.DeepEqual(before.Endpoints, after.Endpoints)
}

// ServiceOf is the name of the Service that an EndpointSlice belongs to; "": none.
func ServiceOf(slice *discoveryv1.EndpointSlice) string {
	return slice.Labels[discoveryv1.LabelServiceName]
}

// BackendKeys are the health.LocationKeys of the backends that a node can be: its
// instance, and its addresses.
func BackendKeys(node *corev1.Node) []string {
	var keys []string
	if instance := instanceOf(node); len(instance) > 0 && instance[0] != noInstance {
		keys = instance
	} else if len(instance) > 0 { // it may be named after its instance
		keys = []string{node.Name[strings.LastIndex(node.Name, ".")+1:]}
	}
	for _, address := range node.Status.Addresses {
		keys = append(keys, health.Address(address.Address))
	}
	return keys
}

// IsReadyBackend reports whether the cloud controller manager registers a node
// with load balancers: it is Ready, no virtual node, and not excluded.
func IsReadyBackend(node *corev1.Node) bool {
	facts := nodeFactsOf(node)
	return isReady(node) && node.DeletionTimestamp == nil && !facts.virtual && facts.early == nil && facts.late == nil
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// ServiceChanged reports whether a change of a Service changes the listeners or
// backends of its load balancer: its ports, its selector, or which nodes serve it.
// A new Service has no load balancer yet, and a deleted one has none any more.
func ServiceChanged(before, after *corev1.Service) bool {
	if before == nil || after == nil {
		return false
	}
	a, b := &before.Spec, &after.Spec
	return !equality.Semantic.DeepEqual(a.Ports, b.Ports) || !maps.Equal(a.Selector, b.Selector) ||
		a.ExternalTrafficPolicy != b.ExternalTrafficPolicy || !slices.Equal(portsOf(before), portsOf(after))
}

// servicesBySelector is the index of Services by one label of their selectors.
const servicesBySelector = "selector"

// ServiceSelectors finds the Services that select a pod. A nil ServiceSelectors finds none.
type ServiceSelectors struct {
	// Reader reads Services from the cache.
	Reader client.Reader
}

// SetupWithManager indexes Services in the cache.
func (s *ServiceSelectors) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	return mgr.GetFieldIndexer().IndexField(ctx, &corev1.Service{}, servicesBySelector, func(object client.Object) []string {
		return selectorKey(object.(*corev1.Service))
	})
}

// selectorKey is the index value of a Service with a load balancer: the first
// label of its selector. Each pod that it selects has this label.
func selectorKey(service *corev1.Service) []string {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Spec.Selector) == 0 {
		return nil
	}
	key := slices.Min(slices.Collect(maps.Keys(service.Spec.Selector)))
	return []string{key + "=" + service.Spec.Selector[key]}
}

// Selecting returns the names of the Services with a load balancer that select a pod.
func (s *ServiceSelectors) Selecting(ctx context.Context, pod *corev1.Pod) (names []string, err error) {
	if s == nil {
		return nil, nil
	}
	for key, value := range pod.Labels {
		var list corev1.ServiceList
		err := s.Reader.List(ctx, &list, client.InNamespace(pod.Namespace), client.MatchingFields{servicesBySelector: key + "=" + value}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return names, fmt.Errorf("listing the Services with the selector %s=%s: %w", key, value, err)
		}
		for i := range list.Items {
			if service := &list.Items[i]; labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				names = append(names, service.Name)
			}
		}
	}
	return names, nil
}

// SelectsAllNodes reports whether the Service of an object has every node as
// backend, and not only those with its pods.
func (s *ServiceSelectors) SelectsAllNodes(ctx context.Context, object *v1alpha1.LoadBalancerHealth) bool {
	if s == nil || object.Spec.ServiceRef == nil {
		return false
	}
	service := &corev1.Service{}
	key := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.ServiceRef.Name}
	err := s.Reader.Get(ctx, key, service, shared) // of the cache: without the Service there is nothing to expect
	return err == nil && service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal
}
