// SPDX-License-Identifier: Apache-2.0

// Package kube is what tests that bring up a real API server have in common.
package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/lbhealth/slb-health-operator/internal/controlplane"
)

// Start brings up a control plane until the test ends.
func Start(ctx context.Context, t *testing.T, options controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	plane, err := controlplane.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	return plane
}

// Parse reads the objects of a stream of YAML documents, of which some may be empty.
func Parse(t *testing.T, manifests []byte) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096); ; {
		var object unstructured.Unstructured
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatalf("%v in\n%s", err, manifests)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}
