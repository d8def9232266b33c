// SPDX-License-Identifier: Apache-2.0

package health

import (
	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// ScopeOf is the part of the load balancer that an object observes.
func ScopeOf(spec *v1alpha1.LoadBalancerHealthSpec) alicloud.Scope {
	scope := alicloud.Scope{ListenerProtocol: string(spec.ListenerProtocol)}
	if spec.ListenerPort != nil {
		scope.ListenerPort = *spec.ListenerPort
	}
	return scope
}

// Edited returns whether the status is not yet about the object's target: the spec
// is newer, or its Service or Ingress has another load balancer than before.
func Edited(object *v1alpha1.LoadBalancerHealth) bool {
	if object.Generation != object.Status.ObservedGeneration {
		return true
	}
	if !object.Spec.HasReference() {
		return false
	}
	id, region, ok := object.LoadBalancer()
	was := object.Status.ObservedTarget
	return ok && (was == nil || was.LoadBalancerID != id || was.RegionID != region)
}

// targetOf is what an object observes. While its Service or Ingress has no load
// balancer, the target is the last one that it had, whose verdict then goes stale.
func targetOf(object *v1alpha1.LoadBalancerHealth) v1alpha1.ObservedTarget {
	scope := ScopeOf(&object.Spec)
	target := v1alpha1.ObservedTarget{ListenerPort: scope.ListenerPort, ListenerProtocol: object.Spec.ListenerProtocol}
	id, region, ok := object.LoadBalancer()
	if reference := object.Spec.Reference(); object.Spec.HasReference() {
		target.SetReference(reference)
		if was := object.Status.ObservedTarget; !ok && was != nil && was.Reference() == reference {
			id, region = was.LoadBalancerID, was.RegionID
		}
	}
	target.LoadBalancerID, target.RegionID = id, region
	return target
}
