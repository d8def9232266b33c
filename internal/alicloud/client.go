// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// ClientOptions configure a Client.
type ClientOptions struct {
	// Endpoint is where the API is.
	Endpoint Endpoint
	// Timeout bounds one call, from dialling to the last byte.
	Timeout time.Duration
	// Concurrency is how many calls may be under way at once; as many idle
	// connections are kept.
	Concurrency int
	// UserAgent is appended to the SDK's own.
	UserAgent string
}

// Client is HealthAPI and ListenersAPI over alibaba-cloud-sdk-go.
type Client struct {
	options   ClientOptions
	transport http.RoundTripper
}

var (
	_ HealthAPI    = (*Client)(nil)
	_ ListenersAPI = (*Client)(nil)
)

// NewClient returns a Client, or an error when the environment would make the
// SDK print signed requests, or credentials-go print tokens, or names a proxy that cannot be used.
func NewClient(options ClientOptions) (*Client, error) {
	for _, word := range []string{"sdk", "credential"} {
		if slices.Contains(strings.Split(os.Getenv("DEBUG"), ","), word) {
			return nil, fmt.Errorf("the environment variable DEBUG contains %s, which makes the libraries of Alibaba Cloud print signed requests or tokens: unset it", word)
		}
	}
	if err := checkProxyVariables(); err != nil {
		return nil, err
	}
	return &Client{options: options, transport: newTransport(options.Concurrency)}, nil
}

// DescribeHealthStatus implements HealthAPI.
func (c *Client) DescribeHealthStatus(ctx context.Context, request Request) (*Observation, error) {
	if request.Target.LoadBalancerID == "" {
		return nil, &Error{Kind: InvalidRequest, Local: true, Message: "spec names no load balancer: write loadBalancerId and regionId, or serviceRef, which a CustomResourceDefinition older than the operator drops"}
	}
	request.action = actionHealth
	sample, err := callAndRead(ctx, c, request, describeHealth, readAnswer)
	if err != nil {
		return nil, err
	}
	sample.At = time.Now()
	return sample, nil
}

func describeHealth(client *sdkslb.Client, request Request) (*sdkslb.DescribeHealthStatusResponse, error) {
	describe := sdkslb.CreateDescribeHealthStatusRequest()
	describe.RegionId = request.Target.RegionID
	describe.LoadBalancerId = request.Target.LoadBalancerID
	if request.Scope.ListenerPort != 0 {
		describe.ListenerPort = requests.NewInteger(int(request.Scope.ListenerPort))
	}
	describe.ListenerProtocol = request.Scope.ListenerProtocol
	response, err := client.DescribeHealthStatus(describe)
	if err != nil {
		err = reread(response, err)
	}
	return response, err
}

// callAndRead makes one call of an action and reads its response, whatever the
// action: describe makes the call, and makes a new SDK request each time, because
// one that is used again keeps what it was signed with.
func callAndRead[R, A any](
	ctx context.Context, c *Client, request Request,
	describe func(*sdkslb.Client, Request) (R, error), read func(R, Request) (A, error),
) (answer A, err error) {
	var none A
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if !IsRegionID(request.Target.RegionID) {
		return none, &Error{Kind: InvalidRequest, Local: true, Message: "spec.regionId is not an Alibaba Cloud region id such as cn-hangzhou: write one"}
	}
	callCtx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	exchange := &exchange{ctx: callCtx, base: c.transport}
	response, err := attempt(c, exchange, request, describe)
	if err != nil && exchange.cutShort() {
		exchange = exchange.anew()
		response, err = attempt(c, exchange, request, describe)
	}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	request.Credentials.signature = exchange.signature()
	if err == nil {
		if answer, err = read(response, request); err == nil {
			return answer, nil
		}
	}
	return none, c.explain(err, exchange, request.subject())
}

// attempt makes one call with an SDK client of its own: an SDK client changes itself
// on every call, so sharing one is a data race, and building one costs next to nothing.
func attempt[R any](c *Client, exchange *exchange, request Request, describe func(*sdkslb.Client, Request) (R, error)) (response R, err error) {
	defer func() {
		// The SDK panics on error documents with fields of unexpected types.
		if panicked := recover(); panicked != nil {
			err = &answerError{"an error document that the SDK cannot read"}
		}
	}()
	config := sdk.NewConfig().
		WithScheme(c.options.Endpoint.scheme()).
		WithAutoRetry(false).WithMaxRetryTime(0).
		WithUserAgent(c.options.UserAgent).
		WithTimeout(c.options.Timeout + time.Second) // a backstop: the context ends the call
	config.Transport = exchange

	client := &sdkslb.Client{}
	if err := client.InitWithOptions(request.Target.RegionID, config, signer(request.Credentials)); err != nil {
		return response, err
	}
	client.SetCloseTrace(true) // a registered tracer would get the signed URL
	ignoreProxyVariables(client)
	c.options.Endpoint.apply(client)
	return describe(client, request)
}

func signer(c Credentials) credentials.CredentialsProvider {
	if c.SecurityToken != "" {
		return credentials.NewStaticSTSCredentialsProvider(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken)
	}
	return credentials.NewStaticAKCredentialsProvider(c.AccessKeyID, c.AccessKeySecret)
}
