// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// bom is what the test reads of a CycloneDX document.
type bom struct {
	BOMFormat   string
	SpecVersion string
	Metadata    struct{ Component component }
	Components  []component
}

type component struct {
	Type, Name, Version, PURL string
	Hashes                    []struct{ Alg, Content string }
	Evidence                  struct {
		Licenses []struct{ License struct{ ID string } }
	}
}

const testVersion = "v0.0.0-test"

// sbom builds the operator into a folder of its own, with its SBOM, and returns both.
func sbom(t *testing.T) (program string, document []byte) {
	t.Helper()
	folder := t.TempDir()
	run(t, root, "make", "sbom", "TOOLS="+harness.ToolsFolder(t), "BUILD_OUT="+folder, "VERSION="+testVersion)
	program = filepath.Join(folder, "slb-health-operator")
	return program, harness.ReadFile(t, program+".cdx.json")
}

func TestSBOMListsEveryModule(t *testing.T) {
	program, document := sbom(t)
	var listed bom
	if err := json.Unmarshal(document, &listed); err != nil {
		t.Fatal(err)
	}
	if listed.BOMFormat != "CycloneDX" || listed.SpecVersion == "" {
		t.Errorf("it is of format %q, version %q", listed.BOMFormat, listed.SpecVersion)
	}
	built, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	subject := listed.Metadata.Component
	if subject.Name != built.Main.Path || subject.Version != testVersion {
		t.Errorf("it is about %s %s", subject.Name, subject.Version)
	}

	modules := map[string]string{"std": built.GoVersion}
	for _, module := range built.Deps {
		modules[module.Path] = module.Version
	}
	found := map[string]string{}
	for _, c := range listed.Components {
		found[c.Name] = c.Version
		if !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@"+c.Version) {
			t.Errorf("%s has the package URL %q", c.Name, c.PURL)
		}
		if c.Name != "std" && (len(c.Hashes) == 0 || len(c.Evidence.Licenses) == 0) {
			t.Errorf("%s has no digest or no licence", c.Name)
		}
	}
	if len(modules) < 2 || !maps.Equal(modules, found) {
		t.Errorf("the program is made of\n%q\nits SBOM lists\n%q", modules, found)
	}

	// A second SBOM must be comparable: no times, no random numbers.
	if _, again := sbom(t); !bytes.Equal(document, again) {
		t.Error("two SBOMs of the same program differ")
	}
}
