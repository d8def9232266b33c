// SPDX-License-Identifier: Apache-2.0

// Package clb makes the calls of Classic Load Balancer (product Slb, version
// 2014-05-15): the health of a load balancer's backends, and its listeners.
//
// client.go and listeners.go have the calls, response.go and lenient.go read
// what DescribeHealthStatus returns.
package clb

import (
	"context"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// The actions of the API that the client calls.
const (
	actionHealth    = "DescribeHealthStatus"
	actionListeners = "DescribeLoadBalancerListeners"
)

var product = alicloud.Product{
	Name:         "slb",
	EndpointMap:  sdkslb.GetEndpointMap(),
	EndpointType: sdkslb.GetEndpointType(),
	Actions:      []string{actionHealth, actionListeners},
	Advice:       advice,
}

// Product describes CLB, for RAM policies.
func Product() alicloud.Product { return product }

// advice is for the codes of a port that has no listener, or none with a health check.
func advice(code string, call alicloud.Call) string {
	switch {
	case !alicloud.CodeIs(code, "listenernotfound", "checkedlistenernotfound"):
		return ""
	case call.ListenerPort == 0:
		return "the load balancer has no listener with a health check: add one"
	default:
		return "the load balancer has no listener with a health check on port " + strconv.Itoa(int(call.ListenerPort)) +
			": check spec.listenerPort and spec.listenerProtocol, or enable the listener's health check"
	}
}

// Client calls the API. It is safe for concurrent use.
type Client struct {
	caller *alicloud.Caller
}

// NewClient returns a Client that makes its calls with caller.
func NewClient(caller *alicloud.Caller) *Client { return &Client{caller: caller} }

// DescribeHealthStatus returns the health of a load balancer's backends, an
// *alicloud.Error when the call failed, or the context's error when the caller
// gave up.
func (c *Client) DescribeHealthStatus(ctx context.Context, request alicloud.Request) (*alicloud.Observation, error) {
	call := alicloud.Call{
		Product: &product, Action: actionHealth, Timed: true,
		Account: request.Target.Account, RegionID: request.Target.RegionID, LoadBalancerIDs: []string{request.Target.LoadBalancerID},
		ListenerPort: request.Scope.ListenerPort, Credentials: request.Credentials,
	}
	var requestedAt time.Time
	return alicloud.Do(ctx, c.caller, call,
		func(client *sdk.Client) (*sdkslb.DescribeHealthStatusResponse, error) {
			requestedAt = time.Now()
			return sendHealth(client, &request)
		},
		func(response *sdkslb.DescribeHealthStatusResponse, verifier *alicloud.Verifier) (*alicloud.Observation, error) {
			observation, err := readHealth(response, request.Scope, verifier)
			if err != nil {
				return nil, err
			}
			observation.RequestedAt, observation.At = requestedAt, time.Now()
			return observation, nil
		})
}

func sendHealth(client *sdk.Client, request *alicloud.Request) (*sdkslb.DescribeHealthStatusResponse, error) {
	describe := sdkslb.CreateDescribeHealthStatusRequest()
	describe.RegionId = request.Target.RegionID
	describe.LoadBalancerId = request.Target.LoadBalancerID
	if request.Scope.ListenerPort != 0 {
		describe.ListenerPort = requests.NewInteger(int(request.Scope.ListenerPort))
	}
	describe.ListenerProtocol = request.Scope.ListenerProtocol
	response := sdkslb.CreateDescribeHealthStatusResponse()
	err := client.DoAction(describe, response)
	if err != nil {
		err = decodeRows(response, err)
	}
	return response, err
}
