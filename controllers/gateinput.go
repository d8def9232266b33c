// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"

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

// add adds what an object says of a Service.
func (g *gateInputs) add(key types.NamespacedName, object *v1alpha1.LoadBalancerHealth) {
	input := g.byService[key]
	if input == nil {
		input = &gateInput{GateInput: health.GateInput{
			Service: key.Name, LoadBalancerID: g.target.LoadBalancerID, Observation: g.observation, Ports: g.ports[object.UID],
			OfIngress: object.Spec.IngressRef != nil,
		}}
		g.byService[key] = input
	}
	listeners := g.evaluate(object).Status.Listeners
	if object.Spec.IngressRef != nil {
		groups := g.groupsOf(object, key.Name)
		input.groups = append(input.groups, groups...)
		listeners = slices.DeleteFunc(slices.Clone(listeners), func(l v1alpha1.ListenerStatus) bool { return !slices.Contains(groups, l.ServerGroupID) })
	}
	input.Scopes = append(input.Scopes, health.GateScope{Scope: health.ScopeOf(&object.Spec), Listeners: listeners})
}

// groupsOf are the server groups of a Service behind the Ingress of an object.
func (g *gateInputs) groupsOf(object *v1alpha1.LoadBalancerHealth, service string) []string {
	kept := g.state.expected.byObject[object.UID]
	if kept == nil || kept.expectation.Expected == nil {
		return nil
	}
	return kept.expectation.Expected.GroupsOf(service)
}

// complete returns the input with the part of the observation that is about the Service.
func (i *gateInput) complete() health.GateInput {
	if i.OfIngress && i.Observation.Groups != nil {
		i.Observation = i.Observation.Only(func(l *alicloud.GroupListener) bool { return slices.Contains(i.groups, l.ServerGroupID) })
	}
	return i.GateInput
}
