// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	image  = "ghcr.io/lbhealth/slb-health-operator"
	digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	// newVersion is that of the documents. The CRD of oldVersion lacks one column.
	oldVersion, newVersion = "v0.0.9", "v0.1.0"

	overlayFolder = "docs/gitops/operator/kustomize"

	crdFile = "config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml"
)

// checkout is a copy of the files of this repository that installing needs.
type checkout string

func newCheckout(t *testing.T) checkout {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"config", "charts", "docs/gitops", "hack/release"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	// Links, because make compares the times of hack/tools to those of the built tools.
	for _, name := range []string{"Makefile", "hack/tools.mk", "hack/test.mk", "hack/tools"} {
		target, err := filepath.Abs(filepath.Join(root, name))
		if err == nil {
			err = os.Symlink(target, filepath.Join(folder, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// The example refers to a tag of the repository.
	overlay := filepath.Join(folder, overlayFolder, "kustomization.yaml")
	text := strings.NewReplacer("https://github.com/lbhealth/slb-health-operator//", "../../../../", "?ref="+newVersion, "").Replace(string(harness.ReadFile(t, overlay)))
	if err := os.WriteFile(overlay, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return checkout(folder)
}

// path returns the path of a file.
func (c checkout) path(name string) string { return filepath.Join(string(c), name) }

// withOlderCRD removes a column from the CRD in config/ and in the chart.
func (c checkout) withOlderCRD(t *testing.T) checkout {
	t.Helper()
	for _, name := range []string{crdFile, "charts/slb-health-operator/files/crd.json"} {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(harness.ReadFile(t, c.path(name)), &crd); err != nil {
			t.Fatal(err)
		}
		columns := &crd.Spec.Versions[0].AdditionalPrinterColumns
		*columns = (*columns)[1:]
		text, err := json.Marshal(crd) // JSON is YAML, too
		if err == nil {
			err = os.WriteFile(c.path(name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// release builds what a release of a version offers: the chart and install.yaml.
func (c checkout) release(t *testing.T, s shell, version, folder string) {
	t.Helper()
	s.folder = string(c)
	for _, command := range []string{
		"mkdir -p " + folder,
		"hack/release/chart.sh helm " + version + " " + image + " " + digest + " " + folder,
		"make build-installer IMG=" + image + ":" + version + " INSTALLER=" + folder + "/install.yaml",
		"sed -i 's|image: " + image + ":" + version + "$|&@" + digest + "|' " + folder + "/install.yaml",
	} {
		if output, err := s.run(t, command); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, output)
		}
	}
}

// serve serves a folder as the hosts of a release do.
func serve(t *testing.T, folder string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	return server.URL
}
