// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"context"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// API makes the calls of one product. Each method makes one call and returns one
// page; token is that of the page, "" for the first. Errors are those of
// alicloud.Do.
type API interface {
	// Listeners lists the listeners of the load balancer.
	Listeners(ctx context.Context, request *alicloud.Request, token string) (Page[Listener], error)
	// LoadBalancer returns a page without items, or an error where the load balancer
	// does not exist.
	LoadBalancer(ctx context.Context, request *alicloud.Request) (Page[struct{}], error)
	// Groups lists server groups, at most MaxGroupsPerCall.
	Groups(ctx context.Context, request *alicloud.Request, ids []string, token string) (Page[Group], error)
	// Members lists the servers of a server group.
	Members(ctx context.Context, request *alicloud.Request, groupID, token string) (Page[Member], error)
	// Health returns the health of a listener, an item for each of its server groups
	// and rules.
	Health(ctx context.Context, request *alicloud.Request, listenerID, token string) (Page[GroupHealth], error)
}

// The actions of both products.
const (
	ActionListeners    = "ListListeners"
	ActionLoadBalancer = "GetLoadBalancerAttribute"
	ActionGroups       = "ListServerGroups"
	ActionMembers      = "ListServerGroupServers"
	ActionHealth       = "GetListenerHealthStatus"
)

// Actions are all of them, in the order of a policy: those about a load balancer,
// about its server groups, and the lists.
var Actions = []string{ActionHealth, ActionLoadBalancer, ActionMembers, ActionListeners, ActionGroups}

const (
	// MaxGroupsPerCall is how many server groups a call may name.
	MaxGroupsPerCall = 20
	// MaxResults is the most items of a page, of every action but ALB's health.
	MaxResults = 100
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// Total is how many items all pages have; nil where the API omits it.
	Total *int
	// Next is the token of the next page; "" for the last one.
	Next string
	// RequestID is the API's RequestId.
	RequestID string
}

// Listener is a listener as it is listed.
type Listener struct {
	ID string
	// Port and EndPort are the front-end ports: the same one, but for a range.
	Port, EndPort int32
	// Protocol is in lower case.
	Protocol string
	// Status is running, stopped, or another word of the API, in lower case.
	Status string
	// GroupIDs are the server groups of the listener itself. Those of its rules are
	// known from its health alone.
	GroupIDs []string
	// RedirectOnly is set where the listener itself redirects every request.
	RedirectOnly bool
}

// Group is a server group as it is listed.
type Group struct {
	ID string
	// Servers is the number of its members; nil where the API omits it.
	Servers *int
	// HealthCheck is on or off; "" where the API omits it.
	HealthCheck string
}

// Member is one server of a server group.
type Member struct {
	ServerID, ServerIP string
	// Type is ecs, eni, eci, ip or fc.
	Type string
	Port int32
	// Unused is set where the weight is 0. A missing weight is not 0.
	Unused bool
	// Status is adding, available, configuring, removing, or a later word of the API,
	// in lower case; "" where the API omits it.
	Status string
}

// GroupHealth is what the health of a listener says of one server group, once for
// the listener itself and once for each rule.
type GroupHealth struct {
	GroupID string
	// HealthCheck is on or off; "" where the API omits it.
	HealthCheck string
	// Mirror is set where the group gets only copies of requests.
	Mirror bool
	// Listed is set where the response has the list of servers that are not normal.
	// Without it, a server that is not in Servers is not normal either.
	Listed bool
	// Servers are those that are not normal.
	Servers []ServerHealth
}

// ServerHealth is the health of one server that is not normal.
type ServerHealth struct {
	ServerID, ServerIP string
	// Port is 0 where the API omits it.
	Port int32
	// Status is the API's word, such as Unhealthy.
	Status string
	// Reason is for GroupRow.Reason.
	Reason string
}
