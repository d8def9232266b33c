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

// ServiceBackends reads for Expect. A nil ServiceBackends expects nothing.
type ServiceBackends struct {
	// Locator says which kinds the operator may read.
	Locator *BackendLocator
	// Ingresses reads those of objects with spec.ingressRef; nil: none.
	Ingresses *Ingresses
	Now       func() time.Time

	// reader reads the cache, and liveReader the API server.
	reader, liveReader client.Reader

	mu      sync.Mutex
	nodes   *Nodes
	nodesAt time.Time
}

// SetupWithManager indexes EndpointSlices in the cache, after the setup of the
// Locator. A kind that the operator may not list is ignored until the next
// start: an upgrade must work with the permissions of before.
func (s *ServiceBackends) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	s.reader, s.liveReader = mgr.GetClient(), mgr.GetAPIReader()
	if !mayList(ctx, mgr, KindEndpointSlice, namespaces, "--service-discovery: Registered is not determined: apply config/service-discovery or upgrade the chart, and restart the operator") {
		return nil
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &discoveryv1.EndpointSlice{}, slicesByService, serviceOfSlice); err != nil {
		return err
	}
	s.Locator.endpointSlices.Store(true)
	if pods, _ := s.Locator.Reads(); !pods {
		return nil
	}
	if !mayList(ctx, mgr, KindNetworkPolicy, namespaces, "--backend-names: no diagnosis names a NetworkPolicy: apply config/backend-names or upgrade the chart, and restart the operator") {
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
	return []string{ServiceOf(slice.(*discoveryv1.EndpointSlice))}
}

// Reads reports whether the cache has EndpointSlices.
func (s *ServiceBackends) Reads() bool { return s != nil && s.Locator.endpointSlices.Load() }

// Expectation is what the cluster expects behind the load balancer of an object.
// The zero value: nothing is known.
type Expectation struct {
	// Expected may be shared: read only.
	Expected *health.Expected
	// version is that of the ServiceState; 0: it was not read.
	version uint64
}

// Registered is what a load balancer has.
type Registered struct {
	// Backends are those of the latest observation that had any.
	Backends []alicloud.Backend
	// Observation is the last one.
	Observation *alicloud.Observation
}

// For returns what the cluster expects behind the load balancer of an object;
// zero without a Service or Ingress in the spec, and where the Service has another load
// balancer now. last is the result of the last call for the object: what it was computed
// from rarely changes.
func (s *ServiceBackends) For(ctx context.Context, object *v1alpha1.LoadBalancerHealth, registered Registered, last Expectation) (Expectation, error) {
	return s.expect(ctx, s.cached, object, registered, last)
}

// Confirm is For with the Service and its EndpointSlices as the API server has
// them: the cache shows old ones while its watch is interrupted. It also reads since
// when each pod is Ready: one that restarts may have been registered between two observations.
func (s *ServiceBackends) Confirm(ctx context.Context, object *v1alpha1.LoadBalancerHealth, registered Registered) (Expectation, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return s.expect(ctx, s.live, object, registered, Expectation{})
}

// readService reads a Service and its EndpointSlices into a state. The Service is
// nil if it does not exist.
type readService func(ctx context.Context, key client.ObjectKey, state *ServiceState) error

func (s *ServiceBackends) expect(ctx context.Context, read readService, object *v1alpha1.LoadBalancerHealth, registered Registered, last Expectation) (Expectation, error) {
	if s == nil || !object.Spec.HasReference() {
		return Expectation{}, nil
	}
	id, _, ok := object.LoadBalancer()
	if !ok {
		return Expectation{}, nil
	}
	if object.Spec.IngressRef != nil {
		return s.expectIngress(ctx, read, object, registered)
	}
	key, state := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.ServiceRef.Name}, &ServiceState{Registered: registered.Backends}
	if err := read(ctx, key, state); err != nil {
		return Expectation{}, fmt.Errorf("reading Service %s and its EndpointSlices: %w", key, err)
	}
	if state.Service == nil || state.Service.Labels[v1alpha1.ServiceLoadBalancerLabel] != id {
		return Expectation{}, nil
	}
	if !s.Reads() {
		return Expectation{Expected: &health.Expected{NotDetermined: health.NotDetermined{Reason: health.EndpointSlicesUnknown}}}, nil
	}
	if err := s.readRest(ctx, key.Namespace, state); err != nil {
		return Expectation{}, fmt.Errorf("reading what Service %s has as backends: %w", key, err)
	}
	version := state.version()
	if last.Expected != nil && last.version == version {
		return last, nil
	}
	expected := Expect(state)
	return Expectation{&expected, version}, nil
}

// cached is a readService of the cache.
func (s *ServiceBackends) cached(ctx context.Context, key client.ObjectKey, state *ServiceState) error {
	service := &corev1.Service{}
	if err := s.reader.Get(ctx, key, service, shared); err != nil {
		return client.IgnoreNotFound(err)
	}
	state.Service = service
	if !s.Reads() {
		return nil
	}
	var list discoveryv1.EndpointSliceList
	err := s.reader.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{slicesByService: key.Name}, client.UnsafeDisableDeepCopy)
	state.setSlices(&list)
	return err
}

// live is a readService of the API server. It only lists: the operator may not get Services.
func (s *ServiceBackends) live(ctx context.Context, key client.ObjectKey, state *ServiceState) error {
	var services corev1.ServiceList
	err := s.liveReader.List(ctx, &services, client.InNamespace(key.Namespace), client.MatchingFields{"metadata.name": key.Name})
	if err != nil || len(services.Items) == 0 {
		return err
	}
	state.Service, state.everyPod = &services.Items[0], true
	var list discoveryv1.EndpointSliceList
	err = s.liveReader.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: key.Name})
	state.setSlices(&list)
	return err
}

func (s *ServiceState) setSlices(list *discoveryv1.EndpointSliceList) {
	for i := range list.Items {
		s.Slices = append(s.Slices, &list.Items[i])
	}
}

// shared reads an object of the cache without a copy: read only.
var shared = &client.GetOptions{UnsafeDisableDeepCopy: new(true)}

// readRest reads the nodes, pods and NetworkPolicies from the cache.
func (s *ServiceBackends) readRest(ctx context.Context, namespace string, state *ServiceState) (err error) {
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
		if err := s.reader.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return err
		}
		for i := range list.Items {
			state.Policies = append(state.Policies, &list.Items[i])
		}
	}
	return s.readPods(ctx, state)
}

// readPods reads the pods of endpoints that are not ready. To confirm, and with policies,
// it reads those of all.
func (s *ServiceBackends) readPods(ctx context.Context, state *ServiceState) error {
	state.Pods = map[types.NamespacedName]*corev1.Pod{}
	for _, slice := range state.Slices {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			name := podOf(e)
			needed := !isSet(e.Conditions.Ready) || len(state.Policies) > 0 || state.everyPod
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
