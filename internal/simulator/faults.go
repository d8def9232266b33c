// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// The kinds of Fault.
const (
	FaultDelay       = "delay"       // a response after Delay; further rules still apply
	FaultHang        = "hang"        // no response
	FaultReset       = "reset"       // drops the connection with a TCP reset
	FaultStatus      = "status"      // an error document with HTTPStatus, Code and Message
	FaultThrottle    = "throttle"    // Throttling.User
	FaultMalformed   = "malformed"   // a 200 whose document does not parse
	FaultTruncated   = "truncated"   // half of the response, then the connection is closed
	FaultOversized   = "oversized"   // the response after SizeBytes of blanks: valid for a client that reads it all
	FaultContentType = "contentType" // an HTML page with 200, as captive portals and proxies send it
	FaultEmpty       = "empty"       // 200 without a body
	FaultEmptyObject = "emptyObject" // 200 with an empty object
	FaultRedirect    = "redirect"    // 302 to Location
	FaultBody        = "body"        // HTTPStatus with Body and ContentType, word for word
	FaultOmit        = "omit"        // the response without Fields, at every depth
	FaultSuccess     = "success"     // NLB's response with Success, Code, Message and HttpStatusCode in front
)

const (
	maxDelay         = time.Hour
	defaultOversized = 11 << 20
	maxOversized     = 256 << 20
)

// Duration is a time.Duration that reads and writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write one such as 500ms or 2s", text)
	}
	*d = Duration(parsed)
	return nil
}

// Fault is one rule: the calls that it selects get the response of its kind. Rules are tried
// in order, and the first that selects a call decides, except that the rules after a delay
// still apply. They apply to calls that the gateway would accept, whether or not the load
// balancer exists.
type Fault struct {
	// kind is one of the Fault constants.
	Kind string `json:"kind"`
	// product, loadBalancerId, listenerId, serverGroupId, accessKeyId and regionId select calls, without wildcards; an
	// absent one selects all. A listener or server group selects calls of NLB and ALB that name it, a load balancer
	// those that name it, its listeners or its server groups.
	Product        string `json:"product,omitempty"`
	LoadBalancerID string `json:"loadBalancerId,omitempty"`
	ListenerID     string `json:"listenerId,omitempty"`
	ServerGroupID  string `json:"serverGroupId,omitempty"`
	AccessKeyID    string `json:"accessKeyId,omitempty"`
	RegionID       string `json:"regionId,omitempty"`
	// action selects the calls of one action; absent: all. With the loadBalancerId of a CLB instance, absent:
	// DescribeHealthStatus, and with DescribeLoadBalancerListeners those with the load balancer among others.
	Action string `json:"action,omitempty"`
	// times is how many calls the rule applies to before it is removed; absent: until it is cleared. Where faults
	// are read back, it is how many remain.
	Times int `json:"times,omitempty"`

	// delay, of kind delay: more than 0, at most an hour.
	Delay Duration `json:"delay,omitempty"`
	// httpStatus, of kinds status (default 500), throttle (default 400) and body (default 200).
	HTTPStatus int `json:"httpStatus,omitempty"`
	// code and message, of kinds status and throttle: those of the error document. Of kind success: those beside
	// Success (default OK).
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// retryAfterSeconds, of kinds status and throttle: the Retry-After header.
	RetryAfterSeconds int `json:"retryAfterSeconds,omitempty"`
	// sizeBytes, of kind oversized: default 11 MiB, at most 256 MiB.
	SizeBytes int64 `json:"sizeBytes,omitempty"`
	// body and contentType, of kind body: what is sent; the type's default is that of the requested format.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	// location, of kind redirect: default /elsewhere on the same host.
	Location string `json:"location,omitempty"`
	// fields, of kind omit: names in the response, such as HeathCheckEnabled.
	Fields []string `json:"fields,omitempty"`
}

// faultFields lists the fields of each kind; other fields are refused.
var faultFields = map[string][]string{
	FaultDelay:       {"delay"},
	FaultHang:        nil,
	FaultReset:       nil,
	FaultStatus:      {"httpStatus", "code", "message", "retryAfterSeconds"},
	FaultThrottle:    {"httpStatus", "code", "message", "retryAfterSeconds"},
	FaultMalformed:   nil,
	FaultTruncated:   nil,
	FaultOversized:   {"sizeBytes"},
	FaultContentType: nil,
	FaultEmpty:       nil,
	FaultEmptyObject: nil,
	FaultRedirect:    {"location"},
	FaultBody:        {"httpStatus", "body", "contentType"},
	FaultOmit:        {"fields"},
	FaultSuccess:     {"code", "message"},
}

func (f Fault) selects(req *request) bool {
	return (f.Product == "" || f.Product == req.product.name) &&
		(f.Action == "" || f.Action == req.action) &&
		(f.ListenerID == "" || f.ListenerID == req.params["ListenerId"]) &&
		(f.ServerGroupID == "" || slices.Contains(req.serverGroupIDs(), f.ServerGroupID)) &&
		(f.LoadBalancerID == "" || f.selectsLoadBalancer(req)) &&
		(f.AccessKeyID == "" || f.AccessKeyID == req.accessKeyID) &&
		(f.RegionID == "" || f.RegionID == req.params["RegionId"])
}

func (f Fault) selectsLoadBalancer(req *request) bool {
	if req.product.name != ProductCLB {
		return slices.Contains(req.concerned, f.LoadBalancerID)
	}
	if f.Action == ActionListeners {
		return slices.Contains(req.loadBalancerIDs(), f.LoadBalancerID)
	}
	return f.LoadBalancerID == req.params["LoadBalancerId"]
}

// faultList has the active rules.
type faultList struct {
	mu    sync.Mutex
	rules []Fault
}

func (l *faultList) set(rules []Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = slices.Clone(rules)
}

func (l *faultList) add(rule Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = append(l.rules, rule)
}

func (l *faultList) list() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Fault{}, l.rules...)
}

// match returns how long the call has to wait and the rule that decides it, nil if none does. It counts the rules down.
func (l *faultList) match(req *request) (time.Duration, *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var delay time.Duration
	var decides *Fault
	kept := l.rules[:0]
	for _, rule := range l.rules {
		if decides == nil && rule.selects(req) {
			delay += time.Duration(rule.Delay)
			if rule.Kind != FaultDelay {
				used := rule
				decides = &used
			}
			if rule.Times == 1 {
				continue
			}
			rule.Times = max(0, rule.Times-1)
		}
		kept = append(kept, rule)
	}
	l.rules = kept
	return delay, decides
}
