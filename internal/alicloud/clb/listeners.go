// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const (
	// pageSize is the most listeners that the API puts on a page.
	pageSize = 100
	// maxPages is far more than alicloud.MaxLoadBalancersPerCall load balancers
	// need, which have 50 listeners each: the number of calls must be bounded.
	maxPages = 100
)

var listenersPath = alicloud.ListPath{Outer: "Listeners"}

// DescribeLoadBalancerListeners returns the listeners of every load balancer of
// the request, with and without backends, an *alicloud.Error when a call failed,
// or the context's error when the caller gave up.
func (c *Client) DescribeLoadBalancerListeners(ctx context.Context, request alicloud.ListenersRequest) (*alicloud.ListenerList, error) {
	const limit = alicloud.MaxLoadBalancersPerCall
	if n := len(request.LoadBalancerIDs); n == 0 || n > limit {
		return nil, &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: fmt.Sprintf("%s accepts 1 to %d load balancers, not %d", actionListeners, limit, n)}
	}
	call := alicloud.Call{
		Product: &product, Action: actionListeners,
		Account: request.Account, RegionID: request.RegionID, LoadBalancerIDs: request.LoadBalancerIDs, Credentials: request.Credentials,
	}
	pages := newPager(&request)
	for {
		next, err := alicloud.Do(ctx, c.caller, call, pages.send, pages.read)
		if err != nil {
			return nil, err
		}
		if next == "" {
			return pages.list, nil
		}
		pages.next = next
	}
}

// pager reads a list page by page.
type pager struct {
	request *alicloud.ListenersRequest
	list    *alicloud.ListenerList
	// next is the token of the next page, and tokens are those of all pages so far.
	next   string
	tokens map[string]struct{}
}

func newPager(request *alicloud.ListenersRequest) *pager {
	list := &alicloud.ListenerList{At: time.Now(), Listeners: make(map[string][]alicloud.Listener, len(request.LoadBalancerIDs))}
	for _, id := range request.LoadBalancerIDs {
		list.Listeners[id] = []alicloud.Listener{}
	}
	return &pager{request: request, list: list, tokens: map[string]struct{}{}}
}

// send requests the next page.
func (p *pager) send(client *sdk.Client) (*sdkslb.DescribeLoadBalancerListenersResponse, error) {
	describe := sdkslb.CreateDescribeLoadBalancerListenersRequest()
	describe.RegionId = p.request.RegionID
	describe.LoadBalancerId = &p.request.LoadBalancerIDs
	describe.MaxResults = requests.NewInteger(pageSize)
	describe.NextToken = p.next
	response := sdkslb.CreateDescribeLoadBalancerListenersResponse()
	return response, client.DoAction(describe, response)
}

// read adds a page to the list and returns the token of the next one.
func (p *pager) read(page *sdkslb.DescribeLoadBalancerListenersResponse, verifier *alicloud.Verifier) (next string, err error) {
	if err := alicloud.VerifyDocument(page.GetHttpContentBytes(), listenersPath); err != nil {
		return "", err
	}
	if p.list.RequestID, err = verifier.RequestID(page.RequestId); err != nil {
		return "", err
	}
	p.list.Calls++
	if err := p.verifyToken(page.NextToken); err != nil {
		return "", err
	}
	return page.NextToken, p.add(page.Listeners, verifier)
}

// verifyToken refuses a next page that was read before, or is one too many.
func (p *pager) verifyToken(token string) error {
	_, repeated := p.tokens[token]
	switch {
	case len(token) > alicloud.MaxText:
		return &alicloud.ResponseError{What: fmt.Sprintf("a NextToken of more than %d KiB", alicloud.MaxText>>10)}
	case repeated:
		return &alicloud.ResponseError{What: "a NextToken that an earlier page had already"}
	case token != "" && p.list.Calls == maxPages:
		return &alicloud.ResponseError{What: fmt.Sprintf("more than %d pages", maxPages)}
	case token != "":
		p.tokens[token] = struct{}{}
	}
	return nil
}

// add reads the listeners of the request's load balancers. One that cannot be
// assigned to its load balancer and port makes the whole page an error: without
// it, the listener would count as removed.
func (p *pager) add(listed []sdkslb.ListenerInDescribeLoadBalancerListeners, verifier *alicloud.Verifier) error {
	if len(listed) > maxListeners {
		return &alicloud.ResponseError{What: fmt.Sprintf("more than %d listeners", maxListeners)}
	}
	for i := range listed {
		id, port := listed[i].LoadBalancerId, listed[i].ListenerPort
		listener, err := readListener(&listed[i], verifier)
		known, requested := p.list.Listeners[id]
		switch {
		case err != nil:
			return err
		case id == "":
			return &alicloud.ResponseError{What: "a listener without LoadBalancerId"}
		case !requested:
			continue
		case port == 0 || !isPort(port):
			return &alicloud.ResponseError{What: "a listener whose ListenerPort is not a port"}
		case len(known) == maxListeners:
			return &alicloud.ResponseError{What: fmt.Sprintf("more than %d listeners of a load balancer", maxListeners)}
		}
		p.list.Listeners[id] = withListener(known, listener)
	}
	return nil
}

// withListener adds a listener. One that moved to another page between two
// calls is on both, and counts once, in its last state.
func withListener(known []alicloud.Listener, listener alicloud.Listener) []alicloud.Listener {
	same := func(k alicloud.Listener) bool { return k.Port == listener.Port && k.Protocol == listener.Protocol }
	if i := slices.IndexFunc(known, same); i >= 0 {
		known[i] = listener
		return known
	}
	return append(known, listener)
}

// readListener reads a listener. Its port may be none: the caller decides.
func readListener(l *sdkslb.ListenerInDescribeLoadBalancerListeners, verifier *alicloud.Verifier) (alicloud.Listener, error) {
	for _, field := range [...]string{l.ListenerProtocol, l.Status} {
		if err := verifier.Field(field, "a listener"); err != nil {
			return alicloud.Listener{}, err
		}
	}
	listener := alicloud.Listener{
		Port:     int32(l.ListenerPort),
		Protocol: alicloud.LowerField(l.ListenerProtocol),
		Status:   alicloud.LowerField(l.Status),
	}
	switch listener.Protocol {
	case "http":
		listener.HealthCheck = onOrOff(l.HTTPListenerConfig.HealthCheck)
		listener.RedirectOnly = onOrOff(l.HTTPListenerConfig.ListenerForward) == "on"
	case "https":
		listener.HealthCheck = onOrOff(l.HTTPSListenerConfig.HealthCheck)
	case "tcp":
		listener.HealthCheck = onOrOff(l.TCPListenerConfig.HealthCheckSwitch)
	case "udp":
		listener.HealthCheck = onOrOff(l.UDPListenerConfig.HealthCheckSwitch)
	}
	return listener, nil
}

// onOrOff is "" for any other value, also an empty one: neither means off.
func onOrOff(value string) string {
	switch value = strings.ToLower(value); value {
	case "on", "off":
		return value
	default:
		return ""
	}
}
