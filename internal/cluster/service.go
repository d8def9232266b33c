// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// otherProducts are the id prefixes of products that DescribeHealthStatus does not serve.
var otherProducts = []struct{ prefix, product string }{{"nlb-", "NLB"}, {"alb-", "ALB"}, {"gwlb-", "GWLB"}}

// loadBalancerID is the schema's pattern of spec.loadBalancerId. The label of a
// Service must match it as well: its value becomes part of a request.
var loadBalancerID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Support says whether the operator can observe the load balancer of a Service.
type Support int

// Values of Support.
const (
	// NoLoadBalancer: the Service does not request a load balancer.
	NoLoadBalancer Support = iota
	// Pending: the load balancer has no id yet.
	Pending
	// Unsupported: the load balancer is no SLB (CLB) instance.
	Unsupported
	// Supported: the load balancer is an SLB (CLB) instance.
	Supported
)

// SupportFor reports whether the operator can observe the load balancer of a
// Service. Until it has an id, a class shows that it will be of another product
// or provider: an SLB (CLB) instance is the one of a Service without a class.
func SupportFor(service *corev1.Service) Support {
	id := service.Labels[v1alpha1.ServiceLoadBalancerLabel]
	class := service.Spec.LoadBalancerClass
	switch {
	case service.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return NoLoadBalancer
	case id == "" && class != nil && *class != "":
		return Unsupported
	case id == "":
		return Pending
	case otherProduct(id) != "" || !loadBalancerID.MatchString(id):
		return Unsupported
	default:
		return Supported
	}
}

// otherProduct is the product of an id that DescribeHealthStatus does not serve; "" for SLB (CLB).
func otherProduct(id string) string {
	for _, other := range otherProducts {
		if strings.HasPrefix(id, other.prefix) {
			return other.product
		}
	}
	return ""
}

// LoadBalancer finds the load balancer of a Service by its label and the
// regions of the cluster. A failure says what is missing, and what to do.
func LoadBalancer(service types.NamespacedName, label string, regions []string) health.Discovery {
	fail := func(kind alicloud.Kind, format string, args ...any) health.Discovery {
		return health.Discovery{Failure: &alicloud.Error{
			Kind: kind, Local: kind == alicloud.InvalidRequest,
			Message: fmt.Sprintf("Service %s ", service) + fmt.Sprintf(format, args...),
		}}
	}
	if label == "" {
		return fail(alicloud.LoadBalancerNotFound, "has no load balancer yet: the cloud controller manager puts its id into the label %s", v1alpha1.ServiceLoadBalancerLabel)
	}
	if !loadBalancerID.MatchString(label) {
		return fail(alicloud.InvalidRequest, "has a label %s that is no id of a load balancer: fix it", v1alpha1.ServiceLoadBalancerLabel)
	}
	if product := otherProduct(label); product != "" {
		return fail(alicloud.InvalidRequest, "has the %s instance %s, which DescribeHealthStatus does not know: only SLB (CLB) instances can be observed", product, label)
	}
	if len(regions) == 1 {
		return health.Discovery{Found: &v1alpha1.ServiceLoadBalancer{ServiceName: service.Name, LoadBalancerID: label, RegionID: regions[0]}}
	}
	d := fail(alicloud.LoadBalancerNotFound, "has the load balancer %s, but no node has a region: set --region-id", label)
	if len(regions) > 1 {
		d = fail(alicloud.InvalidRequest, "has the load balancer %s, but the nodes are in the regions %s: set --region-id, or replace serviceRef by loadBalancerId and regionId", label, strings.Join(regions, ", "))
	}
	d.WithoutRegion = &v1alpha1.ServiceLoadBalancer{ServiceName: service.Name, LoadBalancerID: label}
	return d
}
