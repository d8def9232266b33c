// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Discovery is the result of a search for the load balancer of a Service or an
// Ingress: one of Found and Failure is set.
type Discovery struct {
	// Found is the load balancer that it has.
	Found *v1alpha1.ReferencedLoadBalancer
	// Failure is why it has none that the operator can observe.
	Failure *alicloud.Error
	// WithoutRegion is the load balancer that it has, without its region, if Failure
	// is that the region is not known; else nil.
	WithoutRegion *v1alpha1.ReferencedLoadBalancer
	// FailingSince is when the first of the current failures in a row happened.
	FailingSince time.Time
}

// ServicePort is a port of a Service, and so a listener of its load balancer.
type ServicePort struct {
	// Port is the front-end port.
	Port int32
	// Protocol is the front-end protocol: tcp, udp, http, https or tcpssl.
	Protocol string
}

// Discover decides the next status of an object that names a Service or an Ingress.
// One without a load balancer counts as a failed observation.
func Discover(object *v1alpha1.LoadBalancerHealth, d Discovery, now time.Time, options Options) Outcome {
	if known := object.Status.ReferencedLoadBalancer(object.Spec.Reference()); d.Found == nil && d.lacksRegionOf(known) {
		d.Found = known // a load balancer stays in its region, whatever nodes are added
	}
	if d.Found != nil {
		return discovered(object, d.Found, options)
	}
	without := *object
	without.Status.SetReferencedLoadBalancer(nil)
	outcome := Evaluate(&without, Input{
		Failure:      d.Failure,
		FailingSince: d.FailingSince,
		// A requested observation was attempted, and failed.
		ObserveRequest: object.Annotations[v1alpha1.ObserveRequestedAtAnnotation],
	}, now, options)
	outcome.Write = outcome.Write || !sameReferencedLoadBalancer(&without.Status, &object.Status)
	return outcome
}

// lacksRegionOf returns whether the discovery found the known load balancer, and
// only its region is not known any more.
func (d *Discovery) lacksRegionOf(known *v1alpha1.ReferencedLoadBalancer) bool {
	return known != nil && d.WithoutRegion != nil && known.RegionID != "" &&
		known.Reference == d.WithoutRegion.Reference && known.LoadBalancerID == d.WithoutRegion.LoadBalancerID
}

// discovered sets the load balancer in the status. Its observation follows.
func discovered(object *v1alpha1.LoadBalancerHealth, found *v1alpha1.ReferencedLoadBalancer, options Options) Outcome {
	outcome := Outcome{Status: object.Status}
	outcome.Status.SetReferencedLoadBalancer(found)
	options.fit(&outcome.Status)
	if sameReferencedLoadBalancer(&outcome.Status, &object.Status) {
		return Outcome{Status: object.Status}
	}
	outcome.Write = true
	was := object.Status.ObservedTarget
	if was != nil && was.Reference() == found.Reference && was.LoadBalancerID != "" && was.LoadBalancerID != found.LoadBalancerID {
		outcome.Transitions.LoadBalancer = &LoadBalancerTransition{Reference: found.Reference, From: was.LoadBalancerID, To: found.LoadBalancerID}
	}
	return outcome
}

func sameReferencedLoadBalancer(a, b *v1alpha1.LoadBalancerHealthStatus) bool {
	return same(a.ServiceLoadBalancer, b.ServiceLoadBalancer) && same(a.IngressLoadBalancer, b.IngressLoadBalancer)
}
