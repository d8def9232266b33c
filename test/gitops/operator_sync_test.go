// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const crdName = "loadbalancerhealths.slb.lbhealth.dev"

// testSync installs and upgrades the operator with Argo CD's own engine, as docs/upgrade.md says.
func testSync(t *testing.T, s *env, application *v1alpha1.Application, objects []unstructured.Unstructured) {
	t.Helper()
	var current []*unstructured.Unstructured
	for i := range objects {
		current = append(current, &objects[i])
	}
	older := withOlderCRD(t, current)
	expectSynced(t, syncOperator(t, s, older), crdName, common.ResultCodeSynced)
	s.kubectl(t, "wait", "--for=condition=Established", "crd/"+crdName)
	s.kubectl(t, "apply", "-f", "config/samples/slb_v1alpha1_loadbalancerhealth_web.yaml")
	identity := []string{"get", "lbh", "web", "-n", "default", "-o", "jsonpath={.metadata.uid}"}
	uid, columns := s.kubectl(t, identity...), crdColumns(t, s)

	expectSynced(t, syncOperator(t, s, current), crdName, common.ResultCodeSynced)
	if after := s.kubectl(t, identity...); after != uid || crdColumns(t, s) != columns+1 {
		t.Errorf("after the upgrade the object is %s, was %s, and the CRD has %d columns, had %d", after, uid, crdColumns(t, s), columns)
	}
	for _, object := range current {
		expectNoDifference(t, s, application, object)
	}

	without := slices.DeleteFunc(slices.Clone(current), func(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" })
	expectSynced(t, syncOperator(t, s, without), crdName, common.ResultCodePruneSkipped)
	if after := s.kubectl(t, identity...); after != uid {
		t.Errorf("without the CRD in the manifests the object is %s, was %s", after, uid)
	}
	s.kubectl(t, "annotate", "crd", crdName, pruneOption+"-")
	expectSynced(t, syncOperator(t, s, without), crdName, common.ResultCodePruned)
}

// withOlderCRD returns the objects with a CRD that lacks a column.
func withOlderCRD(t *testing.T, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	older := make([]*unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		object = object.DeepCopy()
		if object.GetKind() == "CustomResourceDefinition" {
			version := object.Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
			version["additionalPrinterColumns"] = version["additionalPrinterColumns"].([]any)[1:]
		}
		older = append(older, object)
	}
	return older
}

func crdColumns(t *testing.T, s *env) int {
	t.Helper()
	return len(strings.Fields(s.kubectl(t, "get", "crd", crdName, "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")))
}

// syncOperator runs a sync with prune and ServerSideApply, for an application that manages the CRD.
func syncOperator(t *testing.T, s *env, objects []*unstructured.Unstructured) []common.ResourceSyncResult {
	t.Helper()
	state := cache.NewClusterCache(s.Plane.Config, cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (info any, keep bool) {
		return nil, object.GetName() == crdName
	}))
	if err := state.EnsureSynced(); err != nil {
		t.Fatal(err)
	}
	defer state.Invalidate()
	o := outcome{phase: common.OperationRunning}
	for began := metav1.Now(); !o.phase.Completed(); {
		live, err := state.GetManagedLiveObjs(objects, func(r *cache.Resource) bool { return r.Ref.Name == crdName })
		if err != nil {
			t.Fatal(err)
		}
		reconciled := sync.Reconcile(objects, live, operatorNamespace, state)
		steps, cleanup, err := sync.NewSyncContext(operatorVersion, reconciled, s.Plane.Config, s.Plane.Config, &kube.KubectlCmd{Tracer: tracing.NopTracer{}}, operatorNamespace,
			state.GetOpenAPISchema(), sync.WithOperationSettings(false, true, false, false), sync.WithServerSideApply(true), sync.WithServerSideApplyManager("argocd-controller"), sync.WithInitialState(o.phase, o.message, o.results, began))
		if err != nil {
			t.Fatal(err)
		}
		steps.Sync()
		o.phase, o.message, o.results = steps.GetState()
		cleanup()
		if err := harness.Wait(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
	}
	if o.phase != common.OperationSucceeded {
		t.Fatalf("the sync ended %s: %s, %v", o.phase, o.message, o.results)
	}
	return o.results
}

func expectSynced(t *testing.T, results []common.ResourceSyncResult, name string, want common.ResultCode) {
	t.Helper()
	for _, result := range results {
		if result.ResourceKey.Name == name {
			if result.Status != want {
				t.Errorf("%s is %s: %s, not %s", name, result.Status, result.Message, want)
			}
			return
		}
	}
	t.Errorf("the sync has no result for %s: %v", name, results)
}

// expectNoDifference checks that Argo CD reports an object as Synced.
func expectNoDifference(t *testing.T, s *env, application *v1alpha1.Application, object *unstructured.Unstructured) {
	t.Helper()
	config, err := argodiff.NewDiffConfigBuilder().WithDiffSettings(application.Spec.IgnoreDifferences, nil, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("", "").WithNoCache().Build()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"get", object.GetKind() + "." + object.GroupVersionKind().Group, object.GetName(), "-o", "json"}
	if object.GetNamespace() != "" {
		args = append(args, "-n", object.GetNamespace())
	}
	live := harness.ParseManifests(t, []byte(s.kubectl(t, args...)))
	result, err := argodiff.StateDiff(&live[0], object, config)
	if err != nil {
		t.Fatal(err)
	}
	if result.Modified {
		t.Errorf("%s %s: OutOfSync: would be %s, is %s", object.GetKind(), object.GetName(), result.PredictedLive, result.NormalizedLive)
	}
}
