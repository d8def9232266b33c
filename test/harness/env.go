// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
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
// them.
type Env struct {
	Ctx context.Context
	// Folder contains logs and files; Close removes it. Bin contains the programs
	// of `make build`.
	Folder, Bin string
	Certificate *Certificate
	Plane       *ControlPlane
	Client      client.Client
	Simulator   *Simulator
}

// NewEnv opens an Env that ends with the test.
func NewEnv(t *testing.T, simulatorConfig string) *Env {
	t.Helper()
	e, err := OpenEnv(t.Context(), simulatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// OpenEnv starts everything; ctx or Close stops it.
func OpenEnv(ctx context.Context, simulatorConfig string) (*Env, error) {
	e := &Env{Ctx: ctx}
	if err := e.open(simulatorConfig); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Env) open(simulatorConfig string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	e.Bin = filepath.Join(root, "bin")
	if e.Folder, err = os.MkdirTemp("", "slb-env-"); err != nil {
		return err
	}
	if e.Certificate, err = NewCertificate(e.Folder, 0); err != nil {
		return err
	}
	if e.Plane, err = StartControlPlane(e.Ctx, ControlPlaneOptions{}); err != nil {
		return err
	}
	if e.Client, err = NewClient(e.Plane.Config); err != nil {
		return err
	}
	e.Simulator, err = StartSimulator(e.Ctx, e.Folder, filepath.Join(e.Bin, "slb-simulator"), e.Certificate, simulatorConfig)
	return err
}

// Close stops everything, also after a partial start.
func (e *Env) Close() error {
	var err error
	if e.Simulator != nil {
		e.Simulator.Stop()
	}
	if e.Plane != nil {
		err = e.Plane.Stop()
	}
	return errors.Join(err, os.RemoveAll(e.Folder))
}

// Environment is what the operator gets, and nothing else of the caller's.
func (e *Env) Environment(accessKeyID, secret string) []string {
	return []string{
		"HOME=" + e.Folder, "TMPDIR=" + e.Folder, "SSL_CERT_FILE=" + e.Certificate.CertFile, "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secret,
	}
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

// NewScheme has Kubernetes' own types and those of this module.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// NewClient returns a client for the types of NewScheme.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// StartOperator runs the built operator with an access key, as an administrator.
func (e *Env) StartOperator(t *testing.T, name, accessKeyID, secret string, args ...string) *Process {
	t.Helper()
	p, err := Start(e.Ctx, e.Folder, name, e.Environment(accessKeyID, secret), filepath.Join(e.Bin, "slb-health-operator"), append([]string{
		"--kubeconfig", e.Plane.Kubeconfig(), "--slb-endpoint", e.Simulator.URL, "--health-probe-bind-address=0",
	}, args...)...)
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
	backends := make([]map[string]any, 0, len(states))
	for n, state := range states {
		backends = append(backends, map[string]any{
			"serverId": fmt.Sprintf("i-%d", n+1), "serverIp": fmt.Sprintf("10.0.0.%d", n+1), "type": "ecs",
			"listenerPort": port, "listenerProtocol": protocol, "port": 8000 + port, "serverHealthStatus": state,
		})
	}
	return backends
}

// Fail makes calls about a load balancer fail with a code: so many, or all when times is 0.
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
