// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Changes are the transitions between two statuses that somebody should hear of.
type Transitions struct {
	// Backends that came, went or turned, in the order of status.backends.
	Backends []BackendTransition
	// Listeners that turned missing or are back, in the order of status.listeners.
	Listeners []ListenerTransition
	// Verdict is set when the condition Healthy changed its status.
	Verdict *ConditionTransition
	// Observation is set when the condition Observed turned False, changed its
	// reason while False, or turned True again.
	Observation *ConditionTransition
	// LoadBalancer is set when the Service that the object names has another one than before.
	LoadBalancer *LoadBalancerTransition
}

// LoadBalancerTransition is a Service whose load balancer is another one now.
type LoadBalancerTransition struct {
	// Service is its name.
	Service string
	// From and To are ids of load balancers.
	From, To string
}

// ListenerTransition is a listener that is missing from the answer now, or is in it again.
type ListenerTransition struct {
	// Listener is its port/protocol, as far as they are known.
	Listener string
	Missing  bool
}

// BackendTransition is one backend that came (From is ""), went (To is "") or turned.
type BackendTransition struct {
	// Backend is the row as it is now, or as it was last when it went.
	Backend v1alpha1.BackendStatus
	// From and To are normal, abnormal, unavailable, or ""; From is Omitted
	// for a backend that the status had no room for, and that was not abnormal.
	From, To string
	// PodReady tells that the backend is a pod that is Ready now.
	PodReady bool
}

// Omitted is where a backend comes from that turned abnormal while its row
// was among those that status.backends left out.
const Omitted = "omitted"

// ConditionTransition is a condition's new state.
type ConditionTransition struct {
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// omittedRows are rows that the previous status had no room for. Nothing is
// known of them but that they were no worse than the best that were kept, and
// when they were seen.
type omittedRows struct {
	n      int32
	seenAt *metav1.Time
}

// compareBackends carries lastTransitionTime over from the previous rows to
// those of the same backend in the same state, sets it to now on those that
// changed, and returns what changed. A row that may have been among the omitted
// ones did not change now: it was seen at its state by then at the latest.
func compareBackends(rows, previous []v1alpha1.BackendStatus, omitted omittedRows, now metav1.Time) []BackendTransition {
	if !slices.IsSortedFunc(previous, func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) }) {
		previous = slices.Clone(previous) // somebody edited the status
		slices.SortFunc(previous, func(a, b v1alpha1.BackendStatus) int { return byIdentity(&a, &b) })
	}
	var changes []BackendTransition
	best := bestOf(previous)
	p := 0
	gone := func() {
		changes = append(changes, BackendTransition{Backend: previous[p], From: classOf(previous[p].ServerHealthStatus).String()})
		p++
	}
	for i := range rows {
		row := &rows[i]
		for p < len(previous) && byIdentity(&previous[p], row) < 0 {
			gone()
		}
		row.LastTransitionTime = now
		to := classOf(row.ServerHealthStatus)
		if p == len(previous) || byIdentity(&previous[p], row) != 0 {
			wasOmitted := omitted.n > 0 && to >= best
			if wasOmitted && omitted.seenAt != nil {
				row.LastTransitionTime = *omitted.seenAt
			}
			if change, known := unlisted(row, to, omitted.n > 0, wasOmitted); known {
				changes = append(changes, change)
			}
			continue
		}
		if previous[p].ServerHealthStatus == row.ServerHealthStatus {
			row.LastTransitionTime = previous[p].LastTransitionTime
		}
		if from := classOf(previous[p].ServerHealthStatus); from != to {
			changes = append(changes, BackendTransition{Backend: *row, From: from.String(), To: to.String()})
		}
		p++
	}
	for p < len(previous) {
		gone()
	}
	return changes
}

// bestOf is the best class of some rows. The worst are kept first, so those that
// were left out beside them are no worse.
func bestOf(kept []v1alpha1.BackendStatus) class {
	best := abnormal
	for i := range kept {
		best = max(best, classOf(kept[i].ServerHealthStatus))
	}
	return best
}

// unlisted is the change of a backend that the previous rows do not hold: it
// was added, unless rows were left out. Then it may have been one of those, and
// only its being abnormal is news, when no abnormal row was left out.
func unlisted(row *v1alpha1.BackendStatus, to class, omitted, wasOmitted bool) (BackendTransition, bool) {
	switch {
	case !omitted:
		return BackendTransition{Backend: *row, To: to.String()}, true
	case to != abnormal || wasOmitted:
		return BackendTransition{}, false
	default:
		return BackendTransition{Backend: *row, From: Omitted, To: to.String()}, true
	}
}
