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
	Time           time.Time `json:"time"`
	Method         string    `json:"method"`
	Action         string    `json:"action,omitempty"`
	AccessKeyID    string    `json:"accessKeyId,omitempty"`
	RegionID       string    `json:"regionId,omitempty"`
	LoadBalancerID string    `json:"loadBalancerId,omitempty"`
	// loadBalancerIds are those of a call of DescribeLoadBalancerListeners.
	LoadBalancerIDs  []string `json:"loadBalancerIds,omitempty"`
	ListenerPort     int      `json:"listenerPort,omitempty"`
	ListenerProtocol string   `json:"listenerProtocol,omitempty"`
	RequestID        string   `json:"requestId"`
	// outcome is OK, the error's code, or the kind of the fault that replaced the response.
	Outcome string `json:"outcome"`
	// fault is the kind of the rule that decided the call, or delay if the call was only delayed.
	Fault string `json:"fault,omitempty"`
}

// Report is the response of GET /admin/v1/calls: exact counts since the last reset, of the
// first 10,000 ids by load balancer (of DescribeHealthStatus, which has one), and the newest
// calls, oldest first.
type Report struct {
	Total          int            `json:"total"`
	ByAction       map[string]int `json:"byAction"`
	ByOutcome      map[string]int `json:"byOutcome"`
	ByLoadBalancer map[string]int `json:"byLoadBalancer"`
	Calls          []Call         `json:"calls"`
}

type callLog struct {
	mu sync.Mutex
	// recent are the newest calls; once full, next is the oldest.
	recent    []Call
	next      int
	total     int
	byAction  map[string]int
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
}

func (l *callLog) add(call Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	count(l.byOutcome, call.Outcome)
	if actions[call.Action] != nil {
		count(l.byAction, call.Action)
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

// report returns the newest limit calls of the action for the load balancer; "" selects all.
func (l *callLog) report(action, loadBalancerID string, limit int) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := []Call{}
	for i := len(l.recent) - 1; i >= 0 && len(kept) < limit; i-- {
		call := l.recent[(l.next+i)%len(l.recent)]
		if (action == "" || call.Action == action) && (loadBalancerID == "" || call.LoadBalancerID == loadBalancerID) {
			kept = append(kept, call)
		}
	}
	slices.Reverse(kept)
	return Report{
		Total: l.total, ByAction: maps.Clone(l.byAction), ByOutcome: maps.Clone(l.byOutcome), ByLoadBalancer: maps.Clone(l.byID), Calls: kept,
	}
}

func (l *callLog) count(loadBalancerID string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[loadBalancerID]
}

func newCall(req *request, at time.Time, requestID string, out outcome) Call {
	port, _ := strconv.Atoi(req.params["ListenerPort"])
	var ids []string
	if req.action == ActionListeners {
		for _, id := range req.loadBalancerIDs() {
			ids = append(ids, clip(id))
		}
	}
	return Call{
		Time: at, Method: clip(req.http.Method), Action: clip(req.action), LoadBalancerIDs: ids, AccessKeyID: clip(req.accessKeyID), RegionID: clip(req.params["RegionId"]),
		LoadBalancerID: clip(req.params["LoadBalancerId"]), ListenerPort: port,
		ListenerProtocol: clip(req.params["ListenerProtocol"]), RequestID: requestID, Outcome: out.code, Fault: out.fault,
	}
}

func clip(s string) string {
	return s[:min(len(s), maxRecorded)]
}
