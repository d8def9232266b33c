// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// startTimeout is for each of the two programs. They start within seconds, but a
// machine that compiles something else at the same time may need more than
// envtest's 20 seconds.
const startTimeout = time.Minute

// controlPlaneGrace is the termination grace of its programs when this process died.
const controlPlaneGrace = 3 * time.Second

// ControlPlaneOptions are all optional.
type ControlPlaneOptions struct {
	// CRDs are files or folders to install CRDs from. Nil means config/crd/bases
	// of this repository; an empty slice means none.
	CRDs []string
	// APIServerArgs are further flags of kube-apiserver, without the dashes.
	// A flag given here replaces envtest's own value for it.
	APIServerArgs map[string][]string
	// EtcdAddress is the host:port where etcd listens. Default: a free one.
	EtcdAddress string
	// DataDir is the folder of etcd's data, created when missing. Default: a
	// temporary folder that Stop removes.
	DataDir string
}

// ControlPlane is a real etcd and kube-apiserver on loopback: a thin layer over
// controller-runtime's envtest that knows where this repository keeps the
// programs and its CRDs, writes a kubeconfig, and stops its processes when this one
// dies.
type ControlPlane struct {
	// Config is an administrator's, without client-side rate limiting.
	Config *rest.Config

	env       *envtest.Environment
	kubectl   string
	directory string
	lifeline  *Lifeline
	logs      *tail
	cancel    func() bool
	stop      func() error
}

// StartControlPlane starts a control plane that runs until Stop or until ctx is done:
// ctx limits its whole life, not only the start of about five seconds.
func StartControlPlane(ctx context.Context, opts ControlPlaneOptions) (*ControlPlane, error) {
	// Without a logger, controller-runtime prints a stack after 30 s. A logger that
	// the caller has set stays.
	log.SetLogger(logr.Discard())
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	crds, err := findCRDs(opts.CRDs)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "slb-controlplane-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the control plane: %w", err)
	}
	c := &ControlPlane{kubectl: programs.kubectl, directory: directory, logs: &tail{}}
	c.stop = sync.OnceValue(c.shutDown)
	if err := c.start(ctx, programs, crds, opts); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.cancel = context.AfterFunc(ctx, func() { _ = c.stop() })
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// Kubeconfig is the path of an administrator's kubeconfig, readable by this user
// only. Stop removes it.
func (c *ControlPlane) Kubeconfig() string { return filepath.Join(c.directory, "kubeconfig") }

// Kubectl is the path of a kubectl of the control plane's own version.
func (c *ControlPlane) Kubectl() string { return c.kubectl }

// AddUser makes credentials for a user who may do what RBAC grants to that name
// and those groups.
func (c *ControlPlane) AddUser(user envtest.User) (*envtest.AuthenticatedUser, error) {
	return c.env.AddUser(user, &rest.Config{QPS: -1})
}

// Stop stops both programs and removes their files, except those in
// ControlPlaneOptions.DataDir. Only the first call does anything; all return its result.
func (c *ControlPlane) Stop() error {
	c.cancel()
	return c.stop()
}

func (c *ControlPlane) start(ctx context.Context, programs programs, crds []string, opts ControlPlaneOptions) error {
	etcdData := cmp.Or(opts.DataDir, filepath.Join(c.directory, "data"))
	certificates := filepath.Join(c.directory, "certificates")
	for _, path := range []string{etcdData, certificates} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("a folder for the control plane: %w", err)
		}
	}
	var err error
	if c.lifeline, err = NewLifeline(ctx, c.directory, controlPlaneGrace); err != nil {
		return err
	}
	etcd, err := c.lifeline.Tie(programs.etcd)
	if err != nil {
		return err
	}
	apiServer, err := c.lifeline.Tie(programs.apiServer)
	if err != nil {
		return err
	}

	c.env = &envtest.Environment{
		UseExistingCluster:       new(false), // whatever USE_EXISTING_CLUSTER says
		CRDDirectoryPaths:        crds,
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlane: envtest.ControlPlane{
			Etcd:        &envtest.Etcd{Path: etcd, DataDir: etcdData, Out: c.logs, Err: c.logs},
			APIServer:   &envtest.APIServer{Path: apiServer, CertDir: certificates, Out: c.logs, Err: c.logs},
			KubectlPath: programs.kubectl,
		},
	}
	if err := c.listen(ctx, opts.EtcdAddress); err != nil {
		return err
	}
	// envtest's own range has addresses for 254 Services.
	c.env.ControlPlane.APIServer.Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	for flag, values := range opts.APIServerArgs {
		c.env.ControlPlane.APIServer.Configure().Set(flag, values...)
	}
	config, err := c.env.Start()
	if err != nil {
		return fmt.Errorf("start the control plane: %w\nits last lines:\n%s", err, c.logs)
	}
	c.Config = rest.CopyConfig(config)
	c.Config.QPS, c.Config.Burst = -1, 0
	if err := os.WriteFile(c.Kubeconfig(), c.env.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// listen chooses ports for both programs that, unlike those of envtest, stay free
// while one of them restarts.
func (c *ControlPlane) listen(ctx context.Context, etcd string) error {
	peers, err := FreeAddress(ctx)
	if err != nil {
		return err
	}
	c.env.ControlPlane.Etcd.Configure().Set("listen-peer-urls", "http://"+peers)
	if etcd == "" {
		if etcd, err = FreeAddress(ctx); err != nil {
			return err
		}
	}
	c.env.ControlPlane.Etcd.URL = &url.URL{Scheme: "http", Host: etcd}
	apiServer, err := FreeAddress(ctx)
	if err != nil {
		return err
	}
	serving := &c.env.ControlPlane.APIServer.SecureServing
	serving.Address, serving.Port, err = net.SplitHostPort(apiServer)
	return err
}

// shutDown also undoes a partial start.
func (c *ControlPlane) shutDown() error {
	var errs []error
	if c.env != nil {
		if err := c.env.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop the control plane: %w", err))
		}
	}
	if c.lifeline != nil {
		errs = append(errs, c.lifeline.Release())
	}
	return errors.Join(append(errs, os.RemoveAll(c.directory))...)
}
