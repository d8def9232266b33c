// SPDX-License-Identifier: Apache-2.0

// Package gitops evaluates objects that the built operator wrote, with the engines of
// Argo CD and Flux, with kubectl, and with the configuration of docs/gitops.
package gitops

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	root = "../.."
	docs = root + "/docs/gitops"
	// patience is for what needs seconds on an idle machine; the slowest is an
	// observation that becomes stale after 90 s.
	patience = 4 * time.Minute
	pause    = 200 * time.Millisecond
)

// env is harness.Env with a client for what engines see: untyped objects.
type env struct {
	*harness.Env
	untyped dynamic.Interface
}

func newEnv(t *testing.T, loadBalancers string) *env {
	t.Helper()
	s := &env{Env: harness.NewEnv(t, loadBalancers)}
	var err error
	if s.untyped, err = dynamic.NewForConfig(s.Plane.Config); err != nil {
		t.Fatal(err)
	}
	return s
}

// startOperator runs the operator with the demo's key.
func (s *env) startOperator(t *testing.T, name string, args ...string) *harness.Process {
	t.Helper()
	return s.StartOperator(t, name, "LTAI-demo", "demo-secret", append([]string{"--metrics-bind-address=0"}, args...)...)
}

// try runs kubectl in the repository's root, as the documents do, and returns
// what it printed and how it ended.
func (s *env) try(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	command := exec.CommandContext(s.Ctx, s.Plane.Kubectl(), args...)
	command.Dir = root
	command.Env = append(command.Environ(), "KUBECONFIG="+s.Plane.Kubeconfig(), "HOME="+s.Folder)
	text, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

// kubectl demands that it succeeds.
func (s *env) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, code := s.try(t, args...)
	if code != 0 {
		t.Fatalf("kubectl %s: exit code %d\n%s", strings.Join(args, " "), code, output)
	}
	return output
}

func (s *env) lbh(namespace string) dynamic.ResourceInterface {
	return s.untyped.Resource(v1alpha1.GroupVersion.WithResource("loadbalancerhealths")).Namespace(namespace)
}

func (s *env) get(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := s.lbh(namespace).Get(s.Ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// await waits until Ready of an object is as described, as in "True AllBackendsNormal".
func (s *env) await(t *testing.T, namespace, name, ready string) *unstructured.Unstructured {
	t.Helper()
	var object *unstructured.Unstructured
	eventually(t, func(g Gomega) {
		var err error
		object, err = s.lbh(namespace).Get(s.Ctx, name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(condition(object, "Ready")).To(Equal(ready), name)
	})
	return object
}

// awaitAttempt waits until an attempt for a request failed.
func (s *env) awaitAttempt(t *testing.T, namespace, name, value string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		object := s.get(t, namespace, name)
		g.Expect(object.GetAnnotations()[request]).To(Equal(value))
		g.Expect(attemptedOf(object)).To(Equal(value))
	})
}

// put puts a load balancer with backends in these states into the simulator.
func (s *env) put(t *testing.T, id string, states ...string) {
	t.Helper()
	s.Put(t, id, harness.Backends(443, "https", states...)...)
}

// condition is the status and reason of a condition, as in "False BelowMinHealthy";
// "" without one.
func condition(object *unstructured.Unstructured, kind string) string {
	if c := findCondition(object, kind); c != nil {
		return fmt.Sprintf("%s %s", c["status"], c["reason"])
	}
	return ""
}

func findCondition(object *unstructured.Unstructured, kind string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		if c, ok := entry.(map[string]any); ok && c["type"] == kind {
			return c
		}
	}
	return nil
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}
