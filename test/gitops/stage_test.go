// SPDX-License-Identifier: Apache-2.0

// Package gitops lets the engines of Argo CD and Flux, and kubectl, judge
// objects that the built operator wrote, with the configuration of docs/gitops.
package gitops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/controlplane"
	"github.com/lbhealth/slb-health-operator/test/internal/rig"
)

const (
	root     = "../.."
	programs = root + "/bin"
	docs     = root + "/docs/gitops"
	region   = "cn-hangzhou"
	// patience is for what takes seconds on an idle machine; the slowest is an
	// answer that gets too old, after 90 s.
	patience = 4 * time.Minute
	pause    = 200 * time.Millisecond
)

// stage is a control plane and the simulator.
type stage struct {
	ctx         context.Context
	folder      string
	certificate string
	plane       *controlplane.ControlPlane
	client      dynamic.Interface
	simulator   *rig.Simulator
}

func newStage(t *testing.T, loadBalancers string) *stage {
	t.Helper()
	s := &stage{ctx: t.Context(), folder: t.TempDir()}
	s.certificate = filepath.Join(s.folder, "certificate.pem")
	var err error
	if s.plane, err = controlplane.Start(s.ctx, controlplane.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if s.client, err = dynamic.NewForConfig(s.plane.Config); err != nil {
		t.Fatal(err)
	}
	if s.simulator, err = rig.StartSimulator(s.ctx, s.folder, filepath.Join(programs, "slb-simulator"), s.certificate, loadBalancers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.simulator.Stop)
	return s
}

// startOperator runs the operator with the demo's key.
func (s *stage) startOperator(t *testing.T, name string, args ...string) *rig.Process {
	t.Helper()
	all := append([]string{
		"--kubeconfig", s.plane.Kubeconfig(), "--slb-endpoint", s.simulator.URL,
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
	}, args...)
	p, err := rig.Start(s.ctx, s.folder, name, func(c *exec.Cmd) {
		c.Env = []string{"HOME=" + s.folder, "SSL_CERT_FILE=" + s.certificate, "ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI-demo", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=demo-secret"}
	}, filepath.Join(programs, "slb-health-operator"), all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// try runs kubectl in the repository's root, as the documents do, and returns
// what it printed and how it ended.
func (s *stage) try(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	command := exec.CommandContext(s.ctx, s.plane.Kubectl(), args...)
	command.Dir = root
	command.Env = append(command.Environ(), "KUBECONFIG="+s.plane.Kubeconfig(), "HOME="+s.folder)
	text, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

// kubectl demands that it succeeds.
func (s *stage) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, code := s.try(t, args...)
	if code != 0 {
		t.Fatalf("kubectl %s: exit code %d\n%s", strings.Join(args, " "), code, output)
	}
	return output
}

func (s *stage) lbh(namespace string) dynamic.ResourceInterface {
	return s.client.Resource(v1alpha1.GroupVersion.WithResource("loadbalancerhealths")).Namespace(namespace)
}

func (s *stage) get(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := s.lbh(namespace).Get(s.ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// await waits until Ready of an object is as described, as in "True AllBackendsNormal".
func (s *stage) await(t *testing.T, namespace, name, ready string) *unstructured.Unstructured {
	t.Helper()
	var object *unstructured.Unstructured
	eventually(t, func(g Gomega) {
		var err error
		object, err = s.lbh(namespace).Get(s.ctx, name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(condition(object, "Ready")).To(Equal(ready), name)
	})
	return object
}

// awaitAttempt waits until an attempt for a request ended without an answer.
func (s *stage) awaitAttempt(t *testing.T, namespace, name, value string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		object := s.get(t, namespace, name)
		g.Expect(object.GetAnnotations()[request]).To(Equal(value))
		g.Expect(attemptedOf(object)).To(Equal(value))
	})
}

// put puts a load balancer with backends in these states into the simulator.
func (s *stage) put(t *testing.T, id string, states ...string) {
	t.Helper()
	backends := []map[string]any{}
	for n, state := range states {
		backends = append(backends, map[string]any{
			"serverId": fmt.Sprintf("i-%d", n+1), "serverIp": fmt.Sprintf("10.0.0.%d", n+1), "type": "ecs",
			"listenerPort": 443, "listenerProtocol": "https", "port": 8443, "serverHealthStatus": state,
		})
	}
	s.admin(t, http.MethodPut, "loadbalancers/"+id, map[string]any{"regionId": region, "backends": backends})
}

// fail lets every call about a load balancer be answered with a code.
func (s *stage) fail(t *testing.T, id, code string, status int) {
	t.Helper()
	s.admin(t, http.MethodPost, "faults", map[string]any{"kind": "status", "loadBalancerId": id, "code": code, "httpStatus": status})
}

func (s *stage) admin(t *testing.T, method, path string, body any) {
	t.Helper()
	if err := s.simulator.Admin(s.ctx, method, path, body, nil); err != nil {
		t.Fatal(err)
	}
}

// condition says a condition in short, as in "False BelowMinHealthy"; "" when
// there is none.
func condition(object *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		if c, ok := entry.(map[string]any); ok && c["type"] == kind {
			return fmt.Sprintf("%s %s", c["status"], c["reason"])
		}
	}
	return ""
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}
