// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/reposerver/repository"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/argo-cd/v3/util/git"
	utilio "github.com/argoproj/argo-cd/v3/util/io"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/sync/syncwaves"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	prod   = "prod"
	gateID = "lb-demo-web" // of docs/gitops/argocd/web/gate.jsonnet
	// stepPause is the pause between two steps of a sync.
	stepPause = time.Second
	request   = "slb.lbhealth.dev/observe-requested-at"
)

// Faults of the API that delay a requested observation.
var (
	throttled = map[string]any{"kind": "throttle", "loadBalancerId": gateID}
	hanging   = map[string]any{"kind": "hang", "loadBalancerId": gateID}
)

// callTimeout makes a call that hangs fail soon.
const callTimeout = "--slb-timeout=2s"

// TestArgoCD runs Argo CD's own code to sync, compare and act upon the example.
func TestArgoCD(t *testing.T) {
	t.Parallel()
	s := newEnv(t, "loadBalancers: []\n")
	s.kubectl(t, "create", "namespace", prod)
	s.startOperator(t, "operator", callTimeout)
	e := newEngines(t, s.configureArgoCD(t))
	a := newAgent(t, s, e)

	_ = t.Run("a sync waits for the gate", func(t *testing.T) { a.waits(t) }) &&
		t.Run("a sync fails at the gate", func(t *testing.T) { a.fails(t) }) &&
		t.Run("a sync waits for an observation of its own, throttled", func(t *testing.T) { a.waitsForObservation(t, "3", throttled) }) &&
		t.Run("a sync waits for an observation of its own, hanging", func(t *testing.T) { a.waitsForObservation(t, "4", hanging) }) &&
		t.Run("a permission that was fixed counts with the next stamp", func(t *testing.T) { a.recovers(t, "5", "6") }) &&
		t.Run("a stamp is no difference and restarts no pod", func(t *testing.T) { a.stamps(t, "7", "8") }) &&
		t.Run("actions", func(t *testing.T) { a.acts(t) })
}

// agent is Argo CD's engine for one application.
type agent struct {
	*env
	engines
	application v1alpha1.Application
	cache       cache.ClusterCache
	wants       []*unstructured.Unstructured // of the last revision
}

func newAgent(t *testing.T, s *env, e engines) *agent {
	t.Helper()
	a := &agent{env: s, engines: e, application: decode[v1alpha1.Application](t, filepath.Join("argocd", "application.yaml"))[0], cache: cache.NewClusterCache(s.Plane.Config, cache.SetNamespaces([]string{prod}))}
	if err := a.cache.EnsureSynced(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.cache.Invalidate() })
	return a
}

// generate renders the example at a revision, as Argo CD's repo server does.
func (a *agent) generate(t *testing.T, revision string) {
	t.Helper()
	source := a.application.Spec.Source.DeepCopy() // it fills the revision in
	made, err := repository.GenerateManifests(t.Context(), filepath.Join(root, source.Path), root, revision, &apiclient.ManifestRequest{
		Repo: &v1alpha1.Repository{Repo: source.RepoURL}, AppName: a.application.Name, Namespace: prod, ApplicationSource: source,
	}, false, git.NoopCredsStore{}, resource.MustParse("1Mi"), utilio.NewRandomizedTempPaths(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	a.wants = nil
	for _, manifest := range made.Manifests {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON([]byte(manifest)); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(prod)
		a.wants = append(a.wants, object)
	}
}

// outcome is the state of a sync.
type outcome struct {
	phase   common.OperationPhase
	message string
	results []common.ResourceSyncResult
	err     error
}

// sync runs the sync of a revision in the background, step by step until it is complete.
func (a *agent) sync(revision string) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		o, began := outcome{phase: common.OperationRunning}, metav1.Now()
		for o.err == nil && !o.phase.Completed() {
			if o = a.step(o, revision, began); o.err == nil {
				o.err = harness.Wait(a.Ctx, stepPause)
			}
		}
		ended <- o
	}()
	return ended
}

// step is one reconciliation of a sync by Argo CD's controller, with the live objects
// and the results of the previous steps.
func (a *agent) step(o outcome, revision string, began metav1.Time) outcome {
	live, err := a.cache.GetManagedLiveObjs(a.wants, func(*cache.Resource) bool { return false })
	if err != nil {
		return outcome{err: err}
	}
	reconciled := sync.Reconcile(a.wants, live, prod, a.cache)
	steps, cleanup, err := sync.NewSyncContext(revision, reconciled, a.Plane.Config, a.Plane.Config, &kube.KubectlCmd{Tracer: tracing.NopTracer{}}, prod,
		a.cache.GetOpenAPISchema(), sync.WithHealthOverride(a.argo), sync.WithInitialState(o.phase, o.message, o.results, began))
	if err != nil {
		return outcome{err: err}
	}
	defer cleanup()
	steps.Sync()
	o.phase, o.message, o.results = steps.GetState()
	return o
}

// of is the result of a sync for an object.
func (o outcome) of(t *testing.T, kind, name string) common.ResourceSyncResult {
	t.Helper()
	for _, result := range o.results {
		if result.ResourceKey.Kind == kind && result.ResourceKey.Name == name {
			return result
		}
	}
	t.Fatalf("the sync has no result for %s %s: %s, %s, %v", kind, name, o.phase, o.message, o.err)
	return common.ResourceSyncResult{}
}

func (a *agent) waits(t *testing.T) {
	a.generate(t, "1")
	if waves := []int{syncwaves.Wave(a.want(t, "web", "Deployment")), syncwaves.Wave(a.want(t, "web", "LoadBalancerHealth")), syncwaves.Wave(a.want(t, "shop", "Deployment"))}; !slices.Equal(waves, []int{0, 1, 2}) {
		t.Fatalf("the waves are %d", waves)
	}
	a.put(t, gateID, "unavailable", "unavailable", "unavailable", "unavailable")
	ended := a.sync("1")
	a.rollOut(t, "web")
	gate := a.await(t, prod, "web", "Unknown HealthCheckUnavailable")
	if health := a.argoCD(t, gate); health.Status != "Progressing" {
		t.Errorf("the gate is %s", health.Status)
	}
	// Each observation writes the status, and each write triggers another step.
	for range 2 {
		a.observe(t)
		if a.exists(t, "deployment/shop") {
			t.Fatal("the next wave started before the gate was healthy")
		}
	}
	a.put(t, gateID, "normal", "normal", "normal", "abnormal")
	o := <-ended
	if o.err != nil || o.phase != common.OperationSucceeded {
		t.Fatalf("the sync ended %s: %s, %v", o.phase, o.message, o.err)
	}
	result := o.of(t, "LoadBalancerHealth", "web")
	if result.HookPhase != common.OperationSucceeded || !strings.HasPrefix(result.Message, "MinHealthyMet: ") {
		t.Errorf("the gate ended %s: %s", result.HookPhase, result.Message)
	}
	if !a.exists(t, "deployment/shop") {
		t.Error("the next wave did not start")
	}
	a.compare(t, "after a sync")
}

// fails demands that a sync ends at a gate that is Degraded, before the next wave.
func (a *agent) fails(t *testing.T) {
	a.put(t, gateID, "normal", "normal", "abnormal", "abnormal")
	a.await(t, prod, "web", "False BelowMinHealthy")
	a.generate(t, "2")
	const replicas = int64(3)
	if err := unstructured.SetNestedField(a.want(t, "shop", "Deployment").Object, replicas, "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	o := <-a.sync("2")
	result := o.of(t, "LoadBalancerHealth", "web")
	if o.phase != common.OperationFailed || result.HookPhase != common.OperationFailed || !strings.HasPrefix(result.Message, "BelowMinHealthy: ") {
		t.Errorf("the sync ended %s, the gate %s: %s, %v", o.phase, result.HookPhase, result.Message, o.err)
	}
	if got := a.kubectl(t, "get", "deployment", "shop", "-n", prod, "-o", "jsonpath={.spec.replicas}"); got != "2" {
		t.Errorf("the next wave started nevertheless: %s replicas", got)
	}
	a.put(t, gateID, "normal", "normal", "normal", "normal")
	a.await(t, prod, "web", "True AllBackendsNormal")
}

// waitsForObservation verifies that a sync does not pass because of an earlier
// observation, though the gate is healthy all the time.
func (a *agent) waitsForObservation(t *testing.T, revision string, fault map[string]any) {
	a.Admin(t, http.MethodPost, "faults", fault)
	a.generate(t, revision)
	ended := a.sync(revision)
	a.awaitAttempt(t, prod, "web", revision)
	gate := a.get(t, prod, "web")
	if health := a.argoCD(t, gate); condition(gate, "Ready") != "True AllBackendsNormal" || health.Status != "Progressing" {
		t.Errorf("Ready is %s, and the gate %s: %s", condition(gate, "Ready"), health.Status, health.Message)
	}
	select {
	case o := <-ended:
		t.Fatalf("the sync ended %s without an observation: %s, %v", o.phase, o.message, o.err)
	case <-time.After(3 * stepPause): // several steps
	}
	a.Admin(t, http.MethodDelete, "faults", nil)
	a.succeeds(t, <-ended, revision)
}

func (a *agent) succeeds(t *testing.T, o outcome, revision string) {
	t.Helper()
	if o.err != nil || o.phase != common.OperationSucceeded {
		t.Fatalf("the sync ended %s: %s, %v", o.phase, o.message, o.err)
	}
	if got := handledOf(a.get(t, prod, "web")); got != revision {
		t.Errorf("the observation of request %q ended it, not that of %q", got, revision)
	}
}

// recovers syncs without the permission, and again with it.
func (a *agent) recovers(t *testing.T, without, with string) {
	a.Fail(t, gateID, "Forbidden.RAM", http.StatusForbidden, 0)
	a.generate(t, without)
	o := <-a.sync(without)
	if result := o.of(t, "LoadBalancerHealth", "web"); o.phase != common.OperationFailed || !strings.HasPrefix(result.Message, "Forbidden: ") {
		t.Fatalf("the sync ended %s: %s, %v", o.phase, result.Message, o.err)
	}
	a.await(t, prod, "web", "False Forbidden")
	a.Admin(t, http.MethodDelete, "faults", nil)
	a.generate(t, with)
	a.succeeds(t, <-a.sync(with), with)
}

// stamps compares two revisions of the same files.
func (a *agent) stamps(t *testing.T, one, another string) {
	a.generate(t, one)
	before := a.wants
	a.generate(t, another)
	for i, object := range a.wants {
		gate := object.GetKind() == "LoadBalancerHealth"
		if same := reflect.DeepEqual(before[i], object); same == gate {
			t.Errorf("%s %s: the same in both revisions is %t", object.GetKind(), object.GetName(), same)
		}
		if gate && object.GetAnnotations()[request] != another {
			t.Errorf("the gate is stamped with %q", object.GetAnnotations()[request])
		}
	}
	a.compare(t, "after a commit that changed nothing")
}

func (a *agent) acts(t *testing.T) {
	before := a.get(t, prod, "web")
	a.expectActions(t, before, "observe-now", "suspend")
	a.act(t, "observe-now")
	eventually(t, func(g Gomega) {
		object := a.get(t, prod, "web")
		g.Expect(handledOf(object)).To(And(Not(BeEmpty()), Equal(object.GetAnnotations()[request])))
	})
	if after := a.get(t, prod, "web"); after.GetGeneration() != before.GetGeneration() {
		t.Errorf("observe-now changed the spec: %v, was %v", after.Object["spec"], before.Object["spec"])
	}
	a.compare(t, "after observe-now")

	a.act(t, "suspend")
	suspended := a.await(t, prod, "web", "Unknown Suspended")
	if health := a.argoCD(t, suspended); health.Status != "Suspended" {
		t.Errorf("a suspended object is %s", health.Status)
	}
	a.expectActions(t, suspended, "resume")
	a.compare(t, "after suspend")

	a.act(t, "resume")
	a.expectActions(t, a.await(t, prod, "web", "True AllBackendsNormal"), "observe-now", "suspend")
	a.compare(t, "after resume")
}

// expectActions verifies which actions are enabled for an object.
func (a *agent) expectActions(t *testing.T, object *unstructured.Unstructured, want ...string) {
	t.Helper()
	vm := lua.VM{ResourceOverrides: a.argo}
	scripts, err := vm.GetResourceActionDiscovery(object)
	if err != nil {
		t.Fatal(err)
	}
	actions, err := vm.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, action := range actions {
		if !action.Disabled {
			got = append(got, action.Name)
		}
	}
	slices.Sort(got)
	if len(actions) != 3 || !slices.Equal(got, want) {
		t.Errorf("%d actions, of which %q are enabled, not %q", len(actions), got, want)
	}
}

// act runs an action, and writes its result.
func (a *agent) act(t *testing.T, name string) {
	t.Helper()
	object := a.get(t, prod, "web")
	vm := lua.VM{ResourceOverrides: a.argo}
	action, err := vm.GetResourceAction(object, name)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil || len(changed) != 1 || changed[0].K8SOperation != lua.PatchOperation {
		t.Fatalf("%s: %v, %v", name, changed, err)
	}
	if _, err := a.lbh(prod).Update(a.Ctx, changed[0].UnstructuredObj, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// compare demands that the gate is Synced, with the ignoreDifferences of the example.
func (a *agent) compare(t *testing.T, when string) {
	t.Helper()
	config, err := argodiff.NewDiffConfigBuilder().WithDiffSettings(a.application.Spec.IgnoreDifferences, a.argo, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("", "").WithNoCache().Build()
	if err != nil {
		t.Fatal(err)
	}
	result, err := argodiff.StateDiff(a.get(t, prod, "web"), a.want(t, "web", "LoadBalancerHealth"), config)
	if err != nil {
		t.Fatal(err)
	}
	if result.Modified {
		t.Errorf("%s: OutOfSync: would be %s, is %s", when, result.PredictedLive, result.NormalizedLive)
	}
}

func (a *agent) want(t *testing.T, name, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range a.wants {
		if object.GetName() == name && object.GetKind() == kind {
			return object
		}
	}
	t.Fatalf("the example has no %s %s", kind, name)
	return nil
}

// observe requests an observation, and waits until it is in the status.
func (a *agent) observe(t *testing.T) {
	t.Helper()
	value := a.get(t, prod, "web").GetResourceVersion()
	a.patch(t, prod, "web", `{"metadata": {"annotations": {"`+request+`": "`+value+`"}}}`)
	eventually(t, func(g Gomega) { g.Expect(handledOf(a.get(t, prod, "web"))).To(Equal(value)) })
}

// rollOut writes the status of a Deployment, because there is no controller.
func (a *agent) rollOut(t *testing.T, name string) {
	t.Helper()
	eventually(t, func(g Gomega) { g.Expect(a.exists(t, "deployment/"+name)).To(BeTrue()) })
	if a.exists(t, "lbh/web") {
		t.Error("the gate exists before the rollout of the Deployment")
	}
	a.kubectl(t, "patch", "deployment", name, "-n", prod, "--subresource=status", "--type=merge",
		"-p", `{"status": {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4}}`)
}

func (a *agent) exists(t *testing.T, what string) bool {
	t.Helper()
	output, code := a.try(t, "get", what, "-n", prod, "--ignore-not-found", "-o", "name")
	if code != 0 {
		t.Fatal(output)
	}
	return output != ""
}
