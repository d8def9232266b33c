// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func planOf(m *memory, sample *alicloud.Observation, objects ...v1alpha1.LoadBalancerHealth) plan {
	return planFor(testTarget, objects, m, sample, start)
}

func TestPlanIsTheLeastThatServesAll(t *testing.T) {
	protocol := func(p v1alpha1.ListenerProtocol) func(*v1alpha1.LoadBalancerHealth) {
		return func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerProtocol = p }
	}
	type list = []v1alpha1.LoadBalancerHealth
	for name, test := range map[string]struct {
		objects  list
		askWhole bool
		active   int
		scope    alicloud.Scope
		interval time.Duration
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
		"nothing but suspended ones":      {list{newObject(suspended)}, false, 0, alicloud.Scope{}, 0},
		"a suspended one after an active": {list{newObject(onPort(443)), newObject(suspended)}, false, 1, alicloud.Scope{ListenerPort: 443}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(&memory{askWhole: test.askWhole}, nil, test.objects...)
			equal(t, "the number of active objects", len(p.active), test.active)
			equal(t, "the scope", p.scope, test.scope)
			equal(t, "the interval", p.interval, test.interval)
			equal(t, "having no due time", p.dueAt.IsZero(), test.active == 0)
		})
	}
}

func TestWhoCannotWait(t *testing.T) {
	past := &memory{served: map[types.UID]served{"uid-web": {generation: 2, request: "now"}}}
	failed := &memory{served: past.served, failure: &alicloud.Error{Kind: alicloud.Throttled}}
	handled := func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastHandledObserveRequest = "now" }
	whole, onlyPort80 := &alicloud.Observation{}, &alicloud.Observation{Scope: alicloud.Scope{ListenerPort: 80}}
	for name, test := range map[string]struct {
		object v1alpha1.LoadBalancerHealth
		memory *memory
		sample *alicloud.Observation
		asked  bool
	}{
		"nobody":                                   {newObject(), &memory{}, nil, false},
		"an edited object":                         {newObject(anEdit), &memory{}, nil, true},
		"an edited object that an answer covers":   {newObject(anEdit), &memory{}, whole, false},
		"an edited object that none covers":        {newObject(anEdit, onPort(443)), &memory{}, onlyPort80, true},
		"an edited object, all of which none does": {newObject(anEdit), &memory{}, onlyPort80, true},
		"an edited object that failed, not saved":  {newObject(anEdit), failed, nil, false},
		"an object edited after it failed":         {newObject(func(o *v1alpha1.LoadBalancerHealth) { o.Generation = 3 }), failed, nil, true},
		"an edited object whose answer was lost":   {newObject(anEdit), past, nil, true},
		"a request":                                {newObject(requested("now")), &memory{}, nil, true},
		"a request, whatever was answered before":  {newObject(requested("now")), &memory{}, whole, true},
		"a request that was served, but not saved": {newObject(requested("now")), past, nil, false},
		"a newer request":                          {newObject(requested("again")), past, nil, true},
		"a request that was handled":               {newObject(requested("now"), handled), &memory{}, nil, false},
		"a suspended object":                       {newObject(anEdit, requested("now"), suspended), &memory{}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "asked", planOf(test.memory, test.sample, test.object).asked, test.asked)
		})
	}
}

func TestAPlanIsStalledWhenAllAre(t *testing.T) {
	equal(t, "one stalled", planOf(&memory{}, nil, newObject(stalled)).stalled, true)
	equal(t, "one of two stalled", planOf(&memory{}, nil, newObject(stalled), newObject()).stalled, false)
	equal(t, "both stalled", planOf(&memory{}, nil, newObject(stalled), newObject(stalled)).stalled, true)
	equal(t, "a stalled and a suspended one", planOf(&memory{}, nil, newObject(stalled), newObject(suspended)).stalled, true)
}

func TestDue(t *testing.T) {
	const minute = time.Minute
	attempted := func(unsaved bool, failure *alicloud.Error) *memory {
		return &memory{attemptedAt: start, failure: failure, unsaved: unsaved}
	}
	forbidden := &alicloud.Error{Kind: alicloud.Forbidden}
	waits := func(d time.Duration) *alicloud.Error { return &alicloud.Error{Kind: alicloud.Throttled, RetryAfter: d} }
	for name, test := range map[string]struct {
		memory  *memory
		objects []v1alpha1.LoadBalancerHealth
		// from is after start at the earliest, to before start at the latest.
		from, to time.Duration
	}{
		"the first slot of a process":                  {&memory{}, []v1alpha1.LoadBalancerHealth{newObject(answeredAt(start.Add(-minute)))}, 0, minute},
		"the first slot, asked long ago":               {&memory{}, []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour), answeredAt(start.Add(-2*time.Hour)))}, 0, 30 * time.Second},
		"the first slot, one never asked":              {&memory{}, []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour)), newObject(every(time.Hour), answeredAt(time.Time{}))}, 0, 30 * time.Second},
		"the next slot":                                {attempted(false, nil), []v1alpha1.LoadBalancerHealth{newObject()}, minute / 2, 3 * minute / 2},
		"the next slot of the shortest interval":       {attempted(false, nil), []v1alpha1.LoadBalancerHealth{newObject(), newObject(every(10 * time.Second))}, 5 * time.Second, 15 * time.Second},
		"stalled":                                      {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled)}, 5 * minute, 5*minute + 1},
		"stalled, with a longer interval":              {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled, every(time.Hour))}, time.Hour, time.Hour + 1},
		"one of two stalled":                           {attempted(false, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled), newObject()}, minute / 2, 3 * minute / 2},
		"told to wait for long":                        {attempted(false, waits(10*minute)), []v1alpha1.LoadBalancerHealth{newObject()}, 10 * minute, 10*minute + 1},
		"told to wait for less than the interval":      {attempted(false, waits(time.Second)), []v1alpha1.LoadBalancerHealth{newObject()}, minute / 2, 3 * minute / 2},
		"an answer that is not saved":                  {attempted(true, nil), []v1alpha1.LoadBalancerHealth{newObject(every(time.Hour))}, 30 * time.Second, 30*time.Second + 1},
		"an answer that is not saved, short interval":  {attempted(true, nil), []v1alpha1.LoadBalancerHealth{newObject(every(6 * time.Second))}, 3 * time.Second, 6*time.Second + 1},
		"a failure that is not saved needs no new one": {attempted(true, waits(10*minute)), []v1alpha1.LoadBalancerHealth{newObject()}, 10 * minute, 10*minute + 1},
		"a stalled failure that is not saved":          {attempted(true, forbidden), []v1alpha1.LoadBalancerHealth{newObject(stalled)}, 5 * minute, 5*minute + 1},
	} {
		t.Run(name, func(t *testing.T) {
			due := planOf(test.memory, nil, test.objects...).dueAt.Sub(start)
			if due < test.from || due >= test.to {
				t.Errorf("due after %s, not from %s to %s", due, test.from, test.to)
			}
		})
	}
}

// What a restart starts at the same time must not be asked at the same time,
// neither at first nor later.
func TestDueTimesAreSpread(t *testing.T) {
	const targets, parts = 5000, 10
	for name, m := range map[string]*memory{"at a start": {}, "after an attempt": {attemptedAt: start}} {
		t.Run(name, func(t *testing.T) {
			var perPart [parts]int
			for i := range targets {
				target := alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
				p := planFor(target, []v1alpha1.LoadBalancerHealth{newObject()}, m, nil, start)
				perPart[int(p.dueAt.Sub(start)%time.Minute/(time.Minute/parts))]++
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
		equal(t, "having one", ok, target != alicloud.Target{})
		return target
	}
	equal(t, "the target", targetOf(), testTarget)
	equal(t, "the target of a Secret", targetOf(func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "slb-reader"}}
	}), alicloud.Target{Account: ofSecret, RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"})
	equal(t, "the target of a Service that has none", targetOf(ofService("web", nil)), alicloud.Target{})
	has := &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-2", RegionID: "cn-beijing"}
	equal(t, "the target of a Service", targetOf(ofService("web", has)), alicloud.Target{RegionID: "cn-beijing", LoadBalancerID: "lb-2"})
	equal(t, "the target of a Service after another", targetOf(ofService("shop", has)), alicloud.Target{})
}

// ofService makes an object name a Service that has a load balancer, or none.
func ofService(name string, has *v1alpha1.ServiceLoadBalancer) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID = "", ""
		o.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: name}
		o.Status.ServiceLoadBalancer = has
	}
}
