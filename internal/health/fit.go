// SPDX-License-Identifier: Apache-2.0

package health

import "github.com/lbhealth/slb-health-operator/api/v1alpha1"

// An API server drops the fields that an older CustomResourceDefinition does not
// have. A status is compared in the form in which it would be stored. Otherwise
// every observation would find a difference, and write it.

func (o *Options) fit(status *v1alpha1.LoadBalancerHealthStatus) {
	if o.Fit != nil {
		o.Fit(status)
	}
}
