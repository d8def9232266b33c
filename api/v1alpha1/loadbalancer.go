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

// FrontKind is the kind of a Front.
type FrontKind string

// Kinds of fronts.
const (
	FrontService FrontKind = "Service"
	FrontIngress FrontKind = "Ingress"
)

// Front is the Service or Ingress whose load balancer an object observes. The zero
// value: the spec names the load balancer itself.
//
// +kubebuilder:object:generate=false
type Front struct {
	Kind FrontKind
	Name string
}

// FrontLoadBalancer is the load balancer that a front has.
//
// +kubebuilder:object:generate=false
type FrontLoadBalancer struct {
	Front
	LoadBalancerID, RegionID string
}

// Front is the Service or Ingress that the spec names; zero for none.
func (in *LoadBalancerHealthSpec) Front() Front {
	switch {
	case in.ServiceRef != nil:
		return Front{FrontService, in.ServiceRef.Name}
	case in.IngressRef != nil:
		return Front{FrontIngress, in.IngressRef.Name}
	default:
		return Front{}
	}
}

// HasFront reports whether the spec names a Service or an Ingress.
func (in *LoadBalancerHealthSpec) HasFront() bool { return in.Front() != Front{} }

// Front is the Service or Ingress of the target; zero for none.
func (in *ObservedTarget) Front() Front {
	switch {
	case in.ServiceName != "":
		return Front{FrontService, in.ServiceName}
	case in.IngressName != "":
		return Front{FrontIngress, in.IngressName}
	default:
		return Front{}
	}
}

// SetFront sets the Service or Ingress of the target.
func (in *ObservedTarget) SetFront(front Front) {
	in.ServiceName, in.IngressName = "", ""
	switch front.Kind {
	case FrontService:
		in.ServiceName = front.Name
	case FrontIngress:
		in.IngressName = front.Name
	}
}

// FrontLoadBalancer is the load balancer of a front in the status; nil for none.
func (in *LoadBalancerHealthStatus) FrontLoadBalancer(front Front) *FrontLoadBalancer {
	var known FrontLoadBalancer
	switch {
	case front.Kind == FrontService && in.ServiceLoadBalancer != nil:
		lb := in.ServiceLoadBalancer
		known = FrontLoadBalancer{Front{FrontService, lb.ServiceName}, lb.LoadBalancerID, lb.RegionID}
	case front.Kind == FrontIngress && in.IngressLoadBalancer != nil:
		lb := in.IngressLoadBalancer
		known = FrontLoadBalancer{Front{FrontIngress, lb.IngressName}, lb.LoadBalancerID, lb.RegionID}
	default:
		return nil
	}
	if known.Front != front {
		return nil
	}
	return &known
}

// SetFrontLoadBalancer sets the load balancer of the front, and removes that of any
// other one; nil for none.
func (in *LoadBalancerHealthStatus) SetFrontLoadBalancer(found *FrontLoadBalancer) {
	in.ServiceLoadBalancer, in.IngressLoadBalancer = nil, nil
	switch {
	case found == nil:
	case found.Kind == FrontService:
		in.ServiceLoadBalancer = &ServiceLoadBalancer{ServiceName: found.Name, LoadBalancerID: found.LoadBalancerID, RegionID: found.RegionID}
	case found.Kind == FrontIngress:
		in.IngressLoadBalancer = &IngressLoadBalancer{IngressName: found.Name, LoadBalancerID: found.LoadBalancerID, RegionID: found.RegionID}
	}
}

// LoadBalancer returns the load balancer that the spec names, or that of the Service or
// Ingress that the spec names; ok is false while that has none.
func (in *LoadBalancerHealth) LoadBalancer() (loadBalancerID, regionID string, ok bool) {
	if !in.Spec.HasFront() {
		return in.Spec.LoadBalancerID, in.Spec.RegionID, true
	}
	known := in.Status.FrontLoadBalancer(in.Spec.Front())
	if known == nil {
		return "", "", false
	}
	return known.LoadBalancerID, known.RegionID, true
}
