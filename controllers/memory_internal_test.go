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

func TestSamplesServeForSeconds(t *testing.T) {
	var s samples
	sample := &alicloud.Observation{At: start}
	s.put(testTarget, sample, start)
	for after, want := range map[time.Duration]*alicloud.Observation{
		0:                       sample,
		health.FreshFor - 1:     sample,
		health.FreshFor:         nil,
		health.FreshFor + 1:     nil,
		-time.Second:            sample,
		24 * 365 * time.Hour:    nil,
		health.FreshFor / 2 * 1: sample,
	} {
		equal(t, "the sample after "+after.String(), s.fresh(testTarget, start.Add(after)), want)
	}
	equal(t, "the sample of another", s.fresh(numbered(2), start), nil)
	s.forget(testTarget)
	equal(t, "the forgotten sample", s.fresh(testTarget, start), nil)
}

func TestOldSamplesLeave(t *testing.T) {
	var s samples
	const perSecond, seconds = 10, 100
	for i := range perSecond * seconds {
		now := start.Add(time.Duration(i) * time.Second / perSecond)
		s.put(numbered(i), &alicloud.Observation{At: now}, now)
	}
	held := int(health.FreshFor/time.Second) * perSecond
	equal(t, "the number of samples", len(s.byTarget), held)
	equal(t, "the number of their ages", len(s.byAge), held)
}

func TestANewerSampleOutlivesTheOlderOne(t *testing.T) {
	var s samples
	s.put(testTarget, &alicloud.Observation{At: start}, start)
	newer := &alicloud.Observation{At: start.Add(3 * time.Second)}
	s.put(testTarget, newer, newer.At)
	later := start.Add(health.FreshFor + time.Second)
	s.put(numbered(2), &alicloud.Observation{At: later}, later)
	equal(t, "the sample", s.fresh(testTarget, later), newer)
}

func TestTargetsAreRememberedUntilForgotten(t *testing.T) {
	var known memories[alicloud.Target]
	if !known.answered(testTarget).IsZero() {
		t.Error("an unknown target answered")
	}
	m := known.of(testTarget)
	equal(t, "the memory", known.of(testTarget), m)
	if !known.answered(testTarget).IsZero() {
		t.Error("a new target answered")
	}
	m.succeeded(&alicloud.Observation{At: start})
	if at := known.answered(testTarget); !at.Equal(start) {
		t.Errorf("answered at %s", at)
	}
	known.forget(testTarget)
	if known.of(testTarget) == m || !known.answered(testTarget).IsZero() {
		t.Error("a forgotten target is remembered")
	}
}

func TestFailuresInARow(t *testing.T) {
	m := &memory{}
	fail := func(kind alicloud.Kind, second int) {
		m.failed(&alicloud.Error{Kind: kind}, start.Add(time.Duration(second)*time.Second))
	}
	check := func(what string, inARow int, since time.Time) {
		t.Helper()
		equal(t, "the number in a row "+what, m.sameKindInARow, inARow)
		equal(t, "the first failure "+what, m.failingSince, since)
	}
	fail(alicloud.LoadBalancerNotFound, 1)
	fail(alicloud.LoadBalancerNotFound, 2)
	check("after two", 2, start.Add(time.Second))
	fail(alicloud.Throttled, 3)
	check("after another kind", 1, start.Add(time.Second))
	fail(alicloud.LoadBalancerNotFound, 4)
	check("after one more", 1, start.Add(time.Second))
	m.succeeded(&alicloud.Observation{At: start})
	check("after an answer", 0, time.Time{})
	if m.failure != nil {
		t.Error("it still fails after an answer")
	}
}

func TestWhatAnObjectIsJudgedBy(t *testing.T) {
	whole := &alicloud.Observation{At: start}
	onlyPort80 := &alicloud.Observation{At: start, Scope: alicloud.Scope{ListenerPort: 80}}
	failure := &alicloud.Error{Kind: alicloud.Throttled}
	for name, test := range map[string]struct {
		object   v1alpha1.LoadBalancerHealth
		failure  *alicloud.Error
		sample   *alicloud.Observation
		observed bool
		want     string
	}{
		"an answer":                                {newObject(), nil, whole, true, "sample"},
		"an answer of a few seconds ago":           {newObject(), nil, whole, false, "sample"},
		"an answer that covers it":                 {newObject(onPort(80)), nil, onlyPort80, false, "sample"},
		"an answer about something else":           {newObject(onPort(443)), nil, onlyPort80, false, ""},
		"an answer about a part":                   {newObject(), nil, onlyPort80, false, ""},
		"nothing":                                  {newObject(), nil, nil, false, ""},
		"a failure":                                {newObject(), failure, nil, true, "failure"},
		"a failure of a while ago":                 {newObject(), failure, nil, false, "failure"},
		"a failure, and the answer before it":      {newObject(), failure, whole, true, "failure"},
		"a failure from before the object's edit":  {newObject(anEdit), failure, nil, false, ""},
		"a failure from after the object's edit":   {newObject(anEdit), failure, nil, true, "failure"},
		"an answer of seconds before the edit":     {newObject(anEdit), nil, whole, false, "sample"},
		"a failure before an edit, and old answer": {newObject(anEdit), failure, whole, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := (&memory{failure: test.failure}).observationFor(&test.object, evidence{sample: test.sample, observed: test.observed}, nil)
			got := ""
			switch {
			case o.Failure != nil && o.Observation == nil:
				got = "failure"
			case o.Observation != nil && o.Failure == nil:
				got = "sample"
			}
			equal(t, "what it is judged by", got, test.want)
		})
	}
}

func TestARequestIsServedByTheAttemptThatSawIt(t *testing.T) {
	m := &memory{}
	first := newObject(requested("first"))
	equal(t, "the request before an attempt", m.observationFor(&first, evidence{observed: false}, nil).ObserveRequest, "")
	m.attempted(start, []*v1alpha1.LoadBalancerHealth{&first})
	equal(t, "the request after an attempt", m.observationFor(&first, evidence{observed: true}, nil).ObserveRequest, "first")
	second := newObject(requested("second"))
	equal(t, "a newer request", m.observationFor(&second, evidence{observed: true}, nil).ObserveRequest, "")
	second.Status.LastHandledObserveRequest = "second"
	m.attempted(start, []*v1alpha1.LoadBalancerHealth{&second})
	equal(t, "a request that was handled", m.observationFor(&second, evidence{observed: true}, nil).ObserveRequest, "")
}

func TestWritesOfObjectsThatAreGoneAreForgotten(t *testing.T) {
	stays, goes := newObject(), newObject(func(o *v1alpha1.LoadBalancerHealth) { o.UID = "uid-gone" })
	m := &memory{}
	for _, object := range []*v1alpha1.LoadBalancerHealth{&stays, &goes} {
		m.wrote(object, "8")
		m.doubt(object, health.Outcome{})
	}
	m.keepOnly([]v1alpha1.LoadBalancerHealth{stays})
	equal(t, "the number of writes", len(m.written), 1)
	equal(t, "the number of doubts", len(m.doubts), 1)
	if !m.ahead(&stays) {
		t.Error("what is still there was forgotten")
	}
}
