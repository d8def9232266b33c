// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// reference is the Service or Ingress whose load balancer is searched.
type reference struct {
	kind v1alpha1.ReferenceKind
	key  types.NamespacedName
}

func (f reference) fail(kind alicloud.Kind, format string, args ...any) health.Discovery {
	return health.Discovery{Failure: &alicloud.Error{
		Kind: kind, Local: kind == alicloud.InvalidRequest,
		Message: fmt.Sprintf("%s %s ", f.kind, f.key) + fmt.Sprintf(format, args...),
	}}
}

// notFound is the failure of a reference without a load balancer, which may get one.
func (f reference) notFound(format string, args ...any) health.Discovery {
	return f.fail(alicloud.LoadBalancerNotFound, format, args...)
}

// refused is the failure of a reference with something that the operator cannot observe.
func (f reference) refused(format string, args ...any) health.Discovery {
	return f.fail(alicloud.InvalidRequest, format, args...)
}

// found is the load balancer of a reference in the one region of the cluster.
func (f reference) found(id string, regions []string) health.Discovery {
	lb := v1alpha1.ReferencedLoadBalancer{Reference: v1alpha1.Reference{Kind: f.kind, Name: f.key.Name}, LoadBalancerID: id}
	if len(regions) == 1 {
		lb.RegionID = regions[0]
		return health.Discovery{Found: &lb}
	}
	d := f.notFound("has the load balancer %s, but no node has a region: set --region-id", id)
	if len(regions) > 1 {
		d = f.refused("has the load balancer %s, but the nodes are in the regions %s: set --region-id, or replace %sRef by loadBalancerId and regionId",
			id, strings.Join(regions, ", "), strings.ToLower(string(f.kind)))
	}
	d.WithoutRegion = &lb
	return d
}
