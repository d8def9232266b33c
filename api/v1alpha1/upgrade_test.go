// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// editRegionSchema changes the schema of spec.regionId in the API server.
func editRegionSchema(ctx context.Context, edit func(*apiextensionsv1.JSONSchemaProps)) {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	definitions, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	Expect(definitions.Get(ctx, client.ObjectKey{Name: "loadbalancerhealths.slb.lbhealth.dev"}, crd)).To(Succeed())
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	region := spec.Properties["regionId"]
	edit(&region)
	spec.Properties["regionId"] = region
	crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = spec
	Expect(definitions.Update(ctx, crd)).To(Succeed())
}

var _ = Describe("An object that an older schema accepted", Serial, func() {
	It("can be read, and its status and labels can be written, though its region is invalid now", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		bucket := specWith(fields{"regionId": `"oss-cn-hangzhou"`})
		var current apiextensionsv1.JSONSchemaProps
		editRegionSchema(ctx, func(region *apiextensionsv1.JSONSchemaProps) {
			current = *region.DeepCopy()
			region.Pattern, region.MaxLength, region.XValidations = `^[a-z]{2,3}(-[a-z0-9]+)+$`, nil, nil
		})
		restore := func(ctx context.Context) {
			editRegionSchema(ctx, func(region *apiextensionsv1.JSONSchemaProps) { *region = current })
		}
		DeferCleanup(restore)
		Eventually(func() error { return create(ctx, namespace, "old", bucket) }).Should(Succeed())
		restore(ctx)
		Eventually(func() error {
			err := create(ctx, namespace, "new", bucket)
			if err == nil {
				Expect(typed.DeleteAllOf(ctx, &v1alpha1.LoadBalancerHealth{}, client.InNamespace(namespace), client.MatchingFields{"metadata.name": "new"})).To(Succeed())
			}
			return err
		}).Should(MatchError(ContainSubstring("in lower case, such as cn-hangzhou")))

		object := read(ctx, namespace, "old")
		Expect(object.Spec.RegionID).To(Equal("oss-cn-hangzhou"))
		// The operator writes a JSON patch of the status with a resourceVersion.
		patch := encode([]map[string]any{
			{"op": "test", "path": "/metadata/resourceVersion", "value": object.ResourceVersion},
			{"op": "replace", "path": "/status/observedGeneration", "value": 1},
			{"op": "add", "path": "/status/lastRequestId", "value": "R1"},
		})
		Expect(typed.Status().Patch(ctx, object, client.RawPatch(types.JSONPatchType, patch))).To(Succeed())
		Expect(read(ctx, namespace, "old").Status.LastRequestID).To(Equal("R1"))
		label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"a"}}}`))
		Expect(typed.Patch(ctx, object, label)).To(Succeed())
		Expect(update(ctx, namespace, "old", fields{"suspend": "true"})).To(Succeed())
		Expect(update(ctx, namespace, "old", fields{"regionId": `"oss-cn-beijing"`})).To(MatchError(ContainSubstring("spec.regionId")))
		Expect(update(ctx, namespace, "old", fields{"regionId": `"cn-hangzhou"`})).To(Succeed())
	})
})
