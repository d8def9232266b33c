// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// cluster is a real API server that knows the Prometheus Operator's kinds.
type cluster struct {
	admin      client.Client
	kubeconfig string
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{filepath.Join(root, "bin", "monitoring-crds")}})
	admin, err := client.New(c.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := &cluster{admin: admin, kubeconfig: c.Kubeconfig()}
	for _, name := range []string{namespace, "slb-health", "team-a", "team-b"} {
		restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
		if err := admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: restricted}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("every mode is valid, and its pods are restricted", func(t *testing.T) { testModes(t, k) })
	t.Run("readiness gates", func(t *testing.T) { testReadinessGates(t, k) })
	t.Run("one file installs it all", func(t *testing.T) { testInstaller(t, k) })
	t.Run("upgrade from the former chart, and rollback", func(t *testing.T) { testUpgrade(t, k) })
	t.Run("upgrade of a release with a long name", func(t *testing.T) { testUpgradeOfLongName(t, k) })
	t.Run("another release name", func(t *testing.T) { testOtherRelease(t, k) })
	t.Run("an umbrella chart", func(t *testing.T) { testUmbrella(t, k) })
	t.Run("the README's commands", func(t *testing.T) { testReadme(t, k) })
}

// kubectl runs kubectl as an administrator.
func (c *cluster) kubectl(t *testing.T, input []byte, args ...string) ([]byte, error) {
	t.Helper()
	return run(t, nil, input, kubectlPath(t), append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
}

// accepts verifies that the API server accepts manifests, with strict validation.
func (c *cluster) accepts(t *testing.T, manifests []byte) {
	t.Helper()
	if _, err := c.kubectl(t, manifests, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
		t.Error(err)
	}
}

func testModes(t *testing.T, c *cluster) {
	for _, mode := range modes(t) {
		t.Run(mode, func(t *testing.T) {
			c.accepts(t, template(t, mode))
			for _, deployment := range deployments(t, mode) {
				if !deployment.Spec.Template.Spec.HostNetwork { // which restricted forbids
					harness.VerifyPods(t, c.admin, deployment)
				}
			}
		})
	}
	t.Run("an unknown field is refused", func(t *testing.T) {
		wrong := strings.Replace(string(template(t, "everything")), "scheme: https", "schema: https", 1)
		if _, err := c.kubectl(t, []byte(wrong), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("a ServiceMonitor with a misspelt field: %v", err)
		}
	})
}

// testInstaller applies what a release offers as install.yaml.
func testInstaller(t *testing.T, c *cluster) {
	const image = "registry.example/slb-health-operator:v1.2.3"
	file := filepath.Join(t.TempDir(), "new", "install.yaml")
	if _, err := run(t, nil, nil, "make", "-C", root, "build-installer", "TOOLS="+harness.ToolsFolder(t), "INSTALLER="+file, "IMG="+image); err != nil {
		t.Fatal(err)
	}
	manifests := harness.ReadFile(t, file)
	c.accepts(t, manifests)
	var kinds []string
	for _, object := range parse(t, manifests) {
		kinds = append(kinds, object.GetKind())
	}
	for _, kind := range []string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "PodDisruptionBudget", "Deployment"} {
		if !strings.Contains(strings.Join(kinds, " "), kind) {
			t.Errorf("it has no %s", kind)
		}
	}
	if got := harness.Only[appsv1.Deployment](t, parse(t, manifests), "Deployment").Spec.Template.Spec.Containers[0].Image; got != image {
		t.Errorf("its image is %s", got)
	}
	// A release adds the digest to an image of this form.
	if !strings.Contains(string(manifests), "image: "+image+"\n") {
		t.Error("its image has another form")
	}
}
