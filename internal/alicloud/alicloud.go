// SPDX-License-Identifier: Apache-2.0

// Package alicloud has what all load balancer products of Alibaba Cloud
// share: whose credentials sign a call, where the API is, how a signed call is
// made and why one failed, and the plain types that products return. A product
// has a package of its own below this one, such as clb, which describes it in a
// Product and makes its calls with Do.
//
// It knows nothing of Kubernetes.
package alicloud

import (
	"strings"
	"time"
)

// Account names whose credentials sign a call: those in the Secret of this
// namespace and name, or, for the zero value, the operator's own identity.
type Account struct {
	Namespace, Name string
}

// IsDefault reports whether the account is the operator's own identity.
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

// Product is the product of the load balancer, such as clb.
func (t Target) Product() string { return ProductOf(t.LoadBalancerID) }

// String is account/region/load balancer, the same in every process.
func (t Target) String() string {
	return t.Account.String() + "/" + t.RegionID + "/" + t.LoadBalancerID
}

// Scope is the part of a load balancer that a call covers. The zero value is
// every listener.
type Scope struct {
	// ListenerPort is the front-end port, or 0 for every port.
	ListenerPort int32
	// ListenerProtocol is tcp, udp, http, https, tcpssl or quic, or "" for every protocol.
	ListenerProtocol string
}

// Covers reports whether an observation of this scope includes all of other.
func (s Scope) Covers(other Scope) bool {
	return (s.ListenerPort == 0 || s.ListenerPort == other.ListenerPort) &&
		(s.ListenerProtocol == "" || s.ListenerProtocol == other.ListenerProtocol)
}

// Includes reports whether a backend belongs to the scope. A field that the API
// omits excludes a backend from no scope.
func (s Scope) Includes(b Backend) bool {
	return (s.ListenerPort == 0 || b.ListenerPort == 0 || s.ListenerPort == b.ListenerPort) &&
		(s.ListenerProtocol == "" || b.ListenerProtocol == "" || strings.EqualFold(s.ListenerProtocol, b.ListenerProtocol))
}

// Request is one request for the health of a load balancer's backends.
type Request struct {
	Target      Target
	Scope       Scope
	Credentials Credentials
}

// Observation is one response with the health of a load balancer's backends.
type Observation struct {
	// RequestID is the API's RequestId.
	RequestID string
	// Scope is the scope of the request.
	Scope Scope
	// RequestedAt is when the request was sent: later changes may not be in the response.
	RequestedAt time.Time
	// At is when the response arrived.
	At time.Time
	// Backends are the rows in the API's order.
	Backends []Backend
	// Groups is what NLB and ALB add; nil for CLB, so that its rows stay small.
	Groups *Groups
	// OddRows counts the rows that could not be read in full: they are
	// unavailable, and lack what could not be read, possibly the ServerID.
	OddRows int
}

// Backend is one row of an observation; fields have the API's own values, or
// zero where the API gave none.
type Backend struct {
	ServerID     string
	ServerIP     string
	EniHost      string
	Type         string
	ListenerPort int32
	// ListenerProtocol is in lower case, whatever the API's case.
	ListenerProtocol string
	Port             int32
	// ServerHealthStatus is normal, abnormal, unavailable, unused (NLB and ALB), or
	// a value that the API adds later.
	ServerHealthStatus string
}

// MaxLoadBalancersPerCall is how many load balancers a ListenersRequest may have.
const MaxLoadBalancersPerCall = 10

// ListenersRequest is one request for the listeners of load balancers.
type ListenersRequest struct {
	Account  Account
	RegionID string
	// LoadBalancerIDs are 1 to MaxLoadBalancersPerCall.
	LoadBalancerIDs []string
	Credentials     Credentials
}

// ListenerList is the response to a ListenersRequest, over all its pages.
type ListenerList struct {
	// RequestID is the API's RequestId of the last page.
	RequestID string
	// At is when the first call started: later edits are not in the list.
	At time.Time
	// Calls counts the calls, one for each page.
	Calls int
	// Listeners are those of each load balancer of the request, by its id; an
	// empty list where the API lists none.
	Listeners map[string][]Listener
}

// Listener is one listener of a load balancer.
type Listener struct {
	// Port is the front-end port, 1-65535.
	Port int32
	// Protocol is tcp, udp, http, https, tcpssl or quic, in lower case.
	Protocol string
	// Status is running, stopped, starting, configuring or stopping.
	Status string
	// HealthCheck is on or off; "" where the API omits it.
	HealthCheck string
	// RedirectOnly is set where the listener redirects every request (ListenerForward).
	RedirectOnly bool
}

// ListenerDetails are the listeners of one load balancer.
type ListenerDetails struct {
	// At is when the call that listed them started.
	At        time.Time
	Listeners []Listener
}
