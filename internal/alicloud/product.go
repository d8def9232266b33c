// SPDX-License-Identifier: Apache-2.0

package alicloud

import "strings"

// Product describes one product of Alibaba Cloud to the code that all share.
type Product struct {
	// Name is the product's name in RAM actions and resources, such as slb.
	Name string
	// EndpointMap has the host of each region whose host does not follow the
	// pattern of EndpointType. Both are the SDK's: its tables are filled lazily and
	// without a lock, so a product reads them once, in a package variable.
	EndpointMap  map[string]string
	EndpointType string
	// Advice says what to do about an error code that only this product has; ""
	// for any other code. Nil: the product has no such codes.
	Advice func(code string, call Call) string
}

// api is the product's API in messages.
func (p *Product) api() string { return "the " + strings.ToUpper(p.Name) + " API" }

// permission is what RAM must allow for a call.
func (p *Product) permission(call *Call) string {
	resources := make([]string, len(call.LoadBalancerIDs))
	for i, id := range call.LoadBalancerIDs {
		resources[i] = "acs:" + p.Name + ":" + call.RegionID + ":*:loadbalancer/" + id
	}
	return p.Name + ":" + call.Action + " on " + strings.Join(resources, ", ")
}
