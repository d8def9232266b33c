// SPDX-License-Identifier: Apache-2.0

// Package manifests applies config/ to a real API server, which refuses typing
// errors, unknown fields and pods that violate the restricted Pod Security Standard.
package manifests

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	configFolder = "../../config"
	namespace    = "slb-health-operator-system"
	deployment   = "slb-health-operator-controller-manager"
)

func TestManifests(t *testing.T) {
	c := harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{}})
	admin, err := client.New(c.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}

	everything := c.RunKubectl(t, nil, "kustomize", configFolder+"/default")
	c.RunKubectl(t, everything, "apply", "--server-side", "--validate=strict", "-f", "-")
	c.RunKubectl(t, nil, "wait", "--for=condition=Established", "--timeout=30s", "crd/loadbalancerhealths.slb.lbhealth.dev")

	t.Run("apply twice without a difference", func(t *testing.T) {
		// kubectl diff exits with 1 when it finds one.
		c.RunKubectl(t, everything, "diff", "--server-side", "-f", "-")
	})
	t.Run("samples are valid", func(t *testing.T) {
		for _, folder := range []string{"/samples", "/samples/products"} {
			examples := c.RunKubectl(t, nil, "kustomize", configFolder+folder)
			c.RunKubectl(t, examples, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
		}
	})
	t.Run("for one namespace alone", func(t *testing.T) { testNamespaced(t, admin, c) })
	t.Run("pods are restricted", func(t *testing.T) { testPods(t, admin, namespace) })
	t.Run("pods are hardened", func(t *testing.T) { testHardening(t, harness.ParseManifests(t, everything)) })
	t.Run("an overlay has the same components", func(t *testing.T) { testComponents(t, c) })
	t.Run("the simulator in a cluster", func(t *testing.T) { testSimulator(t, admin, c) })
	t.Run("what is opt-in is valid", func(t *testing.T) {
		manifests := c.RunKubectl(t, nil, "kustomize", withOptions(t))
		c.RunKubectl(t, manifests, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
		t.Run("and the network policy lets through what is needed", func(t *testing.T) { testNetworkPolicy(t, harness.ParseManifests(t, manifests)) })
	})
}

// testNamespaced applies config/namespaced to a namespace that enforces the
// restricted Pod Security Standard, as the shipped one does.
func testNamespaced(t *testing.T, admin client.Client, c *harness.ControlPlane) {
	const own = "slb-health"
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own, Labels: labels}}); err != nil {
		t.Fatal(err)
	}
	manifests := c.RunKubectl(t, nil, "kustomize", configFolder+"/namespaced")
	c.RunKubectl(t, manifests, "apply", "--server-side", "--validate=strict", "-f", "-")
	c.RunKubectl(t, manifests, "diff", "--server-side", "-f", "-")
	testPods(t, admin, own)
	testHardening(t, harness.ParseManifests(t, manifests))
	testConfined(t, harness.ParseManifests(t, manifests), own)
}

func testPods(t *testing.T, admin client.Client, namespace string) {
	operator := &appsv1.Deployment{}
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: deployment}, operator); err != nil {
		t.Fatal(err)
	}
	harness.VerifyPods(t, admin, operator)
}
