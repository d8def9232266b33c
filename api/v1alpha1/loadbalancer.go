// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// The products of load balancers, as metrics and commands name them.
const (
	ProductCLB = "clb"
	ProductNLB = "nlb"
	ProductALB = "alb"
)

// ProductOf returns the product of a load balancer by the prefix of its id. Ids of
// CLB have many forms, so an unknown one is CLB.
func ProductOf(loadBalancerID string) string {
	switch {
	case strings.HasPrefix(loadBalancerID, ProductNLB+"-"):
		return ProductNLB
	case strings.HasPrefix(loadBalancerID, ProductALB+"-"):
		return ProductALB
	default:
		return ProductCLB
	}
}

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
