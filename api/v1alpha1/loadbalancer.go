// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// LoadBalancer is what an object is about: the load balancer that its spec names,
// or that of the Service that its spec names; ok is false while that has none.
func (in *LoadBalancerHealth) LoadBalancer() (loadBalancerID, regionID string, ok bool) {
	service := in.Spec.ServiceRef
	if service == nil {
		return in.Spec.LoadBalancerID, in.Spec.RegionID, true
	}
	has := in.Status.ServiceLoadBalancer
	if has == nil || has.ServiceName != service.Name {
		return "", "", false
	}
	return has.LoadBalancerID, has.RegionID, true
}
