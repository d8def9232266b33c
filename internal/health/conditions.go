// SPDX-License-Identifier: Apache-2.0

package health

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// judgement is a condition without what the list adds: type, times, generation.
type judgement struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

// waits tells whether the judgement is that there is none yet.
func (j judgement) waits() bool {
	return j.reason == v1alpha1.ReasonPending || j.reason == v1alpha1.ReasonProgressing
}

func (j judgement) change() *ConditionTransition {
	return &ConditionTransition{Status: j.status, Reason: j.reason, Message: j.message}
}

// judgements are the conditions of one object; nil ones are absent.
type judgements struct {
	observed, healthy    judgement
	stalled, reconciling *judgement
}

// ready is what GitOps waits for: it follows healthy, and is False while stalled.
func (j judgements) ready() judgement {
	if j.stalled != nil {
		return judgement{metav1.ConditionFalse, j.stalled.reason, j.stalled.message}
	}
	return j.healthy
}

// list returns the conditions in their fixed order. They are those of the
// generation that was observed, except that one which waits is decided for the
// current generation. A condition keeps its lastTransitionTime while its status
// stays, and conditions of types that are not this operator's are left as they are.
func (j judgements) list(previous []metav1.Condition, observed, current int64, now metav1.Time) []metav1.Condition {
	next := make([]metav1.Condition, 0, len(previous)+2)
	add := func(conditionType string, judgement judgement) {
		generation := observed
		if judgement.waits() {
			generation = current
		}
		condition := metav1.Condition{
			Type: conditionType, Status: judgement.status, Reason: judgement.reason, Message: judgement.message,
			ObservedGeneration: generation, LastTransitionTime: now,
		}
		if was := meta.FindStatusCondition(previous, conditionType); was != nil && was.Status == condition.Status {
			condition.LastTransitionTime = was.LastTransitionTime
		}
		next = append(next, condition)
	}
	add(v1alpha1.ConditionReady, j.ready())
	add(v1alpha1.ConditionHealthy, j.healthy)
	add(v1alpha1.ConditionObserved, j.observed)
	if j.stalled != nil {
		add(v1alpha1.ConditionStalled, *j.stalled)
	}
	if j.reconciling != nil {
		add(v1alpha1.ConditionReconciling, *j.reconciling)
	}
	for i := range previous {
		if !isOurs(previous[i].Type) {
			next = append(next, previous[i])
		}
	}
	return next
}

func isOurs(conditionType string) bool {
	switch conditionType {
	case v1alpha1.ConditionReady, v1alpha1.ConditionHealthy, v1alpha1.ConditionObserved,
		v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling:
		return true
	default:
		return false
	}
}

// find returns a stored condition as a judgement; the zero judgement when there is none.
func find(conditions []metav1.Condition, conditionType string) judgement {
	if c := meta.FindStatusCondition(conditions, conditionType); c != nil {
		return judgement{c.Status, c.Reason, c.Message}
	}
	return judgement{}
}

// steady keeps the words of an equal failure that was told before. The API
// may put counters, dates or ids into its messages; a status that followed
// them would be written at every observation.
func steady(next, previous judgement) judgement {
	if next.status == previous.status && next.reason == previous.reason && sameWords(next.message, previous.message) {
		next.message = previous.message
	}
	return next
}

// sameWords tells whether two messages differ only in words that hold digits,
// but for the first, which is the API's code or names the host that failed.
func sameWords(a, b string) bool {
	left, right := strings.Fields(a), strings.Fields(b)
	if len(left) != len(right) || len(left) > 0 && left[0] != right[0] {
		return false
	}
	for i := range left {
		if left[i] != right[i] && (!hasDigit(left[i]) || !hasDigit(right[i])) {
			return false
		}
	}
	return true
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }
