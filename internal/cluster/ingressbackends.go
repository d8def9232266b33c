// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// ingressesByService is the index of Ingresses by the Services that they name.
const ingressesByService = "service"

// Ingresses reads Ingresses from the cache. A nil Ingresses reads none.
type Ingresses struct {
	// Locator says whether the operator may read them.
	Locator *BackendLocator

	reader client.Reader
}

// SetupWithManager indexes Ingresses in the cache. Without the permission to list them,
// Reads is false until the next start: an upgrade must work with the permissions of before.
func (i *Ingresses) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespaces []string) error {
	i.reader = mgr.GetClient()
	if !mayList(ctx, mgr, KindIngress, namespaces, "--service-discovery: objects with spec.ingressRef are not observed: apply config/service-discovery or upgrade the chart, and restart the operator") {
		return nil
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &networkingv1.Ingress{}, ingressesByService, servicesOfIngress); err != nil {
		return err
	}
	i.Locator.ingresses.Store(true)
	return nil
}

func servicesOfIngress(ingress client.Object) []string {
	return IngressServices(ingress.(*networkingv1.Ingress))
}

// Reads reports whether the operator may read Ingresses.
func (i *Ingresses) Reads() bool { return i != nil && i.Locator.ingresses.Load() }

// Get reads an Ingress; nil: it does not exist, or the operator may not read Ingresses.
func (i *Ingresses) Get(ctx context.Context, key client.ObjectKey) (*networkingv1.Ingress, error) {
	if !i.Reads() {
		return nil, nil
	}
	ingress := &networkingv1.Ingress{}
	if err := i.reader.Get(ctx, key, ingress, shared); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return ingress, nil
}

// Of returns the names of the Ingresses that name a Service.
func (i *Ingresses) Of(ctx context.Context, service client.ObjectKey) ([]string, error) {
	if !i.Reads() {
		return nil, nil
	}
	var list networkingv1.IngressList
	err := i.reader.List(ctx, &list, client.InNamespace(service.Namespace), client.MatchingFields{ingressesByService: service.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the Ingresses of Service %s: %w", service, err)
	}
	names := make([]string, 0, len(list.Items))
	for at := range list.Items {
		names = append(names, list.Items[at].Name)
	}
	return names, nil
}

// expectIngress returns what the cluster expects behind the ALB of an object with
// spec.ingressRef, and which server groups belong to the Ingress.
func (s *ServiceBackends) expectIngress(ctx context.Context, read readService, object *v1alpha1.LoadBalancerHealth, registered Registered) (Expectation, error) {
	undetermined := func(reason health.NotDeterminedReason) (Expectation, error) {
		why := health.NotDetermined{Reason: reason}
		return Expectation{Expected: &health.Expected{Groups: health.KnownGroups(object), GroupsNotDetermined: why}}, nil
	}
	key := client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.IngressRef.Name}
	switch {
	case registered.Observation == nil || registered.Observation.Groups == nil:
		return Expectation{}, nil
	case !s.Ingresses.Reads():
		return undetermined(health.IngressesUnknown)
	case !s.Reads():
		return undetermined(health.EndpointSlicesUnknown)
	}
	ingress, err := s.Ingresses.Get(ctx, key)
	if err != nil {
		return Expectation{}, fmt.Errorf("reading Ingress %s: %w", key, err)
	}
	if ingress == nil || isOfOtherALB(ingress, object) {
		return undetermined(health.IngressChanged)
	}
	state := &IngressState{
		Ingress: ingress, Services: map[string]*ServiceState{}, Observation: registered.Observation, Known: health.KnownGroups(object),
	}
	for _, name := range IngressServices(ingress) {
		of := &ServiceState{}
		service := client.ObjectKey{Namespace: key.Namespace, Name: name}
		if err := read(ctx, service, of); err != nil {
			return Expectation{}, fmt.Errorf("reading Service %s and its EndpointSlices: %w", service, err)
		}
		if state.Services[name] = of; of.Service == nil {
			continue
		}
		if err := s.readRest(ctx, key.Namespace, of); err != nil {
			return Expectation{}, fmt.Errorf("reading what Service %s has as backends: %w", service, err)
		}
	}
	expected := ExpectIngress(state)
	return Expectation{Expected: &expected}, nil
}

// isOfOtherALB reports whether an Ingress has another load balancer than the one that an
// object observes.
func isOfOtherALB(ingress *networkingv1.Ingress, object *v1alpha1.LoadBalancerHealth) bool {
	id, region := albOf(ingress)
	observedID, observedRegion, _ := object.LoadBalancer()
	return id != "" && (id != observedID || region != observedRegion)
}
