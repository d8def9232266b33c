// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Discovery is what came of looking for the load balancer of a Service: one of
// Found and Failure is set.
type Discovery struct {
	// Found is the load balancer that the Service has.
	Found *v1alpha1.ServiceLoadBalancer
	// Failure is why it has none that can be observed.
	Failure *alicloud.Error
	// Without is the load balancer that the Service has, without its region, where
	// Failure is that the region is not known; else nil.
	Without *v1alpha1.ServiceLoadBalancer
	// FailingSince is when the first of the failures in a row happened.
	FailingSince time.Time
}

// ServicePort is a port of a Service that names a listener of its load balancer.
type ServicePort struct {
	// Port is the front-end port.
	Port int32
	// Protocol is the front-end protocol: tcp, udp, http or https.
	Protocol string
}

// Discover decides the next status of an object that names a Service. Where the
// Service has no load balancer, nobody can be asked: an observation that failed.
func Discover(object *v1alpha1.LoadBalancerHealth, d Discovery, now time.Time, options Options) Outcome {
	if has := object.Status.ServiceLoadBalancer; d.Found == nil && d.isRegionOnly(has) {
		d.Found = has // a load balancer stays in its region, whatever nodes come
	}
	if d.Found != nil {
		return discovered(object, *d.Found, options)
	}
	without := *object
	without.Status.ServiceLoadBalancer = nil
	outcome := Evaluate(&without, Input{
		Failure:      d.Failure,
		FailingSince: d.FailingSince,
		// Whoever asked for an observation learns that there is none.
		ObserveRequest: object.Annotations[v1alpha1.ObserveRequestedAtAnnotation],
	}, now, options)
	outcome.Write = outcome.Write || object.Status.ServiceLoadBalancer != nil
	return outcome
}

// isRegionOnly tells whether the region is all that is not known of the load
// balancer that an object has.
func (d *Discovery) isRegionOnly(has *v1alpha1.ServiceLoadBalancer) bool {
	return has != nil && d.Without != nil && has.RegionID != "" &&
		has.ServiceName == d.Without.ServiceName && has.LoadBalancerID == d.Without.LoadBalancerID
}

// discovered records the load balancer; whether it is healthy is for those who ask it.
func discovered(object *v1alpha1.LoadBalancerHealth, found v1alpha1.ServiceLoadBalancer, options Options) Outcome {
	outcome := Outcome{Status: object.Status}
	outcome.Status.ServiceLoadBalancer = &found
	options.fit(&outcome.Status)
	if same(outcome.Status.ServiceLoadBalancer, object.Status.ServiceLoadBalancer) {
		return Outcome{Status: object.Status}
	}
	outcome.Write = true
	was := object.Status.ObservedTarget
	if was != nil && was.ServiceName == found.ServiceName && was.LoadBalancerID != "" && was.LoadBalancerID != found.LoadBalancerID {
		outcome.Transitions.LoadBalancer = &LoadBalancerTransition{Service: found.ServiceName, From: was.LoadBalancerID, To: found.LoadBalancerID}
	}
	return outcome
}
