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
				equal(t, "the wait", test.step(), conflictDelay)
				test.clock.advance(conflictDelay)
			}
			test.cluster.writeErr = nil
			test.step()
			test.expectCalls(1)
			equal(t, "the number of writes", test.cluster.writes, 3*(maxOvertakes+1)+1)
		})
	}
}

// Somebody writes a label every few milliseconds: the status is none of theirs.
func TestAWriteOfSomethingElseDoesNotHoldTheStatusUp(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.objects[0].ResourceVersion = "1"
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.ResourceVersion = "2"
	test.cluster.overtakes = 2
	if wait := test.step(); wait == conflictDelay {
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
	test.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.Labels, test.cluster.live.ResourceVersion = map[string]string{"shard": "b"}, "8"
	test.cluster.overtakes = 1
	test.step()
	equal(t, "the number of writes, one of them in vain", test.cluster.writes, 1)
	equal(t, "the number of events", len(test.recorder.told), 0)
}

// The cache holds an older status, as while the watch is cut.
func TestALaggingCacheDoesNotHoldAStatusUp(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(func(o *v1alpha1.LoadBalancerHealth) { o.ResourceVersion = "8" }) // this process's own write
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.overtakes = 1
	if wait := test.step(); wait == conflictDelay {
		t.Error("the write is left for later")
	}
	equal(t, "the number of writes", test.cluster.writes, 2)
	if held := `{"op":"replace","path":"/metadata/resourceVersion","value":"8"}`; !strings.Contains(test.cluster.patches[1], held) {
		t.Errorf("the second write is not on top of the live object: %s", test.cluster.patches[1])
	}
	equal(t, "the number of events", len(test.recorder.told), 1)
}

func TestAnObjectThatWasEditedMeanwhileIsWorkOfItsOwn(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(anEdit)
	test.cluster.overtakes = 1
	equal(t, "the wait", test.step(), conflictDelay)
	equal(t, "the number of writes", test.cluster.writes, 1)
}

// The API server wrote the status, and its answer got lost.
func TestAWriteThatGotThroughUnnoticedIsToldOnce(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.told), 0)

	test.cluster.writeErr = nil
	test.cluster.live = newObject(func(o *v1alpha1.LoadBalancerHealth) {
		o.ResourceVersion = "8"
		o.Status = test.targets.of(test.target).doubts[o.UID].status
	})
	test.step()
	test.cluster.live.DeepCopyInto(&test.cluster.objects[0])
	test.step()
	equal(t, "the number of events", len(test.recorder.told), 1)
	equal(t, "the number of writes", test.cluster.writes, 1)
}

// A backend turns and turns back while the cache shows it as it was at first.
func TestACacheThatIsBehindItsOwnWritesIsNotBelieved(t *testing.T) {
	var memory memory
	object := newObject()
	equal(t, "ahead before any write", memory.ahead(&object), false)
	memory.wrote(&object, "10")
	equal(t, "ahead of version 7", memory.ahead(&object), true)
	object.ResourceVersion = "10"
	equal(t, "ahead of version 10", memory.ahead(&object), false)
	equal(t, "the number of writes that are remembered", len(memory.written), 0)
}

func TestAWriteThatDidNotGetThroughIsNotTold(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.writeErr = nil
	test.step()
	equal(t, "the number of writes", test.cluster.writes, 2)
	equal(t, "the number of events", len(test.recorder.told), 1)
}

func TestNothingIsToldBeforeItIsWritten(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errConflict
	test.step()
	test.cluster.writeErr = errors.New("etcd is full")
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.told), 0)
	test.cluster.writeErr = nil
	test.step()
	equal(t, "the number of events", len(test.recorder.told), 1)
}

func TestAnAnswerThatCouldNotBeWrittenIsAskedForAgainSoon(t *testing.T) {
	everyHour := newObject(every(time.Hour), answeredAt(start.Add(-time.Hour)))
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
	equal(t, "the number of events", len(test.recorder.told), 0)

	test.cluster.writeErr = nil
	live := test.cluster.objects[0]
	live.Status = test.targets.of(test.target).doubts[live.UID].status
	live.ResourceVersion = "9"
	live.Status.Conditions = append(slices.Clone(live.Status.Conditions), metav1.Condition{
		Type: "Reviewed", Status: metav1.ConditionTrue, Reason: "ByHand", LastTransitionTime: metav1.NewTime(start),
	})
	test.cluster.live = live
	test.step()
	equal(t, "the number of events", len(test.recorder.told), 1)
}

func TestAnUnconfirmedWriteThatDidNotGetThroughHasNoEventsYet(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.live = test.cluster.objects[0]
	test.cluster.live.Labels = map[string]string{"touched": "yes"}
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.told), 0)
}
