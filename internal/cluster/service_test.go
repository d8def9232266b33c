// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestRegionOf(t *testing.T) {
	for name, test := range map[string]struct{ providerID, label, want string }{
		"providerID":                     {"cn-hangzhou.i-bp1do02x7n4nua4k72um", "", "cn-hangzhou"},
		"providerID with its scheme":     {"alicloud://cn-hangzhou.i-bp1do02x7n4nua4k72um", "", "cn-hangzhou"},
		"label":                          {"", "cn-beijing", "cn-beijing"},
		"both":                           {"cn-hangzhou.i-1", "cn-beijing", "cn-hangzhou"},
		"an instance without a region":   {"i-1", "cn-beijing", "cn-beijing"},
		"neither":                        {"", "", ""},
		"a hybrid node":                  {"ack-hybrid://cn-hangzhou.node-1", "cn-hangzhou", ""},
		"another cloud":                  {"aws:///eu-central-1a/i-1", "eu-central-1", ""},
		"a region that is a host's name": {"evil.example.i-1", "", ""},
		"a label that is a host's name":  {"", "x.example.com/", ""},
		"a long label":                   {"", "cn-" + strings.Repeat("a", 62), ""},
	} {
		t.Run(name, func(t *testing.T) {
			node := nodeWith(test.providerID, test.label)
			equal(t, "the region", regionOf(&node), test.want)
			equal(t, "the region in the cache", regionOf(slimNode(&node)), test.want)
		})
	}
}

func nodeWith(providerID, label string) corev1.Node {
	node := corev1.Node{Spec: corev1.NodeSpec{ProviderID: providerID}}
	if label != "" {
		node.Labels = map[string]string{corev1.LabelTopologyRegion: label}
	}
	return node
}

func TestRegions(t *testing.T) {
	ours, again, far := nodeWith("cn-hangzhou.i-1", ""), nodeWith("cn-hangzhou.i-2", ""), nodeWith("cn-beijing.i-3", "")
	hybrid, cloudless, unlabelled := nodeWith("", "idc-bj1"), nodeWith("", "cn-beijing"), nodeWith("", "")
	for name, test := range map[string]struct {
		nodes []corev1.Node
		want  []string
	}{
		"provider ids":                             {[]corev1.Node{ours, again, nodeWith("ack-hybrid://x", "")}, []string{"cn-hangzhou"}},
		"provider ids of two regions":              {[]corev1.Node{ours, far, again}, []string{"cn-beijing", "cn-hangzhou"}},
		"one node of no provider":                  {[]corev1.Node{hybrid, ours, again}, []string{"cn-hangzhou"}},
		"one node with the label of a real region": {[]corev1.Node{ours, cloudless}, []string{"cn-hangzhou"}},
		"labels alone":                             {[]corev1.Node{cloudless, unlabelled, cloudless}, []string{"cn-beijing"}},
		"nothing":                                  {[]corev1.Node{unlabelled}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Regions(test.nodes); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLoadBalancer(t *testing.T) {
	one := []string{"cn-hangzhou"}
	for name, test := range map[string]struct {
		label   string
		regions []string
		kind    alicloud.Kind
		message string
	}{
		"CLB":             {"lb-bp1qjwo61pqz3ahltv0mw", one, "", ""},
		"an old id":       {"139a00604ad-cn-east-hangzhou-01", one, "", ""},
		"none yet":        {"", one, alicloud.LoadBalancerNotFound, "has no load balancer yet"},
		"NLB":             {"nlb-1", one, "", ""},
		"GWLB":            {"gwlb-1", one, alicloud.InvalidRequest, "has the Gateway Load Balancer gwlb-1, which serves network appliances and no Kubernetes cluster"},
		"no id":           {"lb 1", one, alicloud.InvalidRequest, "that is no id of a load balancer"},
		"no region":       {"lb-1", nil, alicloud.LoadBalancerNotFound, "no node has a region: set --region-id"},
		"several regions": {"lb-1", []string{"cn-beijing", "cn-hangzhou"}, alicloud.InvalidRequest, "the nodes are in the regions cn-beijing, cn-hangzhou: set --region-id"},
	} {
		t.Run(name, func(t *testing.T) {
			d := LoadBalancer(types.NamespacedName{Namespace: "prod", Name: "web"}, test.label, test.regions)
			found, failure := d.Found, d.Failure
			if test.kind == "" {
				if failure != nil || found.LoadBalancerID != test.label || found.RegionID != "cn-hangzhou" || found.Reference != (v1alpha1.Reference{Kind: v1alpha1.ReferenceService, Name: "web"}) {
					t.Fatalf("got %v, %v", found, failure)
				}
				return
			}
			if found != nil || failure.Kind != test.kind || !strings.HasPrefix(failure.Message, "Service prod/web ") || !strings.Contains(failure.Message, test.message) {
				t.Errorf("got %v, %v", found, failure)
			}
			if failure.Local != (test.kind == alicloud.InvalidRequest) {
				t.Errorf("refused by the operator: %t", failure.Local)
			}
			if known := d.WithoutRegion != nil && d.WithoutRegion.LoadBalancerID == test.label && d.WithoutRegion.Name == "web"; known != (len(test.regions) != 1) {
				t.Errorf("the load balancer without its region: %v", d.WithoutRegion)
			}
		})
	}
}

func TestSupportFor(t *testing.T) {
	for name, test := range map[string]struct {
		id, class string
		typ       corev1.ServiceType
		want      Support
	}{
		"CLB":                    {"lb-1", "", corev1.ServiceTypeLoadBalancer, Supported},
		"an old id":              {"139a00604ad-cn-east-hangzhou-01", "", corev1.ServiceTypeLoadBalancer, Supported},
		"CLB, with a class":      {"lb-1", "example.com/clb", corev1.ServiceTypeLoadBalancer, Supported},
		"NLB":                    {"nlb-1", "alibabacloud.com/nlb", corev1.ServiceTypeLoadBalancer, Supported},
		"NLB, no class":          {"nlb-1", "", corev1.ServiceTypeLoadBalancer, Supported},
		"no NLB yet":             {"", "alibabacloud.com/nlb", corev1.ServiceTypeLoadBalancer, Pending},
		"GWLB":                   {"gwlb-1", "", corev1.ServiceTypeLoadBalancer, Unsupported},
		"no id":                  {"lb 1", "", corev1.ServiceTypeLoadBalancer, Unsupported},
		"none yet":               {"", "", corev1.ServiceTypeLoadBalancer, Pending},
		"none yet, with a class": {"", "metallb.io/metallb", corev1.ServiceTypeLoadBalancer, Unsupported},
		"another type":           {"lb-1", "", corev1.ServiceTypeClusterIP, NoLoadBalancer},
		"NodePort":               {"", "", corev1.ServiceTypeNodePort, NoLoadBalancer},
	} {
		t.Run(name, func(t *testing.T) {
			service := &corev1.Service{Spec: corev1.ServiceSpec{Type: test.typ}}
			if test.id != "" {
				service.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: test.id}
			}
			if test.class != "" {
				service.Spec.LoadBalancerClass = &test.class
			}
			equal(t, "the support", SupportFor(service), test.want)
			equal(t, "the support in the cache", SupportFor(slimService(service)), test.want)
		})
	}
}
