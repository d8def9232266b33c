// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	namespace  = "slb-health-operator-system"
	deployment = "slb-health-operator-controller-manager"
	crdName    = "loadbalancerhealths.slb.lbhealth.dev"
	oursLabel  = "app.kubernetes.io/name=slb-health-operator"
)

// cluster is an API server without our CRD, with the Prometheus Operator's kinds.
type cluster struct {
	*harness.ControlPlane
	admin client.Client
	shell *shell
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	plane := harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{filepath.Join(root, "bin", "monitoring-crds")}})
	admin, err := client.New(plane.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{ControlPlane: plane, admin: admin, shell: newShell(t, plane)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			c.control(ctx)
			_ = harness.Wait(ctx, 100*time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// newShell returns a terminal with kubectl and the pinned tools in its PATH.
func newShell(t *testing.T, plane *harness.ControlPlane) *shell {
	t.Helper()
	tools := harness.ToolsFolder(t)
	return &shell{replaced: strings.NewReplacer(), environment: []string{
		"HOME=" + t.TempDir(), "KUBECONFIG=" + plane.Kubeconfig(), "TOOLS=" + tools,
		"PATH=" + strings.Join([]string{filepath.Dir(plane.Kubectl()), tools, os.Getenv("PATH")}, ":"),
	}}
}

// control does what two controllers of Kubernetes do: it completes rollouts, and empties
// namespaces that are being deleted. It repeats what fails.
func (c *cluster) control(ctx context.Context) {
	var deployments appsv1.DeploymentList
	if c.admin.List(ctx, &deployments) == nil {
		for i := range deployments.Items {
			d := &deployments.Items[i]
			if d.Status.ObservedGeneration == d.Generation {
				continue
			}
			n := *d.Spec.Replicas
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
			_ = c.admin.Status().Update(ctx, d)
		}
	}
	var namespaces corev1.NamespaceList
	if c.admin.List(ctx, &namespaces) == nil {
		for i := range namespaces.Items {
			if n := &namespaces.Items[i]; !n.DeletionTimestamp.IsZero() && c.empty(ctx, n.Name) == nil {
				n.Spec.Finalizers = nil
				_ = c.admin.SubResource("finalize").Update(ctx, n)
			}
		}
	}
}

func (c *cluster) empty(ctx context.Context, name string) error {
	var errs []error
	for _, kind := range []client.Object{
		&appsv1.Deployment{}, &corev1.Service{}, &corev1.ServiceAccount{}, &corev1.Secret{}, &corev1.ConfigMap{},
		&policyv1.PodDisruptionBudget{}, &rbacv1.Role{}, &rbacv1.RoleBinding{},
	} {
		errs = append(errs, c.admin.DeleteAllOf(ctx, kind, client.InNamespace(name)))
	}
	return errors.Join(errs...)
}

// mustRun runs a command that is in no document.
func (c *cluster) mustRun(t *testing.T, command string) string {
	t.Helper()
	output, err := c.shell.run(t, command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return output
}

func (c *cluster) kubectl(t *testing.T, arguments string) string {
	t.Helper()
	return c.mustRun(t, "kubectl "+arguments)
}

// reset removes an installation, however it was installed.
func (c *cluster) reset(t *testing.T) {
	t.Helper()
	c.kubectl(t, "delete --ignore-not-found namespace/"+namespace+" crd/"+crdName)
	c.kubectl(t, "delete clusterrole,clusterrolebinding -l "+oursLabel)
}

// installed checks that the image is installed with the CRD, and that the CRD is served.
func (c *cluster) installed(image string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		c.kubectl(t, "wait --for=condition=Established --timeout=1m crd/"+crdName)
		if got := c.kubectl(t, "get deployment -n "+namespace+" "+deployment+" -o jsonpath='{.spec.template.spec.containers[0].image}'"); got != image {
			t.Errorf("the image is %s, not %s", got, image)
		}
	}
}

// uninstalled checks that nothing is left of the operator, apart from its CRD and its namespace.
func (c *cluster) uninstalled(t *testing.T) {
	t.Helper()
	if left := c.kubectl(t, "get deployment,service,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding -A --ignore-not-found -o name -l "+oursLabel); left != "" {
		t.Errorf("an uninstall leaves\n%s", left)
	}
}

// gone checks that the CRD does not exist.
func (c *cluster) gone(t *testing.T) {
	t.Helper()
	if found := c.kubectl(t, "get crd --ignore-not-found -o name "+crdName); found != "" {
		t.Errorf("there is still %s", found)
	}
}

// columns returns how many columns the CRD has.
func (c *cluster) columns(t *testing.T) int {
	t.Helper()
	return len(strings.Fields(c.kubectl(t, "get crd "+crdName+" -o jsonpath='{.spec.versions[0].additionalPrinterColumns[*].name}'")))
}

// create creates a LoadBalancerHealth, and returns a check that it is still the same object.
func (c *cluster) create(t *testing.T) (kept func(t *testing.T)) {
	t.Helper()
	c.kubectl(t, "wait --for=condition=Established --timeout=1m crd/"+crdName)
	c.kubectl(t, "apply -f config/samples/slb_v1alpha1_loadbalancerhealth_web.yaml")
	const uid = "get lbh web -o jsonpath='{.metadata.uid}'"
	created := c.kubectl(t, uid)
	return func(t *testing.T) {
		t.Helper()
		if found := c.kubectl(t, uid); found != created {
			t.Errorf("the object has the uid %s, not %s", found, created)
		}
	}
}
