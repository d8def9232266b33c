// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// albConfigs are the CustomResourceDefinition of AlbConfig, without what the operator does not read.
const albConfigs = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
"metadata": {"name": "albconfigs.alibabacloud.com"},
"spec": {"group": "alibabacloud.com", "scope": "Cluster",
"names": {"kind": "AlbConfig", "listKind": "AlbConfigList", "plural": "albconfigs", "singular": "albconfig"},
"versions": [{"name": "v1", "served": true, "storage": true,
"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// ofIngress makes an object reference an Ingress.
func ofIngress(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID, o.Spec.IngressRef = "", "", &v1alpha1.IngressReference{Name: name}
	}
}

// apply applies a manifest.
func (w *env) apply(t *testing.T, manifest string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, "apply", "-f", path)
}

// findALBs makes the operator find the ALB of an Ingress by its AlbConfig.
func (w *env) findALBs(t *testing.T, i installation) {
	t.Helper()
	w.apply(t, albConfigs)
	w.kubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd/albconfigs.alibabacloud.com")
	w.apply(t, `{"apiVersion": "alibabacloud.com/v1", "kind": "AlbConfig", "metadata": {"name": "front"}, "spec": {"config": {"id": "alb-reference"}}}`)
	group := "alibabacloud.com"
	w.create(t, &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "alb"},
		Spec: networkingv1.IngressClassSpec{
			Controller: "ingress.k8s.alibabacloud/alb", Parameters: &networkingv1.IngressClassParametersReference{APIGroup: &group, Kind: "AlbConfig", Name: "front"},
		},
	})
	w.create(t, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: i.served, Name: "front"},
		Spec: networkingv1.IngressSpec{IngressClassName: new("alb"), DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Number: 443}},
		}},
	})
	object := named(i.served, "front", ofIngress("front"), once)
	w.create(t, object)
	w.eventually(t, func(g Gomega) {
		g.Expect(w.get(g, object).Status.IngressLoadBalancer).To(HaveValue(Equal(v1alpha1.IngressLoadBalancer{
			IngressName: "front", LoadBalancerID: "alb-reference", RegionID: region,
		})))
	})
}

// withoutIngresses requires that the operator works as before where its role does not name Ingresses.
func (w *env) withoutIngresses(t *testing.T, i installation) {
	t.Helper()
	i.without, i.run = "ingresses", "-without-ingresses"
	w.install(t, i)
	w.awaitPermission(t, i, "ingresses.networking.k8s.io", false)
	w.awaitPermission(t, i, "endpointslices.discovery.k8s.io", true)
	op := w.startInstalled(t, i)
	object := named(i.served, "reference-of-old-role", ofIngress("front"))
	w.create(t, object)
	found := w.await(t, object, stalled("InvalidRequest"))
	NewWithT(t).Expect(conditionOf(found, "Ready").Message).To(ContainSubstring("apply config/service-discovery or upgrade the chart, and restart the operator"))
	w.createServed(t, i, "beside", map[string]string{v1alpha1.MonitorAnnotation: "true"})
	w.await(t, named(i.served, "beside"), registered("True AllRegistered"))
	op.terminate(t, stopGrace)
	onceInLog(t, op, "objects with spec.ingressRef are not observed: apply config/service-discovery")
}
