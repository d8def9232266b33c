// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "k8s.io/apimachinery/pkg/util/intstr"

// Required returns how many healthy backends a listener with this number of
// registered and missing backends needs. It rounds a percentage up. Without a
// policy, a listener needs 1.
func (in *HealthPolicy) Required(backends int32) int {
	if in == nil || in.MinHealthy == nil {
		return 1
	}
	required, err := intstr.GetScaledValueFromIntOrPercent(in.MinHealthy, int(backends), true)
	if err != nil {
		return 1 // the schema refuses a value that cannot be parsed
	}
	return required
}
