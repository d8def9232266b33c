// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// published is how the README names the chart.
	published = "oci://ghcr.io/lbhealth/charts/slb-health-operator --version 0.1.0"
	crdName   = "loadbalancerhealths.slb.lbhealth.dev"
)

// readme runs the commands below a heading of the chart's README.
type readme struct {
	cluster *cluster
	text    string
	home    string
}

// commands are the blocks of shell under a heading.
func (r *readme) commands(t *testing.T, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(r.text, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block[1])
	}
	if !found || len(blocks) == 0 {
		t.Fatalf("the README has no commands under %q", heading)
	}
	return blocks
}

// run runs a block with a chart of this machine instead of the published one.
func (r *readme) run(t *testing.T, block, chart string) {
	t.Helper()
	script := strings.ReplaceAll(block, published, chart)
	folders := filepath.Dir(kubectlPath(t)) + ":" + filepath.Dir(helmPath(t))
	environment := []string{"HOME=" + r.home, "KUBECONFIG=" + r.cluster.kubeconfig, "PATH=" + folders + ":" + os.Getenv("PATH")}
	if _, err := run(t, environment, nil, "bash", "-euo", "pipefail", "-c", script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// all runs every block under a heading.
func (r *readme) all(t *testing.T, heading, chart string) {
	t.Helper()
	for _, block := range r.commands(t, heading) {
		r.run(t, block, chart)
	}
}

// olderChart is the chart with a CRD that lacks a column.
func olderChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "slb-health-operator")
	if err := os.CopyFS(folder, os.DirFS(chartFolder)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "files", "crd.json")
	var crd apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(harness.ReadFile(t, file), &crd); err != nil {
		t.Fatal(err)
	}
	crd.Spec.Versions[0].AdditionalPrinterColumns = crd.Spec.Versions[0].AdditionalPrinterColumns[1:]
	content, err := json.Marshal(crd)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// newReadme reads the README.
func newReadme(t *testing.T, c *cluster) *readme {
	t.Helper()
	return &readme{cluster: c, text: string(harness.ReadFile(t, filepath.Join(chartFolder, "README.md"))), home: t.TempDir()}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	found, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func testReadme(t *testing.T, c *cluster) {
	chart := absolute(t, chartFolder)
	r := newReadme(t, c)
	uninstall := r.commands(t, "Uninstall")

	t.Run("install, upgrade, uninstall", func(t *testing.T) {
		before := olderChart(t)
		r.all(t, "Install", before)
		r.all(t, "Identity", before)
		object := c.createObject(t)
		older := c.columns(t)
		r.all(t, "Upgrade", chart)
		if newer := c.columns(t); newer != older+1 {
			t.Errorf("the CRD had %d columns, and has %d after the upgrade", older, newer)
		}
		r.run(t, uninstall[0], chart)
		c.demand(t, object, "after an uninstall")
		r.all(t, "Install", chart)
		c.demand(t, object, "after another install")
		r.run(t, uninstall[0], chart)
		r.run(t, uninstall[1], chart)
	})
	t.Run("from config/default", func(t *testing.T) {
		if _, err := c.kubectl(t, nil, "apply", "--server-side", "-k", config+"/default"); err != nil {
			t.Fatal(err)
		}
		object := c.createObject(t)
		r.all(t, "From config/default to the chart", chart)
		c.demand(t, object, "after Helm took over")
		manager := &unstructured.Unstructured{}
		manager.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
		c.get(t, client.ObjectKey{Namespace: namespace, Name: release + "-controller-manager"}, manager)
		if by := manager.GetLabels()["app.kubernetes.io/managed-by"]; by != "Helm" {
			t.Errorf("the Deployment is managed by %q", by)
		}
		r.run(t, uninstall[0], chart)
		r.run(t, uninstall[1], chart)
	})
	t.Run("for a namespace", func(t *testing.T) {
		r.all(t, "One namespace, or a few", chart)
		c.demand(t, c.createObject(t), "with the CRD alone")
		r.run(t, "helm install slb-health-operator "+published+" --namespace slb-health --set namespaced=true", chart)
		r.run(t, "helm uninstall slb-health-operator --namespace slb-health", chart)
		r.run(t, uninstall[1], chart)
	})
}

// columns is how many the CRD has for kubectl get.
func (c *cluster) columns(t *testing.T) int {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	c.get(t, client.ObjectKey{Name: crdName}, crd)
	return len(harness.Decode[apiextensionsv1.CustomResourceDefinition](t, *crd).Spec.Versions[0].AdditionalPrinterColumns)
}

func newObject(name, region string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"loadBalancerId": "lb-demo", "regionId": region}}}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "slb.lbhealth.dev", Version: "v1alpha1", Kind: "LoadBalancerHealth"})
	object.SetNamespace(metav1.NamespaceDefault)
	object.SetName(name)
	return object
}

// createObject makes a LoadBalancerHealth as soon as its kind is served.
func (c *cluster) createObject(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	if _, err := c.kubectl(t, nil, "wait", "--for=condition=Established", "--timeout=1m", "crd/"+crdName); err != nil {
		t.Fatal(err)
	}
	object := newObject("web", "cn-hangzhou")
	if err := c.admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// demand demands that an object is still the one that it was.
func (c *cluster) demand(t *testing.T, object *unstructured.Unstructured, when string) {
	t.Helper()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(object.GroupVersionKind())
	switch err := c.admin.Get(t.Context(), client.ObjectKeyFromObject(object), found); {
	case apierrors.IsNotFound(err):
		t.Fatalf("the object is missing %s", when)
	case err != nil:
		t.Fatal(err)
	case found.GetUID() != object.GetUID():
		t.Errorf("it is another object %s", when)
	}
}

func (c *cluster) get(t *testing.T, key client.ObjectKey, found client.Object) {
	t.Helper()
	if err := c.admin.Get(t.Context(), key, found); err != nil {
		t.Fatal(err)
	}
}
