// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// gateInputs collect from the objects of a target what the gates of Services need.
type gateInputs struct {
	*evaluation
	byService map[types.NamespacedName]*gateInput
}

// gateInput is that of one Service.
type gateInput struct {
	health.GateInput
	// groups are the server groups of a Service behind an Ingress.
	groups []string
}

// add adds what an object says of a Service. Of one behind an Ingress it says nothing
// while the server groups of the Ingress are not known at all.
func (g *gateInputs) add(key types.NamespacedName, object *v1alpha1.LoadBalancerHealth) {
	ofIngress := object.Spec.IngressRef != nil
	groups, known := g.state.expected.groupsOf(object)
	if ofIngress && !known {
		return
	}
	input := g.byService[key]
	if input == nil {
		input = &gateInput{GateInput: health.GateInput{
			Service: key.Name, LoadBalancerID: g.target.LoadBalancerID, Observation: g.observation, Ports: g.ports[object.UID],
			OfIngress: ofIngress,
		}}
		g.byService[key] = input
	}
	listeners := g.evaluate(object).Status.Listeners
	if ofIngress {
		of := groups.GroupsOf(key.Name)
		input.groups = append(input.groups, of...)
		input.LacksGroup = input.LacksGroup || slices.Contains(groups.ServicesWithoutGroup, key.Name)
		listeners = slices.DeleteFunc(slices.Clone(listeners), func(l v1alpha1.ListenerStatus) bool { return !slices.Contains(of, l.ServerGroupID) })
	}
	input.Scopes = append(input.Scopes, health.GateScope{Scope: health.ScopeOf(&object.Spec), Listeners: listeners})
}

// groupsOf returns what is known of the server groups of an object's Ingress; false
// while nothing is, or nothing but what the status says.
func (s *expectedState) groupsOf(object *v1alpha1.LoadBalancerHealth) (expected *health.Expected, known bool) {
	kept := s.byObject[object.UID]
	if kept == nil || kept.expectation.Expected == nil {
		return nil, false
	}
	switch expected = kept.expectation.Expected; expected.GroupsNotDetermined.Reason {
	case health.IngressesUnknown, health.EndpointSlicesUnknown, health.IngressChanged:
		return expected, false
	default:
		return expected, true
	}
}

// groupsAwaited are the server groups that pods wait for: a pod that replaced another
// one is not in the members of before, though their number is the same.
func (g *GateReconciler) groupsAwaited(ctx context.Context, rec *reconciliation) (awaited []string) {
	if g == nil {
		return nil
	}
	for i := range rec.objects {
		object := &rec.objects[i]
		expected, known := rec.state.expected.groupsOf(object)
		if !known {
			continue
		}
		for _, service := range g.waitingFor(ctx, object) {
			for _, group := range expected.Groups {
				if (len(group.Services) == 0 || slices.Contains(group.Services, service.Name)) && !slices.Contains(awaited, group.ID) {
					awaited = append(awaited, group.ID)
				}
			}
		}
	}
	return awaited
}

// complete returns the input with the part of the observation that is about the Service.
func (i *gateInput) complete() health.GateInput {
	if i.OfIngress && i.Observation.Groups != nil {
		i.Observation = i.Observation.Only(func(l *alicloud.GroupListener) bool { return slices.Contains(i.groups, l.ServerGroupID) })
	}
	return i.GateInput
}

// objectsOf lists the objects that are about a Service, and those that may be: without
// the permission to read Ingresses, each one that references an Ingress.
func (g *GateReconciler) objectsOf(ctx context.Context, key types.NamespacedName, service *corev1.Service) ([]v1alpha1.LoadBalancerHealth, error) {
	objects, err := objectsOfService(ctx, g.Client, g.Ingresses, key)
	if err == nil && len(objects) == 0 && service != nil && !g.Ingresses.Reads() {
		objects, err = objectsWithIngress(ctx, g.Client, key.Namespace)
	}
	return objects, err
}
