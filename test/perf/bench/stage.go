// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// operatorConcurrency is the operator's default, and everybody's here.
const operatorConcurrency = 32

// A stage is everything that the measurements share.
type stage struct {
	folder       string
	controlPlane *harness.ControlPlane
	api          *api
	watcher      *watcher
	simulator    *simulator
	certificate  *harness.Certificate
	standing     size            // what is there now
	abnormal     map[string]bool // the load balancers whose first backend is abnormal
	endWatch     context.CancelFunc
}

func openStage(ctx context.Context) (*stage, error) {
	folder, err := os.MkdirTemp("", "slb-bench-")
	if err != nil {
		return nil, fmt.Errorf("a folder for the benchmark: %w", err)
	}
	s := &stage{folder: folder}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context) (err error) {
	if s.certificate, err = harness.NewCertificate(s.folder, 0); err != nil {
		return err
	}
	if s.controlPlane, err = harness.StartControlPlane(ctx, harness.ControlPlaneOptions{}); err != nil {
		return err
	}
	if s.api, err = newAPI(s.controlPlane.Config); err != nil {
		return err
	}
	watching, endWatch := context.WithCancel(ctx)
	s.endWatch = endWatch
	if s.watcher, err = s.api.watch(watching); err != nil {
		return err
	}
	s.simulator, err = startSimulator(ctx, s.folder, s.certificate)
	return err
}

func (s *stage) close() error {
	if s.endWatch != nil {
		s.endWatch() // the API server waits for watches to end
	}
	if s.simulator != nil {
		s.simulator.Stop()
	}
	var err error
	if s.controlPlane != nil {
		err = s.controlPlane.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// environment is what every program gets, and nothing else of the caller's.
func (s *stage) environment() []string {
	return []string{
		"HOME=" + s.folder, "TMPDIR=" + s.folder, "SSL_CERT_FILE=" + s.certificate.CertFile,
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + accessKeySecret,
	}
}

// A subject is a program that brings statuses up to date.
type subject struct {
	name  string
	start func(ctx context.Context, s *stage) (*harness.Process, error)
}

var (
	operatorSubject = subject{"operator", func(ctx context.Context, s *stage) (*harness.Process, error) {
		return harness.Start(ctx, s.folder, "operator", s.environment(), builtProgram("slb-health-operator"),
			"--kubeconfig", s.controlPlane.Kubeconfig(), "--slb-endpoint", s.simulator.URL,
			"--slb-qps", "1000000", "--slb-burst", "1000000", "--concurrency", strconv.Itoa(operatorConcurrency),
			"--status-heartbeat", "1h", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	}}
	textbookSubject = subject{"textbook", func(ctx context.Context, s *stage) (*harness.Process, error) {
		return s.startWorker(ctx, "textbook")
	}}
)

// startWorker runs a subcommand of this program.
func (s *stage) startWorker(ctx context.Context, name string, args ...string) (*harness.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := append([]string{name, "--kubeconfig", s.controlPlane.Kubeconfig(), "--endpoint", s.simulator.URL}, args...)
	return harness.Start(ctx, s.folder, name, s.environment(), self, all...)
}

// builtProgram is one that `make build` put there.
func builtProgram(name string) string { return filepath.Join("bin", name) }

// A size is how much there is to observe.
type size struct {
	Balancers int           `json:"loadBalancers"`
	Objects   int           `json:"objectsOnEach"`
	Rows      int           `json:"rows"`
	Interval  time.Duration `json:"intervalNanoseconds"`
}

func (s size) balancerIDs() []string {
	ids := make([]string, s.Balancers)
	for i := range ids {
		ids[i] = balancerID(i)
	}
	return ids
}

func (s size) String() string {
	return fmt.Sprintf("%d load balancers, %d rows, %d objects on each, every %s", s.Balancers, s.Rows, s.Objects, s.Interval)
}
