// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// planned is a reconciliation of objects with its plan.
func planned(state *targetState, observation *alicloud.Observation, objects ...v1alpha1.LoadBalancerHealth) *reconciliation {
	rec := &reconciliation{target: testTarget, objects: objects, state: state, processStartedAt: start, now: start, observation: observation}
	rec.makePlan()
	return rec
}

func planOf(state *targetState, observation *alicloud.Observation, objects ...v1alpha1.LoadBalancerHealth) plan {
	return planned(state, observation, objects...).plan
}

func TestPlanServesAllObjects(t *testing.T) {
	protocol := func(p v1alpha1.ListenerProtocol) func(*v1alpha1.LoadBalancerHealth) {
		return func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerProtocol = p }
	}
	type list = []v1alpha1.LoadBalancerHealth
	for name, test := range map[string]struct {
		objects   list
		everyPort bool
		active    int
		scope     alicloud.Scope
		interval  time.Duration
	}{
		"one":                             {list{newObject()}, false, 1, alicloud.Scope{}, time.Minute},
		"one with a port":                 {list{newObject(onPort(443))}, false, 1, alicloud.Scope{ListenerPort: 443}, time.Minute},
		"one with a port and a protocol":  {list{newObject(onPort(53), protocol("udp"))}, false, 1, alicloud.Scope{ListenerPort: 53, ListenerProtocol: "udp"}, time.Minute},
		"two with the same port":          {list{newObject(onPort(443)), newObject(onPort(443))}, false, 2, alicloud.Scope{ListenerPort: 443}, time.Minute},
		"two ports":                       {list{newObject(onPort(443)), newObject(onPort(80))}, false, 2, alicloud.Scope{}, time.Minute},
		"two protocols of one port":       {list{newObject(onPort(53), protocol("udp")), newObject(onPort(53))}, false, 2, alicloud.Scope{}, time.Minute},
		"a port and all":                  {list{newObject(onPort(443)), newObject()}, false, 2, alicloud.Scope{}, time.Minute},
		"a port that was refused":         {list{newObject(onPort(53))}, true, 1, alicloud.Scope{}, time.Minute},
		"the shortest interval":           {list{newObject(), newObject(every(10 * time.Second)), newObject(every(time.Hour))}, false, 3, alicloud.Scope{}, 10 * time.Second},
		"the default interval":            {list{newObject(every(0))}, false, 1, alicloud.Scope{}, 30 * time.Second},
		"suspended ones do not count":     {list{newObject(suspended, every(5*time.Second), onPort(80)), newObject(onPort(443))}, false, 1, alicloud.Scope{ListenerPort: 443}, time.Minute},
		"only suspended ones":             {list{newObject(suspended)}, false, 0, alicloud.Scope{}, 0},
		"a suspended one after an active": {list{newObject(onPort(443)), newObject(suspended)}, false, 1, alicloud.Scope{ListenerPort: 443}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(&targetState{everyPort: test.everyPort}, nil, test.objects...)
			equal(t, "the number of active objects", len(p.active), test.active)
			equal(t, "the scope", p.scope, test.scope)
			equal(t, "the interval", p.interval, test.interval)
			equal(t, "having no due time", p.dueAt.IsZero(), test.active == 0)
		})
	}
}

func TestUrgentObjects(t *testing.T) {
	attempted := &targetState{requests: requestHistory{"uid-web": {generation: 2, request: "now"}}}
	failed := &targetState{requests: attempted.requests, failures: failureHistory{last: &alicloud.Error{Kind: alicloud.Throttled}}}
	handled := func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastHandledObserveRequest = "now" }
	whole, onlyPort80 := &alicloud.Observation{}, &alicloud.Observation{Scope: alicloud.Scope{ListenerPort: 80}}
	for name, test := range map[string]struct {
		object      v1alpha1.LoadBalancerHealth
		state       *targetState
		observation *alicloud.Observation
		urgent      bool
	}{
		"none":                                {newObject(), &targetState{}, nil, false},
		"an edited object":                    {newObject(edited), &targetState{}, nil, true},
		"an edited object, recently observed": {newObject(edited), &targetState{}, whole, false},
		"an edited object, another port observed": {newObject(edited, onPort(443)), &targetState{}, onlyPort80, true},
		"an edited object, one port observed":     {newObject(edited), &targetState{}, onlyPort80, true},
		"an edited object that failed, not saved": {newObject(edited), failed, nil, false},
		"an object edited after it failed":        {newObject(func(o *v1alpha1.LoadBalancerHealth) { o.Generation = 3 }), failed, nil, true},
		"an edited object after a restart":        {newObject(edited), attempted, nil, true},
		"a request":                               {newObject(requested("now")), &targetState{}, nil, true},
		"a request, recently observed":            {newObject(requested("now")), &targetState{}, whole, true},
		"a request that was attempted, not saved": {newObject(requested("now")), attempted, nil, false},
		"a newer request":                         {newObject(requested("again")), attempted, nil, true},
		"a request that was handled":              {newObject(requested("now"), handled), &targetState{}, nil, false},
		"a suspended object":                      {newObject(edited, requested("now"), suspended), &targetState{}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "urgent", planOf(test.state, test.observation, test.object).urgent, test.urgent)
		})
	}
}

func TestPlanIsStalledWhenEveryObjectIs(t *testing.T) {
	equal(t, "one stalled", planOf(&targetState{}, nil, newObject(stalled)).stalled, true)
	equal(t, "one of two stalled", planOf(&targetState{}, nil, newObject(stalled), newObject()).stalled, false)
	equal(t, "both stalled", planOf(&targetState{}, nil, newObject(stalled), newObject(stalled)).stalled, true)
	equal(t, "a stalled and a suspended one", planOf(&targetState{}, nil, newObject(stalled), newObject(suspended)).stalled, true)
}

func TestDue(t *testing.T) {
	const minute = time.Minute
	attempted := func(unsaved bool, failure *alicloud.Error) *targetState {
		return &targetState{attemptedAt: start, failures: failureHistory{last: failure}, writes: writeHistory{unsaved: unsaved}}
	}
	forbidden := &alicloud.Error{Kind: alicloud.Forbidden}
	waits := func(d time.Duration) *alicloud.Error { return &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: d} }
	for name, test := range map[string]struct {
		state   *targetState
		objects []v1alpha1.LoadBalancerHealth
		// from is after start at the earliest, to before start at the latest.
		from, to time.Duration
	}{
		"the first slot of a process":                      {&targetState{}, []v1alpha1.LoadBalancerHealth{newObject(observedAt(start.Add(-minute)))}, 0, minute},
		"the first slot, observed long ago":                {&targetState{}, []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour), observedAt(start.Add(-2*time.Hour)))}, 0, 30 * time.Second},
		"the first slot, one never observed":               {&targetState{}, []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour)), newObject(every(time.Hour), observedAt(time.Time{}))}, 0, 30 * time.Second},
		"the next slot":                                    {attempted(false, nil), []v1alpha1.LoadBalancerHealth{newObject()}, minute / 2, 3 * minute / 2},
		"the next slot of the shortest interval":           {attempted(false, nil), []v1alpha1.LoadBalancerHealth{newObject(), newObject(every(10 * time.Second))}, 5 * time.Second, 15 * time.Second},
		"stalled":                                          {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled)}, 5 * minute, 5*minute + 1},
		"stalled, with a longer interval":                  {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled, every(time.Hour))}, time.Hour, time.Hour + 1},
		"one of two stalled":                               {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled), newObject()}, minute / 2, 3 * minute / 2},
		"a long Retry-After":                               {attempted(false, waits(10*minute)), []v1alpha1.LoadBalancerHealth{newObject()}, 10 * minute, 10*minute + 1},
		"a short Retry-After":                              {attempted(false, waits(time.Second)), []v1alpha1.LoadBalancerHealth{newObject()}, minute / 2, 3 * minute / 2},
		"an observation that is not saved":                 {attempted(true, nil), []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour))}, 30 * time.Second, 30*time.Second + 1},
		"an observation that is not saved, short interval": {attempted(true, nil), []v1alpha1.LoadBalancerHealth{newObject(every(6 * time.Second))}, 3 * time.Second, 6*time.Second + 1},
		"a failure that is not saved needs no new one":     {attempted(true, waits(10*minute)), []v1alpha1.LoadBalancerHealth{newObject()}, 10 * minute, 10*minute + 1},
		"a stalled failure that is not saved":              {attempted(true, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled)}, 5 * minute, 5*minute + 1},
	} {
		t.Run(name, func(t *testing.T) {
			due := planOf(test.state, nil, test.objects...).dueAt.Sub(start)
			if due < test.from || due >= test.to {
				t.Errorf("due after %s, not from %s to %s", due, test.from, test.to)
			}
		})
	}
}

// A restart must not make many calls at the same time, neither first nor later.
func TestDueTimesAreSpread(t *testing.T) {
	const targets, parts = 5000, 10
	for name, state := range map[string]*targetState{"at a start": {}, "after an attempt": {attemptedAt: start}} {
		t.Run(name, func(t *testing.T) {
			var perPart [parts]int
			for i := range targets {
				target := alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
				rec := &reconciliation{target: target, objects: []v1alpha1.LoadBalancerHealth{newObject()}, state: state, processStartedAt: start, now: start}
				rec.makePlan()
				perPart[int(rec.plan.dueAt.Sub(start)%time.Minute/(time.Minute/parts))]++
			}
			for part, n := range perPart {
				if n < targets/parts*8/10 || n > targets/parts*12/10 {
					t.Errorf("%d of %d targets are due in part %d of %d", n, targets, part, parts)
				}
			}
		})
	}
}

func TestTargetOf(t *testing.T) {
	targetOf := func(edits ...func(*v1alpha1.LoadBalancerHealth)) alicloud.Target {
		object := newObject(edits...)
		target, ok := TargetOf(&object)
		equal(t, "having a target", ok, target != alicloud.Target{})
		return target
	}
	equal(t, "the target", targetOf(), testTarget)
	equal(t, "the target of a Secret", targetOf(func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "slb-reader"}}
	}), alicloud.Target{Account: secretAccount, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"})
	equal(t, "the target of a Service without a load balancer", targetOf(withServiceRef("web", nil)), alicloud.Target{})
	loadBalancer := &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-2", RegionID: "cn-beijing"}
	equal(t, "the target of a Service", targetOf(withServiceRef("web", loadBalancer)), alicloud.Target{RegionID: "cn-beijing", LoadBalancerID: "lb-2"})
	equal(t, "the target after serviceRef changed", targetOf(withServiceRef("shop", loadBalancer)), alicloud.Target{})
}

// withServiceRef makes an object reference a Service; loadBalancer is the one in the status, or nil.
func withServiceRef(name string, loadBalancer *v1alpha1.ServiceLoadBalancer) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID = "", ""
		o.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: name}
		o.Status.ServiceLoadBalancer = loadBalancer
	}
}
