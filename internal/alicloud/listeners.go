// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// The actions of the API that the client calls.
const (
	actionHealth    = "DescribeHealthStatus"
	actionListeners = "DescribeLoadBalancerListeners"
)

const (
	// pageSize is how many listeners a page may have, which is the API's most.
	pageSize = 100
	// maxPages is far more than MaxLoadBalancersPerCall load balancers need, which
	// have 50 listeners each: a server must not make the client ask without end.
	maxPages = 100
)

// DescribeLoadBalancerListeners implements ListenersAPI.
func (c *Client) DescribeLoadBalancerListeners(ctx context.Context, request ListenersRequest) (*ListenerList, error) {
	ids := request.LoadBalancerIDs
	if len(ids) == 0 || len(ids) > MaxLoadBalancersPerCall {
		return nil, &Error{Kind: InvalidRequest, Local: true, Message: fmt.Sprintf("%s takes 1 to %d load balancers, not %d", actionListeners, MaxLoadBalancersPerCall, len(ids))}
	}
	listing := newListing(ids)
	for question := request.question(); ; {
		next, err := callAndRead(ctx, c, question, listing.describe, listing.read)
		if err != nil {
			return nil, err
		}
		if next == "" {
			return listing.answer, nil
		}
		listing.next = next
	}
}

// question is what the calls of all actions have in common.
func (r ListenersRequest) question() Request {
	return Request{
		Target:      Target{Account: r.Account, RegionID: r.RegionID},
		Credentials: r.Credentials,
		action:      actionListeners,
		batch:       r.LoadBalancerIDs,
	}
}

// loadBalancerIDs are those that the request names.
func (r Request) loadBalancerIDs() []string {
	if len(r.batch) > 0 {
		return slices.Clone(r.batch)
	}
	return []string{r.Target.LoadBalancerID}
}

// listing is an answer that is being read page by page.
type listing struct {
	answer *ListenerList
	ids    []string
	// next is the token of the page to read, and tokens are those of all pages so far.
	next   string
	tokens map[string]struct{}
}

func newListing(ids []string) *listing {
	answer := &ListenerList{At: time.Now(), Listeners: make(map[string][]Listener, len(ids))}
	for _, id := range ids {
		answer.Listeners[id] = []Listener{}
	}
	return &listing{answer: answer, ids: ids, tokens: map[string]struct{}{}}
}

// describe asks for the next page.
func (l *listing) describe(client *sdkslb.Client, question Request) (*sdkslb.DescribeLoadBalancerListenersResponse, error) {
	describe := sdkslb.CreateDescribeLoadBalancerListenersRequest()
	describe.RegionId = question.Target.RegionID
	describe.LoadBalancerId = &l.ids
	describe.MaxResults = requests.NewInteger(pageSize)
	describe.NextToken = l.next
	return client.DescribeLoadBalancerListeners(describe)
}

// read takes a page over and returns the token of the next one.
func (l *listing) read(page *sdkslb.DescribeLoadBalancerListenersResponse, question Request) (next string, err error) {
	if err := verifyDocument(page.GetHttpContentBytes(), pathOfListeners); err != nil {
		return "", err
	}
	if l.answer.RequestID = cleanRequestID(page.RequestId, question.Credentials); l.answer.RequestID == "" {
		return "", &answerError{"a document without a RequestId"}
	}
	l.answer.Calls++
	if err := l.follow(page.NextToken); err != nil {
		return "", err
	}
	return page.NextToken, l.take(page.Listeners, question.Credentials)
}

// follow refuses a next page that leads in a circle, or on without end.
func (l *listing) follow(token string) error {
	_, repeated := l.tokens[token]
	switch {
	case len(token) > maxRaw:
		return &answerError{fmt.Sprintf("a NextToken of more than %d KiB", maxRaw>>10)}
	case repeated:
		return &answerError{"a NextToken that an earlier page had already"}
	case token != "" && l.answer.Calls == maxPages:
		return &answerError{fmt.Sprintf("more than %d pages", maxPages)}
	case token != "":
		l.tokens[token] = struct{}{}
	}
	return nil
}

// take reads the listeners of the load balancers that were asked about. One that
// cannot be placed spoils the page: left out, it would read as removed.
func (l *listing) take(listed []sdkslb.ListenerInDescribeLoadBalancerListeners, credentials Credentials) error {
	if len(listed) > maxListeners {
		return &answerError{fmt.Sprintf("more than %d listeners", maxListeners)}
	}
	if err := verifyFields(fieldsOfListeners(listed), credentials, "a listener"); err != nil {
		return err
	}
	for i := range listed {
		id, port := listed[i].LoadBalancerId, listed[i].ListenerPort
		known, asked := l.answer.Listeners[id]
		switch {
		case id == "":
			return &answerError{"a listener without LoadBalancerId"}
		case !asked:
			continue
		case port == 0 || !isPort(port):
			return &answerError{"a listener whose ListenerPort is not a port"}
		case len(known) == maxListeners:
			return &answerError{fmt.Sprintf("more than %d listeners of a load balancer", maxListeners)}
		}
		l.answer.Listeners[id] = withListener(known, readListener(&listed[i]))
	}
	return nil
}

// withListener adds a listener. One that moved to another page while they were
// read stands on both, and counts once, as it was last.
func withListener(known []Listener, listener Listener) []Listener {
	same := func(k Listener) bool { return k.Port == listener.Port && k.Protocol == listener.Protocol }
	if i := slices.IndexFunc(known, same); i >= 0 {
		known[i] = listener
		return known
	}
	return append(known, listener)
}

// fieldsOfListeners are the texts of an answer that go into a status.
func fieldsOfListeners(listed []sdkslb.ListenerInDescribeLoadBalancerListeners) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range listed {
			if !yield(listed[i].ListenerProtocol) || !yield(listed[i].Status) {
				return
			}
		}
	}
}

func readListener(l *sdkslb.ListenerInDescribeLoadBalancerListeners) Listener {
	listener := Listener{
		Port:     int32(l.ListenerPort),
		Protocol: lowerField(l.ListenerProtocol),
		Status:   lowerField(l.Status),
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
	return listener
}

// onOrOff is "" for whatever else the API says, or when it says nothing: neither means off.
func onOrOff(value string) string {
	switch value = strings.ToLower(value); value {
	case "on", "off":
		return value
	default:
		return ""
	}
}
