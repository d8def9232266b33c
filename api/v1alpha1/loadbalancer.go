// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// LoadBalancer returns the load balancer that the spec names, or that of the
// Service that the spec names; ok is false while the Service has none.
func (in *LoadBalancerHealth) LoadBalancer() (loadBalancerID, regionID string, ok bool) {
	service := in.Spec.ServiceRef
	if service == nil {
		return in.Spec.LoadBalancerID, in.Spec.RegionID, true
	}
	known := in.Status.ServiceLoadBalancer
	if known == nil || known.ServiceName != service.Name {
		return "", "", false
	}
	return known.LoadBalancerID, known.RegionID, true
}
