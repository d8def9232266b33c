// SPDX-License-Identifier: Apache-2.0

// Package nlb makes the calls of Network Load Balancer (product Nlb, version
// 2022-04-30) for servergroup.
//
// client.go has the calls, response.go what is read of the responses.
package nlb

import (
	"context"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdknlb "github.com/aliyun/alibaba-cloud-sdk-go/services/nlb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

var product = alicloud.Product{
	Name:         alicloud.ProductNLB,
	EndpointMap:  sdknlb.GetEndpointMap(),
	EndpointType: sdknlb.GetEndpointType(),
	Actions:      servergroup.Actions,
	Resources: map[string]string{
		servergroup.ActionListeners: "*",
		servergroup.ActionGroups:    "*",
		servergroup.ActionMembers:   "serverGroup/*", // with a capital G, unlike ALB's
	},
}

// Product describes NLB, for RAM policies.
func Product() alicloud.Product { return product }

// policy reads members for every observation: the health of NLB does not distinguish
// servers with weight 0 any more.
var policy = servergroup.Policy{Weights: true}

// Client observes NLB instances. It is safe for concurrent use.
type Client struct{ *servergroup.Observer }

// NewClient returns a Client that makes its calls with caller.
func NewClient(caller *alicloud.Caller) *Client {
	return &Client{servergroup.NewObserver(api{caller}, policy)}
}

// api implements servergroup.API.
type api struct{ caller *alicloud.Caller }

// pageSize is a parameter of requests.
var pageSize = requests.NewInteger(servergroup.MaxResults)

// newResponse returns an empty response. A response may have a Code beside
// "Success": true.
func newResponse() servergroup.Response { return servergroup.NewResponse(true) }

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
		list := sdknlb.CreateListListenersRequest()
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
		get := sdknlb.CreateGetLoadBalancerAttributeRequest()
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
		list := sdknlb.CreateListServerGroupsRequest()
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
		list := sdknlb.CreateListServerGroupServersRequest()
		list.RegionId = request.Target.RegionID
		list.ServerGroupId = groupID
		list.MaxResults, list.NextToken = pageSize, token
		response := &servergroup.MembersResponse{Response: newResponse()}
		return response, client.DoAction(list, response)
	}, func(response *servergroup.MembersResponse, verifier *alicloud.Verifier) (servergroup.Page[servergroup.Member], error) {
		return response.Read(verifier, groupID)
	})
}

// Health implements servergroup.API. Newer versions of the API have no pages, and
// ignore the parameters of pages.
func (a api) Health(ctx context.Context, request *alicloud.Request, listenerID, token string) (servergroup.Page[servergroup.GroupHealth], error) {
	return call(ctx, a, request, servergroup.ActionHealth, func(client *sdk.Client) (*healthResponse, error) {
		get := sdknlb.CreateGetListenerHealthStatusRequest()
		get.RegionId = request.Target.RegionID
		get.ListenerId = listenerID
		get.MaxResults, get.NextToken = pageSize, token
		response := &healthResponse{Response: newResponse()}
		return response, client.DoAction(get, response)
	}, func(response *healthResponse, verifier *alicloud.Verifier) (servergroup.Page[servergroup.GroupHealth], error) {
		return response.read(verifier, listenerID)
	})
}
