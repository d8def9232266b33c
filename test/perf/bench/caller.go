// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// shared wraps one transport for all calls: the SDK rewrites a bare
// *http.Transport on every call, and leaves any other type alone.
type shared struct{ http.RoundTripper }

// callerWorker is the limit of observing: calls of the SDK in the way that is
// known to be best, a throw-away client around one shared transport, and
// nothing done with the answers.
func callerWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	host, err := o.host()
	if err != nil {
		return err
	}
	transport := shared{&http.Transport{MaxIdleConnsPerHost: o.concurrency, IdleConnTimeout: time.Minute}}
	return paced(ctx, o.rate, int(o.rate*o.duration.Seconds()), func(int) error {
		return describeBare(transport, host, callerBalancer)
	})
}

func describeBare(transport http.RoundTripper, host, balancer string) error {
	config := sdk.NewConfig().WithScheme("HTTPS").WithAutoRetry(false).WithMaxRetryTime(0).WithTimeout(10 * time.Second)
	config.Transport = transport
	client := &slb.Client{}
	if err := client.InitWithOptions(region, config, credentials.NewStaticAKCredentialsProvider(accessKey())); err != nil {
		return err
	}
	client.Domain = host
	request := slb.CreateDescribeHealthStatusRequest()
	request.RegionId, request.LoadBalancerId = region, balancer
	_, err := client.DescribeHealthStatus(request)
	return err
}
