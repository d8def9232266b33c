// SPDX-License-Identifier: Apache-2.0

package health

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// condition is a condition without what conditionSet.list adds: type, time and generation.
type condition struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

// isPending returns whether the condition waits for the first observation.
func (c condition) isPending() bool {
	return c.reason == v1alpha1.ReasonPending || c.reason == v1alpha1.ReasonProgressing
}

func (c condition) transition() *ConditionTransition {
	return &ConditionTransition{Status: c.status, Reason: c.reason, Message: c.message}
}

// conditionSet is the conditions of one object; nil ones are absent.
type conditionSet struct {
	observed, healthy                condition
	registered, stalled, reconciling *condition
}

// ready is the condition that GitOps tools wait for: Healthy, but False while stalled.
func (s conditionSet) ready() condition {
	if s.stalled != nil {
		return condition{metav1.ConditionFalse, s.stalled.reason, s.stalled.message}
	}
	return s.healthy
}

// list returns the conditions in their fixed order, and after them those of
// other writers. A condition has the generation that was observed; a pending
// one has the current generation. It keeps its lastTransitionTime while its
// status stays.
func (s conditionSet) list(previous []metav1.Condition, observed, current int64, now metav1.Time) []metav1.Condition {
	next := make([]metav1.Condition, 0, len(previous)+3)
	add := func(conditionType string, c condition) {
		generation := observed
		if c.isPending() {
			generation = current
		}
		since := now
		if was := meta.FindStatusCondition(previous, conditionType); was != nil && was.Status == c.status {
			since = was.LastTransitionTime
		}
		next = append(next, metav1.Condition{
			Type: conditionType, Status: c.status, Reason: c.reason, Message: c.message,
			ObservedGeneration: generation, LastTransitionTime: since,
		})
	}
	add(v1alpha1.ConditionReady, s.ready())
	add(v1alpha1.ConditionHealthy, s.healthy)
	add(v1alpha1.ConditionObserved, s.observed)
	if s.registered != nil {
		add(v1alpha1.ConditionRegistered, *s.registered)
	}
	if s.stalled != nil {
		add(v1alpha1.ConditionStalled, *s.stalled)
	}
	if s.reconciling != nil {
		add(v1alpha1.ConditionReconciling, *s.reconciling)
	}
	for i := range previous {
		if !isOurs(previous[i].Type) {
			next = append(next, previous[i])
		}
	}
	return next
}

// isOurs returns whether this operator writes conditions of the type.
func isOurs(conditionType string) bool {
	switch conditionType {
	case v1alpha1.ConditionReady, v1alpha1.ConditionHealthy, v1alpha1.ConditionObserved,
		v1alpha1.ConditionRegistered, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling:
		return true
	default:
		return false
	}
}

// find returns a stored condition; the zero condition when there is none.
func find(conditions []metav1.Condition, conditionType string) condition {
	if c := meta.FindStatusCondition(conditions, conditionType); c != nil {
		return condition{c.Status, c.Reason, c.Message}
	}
	return condition{}
}

// keepMessage returns next with the message of an equal previous failure. The
// API may put counters, dates or ids into its messages; without this, every
// observation would write the status.
func keepMessage(next, previous condition) condition {
	if next.status == previous.status && next.reason == previous.reason && equalWithoutNumbers(next.message, previous.message) {
		next.message = previous.message
	}
	return next
}

// equalWithoutNumbers returns whether two messages differ only in words with
// digits. The first words must be equal: that is the API's error code, or the
// host that failed.
func equalWithoutNumbers(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) || len(x) > 0 && x[0] != y[0] {
		return false
	}
	for i := range x {
		if x[i] != y[i] && (!hasDigit(x[i]) || !hasDigit(y[i])) {
			return false
		}
	}
	return true
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }
