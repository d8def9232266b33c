// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestConflictIsRetriedWithoutAnotherCall(t *testing.T) {
	for name, failure := range map[string]*alicloud.Error{"after a success": nil, "after a failure": {Kind: alicloud.Throttled, Message: "m"}} {
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

// Another client writes a label every few milliseconds.
func TestOtherWritersDoNotDelayStatus(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.objects[0].ResourceVersion = "1"
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.ResourceVersion = "2"
	test.cluster.conflicts = 2
	if wait := test.step(); wait == conflictRetry {
		t.Error("the status is not written in this reconcile")
	}
	equal(t, "the number of writes", test.cluster.writes, 3)
	if want := []string{"1", "2", "2"}; !slices.Equal(test.cluster.versions, want) {
		t.Errorf("the writes name the versions %q, want %q", test.cluster.versions, want)
	}
	test.expectCalls(1)
}

func TestObjectMovedToAnotherShardIsNotWritten(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{"shard": "a"} }))
	test.Status.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	test.cluster.objects[0].DeepCopyInto(&test.cluster.live)
	test.cluster.live.Labels, test.cluster.live.ResourceVersion = map[string]string{"shard": "b"}, "8"
	test.cluster.conflicts = 1
	test.step()
	equal(t, "the number of writes, with the conflict", test.cluster.writes, 1)
	equal(t, "the number of events", len(test.recorder.recorded), 0)
}

// The cache has an older status, as while the watch is down.
func TestLaggingCacheDoesNotDelayStatus(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(func(o *v1alpha1.LoadBalancerHealth) { o.ResourceVersion = "8" }) // this process's own write
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.conflicts = 1
	if wait := test.step(); wait == conflictRetry {
		t.Error("the status is not written in this reconcile")
	}
	equal(t, "the number of writes", test.cluster.writes, 2)
	equal(t, "the version that the second write names", test.cluster.versions[1], "8")
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestEditedObjectIsRequeued(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.cluster.live = newObject(edited)
	test.cluster.conflicts = 1
	equal(t, "the wait", test.step(), conflictRetry)
	equal(t, "the number of writes", test.cluster.writes, 1)
}

// The API server stored the status, and the response was lost.
func TestUnconfirmedWriteThatSucceededIsRecordedOnce(t *testing.T) {
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

// A backend may change and change back before the cache has the first change.
func TestWriteHistoryNewerThan(t *testing.T) {
	var writes writeHistory
	object := newObject()
	equal(t, "newer before any write", writes.newerThan(&object), false)
	writes.wrote(&object, "10")
	equal(t, "newer than version 7", writes.newerThan(&object), true)
	object.ResourceVersion = "10"
	equal(t, "newer than version 10", writes.newerThan(&object), false)
	equal(t, "the number of stored writes", len(writes.written), 0)
}

func TestFailedWriteIsRecordedAfterRetryOnly(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.writeErr = nil
	test.step()
	equal(t, "the number of writes", test.cluster.writes, 2)
	equal(t, "the number of events", len(test.recorder.recorded), 1)
}

func TestEventsAreRecordedAfterWrite(t *testing.T) {
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

func TestUnsavedObservationIsRepeatedSoon(t *testing.T) {
	everyHour := newObject(every(time.Hour), observedAt(start.Add(-time.Hour)))
	test := newReconcileTest(t, everyHour)
	test.clock.advance(test.step())
	test.cluster.writeErr = errors.New("etcd is full")
	test.stepWithError()
	test.expectCalls(1)

	// The observation is too old to be evaluated, and Kubernetes is up again.
	test.clock.advance(10 * time.Second)
	test.cluster.writeErr = nil
	wait := test.step()
	if wait > 30*time.Second {
		t.Fatalf("requeued after %s", wait)
	}
	test.clock.advance(wait)
	test.step()
	test.expectCalls(2)
	equal(t, "the number of writes", test.cluster.writes, 2)
	if wait = test.step(); wait < time.Minute {
		t.Errorf("requeued after %s, though it is saved", wait)
	}
}

func TestHangingNamespaceDoesNotDelayOthers(t *testing.T) {
	in := func(namespace string) func(*v1alpha1.LoadBalancerHealth) {
		return func(o *v1alpha1.LoadBalancerHealth) { o.Namespace, o.UID = namespace, uuid.NewUUID() }
	}
	for name, c := range map[string]struct {
		hanging []string
		writes  int
	}{
		"a webhook of one": {[]string{"a"}, 3}, // one of its two, and the two others
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

func TestUnwritableObjectMakesNoCalls(t *testing.T) {
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

// Another controller has added a condition since.
func TestUnconfirmedWriteUnderAnotherWriteIsRecorded(t *testing.T) {
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

func TestUnconfirmedWriteThatFailedIsNotRecorded(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh))
	test.failWith(&alicloud.Error{Kind: alicloud.Throttled, Message: "m"})
	test.cluster.writeErr = errors.New("connection reset")
	test.stepWithError()
	test.cluster.live = test.cluster.objects[0]
	test.cluster.live.Labels = map[string]string{"edited": "yes"}
	test.stepWithError()
	equal(t, "the number of events", len(test.recorder.recorded), 0)
}
