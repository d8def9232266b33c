// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

//go:embed simulator.yaml
var simulatorConfig []byte

// The operator's own account in simulator.yaml. The partner's is in the Secret
// of config/samples.
const (
	accessKeyID     = "LTAI-demo"
	accessKeySecret = "demo-secret"
)

// stopGrace is more than the control plane's, whose folder is in the demo's.
const stopGrace = 5 * time.Second

// env is all that runs. Programs are in process groups of their own: Ctrl-C reaches
// the demo only, which stops the others in order. When the demo is killed, the
// lifeline stops them and removes the folder.
type env struct {
	folder   string // logs, the simulator's file, and the home of what runs here
	lifeline *harness.Lifeline

	// life is the context of the programs and the watcher.
	life    context.Context
	stopAll context.CancelFunc

	controlPlane *harness.ControlPlane
	simulator    *harness.Simulator
	operator     *harness.Process
	shop         *shop // nil: there is no kube-controller-manager
	watcher      *watcher
	metrics      string // host:port of the operator's metrics
}

// newEnv ignores the cancellation of ctx: close stops everything, in order.
func newEnv(ctx context.Context) (*env, error) {
	ctx = context.WithoutCancel(ctx)
	folder, err := os.MkdirTemp("", "slb-demo-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the demo: %w", err)
	}
	// The lifeline removes temporary files of libraries with the folder.
	if err := os.Setenv("TMPDIR", folder); err != nil {
		return nil, fmt.Errorf("a folder for the demo: %w", err)
	}
	s := &env{folder: folder}
	s.life, s.stopAll = context.WithCancel(ctx)
	if s.lifeline, err = harness.NewLifeline(ctx, folder, stopGrace); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// part is a part of the env to start.
type part struct {
	what  string
	start func() error
}

// open starts everything, one after the other. Rollouts require more than the rest.
func (s *env) open(ctx context.Context, out io.Writer, withRollouts bool) error {
	fmt.Fprintln(out, "Starting on this machine, on free ports of 127.0.0.1:")
	parts := []part{
		{"a control plane (etcd, kube-apiserver) with the CRD of config/crd", s.startControlPlane},
		{"slb-simulator, instead of Alibaba Cloud SLB", s.startSimulator},
		{"slb-health-operator, with an access key of the simulator", s.startOperator},
	}
	if withRollouts {
		parts = append(parts, part{"kube-controller-manager, and stand-ins for nodes and the cloud controller manager", s.startShop})
	}
	for _, part := range parts {
		started := time.Now()
		if err := part.start(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %4.1fs  %s\n", time.Since(started).Seconds(), part.what)
	}
	fmt.Fprintln(out, "Logs of the simulator and the operator: "+s.folder)
	return nil
}

func (s *env) startControlPlane() (err error) {
	// It must outlive the operator; close stops it.
	ctx := context.WithoutCancel(s.life)
	if s.controlPlane, err = harness.StartControlPlane(ctx, harness.ControlPlaneOptions{}); err != nil {
		return err
	}
	s.watcher, err = newWatcher(s.life, s.controlPlane.Config)
	return err
}

func (s *env) startSimulator() error {
	path, err := s.lifeline.Tie(builtProgram("slb-simulator"))
	if err != nil {
		return err
	}
	s.simulator, err = harness.StartSimulator(s.life, s.folder, path, nil, string(simulatorConfig), "--log-level=debug")
	return err
}

func (s *env) startOperator() error {
	var err error
	if s.metrics, err = harness.FreeAddress(s.life); err != nil {
		return err
	}
	path, err := s.lifeline.Tie(builtProgram("slb-health-operator"))
	if err != nil {
		return err
	}
	environment := append(s.environment(),
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+accessKeySecret)
	s.operator, err = harness.Start(s.life, s.folder, "operator", environment, path,
		"--kubeconfig", s.controlPlane.Kubeconfig(), "--slb-endpoint", s.simulator.URL,
		"--metrics-bind-address", s.metrics, "--metrics-secure=false", "--health-probe-bind-address", "0",
		"--readiness-gates", "--region-id", "cn-hangzhou")
	return err
}

// dead waits for the first program that ends, and returns its error.
func (s *env) dead(ctx context.Context) error {
	var controllerManagerEnded <-chan struct{}
	if s.shop != nil {
		controllerManagerEnded = s.shop.controllerManager.Ended()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.simulator.Ended():
		return s.simulator.Alive()
	case <-s.operator.Ended():
		return s.operator.Alive()
	case <-controllerManagerEnded:
		return s.shop.controllerManager.Alive()
	}
}

// builtProgram is absolute: a script of the lifeline runs it.
func builtProgram(name string) string {
	path, err := filepath.Abs(filepath.Join("bin", name))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// environment omits everything of the caller that could change the output, such as
// credentials, a proxy or settings of kubectl.
func (s *env) environment() []string {
	return []string{
		"HOME=" + s.folder, "TMPDIR=" + s.folder, "KUBECONFIG=" + s.controlPlane.Kubeconfig(),
		"PATH=" + s.programs() + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
}

// programs are the folders of kubectl and of its plugin.
func (s *env) programs() string {
	return filepath.Dir(s.controlPlane.Kubectl()) + string(os.PathListSeparator) + filepath.Dir(builtProgram("kubectl-lbh"))
}

// close stops everything, also after a partial start.
func (s *env) close() error {
	s.stopAll()
	if s.simulator != nil {
		s.simulator.Stop()
	}
	if s.operator != nil {
		s.operator.Stop()
	}
	if s.shop != nil {
		s.shop.controllerManager.Stop()
	}
	var errs []error
	if s.controlPlane != nil {
		errs = append(errs, s.controlPlane.Stop())
	}
	if s.lifeline != nil {
		errs = append(errs, s.lifeline.Release())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}
