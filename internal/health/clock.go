// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// withoutFutureTime returns the status with a lastObservedTime that is not in
// the future. A fast clock may have written one: another machine's, or this
// machine's before it was corrected. Until that time the observation would count
// as current, even if no other one succeeds. The observation happened at
// lastObservedAt, when this process last observed the load balancer, or now at
// the latest. The age since lastObservedAt is right even if the clock was set.
func withoutFutureTime(status v1alpha1.LoadBalancerHealthStatus, lastObservedAt, now time.Time) v1alpha1.LoadBalancerHealthStatus {
	if status.LastObservedTime == nil || !status.LastObservedTime.After(now) {
		return status
	}
	latest := now
	if !lastObservedAt.IsZero() {
		latest = now.Add(-max(now.Sub(lastObservedAt), 0))
	}
	status.LastObservedTime = new(metav1.NewTime(latest.Truncate(time.Second)))
	return status
}
