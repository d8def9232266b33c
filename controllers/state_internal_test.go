// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

func numbered(i int) alicloud.Target {
	return alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: fmt.Sprintf("lb-%d", i)}
}

func TestRecentObservationsExpire(t *testing.T) {
	var r recentObservations
	observation := &alicloud.Observation{At: start}
	r.put(testTarget, observation, start)
	for after, want := range map[time.Duration]*alicloud.Observation{
		0:                       observation,
		health.FreshFor - 1:     observation,
		health.FreshFor:         nil,
		health.FreshFor + 1:     nil,
		-time.Second:            observation,
		24 * 365 * time.Hour:    nil,
		health.FreshFor / 2 * 1: observation,
	} {
		equal(t, "the observation after "+after.String(), r.get(testTarget, start.Add(after)), want)
	}
	equal(t, "the observation of another", r.get(numbered(2), start), nil)
	r.delete(testTarget)
	equal(t, "the forgotten observation", r.get(testTarget, start), nil)
}

func TestRecentObservationsAreBounded(t *testing.T) {
	var r recentObservations
	const perSecond, seconds = 10, 100
	for i := range perSecond * seconds {
		now := start.Add(time.Duration(i) * time.Second / perSecond)
		r.put(numbered(i), &alicloud.Observation{At: now}, now)
	}
	kept := int(health.FreshFor/time.Second) * perSecond
	equal(t, "the number of observations", len(r.byTarget), kept)
	equal(t, "the number of their ages", len(r.byAge), kept)
}

func TestNewerObservationReplacesOlder(t *testing.T) {
	var r recentObservations
	r.put(testTarget, &alicloud.Observation{At: start}, start)
	newer := &alicloud.Observation{At: start.Add(3 * time.Second)}
	r.put(testTarget, newer, newer.At)
	later := start.Add(health.FreshFor + time.Second)
	r.put(numbered(2), &alicloud.Observation{At: later}, later)
	equal(t, "the observation", r.get(testTarget, later), newer)
}

func TestStateStore(t *testing.T) {
	var store stateStore
	if !store.lastObservedAt(testTarget).IsZero() {
		t.Error("an unknown target was observed")
	}
	state := store.get(testTarget)
	equal(t, "the state", store.get(testTarget), state)
	if !store.lastObservedAt(testTarget).IsZero() {
		t.Error("a new target was observed")
	}
	state.succeeded(&alicloud.Observation{At: start})
	if at := store.lastObservedAt(testTarget); !at.Equal(start) {
		t.Errorf("observed at %s", at)
	}
	store.delete(testTarget)
	if store.get(testTarget) == state || !store.lastObservedAt(testTarget).IsZero() {
		t.Error("the state of a deleted target is kept")
	}
}

func TestFailureHistory(t *testing.T) {
	state := &targetState{}
	fail := func(kind alicloud.Kind, second int) {
		state.failures.add(&alicloud.Error{Kind: kind}, start.Add(time.Duration(second)*time.Second))
	}
	check := func(what string, inARow int, since time.Time) {
		t.Helper()
		equal(t, "the number in a row "+what, state.failures.sameKindInARow, inARow)
		equal(t, "the first failure "+what, state.failures.since, since)
	}
	fail(alicloud.LoadBalancerNotFound, 1)
	fail(alicloud.LoadBalancerNotFound, 2)
	check("after two", 2, start.Add(time.Second))
	fail(alicloud.Throttled, 3)
	check("after another kind", 1, start.Add(time.Second))
	fail(alicloud.LoadBalancerNotFound, 4)
	check("after one more", 1, start.Add(time.Second))
	state.succeeded(&alicloud.Observation{At: start})
	check("after a success", 0, time.Time{})
	if state.failures.last != nil {
		t.Error("the last failure is kept after a success")
	}
}

func TestInputForObject(t *testing.T) {
	whole := &alicloud.Observation{At: start}
	onlyPort80 := &alicloud.Observation{At: start, Scope: alicloud.Scope{ListenerPort: 80}}
	failure := &alicloud.Error{Kind: alicloud.Throttled}
	for name, test := range map[string]struct {
		object      v1alpha1.LoadBalancerHealth
		failure     *alicloud.Error
		observation *alicloud.Observation
		observed    bool
		want        string
	}{
		"an observation":                               {newObject(), nil, whole, true, "observation"},
		"an observation of a few seconds ago":          {newObject(), nil, whole, false, "observation"},
		"an observation that covers it":                {newObject(onPort(80)), nil, onlyPort80, false, "observation"},
		"an observation of another listener":           {newObject(onPort(443)), nil, onlyPort80, false, ""},
		"an observation of one listener":               {newObject(), nil, onlyPort80, false, ""},
		"nothing":                                      {newObject(), nil, nil, false, ""},
		"a failure":                                    {newObject(), failure, nil, true, "failure"},
		"a failure of a while ago":                     {newObject(), failure, nil, false, "failure"},
		"a failure, and the observation before it":     {newObject(), failure, whole, true, "failure"},
		"a failure before an edit":                     {newObject(edited), failure, nil, false, ""},
		"a failure after an edit":                      {newObject(edited), failure, nil, true, "failure"},
		"an observation of seconds before an edit":     {newObject(edited), nil, whole, false, "observation"},
		"a failure before an edit, and an observation": {newObject(edited), failure, whole, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := inputFor(&targetState{failures: failureHistory{last: test.failure}}, test.observation, test.observed, &test.object)
			got := ""
			switch {
			case o.Failure != nil && o.Observation == nil:
				got = "failure"
			case o.Observation != nil && o.Failure == nil:
				got = "observation"
			}
			equal(t, "the input", got, test.want)
		})
	}
}

func TestRequestIsHandledByTheAttemptMadeForIt(t *testing.T) {
	state := &targetState{}
	first := newObject(requested("first"))
	equal(t, "the request before an attempt", inputFor(state, nil, false, &first).ObserveRequest, "")
	state.attempted(start, []*v1alpha1.LoadBalancerHealth{&first})
	equal(t, "the request after an attempt", inputFor(state, nil, true, &first).ObserveRequest, "first")
	second := newObject(requested("second"))
	equal(t, "a newer request", inputFor(state, nil, true, &second).ObserveRequest, "")
	second.Status.LastHandledObserveRequest = "second"
	state.attempted(start, []*v1alpha1.LoadBalancerHealth{&second})
	equal(t, "a request that was handled", inputFor(state, nil, true, &second).ObserveRequest, "")
}

func TestWriteHistoryKeepsOnlyExistingObjects(t *testing.T) {
	existing, deleted := newObject(), newObject(func(o *v1alpha1.LoadBalancerHealth) { o.UID = "uid-deleted" })
	history := &writeHistory{}
	for _, object := range []*v1alpha1.LoadBalancerHealth{&existing, &deleted} {
		history.wrote(object, "8")
		history.lost(object, health.Outcome{})
	}
	history.keepOnly([]v1alpha1.LoadBalancerHealth{existing})
	equal(t, "the number of writes", len(history.written), 1)
	equal(t, "the number of unconfirmed writes", len(history.unconfirmed), 1)
	if !history.newerThan(&existing) {
		t.Error("the write of an existing object was deleted")
	}
}

func inputFor(state *targetState, observation *alicloud.Observation, observed bool, object *v1alpha1.LoadBalancerHealth) health.Input {
	rec := &reconciliation{target: testTarget, state: state, observation: observation, observed: observed}
	return (&evaluation{reconciliation: rec}).inputFor(object)
}
