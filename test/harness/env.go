// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Region is that of every load balancer of an Env.
const Region = "cn-hangzhou"

// Env is a control plane, the simulator, and what operators need to work with
// them. All of it ends with the test.
type Env struct {
	Ctx         context.Context
	Folder, Bin string
	Certificate *Certificate
	Plane       *ControlPlane
	Client      client.Client
	Simulator   *Simulator
}

// NewEnv uses the programs that `make build` put into bin.
func NewEnv(t *testing.T, simulatorConfig string) *Env {
	t.Helper()
	e := &Env{Ctx: t.Context(), Folder: t.TempDir(), Plane: NewControlPlane(t, ControlPlaneOptions{})}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	e.Bin = filepath.Join(root, "bin")
	if e.Client, err = NewClient(e.Plane.Config); err != nil {
		t.Fatal(err)
	}
	if e.Certificate, err = NewCertificate(e.Folder, 0); err != nil {
		t.Fatal(err)
	}
	e.Simulator, err = StartSimulator(e.Ctx, e.Folder, filepath.Join(e.Bin, "slb-simulator"), e.Certificate, simulatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Simulator.Stop)
	return e
}

// NewControlPlane starts a control plane that stops with the test.
func NewControlPlane(t *testing.T, options ControlPlaneOptions) *ControlPlane {
	t.Helper()
	plane, err := StartControlPlane(context.WithoutCancel(t.Context()), options)
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

// NewClient knows Kubernetes' own types and those of this module.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// StartOperator runs the built operator with an access key, as an administrator.
func (e *Env) StartOperator(t *testing.T, name, accessKeyID, secret string, args ...string) *Process {
	t.Helper()
	return e.start(t, name, []string{
		"HOME=" + e.Folder, "SSL_CERT_FILE=" + e.Certificate.CertFile,
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secret,
	}, filepath.Join(e.Bin, "slb-health-operator"), append([]string{
		"--kubeconfig", e.Plane.Kubeconfig(), "--slb-endpoint", e.Simulator.URL, "--health-probe-bind-address=0",
	}, args...)...)
}

func (e *Env) start(t *testing.T, name string, environment []string, path string, args ...string) *Process {
	t.Helper()
	p, err := Start(e.Ctx, e.Folder, name, environment, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// CreateNamespace creates a namespace.
func (e *Env) CreateNamespace(t *testing.T, name string) {
	t.Helper()
	if err := e.Client.Create(e.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
}

// Put puts a load balancer with these backends into the simulator.
func (e *Env) Put(t *testing.T, id string, backends ...map[string]any) {
	t.Helper()
	e.Admin(t, http.MethodPut, "loadbalancers/"+id, map[string]any{"regionId": Region, "backends": append([]map[string]any{}, backends...)})
}

// Backends are i-1, i-2 and so on behind one listener, in these states.
func Backends(port int, protocol string, states ...string) []map[string]any {
	var backends []map[string]any
	for n, state := range states {
		backends = append(backends, map[string]any{
			"serverId": fmt.Sprintf("i-%d", n+1), "serverIp": fmt.Sprintf("10.0.0.%d", n+1), "type": "ecs",
			"listenerPort": port, "listenerProtocol": protocol, "port": 8000 + port, "serverHealthStatus": state,
		})
	}
	return backends
}

// Fail has calls about a load balancer answered with a code: so many, or all when times is 0.
func (e *Env) Fail(t *testing.T, id, code string, status, times int) {
	t.Helper()
	fault := map[string]any{"kind": "status", "loadBalancerId": id, "code": code, "httpStatus": status}
	if times > 0 {
		fault["times"] = times
	}
	e.Admin(t, http.MethodPost, "faults", fault)
}

// Admin calls the simulator's admin API.
func (e *Env) Admin(t *testing.T, method, path string, body any) {
	t.Helper()
	if err := e.Simulator.Admin(e.Ctx, method, path, body, nil); err != nil {
		t.Fatal(err)
	}
}

// FreeAddressFor is FreeAddress for a test.
func FreeAddressFor(t *testing.T) string {
	t.Helper()
	address, err := FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// OpenRelayFor is OpenRelay for a test, and shut with it.
func OpenRelayFor(t *testing.T, target string) *Relay {
	t.Helper()
	r, err := OpenRelay(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Shut)
	return r
}
