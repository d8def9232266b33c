// SPDX-License-Identifier: Apache-2.0

// Package chart compares the Helm chart to config/, applies it to a real API server,
// starts the operator with its arguments, and installs, upgrades and removes it as
// its README says.
package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	root        = "../.."
	chartFolder = root + "/charts/slb-health-operator"
	config      = root + "/config"

	// release is called like the chart, as in its README: names are then those of config/.
	release   = "slb-health-operator"
	namespace = "slb-health-operator-system"
)

// run runs a program, and returns what it printed.
func run(t *testing.T, environment []string, input []byte, program string, args ...string) (stdout []byte, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), environment...)
	command.Stdin = bytes.NewReader(input)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.Bytes(), errors.Join(err, errors.New(problems.String()+out.String()))
	}
	return out.Bytes(), nil
}

// helmPath is the pinned Helm, or the one that HELM names.
func helmPath(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("HELM"); path != "" {
		return path
	}
	return filepath.Join(harness.ToolsFolder(t), "helm")
}

// helm runs Helm without the settings of the user who runs the test.
func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return run(t, []string{"HOME=" + t.TempDir()}, nil, helmPath(t), args...)
}

// objects is what a command rendered.
type objects []unstructured.Unstructured

func parse(t *testing.T, manifests []byte) objects {
	t.Helper()
	return harness.ParseManifests(t, manifests)
}

// template renders the chart with a file of values from testdata; "" is none.
func template(t *testing.T, mode string, args ...string) []byte {
	t.Helper()
	args = append([]string{"template", release, chartFolder, "--namespace", namespace}, args...)
	if mode != "" {
		args = append(args, "--values", filepath.Join("testdata", mode+".yaml"))
	}
	manifests, err := helm(t, args...)
	if err != nil {
		t.Fatalf("%s: %v", mode, err)
	}
	return manifests
}

// modes are the files of values, and the chart's own.
func modes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %v, %v", files, err)
	}
	names := []string{""}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".yaml"))
	}
	return names
}

// of finds the objects of a kind.
func (o objects) of(kind string) objects {
	return slices.DeleteFunc(slices.Clone(o), func(u unstructured.Unstructured) bool { return u.GetKind() != kind })
}

// decode reads the fields of an object that a struct names.
func decode(t *testing.T, object unstructured.Unstructured, into any) {
	t.Helper()
	content, err := json.Marshal(object.Object)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
