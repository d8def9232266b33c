// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API slb.lbhealth.dev/v1alpha1: the health of the
// backends of an Alibaba Cloud load balancer (CLB, NLB or ALB) as a Kubernetes object.
//
// The package imports apimachinery only, so that other programs can use the
// types without the dependencies of a controller.
//
// +kubebuilder:object:generate=true
// +groupName=slb.lbhealth.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is the kind of the one resource in this group.
const Kind = "LoadBalancerHealth"

var (
	// GroupVersion is the group and version of the objects in this package.
	GroupVersion = schema.GroupVersion{Group: "slb.lbhealth.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types of this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &LoadBalancerHealth{}, &LoadBalancerHealthList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
