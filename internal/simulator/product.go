// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"maps"
	"slices"
)

// The products that are served.
const (
	ProductCLB = "clb"
	ProductNLB = "nlb"
	ProductALB = "alb"
)

// Actions of CLB. GetListenerHealthStatus and the actions that list are of NLB and ALB, ListRules is of ALB alone.
const (
	ActionHealthStatus   = "DescribeHealthStatus"
	ActionListeners      = "DescribeLoadBalancerListeners"
	ActionListenerHealth = "GetListenerHealthStatus"
	ActionListListeners  = "ListListeners"
	ActionListGroups     = "ListServerGroups"
	ActionListServers    = "ListServerGroupServers"
	ActionListRules      = "ListRules"
	ActionBalancer       = "GetLoadBalancerAttribute"
)

// action serves one action: it returns a response, or a refusal. caller is nil when any key is accepted.
type action func(s *Server, req *request, caller *account, requestID string) (document, *apiError)

// product is one API: the Version parameter of a request selects it, whatever host the request names.
type product struct {
	name    string
	actions map[string]action
}

// products has them by the version of the API.
var products = map[string]*product{
	"2014-05-15": {ProductCLB, map[string]action{
		ActionHealthStatus: (*Server).describeHealth,
		ActionListeners:    (*Server).listListeners,
	}},
	"2022-04-30": {ProductNLB, actionsOf((*Server).NLB, groupActions)},
	"2020-06-16": {ProductALB, actionsOf((*Server).ALB, albActions)},
}

// productNames lists the names for messages.
var productNames = []string{ProductCLB, ProductNLB, ProductALB}

// productNamed returns nil for an unknown name.
func productNamed(name string) *product {
	for _, p := range products {
		if p.name == name {
			return p
		}
	}
	return nil
}

// has reports whether the product, if any, has the action.
func (p *product) has(name string) bool {
	return p != nil && p.actions[name] != nil
}

// actionNames are the actions of the product, or of all products where the name is empty, sorted.
func actionNames(productName string) []string {
	names := map[string]struct{}{}
	for _, p := range products {
		if productName == "" || productName == p.name {
			for name := range p.actions {
				names[name] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
