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
	"github.com/prometheus/client_golang/prometheus"
)

// CallerOptions configure a Caller.
type CallerOptions struct {
	// Endpoint is where the API is.
	Endpoint Endpoint
	// Endpoints are those of the products that have another one, by Product.Name.
	Endpoints map[string]Endpoint
	// Timeout bounds one call, from dialling to the last byte.
	Timeout time.Duration
	// Concurrency is how many calls may be in flight; as many idle connections
	// are kept.
	Concurrency int
	// UserAgent is appended to the SDK's own.
	UserAgent string
	// Metrics registers the metrics of the calls; nil: they are not exported.
	Metrics prometheus.Registerer
	// Transport sends the requests; nil: a pool of connections for this Caller.
	Transport http.RoundTripper
}

// Caller makes the calls of all products over one pool of connections, and
// counts them. It is safe for concurrent use.
type Caller struct {
	options   CallerOptions
	transport http.RoundTripper
	metrics   *callMetrics
}

// NewCaller returns a Caller, or an error when the environment would make the
// SDK print signed requests, or credentials-go print tokens, or names a proxy
// that cannot be used.
func NewCaller(options CallerOptions) (*Caller, error) {
	for _, word := range []string{"sdk", "credential"} {
		if slices.Contains(strings.Split(os.Getenv("DEBUG"), ","), word) {
			return nil, fmt.Errorf("the environment variable DEBUG contains %s, which makes the libraries of Alibaba Cloud print signed requests or tokens: unset it", word)
		}
	}
	if err := checkProxyVariables(); err != nil {
		return nil, err
	}
	caller := &Caller{options: options, transport: options.Transport, metrics: newCallMetrics(options.Metrics)}
	if caller.transport == nil {
		caller.transport = newTransport(options.Concurrency)
	}
	return caller, nil
}

// Call is what one call is about. The API does not see it: it is for the
// endpoint, the signature, the metrics, and the message of a failure.
type Call struct {
	Product *Product
	// Action is the API's, such as DescribeHealthStatus.
	Action string
	// Timed adds the call to the histogram of durations: only the calls of the
	// routine are alike enough to be compared.
	Timed    bool
	Account  Account
	RegionID string
	// LoadBalancerIDs are the load balancers of the request.
	LoadBalancerIDs []string
	// ListenerPort is the port of the request; 0: every port.
	ListenerPort int32
	Credentials  Credentials
}

// invalid is why the call must not reach the API; nil where it may.
func (c *Call) invalid() *Error {
	switch {
	case strings.Join(c.LoadBalancerIDs, "") == "":
		return &Error{Kind: InvalidRequest, Local: true, Message: "spec names no load balancer: write loadBalancerId and regionId, or serviceRef, which a CustomResourceDefinition older than the operator drops"}
	case slices.ContainsFunc(c.LoadBalancerIDs, isGateway):
		return &Error{Kind: InvalidRequest, Local: true, Message: "spec.loadBalancerId names a Gateway Load Balancer (gwlb-), which serves network appliances and no Kubernetes cluster and which the operator does not observe: write the id of a CLB, NLB or ALB instance"}
	case !IsRegionID(c.RegionID):
		return &Error{Kind: InvalidRequest, Local: true, Message: "spec.regionId is not an Alibaba Cloud region id such as cn-hangzhou: write one"}
	default:
		return nil
	}
}

// Do makes one call and returns its result. send makes the SDK's request and
// sends it with DoAction, and read reads the response. send runs a second time
// where the server closed an idle connection, and must make a new request each
// time, because a used one keeps its signature.
//
// The error is an *Error, or the context's where the caller gave up.
func Do[R, A any](
	ctx context.Context, c *Caller, call Call,
	send func(*sdk.Client) (R, error), read func(R, *Verifier) (A, error),
) (A, error) {
	start := time.Now()
	result, err := do(ctx, c, call, send, read)
	c.metrics.observe(&call, time.Since(start), err)
	return result, err
}

func do[R, A any](
	ctx context.Context, c *Caller, call Call,
	send func(*sdk.Client) (R, error), read func(R, *Verifier) (A, error),
) (result A, err error) {
	var none A
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if invalid := call.invalid(); invalid != nil {
		return none, invalid
	}
	callCtx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	exchange := &callTransport{ctx: callCtx, base: c.transport}
	response, err := attempt(c, exchange, &call, send)
	if err != nil && exchange.hitIdleClose() {
		exchange = exchange.fresh()
		response, err = attempt(c, exchange, &call, send)
	}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	call.Credentials.signature = exchange.signature()
	if err == nil {
		if result, err = read(response, newVerifier(call.Credentials)); err == nil {
			return result, nil
		}
	}
	return none, c.explain(err, exchange, &call)
}

// attempt sends one request with an SDK client of its own: an SDK client
// modifies itself on every call, so sharing one is a data race, and a new one
// costs next to nothing.
func attempt[R any](c *Caller, exchange *callTransport, call *Call, send func(*sdk.Client) (R, error)) (response R, err error) {
	defer func() {
		// The SDK panics on error documents with fields of unexpected types.
		if panicked := recover(); panicked != nil {
			err = &ResponseError{"an error document that the SDK cannot read"}
		}
	}()
	client, err := c.newClient(exchange, call)
	if err != nil {
		return response, err
	}
	return send(client)
}

func (c *Caller) newClient(exchange *callTransport, call *Call) (*sdk.Client, error) {
	endpoint := c.endpoint(call.Product)
	config := sdk.NewConfig().
		WithScheme(endpoint.scheme()).
		WithAutoRetry(false).WithMaxRetryTime(0).
		WithUserAgent(c.options.UserAgent).
		WithTimeout(c.options.Timeout + time.Second) // a backstop: the context ends the call
	config.Transport = exchange

	client := &sdk.Client{}
	if err := client.InitWithOptions(call.RegionID, config, signer(call.Credentials)); err != nil {
		return nil, err
	}
	client.SetCloseTrace(true) // a registered tracer would get the signed URL
	ignoreProxyVariables(client)
	endpoint.apply(client, call.Product)
	return client, nil
}

// endpoint is where the API of a product is.
func (c *Caller) endpoint(product *Product) Endpoint {
	if own, found := c.options.Endpoints[product.Name]; found {
		return own
	}
	return c.options.Endpoint
}

func signer(c Credentials) credentials.CredentialsProvider {
	if c.SecurityToken != "" {
		return credentials.NewStaticSTSCredentialsProvider(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken)
	}
	return credentials.NewStaticAKCredentialsProvider(c.AccessKeyID, c.AccessKeySecret)
}
