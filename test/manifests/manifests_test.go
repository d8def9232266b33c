// SPDX-License-Identifier: Apache-2.0

// Package manifests applies config/ to a real API server, which refuses typing
// errors, unknown fields and pods that violate the restricted Pod Security Standard.
package manifests

import (
	"bytes"
	"os/exec"
	"strings"
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
	k := kubectl{path: c.Kubectl(), kubeconfig: c.Kubeconfig()}

	everything := k.run(t, nil, "kustomize", configFolder+"/default")
	k.run(t, everything, "apply", "--server-side", "--validate=strict", "-f", "-")
	k.run(t, nil, "wait", "--for=condition=Established", "--timeout=30s", "crd/loadbalancerhealths.slb.lbhealth.dev")

	t.Run("apply twice without a difference", func(t *testing.T) {
		// kubectl diff exits with 1 when it finds one.
		k.run(t, everything, "diff", "--server-side", "-f", "-")
	})
	t.Run("samples are valid", func(t *testing.T) {
		examples := k.run(t, nil, "kustomize", configFolder+"/samples")
		k.run(t, examples, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	})
	t.Run("for one namespace alone", func(t *testing.T) { testNamespaced(t, admin, k) })
	t.Run("pods are restricted", func(t *testing.T) { testPods(t, admin, namespace) })
	t.Run("pods are hardened", func(t *testing.T) { testHardening(t, harness.ParseManifests(t, everything)) })
	t.Run("an overlay has the same components", func(t *testing.T) { testComponents(t, k) })
	t.Run("the simulator in a cluster", func(t *testing.T) { testSimulator(t, admin, k) })
	t.Run("what is opt-in is valid", func(t *testing.T) {
		manifests := k.run(t, nil, "kustomize", withOptions(t))
		k.run(t, manifests, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
		t.Run("and the network policy lets through what is needed", func(t *testing.T) { testNetworkPolicy(t, harness.ParseManifests(t, manifests)) })
	})
}

// testNamespaced applies config/namespaced to a namespace that enforces the
// restricted Pod Security Standard, as the shipped one does.
func testNamespaced(t *testing.T, admin client.Client, k kubectl) {
	const own = "slb-health"
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own, Labels: labels}}); err != nil {
		t.Fatal(err)
	}
	manifests := k.run(t, nil, "kustomize", configFolder+"/namespaced")
	k.run(t, manifests, "apply", "--server-side", "--validate=strict", "-f", "-")
	k.run(t, manifests, "diff", "--server-side", "-f", "-")
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

type kubectl struct{ path, kubeconfig string }

func (k kubectl) run(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), k.path, append([]string{"--kubeconfig", k.kubeconfig}, args...)...)
	command.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes()
}
