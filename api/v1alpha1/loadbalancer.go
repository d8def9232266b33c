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

// ReferenceKind is the kind of a Reference.
type ReferenceKind string

// Kinds of references.
const (
	ReferenceService ReferenceKind = "Service"
	ReferenceIngress ReferenceKind = "Ingress"
)

// Reference is the Service or Ingress whose load balancer an object observes. The zero
// value: the spec names the load balancer itself.
//
// +kubebuilder:object:generate=false
type Reference struct {
	Kind ReferenceKind
	Name string
}

// ReferencedLoadBalancer is the load balancer that a reference has.
//
// +kubebuilder:object:generate=false
type ReferencedLoadBalancer struct {
	Reference
	LoadBalancerID, RegionID string
}

// Reference is the Service or Ingress that the spec names; zero for none.
func (in *LoadBalancerHealthSpec) Reference() Reference {
	switch {
	case in.ServiceRef != nil:
		return Reference{ReferenceService, in.ServiceRef.Name}
	case in.IngressRef != nil:
		return Reference{ReferenceIngress, in.IngressRef.Name}
	default:
		return Reference{}
	}
}

// HasReference reports whether the spec names a Service or an Ingress.
func (in *LoadBalancerHealthSpec) HasReference() bool { return in.Reference() != Reference{} }

// Reference is the Service or Ingress of the target; zero for none.
func (in *ObservedTarget) Reference() Reference {
	switch {
	case in.ServiceName != "":
		return Reference{ReferenceService, in.ServiceName}
	case in.IngressName != "":
		return Reference{ReferenceIngress, in.IngressName}
	default:
		return Reference{}
	}
}

// SetReference sets the Service or Ingress of the target.
func (in *ObservedTarget) SetReference(reference Reference) {
	in.ServiceName, in.IngressName = "", ""
	switch reference.Kind {
	case ReferenceService:
		in.ServiceName = reference.Name
	case ReferenceIngress:
		in.IngressName = reference.Name
	}
}

// ReferencedLoadBalancer is the load balancer of a reference in the status; nil for none.
func (in *LoadBalancerHealthStatus) ReferencedLoadBalancer(reference Reference) *ReferencedLoadBalancer {
	var known ReferencedLoadBalancer
	switch {
	case reference.Kind == ReferenceService && in.ServiceLoadBalancer != nil:
		lb := in.ServiceLoadBalancer
		known = ReferencedLoadBalancer{Reference{ReferenceService, lb.ServiceName}, lb.LoadBalancerID, lb.RegionID}
	case reference.Kind == ReferenceIngress && in.IngressLoadBalancer != nil:
		lb := in.IngressLoadBalancer
		known = ReferencedLoadBalancer{Reference{ReferenceIngress, lb.IngressName}, lb.LoadBalancerID, lb.RegionID}
	default:
		return nil
	}
	if known.Reference != reference {
		return nil
	}
	return &known
}

// SetReferencedLoadBalancer sets the load balancer of the reference, and removes that of any
// other one; nil for none.
func (in *LoadBalancerHealthStatus) SetReferencedLoadBalancer(found *ReferencedLoadBalancer) {
	in.ServiceLoadBalancer, in.IngressLoadBalancer = nil, nil
	switch {
	case found == nil:
	case found.Kind == ReferenceService:
		in.ServiceLoadBalancer = &ServiceLoadBalancer{ServiceName: found.Name, LoadBalancerID: found.LoadBalancerID, RegionID: found.RegionID}
	case found.Kind == ReferenceIngress:
		in.IngressLoadBalancer = &IngressLoadBalancer{IngressName: found.Name, LoadBalancerID: found.LoadBalancerID, RegionID: found.RegionID}
	}
}

// LoadBalancer returns the load balancer that the spec names, or that of the Service or
// Ingress that the spec names; ok is false while that has none.
func (in *LoadBalancerHealth) LoadBalancer() (loadBalancerID, regionID string, ok bool) {
	if !in.Spec.HasReference() {
		return in.Spec.LoadBalancerID, in.Spec.RegionID, true
	}
	known := in.Status.ReferencedLoadBalancer(in.Spec.Reference())
	if known == nil {
		return "", "", false
	}
	return known.LoadBalancerID, known.RegionID, true
}
