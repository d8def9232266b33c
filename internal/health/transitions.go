// SPDX-License-Identifier: Apache-2.0

package health

import (
	"iter"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Transitions are the differences between two statuses that events report.
type Transitions struct {
	// Backends were added, removed, or changed their class, in the order of status.backends.
	Backends []BackendTransition
	// Listeners became missing, or have backends again, in the order of status.listeners.
	Listeners []ListenerTransition
	// Verdict is set when the condition Healthy changed its status.
	Verdict *ConditionTransition
	// Observation is set when the condition Observed became False, changed its
	// reason while False, or became True again.
	Observation *ConditionTransition
	// Registered is set when the condition Registered became False, or True after that.
	Registered *ConditionTransition
	// LoadBalancer is set when the Service or Ingress in the spec has another load balancer than before.
	LoadBalancer *LoadBalancerTransition
}

// LoadBalancerTransition is a Service or an Ingress whose load balancer was replaced.
type LoadBalancerTransition struct {
	Reference v1alpha1.Reference
	// From and To are ids of load balancers.
	From, To string
}

// ListenerTransition is a listener that became missing, or that an observation lists again.
type ListenerTransition struct {
	// Listener is its port/protocol, as far as they are known.
	Listener string
	// Missing is false for a listener that is listed again.
	Missing bool
}

// BackendTransition is one backend that was added (From is ""), was removed
// (To is "") or changed its class.
type BackendTransition struct {
	// Backend is the current row; for a removed backend, the last one.
	Backend v1alpha1.BackendStatus
	// From and To are normal, abnormal, unavailable, or "". From is Omitted for
	// a backend that the status omitted, and that was not abnormal.
	From, To string
	// PodReady is true when the backend is a pod that is Ready now.
	PodReady bool
	// Cause is the fact that explains an abnormal backend of a Service, and the place
	// to check; "": none is known.
	Cause string
}

// Omitted is BackendTransition.From of a backend that became abnormal after
// status.backends had omitted its row.
const Omitted = "omitted"

// ConditionTransition is a condition's new state.
type ConditionTransition struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// omittedRows are the rows that the previous status omitted. Two facts about
// them are known: each has the best listed class or a better one, and when
// they were observed.
type omittedRows struct {
	n          int32
	best       class
	observedAt *metav1.Time
}

func omittedFrom(status *v1alpha1.LoadBalancerHealthStatus) omittedRows {
	return omittedRows{n: status.OmittedBackends, best: bestOf(status.Backends), observedAt: status.LastObservedTime}
}

// bestOf is the best class of some rows. A status lists the worst rows first,
// so no omitted row has a worse class than this.
func bestOf(rows []v1alpha1.BackendStatus) class {
	best := abnormal
	for i := range rows {
		best = max(best, classOf(rows[i].ServerHealthStatus))
	}
	return best
}

// mayInclude returns whether a row of the class may have been omitted.
func (o *omittedRows) mayInclude(c class) bool { return o.n > 0 && c >= o.best }

// matched pairs each row with the previous row of the same backend. One of the
// two is nil where a backend was added or removed. Both lists are sorted by
// identity, and so are the pairs.
func matched(rows, previous []v1alpha1.BackendStatus) iter.Seq2[*v1alpha1.BackendStatus, *v1alpha1.BackendStatus] {
	return func(yield func(row, was *v1alpha1.BackendStatus) bool) {
		for len(rows) > 0 || len(previous) > 0 {
			var row, was *v1alpha1.BackendStatus
			order := firstOf(rows, previous)
			if order <= 0 {
				row, rows = &rows[0], rows[1:]
			}
			if order >= 0 {
				was, previous = &previous[0], previous[1:]
			}
			if !yield(row, was) {
				return
			}
		}
	}
}

// firstOf compares the first rows of two lists by identity. An empty list sorts last.
func firstOf(rows, previous []v1alpha1.BackendStatus) int {
	switch {
	case len(previous) == 0:
		return -1
	case len(rows) == 0:
		return 1
	default:
		return byIdentity(&rows[0], &previous[0])
	}
}

// stampedRows returns the rows of an observation with their lastTransitionTime.
// previous are those of the status, sorted.
func stampedRows(observation *alicloud.Observation, scope alicloud.Scope, previous []v1alpha1.BackendStatus, omitted omittedRows, now metav1.Time) []v1alpha1.BackendStatus {
	rows := rowsOf(observation, scope)
	for row, was := range matched(rows, previous) {
		if row != nil {
			row.LastTransitionTime = transitionTime(row, was, omitted, now)
		}
	}
	return rows
}

// transitionTime is when a backend changed to its state. A row that may have
// been omitted did not change now: it had its state when the omitted rows were
// observed, at the latest.
func transitionTime(row, was *v1alpha1.BackendStatus, omitted omittedRows, now metav1.Time) metav1.Time {
	switch {
	case was != nil && was.ServerHealthStatus == row.ServerHealthStatus:
		return was.LastTransitionTime
	case was == nil && omitted.observedAt != nil && omitted.mayInclude(classOf(row.ServerHealthStatus)):
		return *omitted.observedAt
	default:
		return now
	}
}

// backendTransitions compares the rows with the previous ones.
func backendTransitions(rows, previous []v1alpha1.BackendStatus, omitted omittedRows, around *surroundings) []BackendTransition {
	var transitions []BackendTransition
	for row, was := range matched(rows, previous) {
		transition, found := backendTransition(row, was, omitted)
		if !found {
			continue
		}
		if row != nil {
			transition.PodReady = around.locations.of(row).podReady()
		}
		if row != nil && transition.To == abnormal.String() {
			transition.Cause = around.causeInService(row)
		}
		transitions = append(transitions, transition)
	}
	return transitions
}

func backendTransition(row, was *v1alpha1.BackendStatus, omitted omittedRows) (transition BackendTransition, found bool) {
	if isUnused(row) || isUnused(was) {
		return BackendTransition{}, false
	}
	switch {
	case row == nil:
		return BackendTransition{Backend: *was, From: classOf(was.ServerHealthStatus).String()}, true
	case was == nil:
		return unlisted(row, omitted)
	}
	from, to := classOf(was.ServerHealthStatus), classOf(row.ServerHealthStatus)
	return BackendTransition{Backend: *row, From: from.String(), To: to.String()}, from != to
}

func isUnused(row *v1alpha1.BackendStatus) bool {
	return row != nil && classOf(row.ServerHealthStatus) == unused
}

// unlisted is the transition of a backend that the previous status did not
// list. The backend was added, unless rows were omitted: then it may be one of
// those, and only one that must have become abnormal is a transition.
func unlisted(row *v1alpha1.BackendStatus, omitted omittedRows) (transition BackendTransition, found bool) {
	to := classOf(row.ServerHealthStatus)
	transition = BackendTransition{Backend: *row, To: to.String()}
	if omitted.n == 0 {
		return transition, true
	}
	transition.From = Omitted
	return transition, to == abnormal && !omitted.mayInclude(to)
}

// sortedRows returns the rows sorted by identity. Another client may have
// reordered those of a stored status.
func sortedRows(rows []v1alpha1.BackendStatus) []v1alpha1.BackendStatus {
	order := func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) }
	if slices.IsSortedFunc(rows, order) {
		return rows
	}
	return slices.SortedFunc(slices.Values(rows), order)
}
