// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Regions returns the regions of the nodes, sorted. Alibaba Cloud's cloud
// controller manager writes provider ids; any user may write a label. So labels
// count only where no provider id has a region, and one foreign node changes nothing.
func Regions(nodes []corev1.Node) []string {
	var fromProviderID, fromLabel []string
	for i := range nodes {
		if region := providerRegion(&nodes[i]); region != "" {
			fromProviderID = append(fromProviderID, region)
		} else if region := regionOf(&nodes[i]); region != "" {
			fromLabel = append(fromLabel, region)
		}
	}
	regions := fromProviderID
	if len(regions) == 0 {
		regions = fromLabel
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// providerRegion is the region in a node's providerID; "" when there is none.
func providerRegion(node *corev1.Node) string {
	if region, _, ok := parseProviderID(node); ok && alicloud.IsRegionID(region) {
		return region
	}
	return ""
}

// regionOf is the region of a node: that of its providerID, or else of its
// label. "" where neither is a region, as for the nodes of another cloud.
func regionOf(node *corev1.Node) string {
	region, _, ok := parseProviderID(node)
	if region = cmp.Or(region, node.Labels[corev1.LabelTopologyRegion]); ok && alicloud.IsRegionID(region) {
		return region
	}
	return ""
}

// parseProviderID reads a node's providerID. ok is false for another provider's.
func parseProviderID(node *corev1.Node) (region, instance string, ok bool) {
	if strings.Contains(strings.TrimPrefix(node.Spec.ProviderID, providerAlicloud), "://") {
		return "", "", false
	}
	region, instance, _ = splitProviderID(node.Spec.ProviderID)
	return region, instance, true
}

// providerAlicloud is an optional prefix of a providerID.
const providerAlicloud = "alicloud://"

// splitProviderID reads region.instance or alicloud://region.instance, as the
// cloud controller manager does. ok is false where there is no instance.
func splitProviderID(id string) (region, instance string, ok bool) {
	if rest, found := strings.CutPrefix(id, providerAlicloud); found {
		id, _, _ = strings.Cut(rest, "://")
	}
	parts := strings.SplitN(id, ".", 3)
	if len(parts) < 2 {
		return "", "", false
	}
	return parts[0], parts[1], parts[1] != ""
}
