// SPDX-License-Identifier: Apache-2.0

package health

import "github.com/lbhealth/slb-health-operator/api/v1alpha1"

// An API server drops the fields that an older CustomResourceDefinition does not
// know. A status is compared as it would be stored, or each observation would
// find another one than it wants, and write it.

func (o *Options) fit(status *v1alpha1.LoadBalancerHealthStatus) {
	if o.Fit != nil {
		o.Fit(status)
	}
}
