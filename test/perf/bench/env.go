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

// operatorConcurrency is the operator's default; all subjects use it.
const operatorConcurrency = 32

// env is the environment of all measurements.
type env struct {
	*harness.Env
	api       *api
	watcher   *watcher
	simulator *simulator
	size      fleetSize       // of what exists now
	abnormal  map[string]bool // the load balancers whose first backend is abnormal
	stopWatch context.CancelFunc
}

func openEnv(ctx context.Context) (*env, error) {
	opened, err := harness.OpenEnv(ctx, simulatorConfig)
	if err != nil {
		return nil, err
	}
	s := &env{Env: opened, simulator: &simulator{opened.Simulator}}
	watching, stopWatch := context.WithCancel(ctx)
	s.stopWatch = stopWatch
	if s.api, err = newAPI(s.Plane.Config); err == nil {
		s.watcher, err = s.api.watch(watching)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// withSimulator returns the same environment with a simulator of its own, which the caller stops.
func (s *env) withSimulator(ctx context.Context, name string) (*env, error) {
	folder := filepath.Join(s.Folder, name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	started, err := harness.StartSimulator(ctx, folder, filepath.Join(s.Bin, "slb-simulator"), s.Certificate, simulatorConfig)
	if err != nil {
		return nil, err
	}
	return &env{Env: s.Env, api: s.api, watcher: s.watcher, simulator: &simulator{started}}, nil
}

func (s *env) close() error {
	s.stopWatch() // the API server waits for open watches when it stops
	return s.Close()
}

// A testSubject is a program that updates statuses.
type testSubject struct {
	name  string
	start func(ctx context.Context, s *env) (*harness.Process, error)
}

var (
	operatorSubject = testSubject{"operator", func(ctx context.Context, s *env) (*harness.Process, error) {
		return harness.Start(ctx, s.Folder, "operator", s.Environment(accessKeyID, accessKeySecret), s.builtOperator(),
			"--kubeconfig", s.Plane.Kubeconfig(), "--slb-endpoint", s.simulator.URL,
			"--slb-qps", "1000000", "--slb-burst", "1000000", "--concurrency", strconv.Itoa(operatorConcurrency),
			"--status-heartbeat", "1h", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	}}
	textbookSubject = testSubject{"textbook", func(ctx context.Context, s *env) (*harness.Process, error) {
		return s.startWorker(ctx, "textbook")
	}}
)

// builtOperator is the operator of `make build`.
func (s *env) builtOperator() string { return filepath.Join(s.Bin, "slb-health-operator") }

// startWorker runs a subcommand of this program.
func (s *env) startWorker(ctx context.Context, name string, args ...string) (*harness.Process, error) {
	return s.startWorkerAs(ctx, name, name, args...)
}

// startWorkerAs runs a subcommand of this program in a process of another name.
func (s *env) startWorkerAs(ctx context.Context, process, name string, args ...string) (*harness.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := append([]string{name, "--kubeconfig", s.Plane.Kubeconfig(), "--endpoint", s.simulator.URL}, args...)
	return harness.Start(ctx, s.Folder, process, s.Environment(accessKeyID, accessKeySecret), self, all...)
}

// A fleetSize is how many load balancers, objects and rows the programs observe.
type fleetSize struct {
	Balancers int           `json:"loadBalancers"`
	Objects   int           `json:"objectsOnEach"`
	Rows      int           `json:"rows"`
	Interval  time.Duration `json:"intervalNanoseconds"`
}

func (s fleetSize) balancerIDs() []string {
	ids := make([]string, s.Balancers)
	for i := range ids {
		ids[i] = balancerID(i)
	}
	return ids
}

// rate is the number of load balancers per second that are observed.
func (s fleetSize) rate() float64 { return float64(s.Balancers) / s.Interval.Seconds() }

func (s fleetSize) String() string {
	return fmt.Sprintf("%d load balancers, %d rows, %d objects on each, every %s", s.Balancers, s.Rows, s.Objects, s.Interval)
}
