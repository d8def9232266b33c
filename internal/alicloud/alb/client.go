// SPDX-License-Identifier: Apache-2.0

// Package alb makes the calls of Application Load Balancer (product Alb, version
// 2020-06-16) for servergroup.
//
// client.go has the calls, response.go what is read of the responses.
package alb

import (
	"context"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdkalb "github.com/aliyun/alibaba-cloud-sdk-go/services/alb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

var product = alicloud.Product{
	Name:         alicloud.ProductALB,
	EndpointMap:  sdkalb.GetEndpointMap(),
	EndpointType: sdkalb.GetEndpointType(),
	Actions:      servergroup.Actions,
	Resources: map[string]string{
		servergroup.ActionListeners: "*",
		servergroup.ActionGroups:    "*",
		servergroup.ActionMembers:   "servergroup/*",
	},
}

// Product describes ALB, for RAM policies.
func Product() alicloud.Product { return product }

// Client observes ALB instances. It is safe for concurrent use.
type Client struct{ *servergroup.Observer }

// NewClient returns a Client that makes its calls with caller.
func NewClient(caller *alicloud.Caller) *Client {
	return &Client{servergroup.NewObserver(api{caller}, servergroup.Policy{})}
}

// api implements servergroup.API.
type api struct{ caller *alicloud.Caller }

// Parameters of requests. A page of health has less than those of the other lists.
var (
	pageSize       = requests.NewInteger(servergroup.MaxResults)
	healthPageSize = requests.NewInteger(30)
	withRules      = requests.NewBoolean(true)
)

// newResponse returns an empty response.
func newResponse() servergroup.Response { return servergroup.NewResponse(false) }

// call makes one call, and reads its response with read.
func call[R, T any](
	ctx context.Context, a api, request *alicloud.Request, action string,
	send func(*sdk.Client) (R, error), read func(R, *alicloud.Verifier) (servergroup.Page[T], error),
) (servergroup.Page[T], error) {
	return alicloud.Do(ctx, a.caller, alicloud.Call{
		Product: &product, Action: action, Timed: action == servergroup.ActionHealth, Account: request.Target.Account, RegionID: request.Target.RegionID,
		LoadBalancerIDs: []string{request.Target.LoadBalancerID}, Credentials: request.Credentials,
	}, send, read)
}

// Listeners implements servergroup.API.
func (a api) Listeners(ctx context.Context, request *alicloud.Request, token string) (servergroup.Page[servergroup.Listener], error) {
	return call(ctx, a, request, servergroup.ActionListeners, func(client *sdk.Client) (*listenersResponse, error) {
		list := sdkalb.CreateListListenersRequest()
		list.RegionId = request.Target.RegionID
		list.LoadBalancerIds = &[]string{request.Target.LoadBalancerID}
		list.MaxResults, list.NextToken = pageSize, token
		response := &listenersResponse{Response: newResponse()}
		return response, client.DoAction(list, response)
	}, func(response *listenersResponse, verifier *alicloud.Verifier) (servergroup.Page[servergroup.Listener], error) {
		return response.read(verifier, request.Target.LoadBalancerID)
	})
}

// LoadBalancer implements servergroup.API.
func (a api) LoadBalancer(ctx context.Context, request *alicloud.Request) (servergroup.Page[struct{}], error) {
	return call(ctx, a, request, servergroup.ActionLoadBalancer, func(client *sdk.Client) (*servergroup.LoadBalancerResponse, error) {
		get := sdkalb.CreateGetLoadBalancerAttributeRequest()
		get.RegionId = request.Target.RegionID
		get.LoadBalancerId = request.Target.LoadBalancerID
		response := &servergroup.LoadBalancerResponse{Response: newResponse()}
		return response, client.DoAction(get, response)
	}, func(response *servergroup.LoadBalancerResponse, verifier *alicloud.Verifier) (servergroup.Page[struct{}], error) {
		return response.Read(verifier, request.Target.LoadBalancerID)
	})
}

// Groups implements servergroup.API.
func (a api) Groups(ctx context.Context, request *alicloud.Request, ids []string, token string) (servergroup.Page[servergroup.Group], error) {
	return call(ctx, a, request, servergroup.ActionGroups, func(client *sdk.Client) (*groupsResponse, error) {
		list := sdkalb.CreateListServerGroupsRequest()
		list.RegionId = request.Target.RegionID
		list.ServerGroupIds = &ids
		list.MaxResults, list.NextToken = pageSize, token
		response := &groupsResponse{Response: newResponse()}
		return response, client.DoAction(list, response)
	}, (*groupsResponse).read)
}

// Members implements servergroup.API.
func (a api) Members(ctx context.Context, request *alicloud.Request, groupID, token string) (servergroup.Page[servergroup.Member], error) {
	return call(ctx, a, request, servergroup.ActionMembers, func(client *sdk.Client) (*servergroup.MembersResponse, error) {
		list := sdkalb.CreateListServerGroupServersRequest()
		list.RegionId = request.Target.RegionID
		list.ServerGroupId = groupID
		list.MaxResults, list.NextToken = pageSize, token
		response := &servergroup.MembersResponse{Response: newResponse()}
		return response, client.DoAction(list, response)
	}, func(response *servergroup.MembersResponse, verifier *alicloud.Verifier) (servergroup.Page[servergroup.Member], error) {
		return response.Read(verifier, groupID)
	})
}

// Health implements servergroup.API. It includes the rules: the Services of an
// Ingress are behind them.
func (a api) Health(ctx context.Context, request *alicloud.Request, listenerID, token string) (servergroup.Page[servergroup.GroupHealth], error) {
	return call(ctx, a, request, servergroup.ActionHealth, func(client *sdk.Client) (*healthResponse, error) {
		get := sdkalb.CreateGetListenerHealthStatusRequest()
		get.RegionId = request.Target.RegionID
		get.ListenerId = listenerID
		get.IncludeRule = withRules
		get.MaxResults, get.NextToken = healthPageSize, token
		response := &healthResponse{Response: newResponse()}
		return response, client.DoAction(get, response)
	}, func(response *healthResponse, verifier *alicloud.Verifier) (servergroup.Page[servergroup.GroupHealth], error) {
		return response.read(verifier, listenerID)
	})
}
