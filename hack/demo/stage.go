// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/controlplane"
)

//go:embed simulator.yaml
var simulatorConfig []byte

// The operator's own account in simulator.yaml. The partner's is in the Secret
// of config/samples.
const (
	accessKeyID     = "LTAI-demo"
	accessKeySecret = "demo-secret"
)

// addressWait is how long the simulator may take to say where it listens.
const addressWait = 20 * time.Second

// A stage is everything that the story plays on.
type stage struct {
	folder string // logs, the simulator's file, and the home of what runs here
	guard  *guard
	dead   chan *program

	// The programs and the watcher live in life, which ends after the story.
	life     context.Context
	endLife  context.CancelFunc
	programs []*program

	controlPlane *controlplane.ControlPlane
	operator     *program
	watcher      *watcher
	slb          string // the simulator's URL
	metrics      string // host:port of the operator's metrics
}

// newStage takes only values from ctx: what runs is ended by close, in order.
func newStage(ctx context.Context) (*stage, error) {
	ctx = context.WithoutCancel(ctx)
	folder, err := os.MkdirTemp("", "slb-demo-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the demo: %w", err)
	}
	// What libraries leave there when the demo is killed goes with the folder.
	if err := os.Setenv("TMPDIR", folder); err != nil {
		return nil, fmt.Errorf("a folder for the demo: %w", err)
	}
	s := &stage{folder: folder, dead: make(chan *program, 2)}
	s.life, s.endLife = context.WithCancel(ctx)
	if s.guard, err = newGuard(ctx, folder); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open starts everything, one after the other.
func (s *stage) open(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "Starting on this machine, on free ports of 127.0.0.1:")
	for _, part := range []struct {
		what  string
		start func() error
	}{
		{"a control plane (etcd, kube-apiserver) with the CRD of config/crd", s.startControlPlane},
		{"slb-simulator, which stands in for Alibaba Cloud SLB", s.startSimulator},
		{"slb-health-operator, with an access key that the simulator knows", s.startOperator},
	} {
		started := time.Now()
		if err := part.start(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %4.1fs  %s\n", time.Since(started).Seconds(), part.what)
	}
	fmt.Fprintln(out, "The logs of the last two are in "+s.folder+".")
	return nil
}

func (s *stage) startControlPlane() (err error) {
	// It outlives the operator; close stops it.
	ctx := context.WithoutCancel(s.life)
	if s.controlPlane, err = controlplane.Start(ctx, controlplane.Options{}); err != nil {
		return err
	}
	s.watcher, err = newWatcher(s.life, s.controlPlane.Config)
	return err
}

func (s *stage) startSimulator() error {
	config := filepath.Join(s.folder, "simulator.yaml")
	if err := os.WriteFile(config, simulatorConfig, 0o600); err != nil {
		return fmt.Errorf("the simulator's file: %w", err)
	}
	// Not a pipe of exec's: those close when the program is waited for.
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe to the simulator: %w", err)
	}
	defer func() { _ = reader.Close() }()
	command := s.guard.command(s.life, builtProgram("slb-simulator"), "--listen", "127.0.0.1:0", "--config", config, "--log-level", "debug")
	command.Env, command.Stdout = s.environment(), writer
	simulator, err := s.launch(command, "simulator")
	_ = writer.Close()
	if err != nil {
		return err
	}
	_ = reader.SetReadDeadline(time.Now().Add(addressWait))
	line, err := bufio.NewReader(reader).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !found {
		return fmt.Errorf("the simulator does not say where it listens (%q, %w); its log:\n%s", line, err, tail(simulator.log))
	}
	s.slb = address
	return nil
}

func (s *stage) startOperator() error {
	var err error
	if s.metrics, err = controlplane.FreeAddress(s.life); err != nil {
		return err
	}
	command := s.guard.command(s.life, builtProgram("slb-health-operator"),
		"--kubeconfig", s.controlPlane.Kubeconfig(), "--slb-endpoint", s.slb,
		"--metrics-bind-address", s.metrics, "--metrics-secure=false", "--health-probe-bind-address", "0")
	command.Env = append(s.environment(),
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+accessKeySecret)
	s.operator, err = s.launch(command, "operator")
	return err
}

func builtProgram(name string) string { return filepath.Join("bin", name) }

// environment holds nothing of the caller's that could change the story, such
// as credentials, a proxy or settings of kubectl.
func (s *stage) environment() []string {
	return []string{
		"HOME=" + s.folder, "TMPDIR=" + s.folder, "KUBECONFIG=" + s.controlPlane.Kubeconfig(),
		"PATH=" + filepath.Dir(s.controlPlane.Kubectl()) + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
}

// close ends everything that runs, also after a start that stopped half-way.
func (s *stage) close() error {
	s.endLife()
	for _, p := range s.programs {
		<-p.ended
	}
	var errs []error
	if s.controlPlane != nil {
		errs = append(errs, s.controlPlane.Stop())
	}
	if s.guard != nil {
		errs = append(errs, s.guard.dismiss())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}
