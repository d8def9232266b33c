// SPDX-License-Identifier: Apache-2.0

// Package slb is the one place that knows Alibaba Cloud: it asks the SLB API
// (product Slb, version 2014-05-15) for the health of a load balancer's
// backends and turns whatever comes back into an Observation or an *Error.
//
// It knows nothing of Kubernetes.
package alicloud

import (
	"context"
	"strings"
	"time"
)

// Account says whose credentials sign a call: those in the Secret of this
// namespace and name, or, for the zero value, the operator's own identity.
type Account struct {
	Namespace, Name string
}

// IsDefault tells whether the account is the operator's own identity.
func (a Account) IsDefault() bool { return a == Account{} }

// String is "default" or the Secret's namespace/name; never a key.
func (a Account) String() string {
	if a.IsDefault() {
		return "default"
	}
	return a.Namespace + "/" + a.Name
}

// Target is one load balancer as one account sees it: the unit of work.
type Target struct {
	Account        Account
	RegionID       string
	LoadBalancerID string
}

// String is account/region/load balancer, the same in every process.
func (t Target) String() string {
	return t.Account.String() + "/" + t.RegionID + "/" + t.LoadBalancerID
}

// Scope is the part of a load balancer that a call asks about. The zero value
// is every listener.
type Scope struct {
	// ListenerPort is the front-end port, or 0 for every port.
	ListenerPort int32
	// ListenerProtocol is tcp, udp, http or https, or "" for every protocol.
	ListenerProtocol string
}

// Covers tells whether an answer for this scope holds all that other asks about.
func (s Scope) Covers(other Scope) bool {
	return (s.ListenerPort == 0 || s.ListenerPort == other.ListenerPort) &&
		(s.ListenerProtocol == "" || s.ListenerProtocol == other.ListenerProtocol)
}

// Includes tells whether a backend belongs to the scope. What the API did not
// say about a backend excludes it from nothing.
func (s Scope) Includes(b Backend) bool {
	return (s.ListenerPort == 0 || b.ListenerPort == 0 || s.ListenerPort == b.ListenerPort) &&
		(s.ListenerProtocol == "" || b.ListenerProtocol == "" || strings.EqualFold(s.ListenerProtocol, b.ListenerProtocol))
}

// Request is one DescribeHealthStatus call.
type Request struct {
	Target      Target
	Scope       Scope
	Credentials Credentials

	// action is what the client calls, and batch the load balancers that it asks
	// about where these are several; a failure names them.
	action string
	batch  []string
}

// Observation is one answer of DescribeHealthStatus.
type Observation struct {
	// RequestID is the API's RequestId.
	RequestID string
	// Scope is what was asked about.
	Scope Scope
	// At is when the answer arrived.
	At time.Time
	// Backends are the rows as they came, in the order they came.
	Backends []Backend
	// OddRows is how many of them could not be read in full: they are
	// unavailable, and lack what could not be read, be it the ServerID.
	OddRows int
}

// Backend is one row of an answer; fields hold the API's own values, or zero
// where the API gave none.
type Backend struct {
	ServerID     string
	ServerIP     string
	EniHost      string
	Type         string
	ListenerPort int32
	// ListenerProtocol is in lower case, however it came.
	ListenerProtocol string
	Port             int32
	// ServerHealthStatus is normal, abnormal, unavailable, or a value that
	// the API adds later.
	ServerHealthStatus string
}

// HealthAPI asks for the health of a load balancer's backends.
type HealthAPI interface {
	// DescribeHealthStatus returns an Observation, an *Error when the call failed,
	// or the context's error when the caller gave up.
	DescribeHealthStatus(ctx context.Context, request Request) (*Observation, error)
}

// MaxLoadBalancersPerCall is how many load balancers DescribeLoadBalancerListeners takes.
const MaxLoadBalancersPerCall = 10

// ListenersRequest is one question to DescribeLoadBalancerListeners.
type ListenersRequest struct {
	Account  Account
	RegionID string
	// LoadBalancerIDs are 1 to MaxLoadBalancersPerCall.
	LoadBalancerIDs []string
	Credentials     Credentials
}

// ListenerList is what DescribeLoadBalancerListeners says, over all its pages.
type ListenerList struct {
	// RequestID is the API's RequestId of the last page.
	RequestID string
	// At is when the first call started: what changed later is not in it.
	At time.Time
	// Calls is how many calls, one a page, the answer took.
	Calls int
	// Listeners are those of each load balancer that was asked about, by its
	// id; an empty list where the API lists none.
	Listeners map[string][]Listener
}

// Listener is one listener of a load balancer.
type Listener struct {
	// Port is the front-end port, 1-65535.
	Port int32
	// Protocol is tcp, udp, http or https, in lower case.
	Protocol string
	// Status is running, stopped, starting, configuring or stopping.
	Status string
	// HealthCheck is on or off; "" where the API did not say.
	HealthCheck string
	// RedirectOnly tells that the listener redirects every request (ListenerForward).
	RedirectOnly bool
}

// ListenerDetails are the listeners of one load balancer.
type ListenerDetails struct {
	// At is when the call that listed them started.
	At        time.Time
	Listeners []Listener
}

// ListenersAPI lists the listeners of load balancers, with and without backends.
type ListenersAPI interface {
	// DescribeLoadBalancerListeners returns an answer that holds every load
	// balancer of the request, an *Error when a call failed, or the context's
	// error when the caller gave up.
	DescribeLoadBalancerListeners(ctx context.Context, request ListenersRequest) (*ListenerList, error)
}
