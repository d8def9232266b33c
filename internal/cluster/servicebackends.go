// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// slicesByService is the index of EndpointSlices by their Service.
const slicesByService = "service"

// nodesMaxAge is for how long Services share one list of nodes.
const nodesMaxAge = time.Second

// ServiceBackends reads the cache for Expect. A nil ServiceBackends expects nothing.
type ServiceBackends struct {
	// Locator says which kinds the operator may read.
	Locator *BackendLocator
	Now     func() time.Time

	reader client.Reader

	mu      sync.Mutex
	nodes   *Nodes
	nodesAt time.Time
}

// SetupWithManager indexes EndpointSlices in the cache, after the setup of the
// Locator. A kind that the operator may not list is ignored until the next
// start: an upgrade must work with the permissions of before.
func (s *ServiceBackends) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	s.reader = mgr.GetClient()
	if err := CanList(ctx, mgr.GetAPIReader(), KindEndpointSlice, namespaces); err != nil {
		mgr.GetLogger().Info("--service-discovery: Registered is not determined: apply config/service-discovery or upgrade the chart, and restart the operator", "kind", KindEndpointSlice, "reason", err.Error())
		return nil
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &discoveryv1.EndpointSlice{}, slicesByService, serviceOfSlice); err != nil {
		return err
	}
	s.Locator.endpointSlices.Store(true)
	if pods, _ := s.Locator.Reads(); !pods {
		return nil
	}
	if err := CanList(ctx, mgr.GetAPIReader(), KindNetworkPolicy, namespaces); err != nil {
		mgr.GetLogger().Info("--backend-names: no diagnosis names a NetworkPolicy: apply config/backend-names or upgrade the chart, and restart the operator", "kind", KindNetworkPolicy, "reason", err.Error())
		return nil
	}
	// It needs no index, so nothing else adds it before the cache starts.
	if _, err := mgr.GetCache().GetInformer(ctx, &networkingv1.NetworkPolicy{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	s.Locator.policies.Store(true)
	return nil
}

func serviceOfSlice(slice client.Object) []string {
	return []string{slice.GetLabels()[discoveryv1.LabelServiceName]}
}

// For returns what the cluster expects behind the load balancer of an object;
// nil without spec.serviceRef, and where the Service has another load balancer
// now. registered are the backends of the latest observation that had any.
func (s *ServiceBackends) For(ctx context.Context, object *v1alpha1.LoadBalancerHealth, registered []alicloud.Backend) (*health.Expected, error) {
	id, _, ok := object.LoadBalancer()
	if s == nil || object.Spec.ServiceRef == nil || !ok {
		return nil, nil
	}
	service := &corev1.Service{}
	key := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.ServiceRef.Name}
	if err := client.IgnoreNotFound(s.reader.Get(ctx, key, service, shared)); err != nil {
		return nil, fmt.Errorf("reading Service %s: %w", key, err)
	}
	if service.Labels[v1alpha1.ServiceLoadBalancerLabel] != id {
		return nil, nil
	}
	if !s.Locator.endpointSlices.Load() {
		return &health.Expected{NotDetermined: health.NotDetermined{Reason: health.EndpointSlicesUnknown}}, nil
	}
	state := &ServiceState{Service: service, Registered: registered}
	if err := s.read(ctx, key, state); err != nil {
		return nil, fmt.Errorf("reading what Service %s has as backends: %w", key, err)
	}
	expected := Expect(state)
	return &expected, nil
}

// shared reads an object of the cache without a copy. Expect changes none.
var shared = &client.GetOptions{UnsafeDisableDeepCopy: new(true)}

func (s *ServiceBackends) read(ctx context.Context, key client.ObjectKey, state *ServiceState) (err error) {
	var list discoveryv1.EndpointSliceList
	if err := s.reader.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{slicesByService: key.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range list.Items {
		state.Slices = append(state.Slices, &list.Items[i])
	}
	pods, nodes := s.Locator.Reads()
	if nodes {
		if state.Nodes, err = s.readNodes(ctx); err != nil {
			return err
		}
	}
	if !pods {
		return nil
	}
	if s.Locator.policies.Load() {
		var list networkingv1.NetworkPolicyList
		if err := s.reader.List(ctx, &list, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return err
		}
		for i := range list.Items {
			state.Policies = append(state.Policies, &list.Items[i])
		}
	}
	return s.readPods(ctx, state)
}

// readPods reads the pods of endpoints that are not ready, and with policies those of all.
func (s *ServiceBackends) readPods(ctx context.Context, state *ServiceState) error {
	state.Pods = map[types.NamespacedName]*corev1.Pod{}
	for _, slice := range state.Slices {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			name := podOf(e)
			needed := !isSet(e.Conditions.Ready) || len(state.Policies) > 0
			if _, known := state.Pods[name]; known || name.Name == "" || isSet(e.Conditions.Terminating) || !needed {
				continue
			}
			pod := &corev1.Pod{}
			if err := s.reader.Get(ctx, name, pod, shared); client.IgnoreNotFound(err) != nil {
				return err
			} else if err == nil {
				state.Pods[name] = pod
			}
		}
	}
	return nil
}

// readNodes returns the nodes, at most nodesMaxAge old.
func (s *ServiceBackends) readNodes(ctx context.Context) (*Nodes, error) {
	now := s.Now()
	s.mu.Lock()
	nodes, age := s.nodes, now.Sub(s.nodesAt)
	s.mu.Unlock()
	if nodes != nil && age >= 0 && age < nodesMaxAge {
		return nodes, nil
	}
	var list corev1.NodeList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	all := make([]*corev1.Node, 0, len(list.Items))
	for i := range list.Items {
		all = append(all, &list.Items[i])
	}
	nodes = NewNodes(all)
	s.mu.Lock()
	s.nodes, s.nodesAt = nodes, now
	s.mu.Unlock()
	return nodes, nil
}
