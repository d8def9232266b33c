// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// assetsVariable is the name that envtest and setup-envtest use.
const assetsVariable = "KUBEBUILDER_ASSETS"

const modulePath = "github.com/lbhealth/slb-health-operator"

type programs struct {
	etcd, apiServer, kubectl string
}

func findPrograms() (programs, error) {
	folder := os.Getenv(assetsVariable)
	advice := "put it there, or unset " + assetsVariable + " and run `make controlplane`"
	if folder == "" {
		root, err := moduleRoot()
		if err != nil {
			return programs{}, err
		}
		folder = filepath.Join(root, "bin", "controlplane")
		advice = "run `make controlplane`"
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return programs{}, fmt.Errorf("%s has no %s: %s: %w", folder, name, advice, err)
		}
	}
	// A script in another folder starts the programs, so the path must be absolute.
	folder, err := filepath.Abs(folder)
	if err != nil {
		return programs{}, fmt.Errorf("the folder of the control plane: %w", err)
	}
	return programs{
		etcd:      filepath.Join(folder, "etcd"),
		apiServer: filepath.Join(folder, "kube-apiserver"),
		kubectl:   filepath.Join(folder, "kubectl"),
	}, nil
}

func findCRDs(paths []string) ([]string, error) {
	if paths != nil {
		return paths, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	bases := filepath.Join(root, "config", "crd", "bases")
	found, err := filepath.Glob(filepath.Join(bases, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find CRDs: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no CRDs in %s: run `make manifests`", bases)
	}
	return []string{bases}, nil
}

// moduleRoot is the nearest folder, from the working directory up, whose go.mod
// is this module's: `go test` runs in the package's folder, `go run` and the
// built programs wherever the caller is.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		switch content, err := os.ReadFile(filepath.Join(folder, "go.mod")); {
		case err == nil && declares(content, modulePath):
			return folder, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("%s is not inside a checkout of %s: run this from one, or set %s",
				start, modulePath, assetsVariable)
		}
	}
}

func declares(goMod []byte, path string) bool {
	for directive := range bytes.Lines(goMod) {
		if string(bytes.TrimSpace(directive)) == "module "+path {
			return true
		}
	}
	return false
}
