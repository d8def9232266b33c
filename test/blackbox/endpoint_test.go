// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var endpointSpecs = []spec{
	{"users who write objects and Secrets cannot change the endpoint of the operator", keepsItsEndpoint},
}

// keepsItsEndpoint sets every name that could mean an endpoint: an attacker could use a signed request.
func keepsItsEndpoint(t *testing.T, w *env) {
	g := NewWithT(t)
	elsewhere := w.serveUnused(t)
	host := strings.TrimPrefix(elsewhere.URL, "https://")
	names := []string{"endpoint", "slbEndpoint", "slb-endpoint", "domain", "host", "regionEndpoint", "stsEndpoint", "credentialsURI", "proxy", "httpsProxy", "network"}

	const id = "lb-elsewhere"
	secret := w.slb.account.secret(hostileNamespace, "elsewhere")
	object := named(hostileNamespace, id, once, withSecret("elsewhere"))
	object.Annotations, object.Labels = map[string]string{}, map[string]string{}
	for _, name := range names {
		secret.Data[name] = []byte(elsewhere.URL)
		object.Annotations["slb.lbhealth.dev/"+name] = elsewhere.URL
		object.Labels["slb.lbhealth.dev/"+name] = strings.ReplaceAll(host, ":", "-")
	}
	secret.Annotations = object.Annotations
	w.slb.on(id, always(success(normalRow("i-1"))))
	w.create(t, secret)
	g.Expect(w.admin.Create(t.Context(), withSpec(t, object, names, elsewhere.URL), client.FieldValidation(metav1.FieldValidationIgnore))).To(Succeed())
	w.await(t, object, good("AllBackendsNormal"))
	g.Expect(w.slb.received(id)).NotTo(BeEmpty())

	for _, region := range []string{"cn-a.evil.com", host + "/", host + "#", "cn-a@" + host, "cn-a/../" + host, "cn-a\n" + host, "cn-hangzhou.", ""} {
		smuggling := named(hostileNamespace, "lb-smuggling", func(o *v1alpha1.LoadBalancerHealth) { o.Spec.RegionID = region })
		err := w.admin.Create(t.Context(), smuggling)
		g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "region id %q: %v", region, err)
		g.Expect(err).To(MatchError(ContainSubstring("regionId")))
	}
}

// withSpec adds unknown fields to the spec.
func withSpec(t *testing.T, object *v1alpha1.LoadBalancerHealth, names []string, value string) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	delete(content, "status")
	free := &unstructured.Unstructured{Object: content}
	free.SetAPIVersion(v1alpha1.GroupVersion.String())
	free.SetKind(v1alpha1.Kind)
	for _, name := range names {
		for _, path := range [][]string{{"spec", name}, {"spec", "credentials", name}, {"spec", "credentials", "secretRef", name}} {
			if err := unstructured.SetNestedField(content, value, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return free
}
