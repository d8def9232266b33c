// SPDX-License-Identifier: Apache-2.0

package health

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxHistory bounds status.history.
const maxHistory = 10

// withChange returns a history with one more change of Healthy, the newest first.
func withChange(history []v1alpha1.HealthChange, healthy condition, at metav1.Time) []v1alpha1.HealthChange {
	next := make([]v1alpha1.HealthChange, 1, maxHistory)
	next[0] = v1alpha1.HealthChange{
		Time: at, Status: healthy.status, Reason: healthy.reason, Message: shortened(healthy.message, maxHistoryMessage),
	}
	return append(next, history[:min(len(history), maxHistory-1)]...)
}
