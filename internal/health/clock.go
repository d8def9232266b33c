// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// notAhead is the status without an answer of the future. A clock stamped it
// that ran ahead: another machine's, or this one's before it was set back. Left
// as it is, it would pass for current until then, however long nothing answers.
// It came by now at the latest, or when this process got its last answer; the
// difference of the two is right whatever the clock was set to meanwhile.
func notAhead(status v1alpha1.LoadBalancerHealthStatus, answeredAt, now time.Time) v1alpha1.LoadBalancerHealthStatus {
	if status.LastObservedTime == nil || !status.LastObservedTime.After(now) {
		return status
	}
	latest := now
	if !answeredAt.IsZero() {
		latest = now.Add(-max(now.Sub(answeredAt), 0))
	}
	status.LastObservedTime = new(metav1.NewTime(latest.Truncate(time.Second)))
	return status
}
