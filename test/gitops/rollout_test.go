// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/clusterreader"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/fluxcd/pkg/ssa"
	ssautil "github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// image is what docs/gitops/flux/web rolls out; firstTag is its tag there.
const (
	image    = "registry.example.com/web"
	firstTag = "1.4.0"
)

// TestFlux runs Flux's own code to build, apply and await the example, release after
// release.
func TestFlux(t *testing.T) {
	t.Parallel()
	s := newEnv(t, "loadBalancers: []\n")
	s.kubectl(t, "create", "namespace", prod)
	s.startOperator(t, "operator", callTimeout)
	s.put(t, gateID, "normal", "normal", "normal", "normal")
	f := newFlux(t, s)

	_ = t.Run("only the gate is stamped", func(t *testing.T) { f.stamps(t) }) &&
		t.Run("a release waits for the gate", func(t *testing.T) { f.passes(t, firstTag) }) &&
		t.Run("a release waits for an observation of its own, throttled", func(t *testing.T) { f.waitsForObservation(t, "1.4.1", throttled) }) &&
		t.Run("a release waits for an observation of its own, hanging", func(t *testing.T) { f.waitsForObservation(t, "1.4.2", hanging) }) &&
		t.Run("a permission that was fixed counts with the next stamp", func(t *testing.T) { f.recovers(t, "1.4.3", "1.4.4") })
}

// flux is kustomize-controller for the gate.
type flux struct {
	*env
	manager *ssa.ResourceManager
	folder  string // the repository of the example
	timeout time.Duration
}

func newFlux(t *testing.T, s *env) *flux {
	t.Helper()
	c, err := client.New(s.Plane.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate := kustomization(t, "wait.yaml")
	readers, err := cel.PollerWithCustomHealthChecks(t.Context(), gate.Spec.HealthCheckExprs)
	if err != nil {
		t.Fatal(err)
	}
	made := make([]engine.StatusReader, 0, len(readers))
	for _, reader := range readers {
		made = append(made, reader(c.RESTMapper()))
	}
	poller := polling.NewStatusPoller(c, c.RESTMapper(), polling.Options{
		CustomStatusReaders: made, ClusterReaderFactory: engine.ClusterReaderFactoryFunc(clusterreader.NewDirectClusterReader),
	})
	f := &flux{env: s, manager: ssa.NewResourceManager(c, poller, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}), folder: t.TempDir(), timeout: gate.Spec.Timeout.Duration}
	if err := os.CopyFS(filepath.Join(f.Folder, "docs", "gitops", "flux"), os.DirFS(filepath.Join(docs, "flux"))); err != nil {
		t.Fatal(err)
	}
	return f
}

// release is what one of the example's Kustomizations applies at a tag.
func (f *flux) release(t *testing.T, name, tag string) []*unstructured.Unstructured {
	t.Helper()
	file := filepath.Join(f.Folder, "docs", "gitops", "flux", "web", "kustomization.yaml")
	content := harness.ReadFile(t, file)
	tagged := regexp.MustCompile(`newTag: \S+`).ReplaceAll(content, []byte("newTag: "+tag))
	if !bytes.Contains(tagged, []byte("newTag: "+tag+" ")) {
		t.Fatalf("%s has no newTag", file)
	}
	if err := os.WriteFile(file, tagged, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, k := range decode[kustomizev1.Kustomization](t, filepath.Join("flux", "wait.yaml")) {
		if k.Name != name {
			continue
		}
		built, err := kustomize.SecureBuild(f.Folder, filepath.Join(f.Folder, k.Spec.Path), false)
		if err != nil {
			t.Fatal(err)
		}
		text, err := built.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		objects, err := ssautil.ReadObjects(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return objects
	}
	t.Fatalf("wait.yaml has no Kustomization %s", name)
	return nil
}

func (f *flux) stamps(t *testing.T) {
	gate := f.release(t, "gate", "2.0.0")
	if len(gate) != 1 || gate[0].GetKind() != "LoadBalancerHealth" || gate[0].GetAnnotations()[request] != image+":2.0.0" {
		t.Errorf("the gate consists of %v", gate)
	}
	for _, object := range f.release(t, "web", "2.0.0") {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), request) || !strings.Contains(string(text), `"`+image+`:2.0.0"`) {
			t.Errorf("web has %s", text)
		}
	}
}

// apply applies the gate of a tag.
func (f *flux) apply(t *testing.T, tag string) []*unstructured.Unstructured {
	t.Helper()
	objects := f.release(t, "gate", tag)
	if _, err := f.manager.ApplyAllStaged(t.Context(), objects, ssa.DefaultApplyOptions()); err != nil {
		t.Fatal(err)
	}
	return objects
}

// wait waits as Flux does with wait: true.
func (f *flux) wait(objects []*unstructured.Unstructured, timeout time.Duration) error {
	return f.manager.Wait(objects, ssa.WaitOptions{Interval: pause, Timeout: timeout, FailFast: true})
}

func (f *flux) passes(t *testing.T, tag string) {
	t.Helper()
	f.ends(t, f.apply(t, tag), tag)
}

// ends verifies that the observation which a tag requests opens the gate.
func (f *flux) ends(t *testing.T, objects []*unstructured.Unstructured, tag string) {
	t.Helper()
	if err := f.wait(objects, f.timeout); err != nil {
		t.Fatal(err)
	}
	if got := handledOf(f.get(t, prod, "web")); got != image+":"+tag {
		t.Errorf("the observation of request %q ended it", got)
	}
}

func (f *flux) waitsForObservation(t *testing.T, tag string, fault map[string]any) {
	f.Admin(t, http.MethodPost, "faults", fault)
	objects := f.apply(t, tag)
	expectTimeout(t, f.wait(objects, time.Second)) // before the first attempt or after it
	f.awaitAttempt(t, prod, "web", image+":"+tag)
	expectTimeout(t, f.wait(objects, 3*time.Second))
	if got := condition(f.get(t, prod, "web"), "Ready"); got != "True AllBackendsNormal" {
		t.Errorf("Ready is %s: the gate did not wait for an observation, but for a verdict", got)
	}
	f.Admin(t, http.MethodDelete, "faults", nil)
	f.ends(t, objects, tag)
}

func expectTimeout(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "timeout waiting for") || !strings.Contains(err.Error(), "InProgress") {
		t.Fatalf("the gate ended without an observation: %v", err)
	}
}

func (f *flux) recovers(t *testing.T, without, with string) {
	f.Fail(t, gateID, "Forbidden.RAM", http.StatusForbidden, 0)
	if err := f.wait(f.apply(t, without), f.timeout); err == nil || !strings.Contains(err.Error(), "failed early due to stalled resources") {
		t.Fatalf("without the permission: %v", err)
	}
	f.await(t, prod, "web", "False Forbidden")
	f.Admin(t, http.MethodDelete, "faults", nil)
	f.passes(t, with)
}
