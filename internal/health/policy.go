// SPDX-License-Identifier: Apache-2.0

package health

import (
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// policy is spec.healthPolicy with its defaults.
type policy struct {
	minHealthy  intstr.IntOrString
	unavailable v1alpha1.Health
}

func policyOf(spec *v1alpha1.LoadBalancerHealthSpec) policy {
	p := policy{minHealthy: intstr.FromInt32(1), unavailable: v1alpha1.Unknown}
	if spec.HealthPolicy == nil {
		return p
	}
	if spec.HealthPolicy.MinHealthy != nil {
		p.minHealthy = *spec.HealthPolicy.MinHealthy
	}
	if spec.HealthPolicy.Unavailable != "" {
		p.unavailable = spec.HealthPolicy.Unavailable
	}
	return p
}

// required returns how many healthy backends a listener with this number of
// backends needs.
func (p policy) required(backends int32) int {
	spec := v1alpha1.HealthPolicy{MinHealthy: &p.minHealthy}
	return spec.Required(backends)
}

// wantsNone returns whether a load balancer without backends is healthy.
func (p policy) wantsNone() bool { return p.required(100) == 0 }

// healthy returns how many backends count as healthy, and how many count neither way.
func (p policy) healthy(c v1alpha1.Counts) (healthy, undecided int) {
	healthy, undecided = int(c.Normal), int(c.Unavailable)
	switch p.unavailable {
	case v1alpha1.Healthy:
		return healthy + undecided, 0
	case v1alpha1.Unhealthy:
		return healthy, 0
	default:
		return healthy, undecided
	}
}

// verdict is the health of one listener that lacks some of its backends.
func (p policy) verdict(c v1alpha1.Counts, missing int32) v1alpha1.Health {
	healthy, undecided := p.healthy(c)
	switch required := p.required(c.Backends + missing); {
	case healthy >= required:
		return v1alpha1.Healthy
	case healthy+undecided < required:
		return v1alpha1.Unhealthy
	default:
		return v1alpha1.Unknown
	}
}
