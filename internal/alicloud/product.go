// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"slices"
	"strings"
)

// The products, as the labels of metrics and the rate limits name them.
const (
	ProductCLB = "clb"
	ProductNLB = "nlb"
	ProductALB = "alb"
)

// nameSLB is Product.Name of CLB.
const nameSLB = "slb"

// ProductOf is the product of a load balancer. Ids of NLB and ALB have a prefix;
// those of CLB have many forms.
func ProductOf(loadBalancerID string) string {
	switch {
	case strings.HasPrefix(loadBalancerID, "nlb-"):
		return ProductNLB
	case strings.HasPrefix(loadBalancerID, "alb-"):
		return ProductALB
	default:
		return ProductCLB
	}
}

// isGateway reports whether an id is that of a Gateway Load Balancer.
func isGateway(loadBalancerID string) bool { return strings.HasPrefix(loadBalancerID, "gwlb-") }

// Product describes one product of Alibaba Cloud to the code that all share.
type Product struct {
	// Name is the product's name in RAM actions and resources, such as slb.
	Name string
	// EndpointMap has the host of each region whose host does not follow the
	// pattern of EndpointType. Both are the SDK's: its tables are filled lazily and
	// without a lock, so a product reads them once, in a package variable.
	EndpointMap  map[string]string
	EndpointType string
	// Actions are those that the operator calls.
	Actions []string
	// Resources are the RAM resources of the actions that are not about load
	// balancers, such as servergroup/*, by action; * for an action without resources.
	Resources map[string]string
	// Advice says what to do about an error code that only this product has; ""
	// for any other code. Nil: the product has no such codes.
	Advice func(code string, call Call) string
}

// label is the product in metrics: CLB is slb in the names of its API only.
func (p *Product) label() string {
	if p.Name == nameSLB {
		return ProductCLB
	}
	return p.Name
}

// endpointFlag is the flag that says where the API is.
func (p *Product) endpointFlag() string { return "--" + p.Name + "-endpoint" }

// api is the product's API in messages.
func (p *Product) api() string { return "the " + strings.ToUpper(p.Name) + " API" }

// RAMAction is an action as a RAM policy names it.
func (p *Product) RAMAction(action string) string { return p.Name + ":" + action }

// RAMResource is what RAM must allow an action on, for a load balancer of an
// account; * for the region, account or load balancer is any.
func (p *Product) RAMResource(action, regionID, accountID, loadBalancerID string) string {
	resource, found := p.Resources[action]
	switch {
	case resource == "*":
		return resource
	case !found:
		resource = "loadbalancer/" + loadBalancerID
	}
	return "acs:" + p.Name + ":" + regionID + ":" + accountID + ":" + resource
}

// permission is what RAM must allow for a call.
func (p *Product) permission(call *Call) string {
	resources := make([]string, len(call.LoadBalancerIDs))
	for i, id := range call.LoadBalancerIDs {
		resources[i] = p.RAMResource(call.Action, call.RegionID, "*", id)
	}
	return p.RAMAction(call.Action) + " on " + strings.Join(slices.Compact(resources), ", ")
}
