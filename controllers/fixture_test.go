// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var sequence atomic.Int64

// fixture is the namespace and the load balancer of one spec.
type fixture struct {
	namespace, lb string
	operator      *operator
}

// newFixture creates a fixture for objects of the operator's shard.
func newFixture(ctx context.Context, served *operator) fixture {
	GinkgoHelper()
	name := "spec-" + strconv.FormatInt(sequence.Add(1), 10)
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	return fixture{namespace: name, lb: "lb-" + name, operator: served}
}

// create creates an object on the fixture's load balancer. Its interval is an
// hour, so that an earlier observation must have another cause.
func (f fixture) create(ctx context.Context, name string, edit func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	GinkgoHelper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: map[string]string{shardLabel: f.operator.shard}},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: f.lb, RegionID: region, Interval: metav1.Duration{Duration: time.Hour}},
	}
	if edit != nil {
		edit(object)
	}
	Expect(admin.Create(ctx, object)).To(Succeed())
	return object
}

// observed creates an object and waits for its first observation.
func (f fixture) observed(ctx context.Context, name string, edit func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	GinkgoHelper()
	object := f.create(ctx, name, edit)
	Eventually(current).WithContext(ctx).WithArguments(object).Should(BeTrue())
	return object
}

// reload reads an object again.
func reload(ctx context.Context, object *v1alpha1.LoadBalancerHealth) error {
	// Into a new one: decoding keeps the fields that were removed.
	var found v1alpha1.LoadBalancerHealth
	err := admin.Get(ctx, client.ObjectKeyFromObject(object), &found)
	if err == nil {
		found.DeepCopyInto(object)
	}
	return err
}

// current reads an object again, and reports whether its generation was observed.
func current(ctx context.Context, object *v1alpha1.LoadBalancerHealth) (bool, error) {
	err := reload(ctx, object)
	return object.Generation == object.Status.ObservedGeneration, err
}

// edit patches an object as a user does, regardless of other writers.
func edit(ctx context.Context, object *v1alpha1.LoadBalancerHealth, change func(*v1alpha1.LoadBalancerHealth)) {
	GinkgoHelper()
	before := object.DeepCopy()
	change(object)
	Expect(admin.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}

// request requests an observation by annotation.
func request(ctx context.Context, object *v1alpha1.LoadBalancerHealth) string {
	GinkgoHelper()
	value := "request-" + strconv.FormatInt(sequence.Add(1), 10)
	edit(ctx, object, func(o *v1alpha1.LoadBalancerHealth) {
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.ObserveRequestedAtAnnotation, value)
	})
	return value
}

// observe requests an observation, and waits until the status has its result or
// its failure.
func observe(ctx context.Context, object *v1alpha1.LoadBalancerHealth) {
	GinkgoHelper()
	value := request(ctx, object)
	Eventually(func() ([]string, error) {
		err := reload(ctx, object)
		return []string{object.Status.LastHandledObserveRequest, object.Status.LastAttemptedObserveRequest}, err
	}).Should(ContainElement(value))
}

// condition is a condition as "Status Reason"; "" when it is absent.
func condition(object *v1alpha1.LoadBalancerHealth, conditionType string) string {
	found := meta.FindStatusCondition(object.Status.Conditions, conditionType)
	if found == nil {
		return ""
	}
	return string(found.Status) + " " + found.Reason
}

func message(object *v1alpha1.LoadBalancerHealth, conditionType string) string {
	GinkgoHelper()
	found := meta.FindStatusCondition(object.Status.Conditions, conditionType)
	Expect(found).NotTo(BeNil())
	return found.Message
}

// haveConditions matches an object with exactly these conditions, as "Type Status Reason".
func haveConditions(wanted ...any) gomegatypes.GomegaMatcher {
	return WithTransform(func(object *v1alpha1.LoadBalancerHealth) (all []string) {
		for _, c := range object.Status.Conditions {
			all = append(all, c.Type+" "+string(c.Status)+" "+c.Reason)
		}
		return all
	}, ConsistOf(wanted...))
}

// rows are status.backends as "listener server status".
func rows(object *v1alpha1.LoadBalancerHealth) []string {
	var all []string
	for _, b := range object.Status.Backends {
		all = append(all, fmt.Sprintf("%d/%s %s %s", b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerHealthStatus))
	}
	return all
}

func eventsOf(ctx context.Context, object *v1alpha1.LoadBalancerHealth) ([]eventsv1.Event, error) {
	var list eventsv1.EventList
	err := admin.List(ctx, &list, client.InNamespace(object.Namespace))
	return slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.UID != object.UID }), err
}

// recordedEvents returns the events about an object as "Type Reason: note", with
// the count of a repeated one.
func recordedEvents(ctx context.Context, object *v1alpha1.LoadBalancerHealth) ([]string, error) {
	events, err := eventsOf(ctx, object)
	var all []string
	for _, e := range events {
		text := e.Type + " " + e.Reason + ": " + e.Note
		if e.Series != nil {
			text += fmt.Sprintf(" (%d times)", e.Series.Count)
		}
		all = append(all, text)
	}
	return all, err
}

// expectEvents waits for exactly these events, and for no further one.
func expectEvents(ctx context.Context, object *v1alpha1.LoadBalancerHealth, wanted ...any) {
	GinkgoHelper()
	Eventually(recordedEvents).WithContext(ctx).WithArguments(object).Should(ConsistOf(wanted...))
	Consistently(recordedEvents).WithContext(ctx).WithArguments(object).Should(ConsistOf(wanted...))
}
