// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// foreign are the prefixes of ids whose products DescribeHealthStatus does not know.
var foreign = []struct{ prefix, product string }{{"nlb-", "NLB"}, {"alb-", "ALB"}, {"gwlb-", "GWLB"}}

// loadBalancerID is what the schema demands of spec.loadBalancerId. It holds for
// what a label says, too: it becomes part of a request.
var loadBalancerID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// loadBalancerOf reads the load balancer of a Service off its label and the
// regions of the cluster. A failure says what is missing, and what to do.
func loadBalancerOf(service types.NamespacedName, label string, regions []string) health.Discovery {
	fail := func(kind alicloud.Kind, format string, args ...any) health.Discovery {
		return health.Discovery{Failure: &alicloud.Error{Kind: kind, Local: kind == alicloud.InvalidRequest, Message: fmt.Sprintf("Service %s ", service) + fmt.Sprintf(format, args...)}}
	}
	if label == "" {
		return fail(alicloud.LoadBalancerNotFound, "has no load balancer yet: the cloud controller manager puts its id into the label %s", v1alpha1.ServiceLoadBalancerLabel)
	}
	if !loadBalancerID.MatchString(label) {
		return fail(alicloud.InvalidRequest, "has a label %s that is no id of a load balancer: fix it", v1alpha1.ServiceLoadBalancerLabel)
	}
	for _, f := range foreign {
		if strings.HasPrefix(label, f.prefix) {
			return fail(alicloud.InvalidRequest, "has the %s instance %s, which DescribeHealthStatus does not know: only SLB (CLB) instances can be observed", f.product, label)
		}
	}
	if len(regions) == 1 {
		return health.Discovery{Found: &v1alpha1.ServiceLoadBalancer{ServiceName: service.Name, LoadBalancerID: label, RegionID: regions[0]}}
	}
	d := fail(alicloud.LoadBalancerNotFound, "has the load balancer %s, but no node tells the region: set --region-id", label)
	if len(regions) > 1 {
		d = fail(alicloud.InvalidRequest, "has the load balancer %s, but the nodes are in the regions %s: set --region-id, or write loadBalancerId and regionId in place of serviceRef", label, strings.Join(regions, ", "))
	}
	d.WithoutRegion = &v1alpha1.ServiceLoadBalancer{ServiceName: service.Name, LoadBalancerID: label}
	return d
}

// regionsOf are the regions that the nodes are in, sorted. A provider id is
// Alibaba Cloud's word, a label anybody's: labels count only where no provider
// id has a region, so that one node from elsewhere changes nothing.
func regionsOf(nodes []corev1.Node) []string {
	var provided, labelled []string
	for i := range nodes {
		if region := providedRegion(&nodes[i]); region != "" {
			provided = append(provided, region)
		} else if region := regionOf(&nodes[i]); region != "" {
			labelled = append(labelled, region)
		}
	}
	regions := provided
	if len(regions) == 0 {
		regions = labelled
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// providedRegion is the region of a node's providerID; "": that has none.
func providedRegion(node *corev1.Node) string {
	if region, _, ours := identityOf(node); ours && alicloud.IsRegionID(region) {
		return region
	}
	return ""
}

// regionOf is the region of a node: that of its providerID, or else of its
// label. "" where neither is a region, as for the nodes of another cloud.
func regionOf(node *corev1.Node) string {
	region, _, ours := identityOf(node)
	if region = cmp.Or(region, node.Labels[corev1.LabelTopologyRegion]); ours && alicloud.IsRegionID(region) {
		return region
	}
	return ""
}

// identityOf reads a node's providerID, which is region.instance or
// alicloud://region.instance. ours is false where it is another provider's.
func identityOf(node *corev1.Node) (region, instance string, ours bool) {
	id := strings.TrimPrefix(node.Spec.ProviderID, "alicloud://")
	if strings.Contains(id, "://") {
		return "", "", false
	}
	region, instance, found := strings.Cut(id, ".")
	if !found {
		return "", "", true
	}
	return region, instance, true
}
