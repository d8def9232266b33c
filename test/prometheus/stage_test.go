// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/controlplane"
	"github.com/lbhealth/slb-health-operator/test/internal/rig"
)

const (
	programs = "../../bin"
	region   = "cn-hangzhou"
	interval = 5 * time.Second
	// patience is for what takes seconds on an idle machine.
	patience = 2 * time.Minute
	pause    = 500 * time.Millisecond
)

// stage is a control plane, the simulator, and Prometheus.
type stage struct {
	ctx         context.Context
	folder      string
	certificate string
	plane       *controlplane.ControlPlane
	client      client.Client
	simulator   *rig.Simulator
	server      *server
}

func newStage(t *testing.T, m monitor, replicas ...replica) *stage {
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
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	if s.client, err = client.New(s.plane.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if s.simulator, err = rig.StartSimulator(s.ctx, s.folder, filepath.Join(programs, "slb-simulator"), s.certificate, "loadBalancers: []\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.simulator.Stop)
	s.server = startServer(t, s.folder, m, replicas)
	return s
}

// startOperator serves metrics at an address without asking who reads them.
func (s *stage) startOperator(t *testing.T, name, metrics string, args ...string) *rig.Process {
	t.Helper()
	all := append([]string{
		"--kubeconfig", s.plane.Kubeconfig(), "--slb-endpoint", s.simulator.URL,
		"--metrics-bind-address", metrics, "--metrics-secure=false", "--health-probe-bind-address=0",
	}, args...)
	p, err := rig.Start(s.ctx, s.folder, name, func(c *exec.Cmd) {
		c.Env = []string{"HOME=" + s.folder, "SSL_CERT_FILE=" + s.certificate, "ALIBABA_CLOUD_ACCESS_KEY_ID=prometheus-test-key", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=prometheus-test-secret"}
	}, filepath.Join(programs, "slb-health-operator"), all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func (s *stage) createNamespace(t *testing.T, name string) {
	t.Helper()
	if err := s.client.Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
}

// observe creates an object for the load balancer of the same name.
func (s *stage) observe(t *testing.T, namespace, name string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	return s.observeAs(t, namespace, name, name, intstr.FromInt32(1))
}

// observeAs creates an object for a load balancer, with what is enough for it.
func (s *stage) observeAs(t *testing.T, namespace, name, id string, minHealthy intstr.IntOrString) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: id, RegionID: region, Interval: metav1.Duration{Duration: interval},
			HealthPolicy: &v1alpha1.HealthPolicy{MinHealthy: &minHealthy},
		},
	}
	if err := s.client.Create(s.ctx, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// put puts a load balancer of two backends, in this state, into the simulator.
func (s *stage) put(t *testing.T, id, state string) {
	t.Helper()
	s.place(t, id, listener(443, "https", state, state))
}

// place puts a load balancer with these listeners into the simulator.
func (s *stage) place(t *testing.T, id string, listeners ...[]map[string]any) {
	t.Helper()
	s.admin(t, http.MethodPut, "loadbalancers/"+id, map[string]any{"regionId": region, "backends": slices.Concat(listeners...)})
}

// listener has a backend for each state; they are called i-1, i-2 and so on.
func listener(port int, protocol string, states ...string) []map[string]any {
	var backends []map[string]any
	for n, state := range states {
		backends = append(backends, map[string]any{
			"serverId": fmt.Sprintf("i-%d", n+1), "serverIp": fmt.Sprintf("10.0.0.%d", n+1), "type": "ecs",
			"listenerPort": port, "listenerProtocol": protocol, "port": 8000 + port, "serverHealthStatus": state,
		})
	}
	return backends
}

// turn gives backends, by their names, a state.
func (s *stage) turn(t *testing.T, id, state string, servers ...string) {
	t.Helper()
	for _, server := range servers {
		s.admin(t, http.MethodPatch, "loadbalancers/"+id+"/backends", map[string]any{"serverId": server, "serverHealthStatus": state})
	}
}

// fail lets every call about a load balancer be answered with a code.
func (s *stage) fail(t *testing.T, id, code string, status int) {
	t.Helper()
	s.admin(t, http.MethodPost, "faults", map[string]any{"kind": "status", "loadBalancerId": id, "code": code, "httpStatus": status})
}

func (s *stage) mend(t *testing.T) {
	t.Helper()
	s.admin(t, http.MethodDelete, "faults", nil)
}

func (s *stage) admin(t *testing.T, method, path string, body any) {
	t.Helper()
	if err := s.simulator.Admin(s.ctx, method, path, body, nil); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := controlplane.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
