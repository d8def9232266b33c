// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/reposerver/repository"
	"github.com/argoproj/argo-cd/v3/util/git"
	"github.com/argoproj/argo-cd/v3/util/helm"
	utilio "github.com/argoproj/argo-cd/v3/util/io"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/kustomize"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	chartFolder = root + "/charts/slb-health-operator"
	repoURL     = "https://github.com/lbhealth/slb-health-operator"

	operatorNamespace = "slb-health-operator-system"
	operatorVersion   = "v0.1.0"

	pruneOption = "argocd.argoproj.io/sync-options"
)

// TestMain puts the pinned tools into PATH: Argo CD runs the helm that it finds there.
func TestMain(m *testing.M) {
	tools := cmp.Or(os.Getenv("TOOLS"), filepath.Join("..", "..", "bin", "tools"))
	absolute, err := filepath.Abs(tools)
	if err == nil {
		err = os.Setenv("PATH", absolute+":"+os.Getenv("PATH"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// TestOperatorExamples checks the examples of docs/gitops/operator with the types and CRDs of their
// engines, renders them with Argo CD's own code, Helm and kustomize, and applies the results.
func TestOperatorExamples(t *testing.T) {
	t.Parallel()
	s := newOperatorEnv(t)
	application := harness.Only[v1alpha1.Application](t, example(t, "argocd.yaml"), "Application")
	source := harness.Only[sourcev1.OCIRepository](t, example(t, "flux.yaml"), "OCIRepository")
	release := harness.Only[helmv2.HelmRelease](t, example(t, "flux.yaml"), "HelmRelease")

	t.Run("the API server accepts the examples", func(t *testing.T) {
		for _, name := range []string{"argocd.yaml", "flux.yaml"} {
			s.kubectl(t, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "docs/gitops/operator/"+name)
		}
	})
	t.Run("all name the same release", func(t *testing.T) { testVersions(t, application, source, release) })

	argo := renderArgoCD(t, application)
	t.Run("Argo CD and Flux install what the documents name", func(t *testing.T) {
		flux := renderFlux(t, release)
		if got, want := objectsByName(t, withoutPruneOption(argo)), objectsByName(t, flux); !slices.Equal(got, want) {
			t.Errorf("Argo CD makes\n%s\nFlux makes\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		s.accepts(t, argo)
		expectOperator(t, argo, "--service-discovery", "--backend-names")
	})
	t.Run("the CRD is a template", func(t *testing.T) {
		if _, err := os.Stat(filepath.Join(chartFolder, "crds")); err == nil {
			t.Error("the chart has a folder crds/: set the CRD policies of flux.yaml, and explain them")
		}
	})
	t.Run("kustomize", func(t *testing.T) {
		overlay := renderOverlay(t)
		s.accepts(t, overlay)
		expectOperator(t, overlay, "--service-discovery", "--backend-names", "--slb-network=vpc")
		expectComponents(t, overlay)
	})
	t.Run("Argo CD upgrades the CRD, and prunes it only without the annotation", func(t *testing.T) { testSync(t, s, application, argo) })
}

// newOperatorEnv starts an API server that knows the kinds of Argo CD, Flux and the Prometheus Operator.
func newOperatorEnv(t *testing.T) *env {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	plane := harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{
		filepath.Join(strings.TrimSpace(string(output)), "manifests", "crds", "application-crd.yaml"),
		filepath.Join(root, "bin", "flux-crds"), filepath.Join(root, "bin", "monitoring-crds"),
	}})
	s := &env{Env: &harness.Env{Ctx: t.Context(), Folder: t.TempDir(), Plane: plane}}
	for _, name := range []string{argoNamespace, "flux-system", operatorNamespace} {
		s.kubectl(t, "create", "namespace", name)
	}
	return s
}

// accepts checks that the API server accepts objects as they are, and admits the operator's pods.
func (s *env) accepts(t *testing.T, objects []unstructured.Unstructured) {
	t.Helper()
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}
	content, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "objects.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file)
}

// example reads the objects of a file of docs/gitops/operator.
func example(t *testing.T, name string) []unstructured.Unstructured {
	t.Helper()
	return harness.ParseManifests(t, harness.ReadFile(t, filepath.Join(docs, "operator", name)))
}

// testVersions compares the versions and addresses of the examples to those of a release.
func testVersions(t *testing.T, application *v1alpha1.Application, source *sourcev1.OCIRepository, release *helmv2.HelmRelease) {
	t.Helper()
	version := strings.TrimPrefix(operatorVersion, "v")
	from := application.Spec.Source
	if !helm.IsHelmOciRepo(from.RepoURL) || "oci://"+from.RepoURL+"/"+from.Chart != source.Spec.URL || from.TargetRevision != version || source.Spec.Reference.Tag != version {
		t.Errorf("Argo CD installs %s/%s %s, Flux %s %s", from.RepoURL, from.Chart, from.TargetRevision, source.Spec.URL, source.Spec.Reference.Tag)
	}
	if ref := release.Spec.ChartRef; ref == nil || ref.Kind != sourcev1.OCIRepositoryKind || ref.Name != source.Name || release.Namespace != source.Namespace {
		t.Errorf("the HelmRelease has the chart of %v", ref)
	}
	// The signer of SECURITY.md.
	signer := repoURL + "/.github/workflows/release.yaml@refs/tags/"
	identity := source.Spec.Verify.MatchOIDCIdentity[0]
	subject := regexp.MustCompile(identity.Subject)
	if !subject.MatchString(signer+operatorVersion) || subject.MatchString(signer+"v0.1.1") || !regexp.MustCompile(identity.Issuer).MatchString("https://token.actions.githubusercontent.com") {
		t.Errorf("Flux verifies the signer %v", identity)
	}
}

// renderArgoCD has Argo CD's repo server render the chart with the values of an Application.
func renderArgoCD(t *testing.T, application *v1alpha1.Application) []unstructured.Unstructured {
	t.Helper()
	made, err := repository.GenerateManifests(t.Context(), chartFolder, root, application.Spec.Source.TargetRevision, &apiclient.ManifestRequest{
		Repo: &v1alpha1.Repository{Repo: application.Spec.Source.RepoURL}, AppName: application.Name,
		Namespace: application.Spec.Destination.Namespace, ApplicationSource: application.Spec.Source,
	}, true, git.NoopCredsStore{}, resource.MustParse("1Mi"), utilio.NewRandomizedTempPaths(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	var objects []unstructured.Unstructured
	for _, manifest := range made.Manifests {
		objects = append(objects, harness.ParseManifests(t, []byte(manifest))...)
	}
	return objects
}

// renderFlux renders the chart with the names and values of a HelmRelease, as helm-controller passes them to Helm.
func renderFlux(t *testing.T, release *helmv2.HelmRelease) []unstructured.Unstructured {
	t.Helper()
	values := filepath.Join(t.TempDir(), "values.json")
	if err := os.WriteFile(values, release.Spec.Values.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.ParseManifests(t, tool(t, "helm", "template", release.GetReleaseName(), chartFolder,
		"--namespace", release.GetReleaseNamespace(), "--values", values))
}

// renderOverlay builds the kustomize example, with every component, from a copy of config/ in
// place of the tag that it names, by kustomize and by Flux.
func renderOverlay(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	const folder = "docs/gitops/operator/kustomize"
	copied := t.TempDir()
	for _, name := range []string{"config", folder} {
		if err := os.CopyFS(filepath.Join(copied, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(copied, folder, "kustomization.yaml")
	content := harness.ReadFile(t, file)
	remote := regexp.MustCompile(`(?m)^(?:# )?- ` + regexp.QuoteMeta(repoURL) + `//(\S+)\?ref=` + regexp.QuoteMeta(operatorVersion) + `$`)
	if found := remote.FindAll(content, -1); len(found) != 4 || strings.Count(string(content), repoURL) != len(found) {
		t.Fatalf("the overlay refers to %q", found)
	}
	if err := os.WriteFile(file, remote.ReplaceAll(content, []byte("- ../../../../$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := harness.ParseManifests(t, tool(t, "kustomize", "build", filepath.Dir(file)))
	built, err := kustomize.SecureBuild(copied, filepath.Dir(file), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	if flux := harness.ParseManifests(t, text); !slices.Equal(objectsByName(t, flux), objectsByName(t, objects)) {
		t.Error("Flux builds other objects than kustomize")
	}
	return objects
}

// tool runs a pinned tool, and returns what it prints.
func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(harness.ToolsFolder(t), name), args...)
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &problems)
	}
	return output
}

// withoutPruneOption returns the objects without the one annotation that is Argo CD's own.
func withoutPruneOption(objects []unstructured.Unstructured) []unstructured.Unstructured {
	var plain []unstructured.Unstructured
	for i := range objects {
		object := objects[i].DeepCopy()
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", pruneOption)
		plain = append(plain, *object)
	}
	return plain
}

// objectsByName returns the objects in the order of their names, as JSON.
func objectsByName(t *testing.T, objects []unstructured.Unstructured) []string {
	t.Helper()
	lines := make([]string, 0, len(objects))
	for i := range objects {
		content, err := objects[i].MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", objects[i].GetKind(), objects[i].GetName(), content))
	}
	slices.Sort(lines)
	return lines
}
