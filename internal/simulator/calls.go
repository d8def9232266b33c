// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxCalls is how many calls are kept in detail; the counts include all.
	maxCalls = 10_000
	// maxCounted bounds how many different names a table of counts may have, against clients that invent them.
	maxCounted = 10_000
	// maxRecorded bounds, in bytes, the recorded part of one parameter.
	maxRecorded = 128
)

// Call is one call to the API.
type Call struct {
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	// product is that of the call's Version: clb, nlb or alb.
	Product        string `json:"product,omitempty"`
	Action         string `json:"action,omitempty"`
	AccessKeyID    string `json:"accessKeyId,omitempty"`
	RegionID       string `json:"regionId,omitempty"`
	LoadBalancerID string `json:"loadBalancerId,omitempty"`
	// loadBalancerIds are those of a call of DescribeLoadBalancerListeners, and of a call of NLB or ALB that concerns
	// several: it names them, their listeners or their server groups.
	LoadBalancerIDs []string `json:"loadBalancerIds,omitempty"`
	// listenerId and serverGroupIds are those that a call of NLB or ALB names.
	ListenerID       string   `json:"listenerId,omitempty"`
	ServerGroupIDs   []string `json:"serverGroupIds,omitempty"`
	ListenerPort     int      `json:"listenerPort,omitempty"`
	ListenerProtocol string   `json:"listenerProtocol,omitempty"`
	RequestID        string   `json:"requestId"`
	// outcome is OK, the error's code, or the kind of the fault that replaced the response.
	Outcome string `json:"outcome"`
	// fault is the kind of the rule that decided the call, or delay if the call was only delayed.
	Fault string `json:"fault,omitempty"`
}

// Report is the response of GET /admin/v1/calls: exact counts since the last reset, and the newest calls, oldest first.
// The counts by load balancer are of the first 10,000 ids, and of calls that concern one: DescribeHealthStatus, and
// most of NLB and ALB.
type Report struct {
	Total    int            `json:"total"`
	ByAction map[string]int `json:"byAction"`
	// byProduct has the counts by action of each product: some actions are of NLB and ALB.
	ByProduct      map[string]map[string]int `json:"byProduct"`
	ByOutcome      map[string]int            `json:"byOutcome"`
	ByLoadBalancer map[string]int            `json:"byLoadBalancer"`
	Calls          []Call                    `json:"calls"`
}

// callFilter selects calls; an empty field selects all.
type callFilter struct {
	product, action, loadBalancerID string
}

func (f callFilter) selects(call Call) bool {
	return (f.product == "" || call.Product == f.product) && (f.action == "" || call.Action == f.action) &&
		(f.loadBalancerID == "" || call.LoadBalancerID == f.loadBalancerID ||
			call.Product != ProductCLB && slices.Contains(call.LoadBalancerIDs, f.loadBalancerID))
}

type callLog struct {
	mu sync.Mutex
	// recent are the newest calls; once full, next is the oldest.
	recent    []Call
	next      int
	total     int
	byAction  map[string]int
	byProduct map[string]map[string]int
	byOutcome map[string]int
	byID      map[string]int
}

func newCallLog() *callLog {
	l := &callLog{}
	l.reset()
	return l
}

func (l *callLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent, l.next, l.total = nil, 0, 0
	l.byAction, l.byOutcome, l.byID = map[string]int{}, map[string]int{}, map[string]int{}
	l.byProduct = map[string]map[string]int{}
}

func (l *callLog) add(call Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	count(l.byOutcome, call.Outcome)
	if productNamed(call.Product).has(call.Action) {
		count(l.byAction, call.Action)
		if l.byProduct[call.Product] == nil {
			l.byProduct[call.Product] = map[string]int{}
		}
		count(l.byProduct[call.Product], call.Action)
	}
	if call.LoadBalancerID != "" {
		count(l.byID, call.LoadBalancerID)
	}
	if len(l.recent) < maxCalls {
		l.recent = append(l.recent, call)
		return
	}
	l.recent[l.next] = call
	l.next = (l.next + 1) % maxCalls
}

func count(table map[string]int, name string) {
	if _, known := table[name]; known || len(table) < maxCounted {
		table[name]++
	}
}

// report returns the newest limit calls that the filter selects.
func (l *callLog) report(filter callFilter, limit int) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := []Call{}
	for i := len(l.recent) - 1; i >= 0 && len(kept) < limit; i-- {
		if call := l.recent[(l.next+i)%len(l.recent)]; filter.selects(call) {
			kept = append(kept, call)
		}
	}
	slices.Reverse(kept)
	byProduct := map[string]map[string]int{}
	for name, actions := range l.byProduct {
		byProduct[name] = maps.Clone(actions)
	}
	return Report{
		Total: l.total, ByAction: maps.Clone(l.byAction), ByProduct: byProduct, ByOutcome: maps.Clone(l.byOutcome),
		ByLoadBalancer: maps.Clone(l.byID), Calls: kept,
	}
}

func (l *callLog) count(loadBalancerID string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[loadBalancerID]
}

func newCall(req *request, at time.Time, requestID string, out outcome) Call {
	port, _ := strconv.Atoi(req.params["ListenerPort"])
	call := Call{
		Time: at, Method: clip(req.http.Method), Action: clip(req.action), AccessKeyID: clip(req.accessKeyID), RegionID: clip(req.params["RegionId"]),
		LoadBalancerID: clip(req.params["LoadBalancerId"]), ListenerPort: port,
		ListenerProtocol: clip(req.params["ListenerProtocol"]), RequestID: requestID, Outcome: out.code, Fault: out.fault,
	}
	if req.product == nil {
		return call
	}
	call.Product = req.product.name
	switch {
	case call.Product != ProductCLB:
		call.ListenerID, call.ServerGroupIDs = clip(req.params["ListenerId"]), clipAll(req.serverGroupIDs())
		call.LoadBalancerIDs = clipAll(req.concerned)
		if len(req.concerned) == 1 {
			call.LoadBalancerID, call.LoadBalancerIDs = call.LoadBalancerIDs[0], nil
		}
	case req.action == ActionListeners:
		call.LoadBalancerIDs = clipAll(req.loadBalancerIDs())
	}
	return call
}

// clipAll bounds a list, too: it has at most as many ids as a call may name, and one more.
func clipAll(all []string) []string {
	clipped := make([]string, 0, min(len(all), maxGroupIDs+1))
	for _, text := range all[:min(len(all), maxGroupIDs+1)] {
		clipped = append(clipped, clip(text))
	}
	return clipped
}

func clip(s string) string {
	return s[:min(len(s), maxRecorded)]
}
