// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// classNLB is the loadBalancerClass of a Service whose load balancer is an NLB.
const classNLB = "alibabacloud.com/nlb"

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
	// Unsupported: the load balancer is of a product or provider that the operator does not observe.
	Unsupported
	// Supported: the load balancer is one of Alibaba Cloud.
	Supported
)

// SupportFor reports whether the operator can observe the load balancer of a
// Service. Until it has an id, a class shows that it will be of another provider:
// an SLB (CLB) instance is the one of a Service without a class.
func SupportFor(service *corev1.Service) Support {
	id := service.Labels[v1alpha1.ServiceLoadBalancerLabel]
	class := service.Spec.LoadBalancerClass
	switch {
	case service.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return NoLoadBalancer
	case id == "" && class != nil && *class != "" && *class != classNLB:
		return Unsupported
	case id == "":
		return Pending
	case isGateway(id) || !loadBalancerID.MatchString(id):
		return Unsupported
	default:
		return Supported
	}
}

// isGateway reports whether an id is that of a Gateway Load Balancer.
func isGateway(id string) bool { return strings.HasPrefix(id, "gwlb-") }

// isNLB reports whether the load balancer of a Service is an NLB.
func isNLB(service *corev1.Service) bool {
	return alicloud.ProductOf(service.Labels[v1alpha1.ServiceLoadBalancerLabel]) == alicloud.ProductNLB
}

// LoadBalancer finds the load balancer of a Service by its label and the
// regions of the cluster. A failure says what is missing, and what to do.
func LoadBalancer(service types.NamespacedName, label string, regions []string) health.Discovery {
	f := reference{v1alpha1.ReferenceService, service}
	switch {
	case label == "":
		return f.notFound("has no load balancer yet: the cloud controller manager puts its id into the label %s", v1alpha1.ServiceLoadBalancerLabel)
	case !loadBalancerID.MatchString(label):
		return f.refused("has a label %s that is no id of a load balancer: fix it", v1alpha1.ServiceLoadBalancerLabel)
	case isGateway(label):
		return f.refused("has the Gateway Load Balancer %s, which serves network appliances and no Kubernetes cluster: only CLB, NLB and ALB instances can be observed", label)
	default:
		return f.found(label, regions)
	}
}
