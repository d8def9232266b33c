// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// albConfigKind is the kind of an AlbConfig: one ALB instance of the ALB Ingress controller.
var albConfigKind = schema.GroupVersionKind{Group: "alibabacloud.com", Version: "v1", Kind: "AlbConfig"}

// albConfigNamespace is that of an AlbConfig in clusters where it has one.
const albConfigNamespace = "kube-system"

// AlbConfigs reads the AlbConfig of an Ingress. The cluster may not have the kind, and
// the operator may have no permission for it.
type AlbConfigs struct {
	// Reader reads past the cache: an Ingress with a host name needs no AlbConfig.
	Reader client.Reader
	// Mapper says whether AlbConfigs have a namespace.
	Mapper meta.RESTMapper
}

// Of returns what the AlbConfig of an Ingress says. What it cannot read is no error,
// unless a later attempt may read it.
func (a *AlbConfigs) Of(ctx context.Context, ingress *networkingv1.Ingress) (AlbConfig, error) {
	name, namespace, problem, err := a.reference(ctx, ingress)
	if problem != "" || err != nil {
		return AlbConfig{Problem: problem}, err
	}
	mapping, err := a.Mapper.RESTMapping(albConfigKind.GroupKind(), albConfigKind.Version)
	switch {
	case meta.IsNoMatchError(err):
		return AlbConfig{Problem: "the cluster has no AlbConfigs"}, nil
	case err != nil:
		return AlbConfig{}, fmt.Errorf("searching the kind AlbConfig: %w", err)
	case mapping.Scope.Name() == meta.RESTScopeNameRoot:
		namespace = ""
	default:
		namespace = cmp.Or(namespace, albConfigNamespace)
	}
	config := &unstructured.Unstructured{}
	config.SetGroupVersionKind(albConfigKind)
	if err := a.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, config); err != nil {
		problem, err := unreadable("AlbConfig "+name, err)
		return AlbConfig{Problem: problem}, err
	}
	created, _, _ := unstructured.NestedString(config.Object, "status", "loadBalancer", "id")
	reused, _, _ := unstructured.NestedString(config.Object, "spec", "config", "id")
	return AlbConfig{LoadBalancerID: cmp.Or(created, reused), Problem: "its AlbConfig " + name + " has no load balancer yet"}, nil
}

// reference returns the AlbConfig that the IngressClass of an Ingress names, or the
// annotation of the Ingress; or why there is none.
func (a *AlbConfigs) reference(ctx context.Context, ingress *networkingv1.Ingress) (name, namespace, problem string, err error) {
	if annotated := ingress.Annotations[annotationAlbConfig]; annotated != "" {
		return annotated, "", "", nil
	}
	className := ingress.Annotations[annotationIngressClass]
	if ingress.Spec.IngressClassName != nil {
		className = *ingress.Spec.IngressClassName
	}
	if className == "" {
		return "", "", "it names no IngressClass", nil
	}
	class := &networkingv1.IngressClass{}
	if err := a.Reader.Get(ctx, client.ObjectKey{Name: className}, class); err != nil {
		problem, err = unreadable("IngressClass "+className, err)
		return "", "", problem, err
	}
	parameters := class.Spec.Parameters
	if parameters == nil || parameters.Kind != albConfigKind.Kind || parameters.APIGroup == nil || *parameters.APIGroup != albConfigKind.Group {
		return "", "", "its IngressClass " + className + " names no AlbConfig", nil
	}
	if parameters.Namespace != nil {
		namespace = *parameters.Namespace
	}
	return parameters.Name, namespace, "", nil
}

// unreadable says why an object cannot be read, or returns the error of a read that
// may succeed later.
func unreadable(what string, err error) (problem string, other error) {
	switch {
	case apierrors.IsNotFound(err):
		return what + " does not exist", nil
	case apierrors.IsForbidden(err):
		return "the operator may not read " + what, nil
	default:
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
}
