// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Several Ingresses may share an ALB. An object that names one of them is about the
// server groups of the Services of that Ingress, and about no others.

// seeIngressController is where the ALB Ingress controller says why it fails or waits.
const seeIngressController = "check the events of the Ingress"

// KnownGroups returns the server groups in the status of an object, if that is about
// its target: once a group is known to belong to the Ingress, it may lose its servers.
func KnownGroups(object *v1alpha1.LoadBalancerHealth) []OwnGroup {
	var groups []OwnGroup
	for _, l := range knownListeners(object) {
		if l.ServerGroupID != "" && !hasGroup(groups, l.ServerGroupID) {
			groups = append(groups, OwnGroup{ID: l.ServerGroupID})
		}
	}
	return groups
}

func hasGroup(groups []OwnGroup, id string) bool {
	return slices.ContainsFunc(groups, func(group OwnGroup) bool { return group.ID == id })
}

// knownListeners are the listeners in the status of an object, if that is about its target.
func knownListeners(object *v1alpha1.LoadBalancerHealth) []v1alpha1.ListenerStatus {
	was := object.Status.ObservedTarget
	if target := targetOf(object); was == nil || was.Reference() != target.Reference() || was.LoadBalancerID != target.LoadBalancerID || was.RegionID != target.RegionID {
		return nil
	}
	return object.Status.Listeners
}

// ownPart returns the part of an observation that is about an object. Of a listener
// without server groups, such as a stopped one, it is what the status already has.
func ownPart(object *v1alpha1.LoadBalancerHealth, input *Input) *alicloud.Observation {
	observation := input.Observation
	if object.Spec.IngressRef == nil || observation == nil || observation.Groups == nil {
		return observation
	}
	known, own := knownListeners(object), KnownGroups(object)
	if input.Expected != nil {
		own = input.Expected.Groups
	}
	return observation.Only(func(l *alicloud.GroupListener) bool {
		if l.ServerGroupID != "" {
			return hasGroup(own, l.ServerGroupID)
		}
		return slices.ContainsFunc(known, func(was v1alpha1.ListenerStatus) bool { return matches(&was, l.Port, l.Protocol) })
	})
}

// withUnknownGroups returns the verdict where some server groups of the Ingress are not
// known: what an observation lacks is never healthy, and none at all is not unhealthy.
func (e *evaluation) withUnknownGroups(verdict condition) condition {
	if e.spec.IngressRef == nil || e.input.Observation == nil || e.policy.wantsNone() {
		return verdict
	}
	why := NotDetermined{Reason: IngressesUnknown}
	if e.input.Expected != nil {
		why = e.input.Expected.GroupsNotDetermined
	}
	if why.Reason == "" || verdict.status != metav1.ConditionTrue && len(e.next.Listeners) > 0 {
		return verdict
	}
	text := "which server groups serve Ingress " + e.spec.IngressRef.Name + " is not determined: " + why.Message()
	return condition{metav1.ConditionUnknown, v1alpha1.ReasonNotDetermined, shortened(text, maxMessage)}
}
