// SPDX-License-Identifier: Apache-2.0

// Package readiness applies config/readiness-gates to a real API server. It creates pods
// that must get gates, and does as the operator's ServiceAccount what that must not do.
package readiness

import (
	"context"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	configFolder = "../../config"
	gatesFolder  = configFolder + "/readiness-gates"

	gateLabel = "slb.lbhealth.dev/readiness-gate"
	ownGate   = "health.slb.lbhealth.dev/"
	cloudGate = "service.readiness.alibabacloud.com/"

	// patience is for the API server to notice a policy, a permission or a Service.
	patience = time.Minute
)

type env struct {
	plane *harness.ControlPlane
	admin client.Client
	// injects is false where the API server does not serve MutatingAdmissionPolicy v1.
	injects bool
	version string
}

// newEnv starts an API server with config/default and the files of config/readiness-gates.
func newEnv(t *testing.T, apiServerArgs map[string][]string) *env {
	t.Helper()
	e := &env{plane: harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{}, APIServerArgs: apiServerArgs})}
	e.admin = newClient(t, e.plane.Config)
	d, err := discovery.NewDiscoveryClientForConfig(e.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	version, err := d.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	served, err := d.ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	e.version = version.GitVersion
	e.injects = slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == "mutatingadmissionpolicies" })
	e.plane.RunKubectl(t, nil, "apply", "--server-side", "--validate=strict", "-k", configFolder+"/default")
	e.applyAsTheyStand(t)
	return e
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := harness.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as returns a client that impersonates a user.
func (e *env) as(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(e.plane.Config)
	config.Impersonate.UserName = user
	return newClient(t, config)
}

func TestReadinessGates(t *testing.T) {
	e := newEnv(t, nil)
	t.Run("injection", func(t *testing.T) {
		if !e.injects {
			t.Skipf("Kubernetes %s does not serve MutatingAdmissionPolicy v1: users write gates by hand, which another test does", e.version)
		}
		e.testInjection(t)
	})
	t.Run("gates by hand", e.testByHand)
	t.Run("guard", e.testGuard)
	t.Run("permissions", e.testPermissions)
	t.Run("kustomize", e.testKustomize)
	if !e.injects {
		return
	}
	t.Run("before Kubernetes 1.36", func(t *testing.T) {
		older := newEnv(t, map[string][]string{"emulated-version": {"1.35"}})
		if older.injects {
			t.Fatal("it serves MutatingAdmissionPolicy v1")
		}
		t.Run("gates by hand", older.testByHand)
		t.Run("guard", older.testGuard)
	})
}

// applyAsTheyStand applies the files without kustomize.
func (e *env) applyAsTheyStand(t *testing.T) {
	t.Helper()
	files := []string{gatesFolder}
	if !e.injects {
		files = []string{gatesFolder + "/guard.yaml", gatesFolder + "/role.yaml", gatesFolder + "/role_binding.yaml"}
	}
	for _, file := range files {
		e.plane.RunKubectl(t, nil, "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", file)
	}
}

func (e *env) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := e.admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

func (e *env) createNamespace(t *testing.T, name string) {
	t.Helper()
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// newPod returns a pod with labels, to which each function makes a change.
func newPod(namespace string, labels map[string]string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "web-", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func withGates(types ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for _, conditionType := range types {
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(conditionType)})
		}
	}
}

func gatesOf(pod *corev1.Pod) []string {
	gates := []string{}
	for _, gate := range pod.Spec.ReadinessGates {
		gates = append(gates, string(gate.ConditionType))
	}
	return gates
}

// both returns the gates of Services, the operator's one of each first.
func both(services ...string) []string {
	gates := []string{}
	for _, name := range services {
		gates = append(gates, ownGate+name, cloudGate+name)
	}
	return gates
}

// awaitGates waits until the API server would create a pod with these gates, in any order.
func (e *env) awaitGates(t *testing.T, pod *corev1.Pod, want []string) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), func(ctx context.Context) ([]string, error) {
		dry := pod.DeepCopy()
		err := e.admin.Create(ctx, dry, client.DryRunAll)
		return gatesOf(dry), err
	}).WithTimeout(patience).Should(ConsistOf(want))
}

var policyKind = schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingAdmissionPolicy"}
