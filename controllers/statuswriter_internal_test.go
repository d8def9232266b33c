// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestAConflictIsTriedAgainWithoutAnotherCall(t *testing.T) {
	for name, failure := range map[string]*alicloud.Error{"after an answer": nil, "after a failure": {Kind: alicloud.Throttled, Message: "m"}} {
		t.Run(name, func(t *testing.T) {
			test := newReconcileTest(t, newObject(fresh))
			if failure != nil {
				test.failWith(failure)
			}
			test.cluster.writeErr = errConflict
			for range 3 {
				equal(t, "the wait", test.step(), conflictRetry)
				test.clock.advance(conflictRetry)
			}
			test.cluster.writeErr = nil
			test.step()
			test.expectCalls(1)
			equal(t, "the number of writes", test.cluster.writes, 3*(maxConflicts+1)+1)
		})
	}
}

// Somebody writes a label every few milliseconds: the status is none of theirs.
func TestAWriteOfSomethingElseDoesNotHoldTheStatusUp(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.objects[0].ResourceVersion = "1"
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.ResourceVersion = "2"
	test.cluster.conflicts = 2
	if wait := test.step(); wait == conflictRetry {
		t.Error("the write is left for later")
	}
	equal(t, "the number of writes", test.cluster.writes, 3)
	for i, version := range []string{"1", "2", "2"} {
		if held := `{"op":"replace","path":"/metadata/resourceVersion","value":"` + version + `"}`; !strings.Contains(test.cluster.patches[i], held) {
			t.Errorf("write %d does not hold for version %s: %s", i, version, test.cluster.patches[i])
		}
	}
	test.expectCalls(1)
}

func TestAnObjectThatWentToAnotherShardIsLeftToIt(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{"shard": "a"} }))
	test.Status.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.Labels, test.cluster.live.ResourceVersion = map[string]string{"shard": "b"}, "8"
	test.cluster.conflicts = 1
	test.step()
	equal(t, "the number of writes, one of them in vain", test.cluster.writes, 1)
	equal(t, "the number of events", len(test.recorder.recorded), 0)
}

// The cache holds an older status, as while the watch is cut.
func TestALaggingCacheDoesNotHoldAStatusUp(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(func(o *v1alpha1.LoadBalancerHealth) { o.ResourceVersion = "8" }) // this process's own write
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.conflicts = 1
	if wait := test.step(); wait == conflictRetry {
		t.Error("the write is left for later")
	}
	equal(t, "the number of writes", test.cluster.writes, 2)
	if held := `{"op":"replace","path":"/metadata/resourceVersion","value":"8"}`; !strings.Contains(test.cluster.patches[1], held) {
		t.Errorf("the second write is not on top of the live object: %s", test.cluster.patches[1])
	}
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestAnObjectThatWasEditedMeanwhileIsWorkOfItsOwn(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(anEdit)
	test.cluster.conflicts = 1
	equal(t, "the wait", test.step(), conflictRetry)
	equal(t, "the number of writes", test.cluster.writes, 1)
}

// The API server wrote the status, and its answer got lost.
func TestAWriteThatGotThroughUnnoticedIsToldOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.recorded), 0)

	test.cluster.writeErr = nil
	test.cluster.live = newObject(func(o *v1alpha1.LoadBalancerHealth) {
		o.ResourceVersion = "8"
		o.Status = test.targets.get(test.target).writes.unconfirmed[o.UID].status
	})
	test.step()
	test.cluster.live.DeepCopyInto(&test.cluster.objects[0])
	test.step()
	equal(t, "the number of events", len(test.recorder.recorded), 1)
	equal(t, "the number of writes", test.cluster.writes, 1)
}

// A backend turns and turns back while the cache shows it as it was at first.
func TestACacheThatIsBehindItsOwnWritesIsNotBelieved(t *testing.T) {
	var writes writeHistory
	object := newObject()
	equal(t, "newer before any write", writes.newerThan(&object), false)
	writes.wrote(&object, "10")
	equal(t, "newer than version 7", writes.newerThan(&object), true)
	object.ResourceVersion = "10"
	equal(t, "newer than version 10", writes.newerThan(&object), false)
	equal(t, "the number of writes that are kept", len(writes.written), 0)
}

func TestAWriteThatDidNotGetThroughIsNotTold(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.writeErr = nil
	test.step()
	equal(t, "the number of writes", test.cluster.writes, 2)
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestNothingIsToldBeforeItIsWritten(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errConflict
	test.step()
	test.cluster.writeErr = errors.New("etcd is full")
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.recorded), 0)
	test.cluster.writeErr = nil
	test.step()
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestAnAnswerThatCouldNotBeWrittenIsAskedForAgainSoon(t *testing.T) {
	everyHour := newObject(every(time.Hour), observedAt(start.Add(-time.Hour)))
	test := newReconcileTest(t, everyHour)
	test.clock.advance(test.step())
	test.cluster.writeErr = errors.New("etcd is full")
	test.stepWithError()
	test.expectCalls(1)

	// The answer is too old to be judged by, and Kubernetes writes again.
	test.clock.advance(10 * time.Second)
	test.cluster.writeErr = nil
	wait := test.step()
	if wait > 30*time.Second {
		t.Fatalf("comes back after %s", wait)
	}
	test.clock.advance(wait)
	test.step()
	test.expectCalls(2)
	equal(t, "the number of writes", test.cluster.writes, 2)
	if wait = test.step(); wait < time.Minute {
		t.Errorf("comes back after %s, though it is saved", wait)
	}
}

func TestANamespaceWhereWritesHangHoldsUpNoOther(t *testing.T) {
	in := func(namespace string) func(*v1alpha1.LoadBalancerHealth) {
		return func(o *v1alpha1.LoadBalancerHealth) { o.Namespace, o.UID = namespace, uuid.NewUUID() }
	}
	for name, c := range map[string]struct {
		hanging []string
		writes  int
	}{
		"a webhook of one": {[]string{"a"}, 3}, // one of its two, and both others
		"the API server":   {[]string{"a", "b", "c"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			test := newReconcileTest(t, newObject(fresh, in("a")), newObject(fresh, in("a")), newObject(fresh, in("b")), newObject(fresh, in("c")))
			test.cluster.hanging = c.hanging
			test.stepWithError()
			equal(t, "the number of writes", test.cluster.writes, c.writes)
		})
	}
}

func TestAnObjectThatCannotBeWrittenDoesNotMakeCalls(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, requested("now")))
	test.failWith(&alicloud.Error{Kind: alicloud.ServiceError, Message: "m", RetryAfter: time.Hour})
	test.cluster.writeErr = errors.New("etcd is full")
	for range 10 {
		test.stepWithError()
		test.clock.advance(5 * time.Second)
	}
	test.expectCalls(1)

	test.cluster.objects[0].Generation++
	test.stepWithError()
	test.expectCalls(2)
}

// A condition that another controller added meanwhile takes nothing away.
func TestAnUnconfirmedWriteThatAnotherWriterTouchedHasItsEvents(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.recorded), 0)

	test.cluster.writeErr = nil
	live := test.cluster.objects[0]
	live.Status = test.targets.get(test.target).writes.unconfirmed[live.UID].status
	live.ResourceVersion = "9"
	live.Status.Conditions = append(slices.Clone(live.Status.Conditions), metav1.Condition{
		Type: "Reviewed", Status: metav1.ConditionTrue, Reason: "ByHand", LastTransitionTime: metav1.NewTime(start),
	})
	test.cluster.live = live
	test.step()
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestAnUnconfirmedWriteThatDidNotGetThroughHasNoEventsYet(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.live = test.cluster.objects[0]
	test.cluster.live.Labels = map[string]string{"touched": "yes"}
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.recorded), 0)
}
