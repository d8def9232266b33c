// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func albConfig(namespace, name string, fields ...string) *unstructured.Unstructured {
	config := &unstructured.Unstructured{Object: map[string]any{}}
	config.SetGroupVersionKind(albConfigKind)
	config.SetNamespace(namespace)
	config.SetName(name)
	if len(fields) > 1 {
		_ = unstructured.SetNestedField(config.Object, fields[0], fields[1:]...)
	}
	return config
}

func ingressClass(name string, parameters *networkingv1.IngressClassParametersReference) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Parameters: parameters}}
}

func parametersOf(kind, name string) *networkingv1.IngressClassParametersReference {
	return &networkingv1.IngressClassParametersReference{APIGroup: new("alibabacloud.com"), Kind: kind, Name: name}
}

func TestAlbConfigOfAnIngress(t *testing.T) {
	created, reused := []string{"alb-1", "status", "loadBalancer", "id"}, []string{"alb-2", "spec", "config", "id"}
	class := ingressClass("alb", parametersOf("AlbConfig", "front"))
	ofClass := func(i *networkingv1.Ingress) { i.Spec.IngressClassName = new("alb") }
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "albconfigs"}, "front", errors.New("no role"))
	for name, test := range map[string]struct {
		edit    func(*networkingv1.Ingress)
		objects []client.Object
		scope   meta.RESTScope // nil: the cluster does not have the kind
		fails   error          // of reading an AlbConfig
		id      string
		problem string
	}{
		"created":                      {ofClass, []client.Object{class, albConfig("", "front", created...)}, meta.RESTScopeRoot, nil, "alb-1", "*"},
		"reused":                       {ofClass, []client.Object{class, albConfig("", "front", reused...)}, meta.RESTScopeRoot, nil, "alb-2", "*"},
		"in a namespace":               {ofClass, []client.Object{class, albConfig("kube-system", "front", created...)}, meta.RESTScopeNamespace, nil, "alb-1", "*"},
		"by the annotation of a class": {func(i *networkingv1.Ingress) { i.Annotations[annotationIngressClass] = "alb" }, []client.Object{class, albConfig("", "front", created...)}, meta.RESTScopeRoot, nil, "alb-1", "*"},
		"by its own annotation":        {func(i *networkingv1.Ingress) { i.Annotations[annotationAlbConfig] = "front" }, []client.Object{albConfig("kube-system", "front", created...)}, meta.RESTScopeNamespace, nil, "alb-1", "*"},
		"no id yet":                    {ofClass, []client.Object{class, albConfig("", "front")}, meta.RESTScopeRoot, nil, "", "its AlbConfig front has no load balancer yet"},
		"no class":                     {func(*networkingv1.Ingress) {}, nil, meta.RESTScopeRoot, nil, "", "it names no IngressClass"},
		"no such class":                {ofClass, nil, meta.RESTScopeRoot, nil, "", "IngressClass alb does not exist"},
		"a class without parameters":   {ofClass, []client.Object{ingressClass("alb", nil)}, meta.RESTScopeRoot, nil, "", "its IngressClass alb names no AlbConfig"},
		"a class of another kind":      {ofClass, []client.Object{ingressClass("alb", parametersOf("Gateway", "x"))}, meta.RESTScopeRoot, nil, "", "its IngressClass alb names no AlbConfig"},
		"no such AlbConfig":            {ofClass, []client.Object{class}, meta.RESTScopeRoot, nil, "", "AlbConfig front does not exist"},
		"no AlbConfigs":                {ofClass, []client.Object{class}, nil, nil, "", "the cluster has no AlbConfigs"},
		"no permission":                {ofClass, []client.Object{class}, meta.RESTScopeRoot, forbidden, "", "the operator may not read AlbConfig front"},
		"an API server that is down":   {ofClass, []client.Object{class}, meta.RESTScopeRoot, errors.New("down"), "", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := meta.NewDefaultRESTMapper(nil)
			mapper.Add(networkingv1.SchemeGroupVersion.WithKind("IngressClass"), meta.RESTScopeRoot)
			if test.scope != nil {
				mapper.Add(albConfigKind, test.scope)
			}
			scheme := runtime.NewScheme()
			if err := clientgoscheme.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			reader := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(test.objects...).
				WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
					if _, isConfig := object.(*unstructured.Unstructured); isConfig && test.fails != nil {
						return test.fails
					}
					return c.Get(ctx, key, object, options...)
				}}).Build()
			ingress := newIngress()
			test.edit(ingress)
			got, err := (&AlbConfigs{Reader: reader, Mapper: mapper}).Of(t.Context(), ingress)
			if (err != nil) != (test.problem == "error") {
				t.Fatal(err)
			}
			if got.LoadBalancerID != test.id || err == nil && test.problem != "*" && got.Problem != test.problem {
				t.Errorf("got %+v", got)
			}
		})
	}
}
