// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const userName = "operator"

// env is the environment of the operator.
type env struct {
	*harness.Env
	relay      *harness.Relay
	kubeconfig string // of the relay
}

func (s *soak) open(ctx context.Context) error {
	config, err := configOf([]account{s.own})
	if err != nil {
		return err
	}
	if s.Env, err = harness.OpenEnv(ctx, config); err != nil {
		return err
	}
	return s.addOperator(ctx)
}

func (s *env) close() error {
	if s.relay != nil {
		s.relay.Shut()
	}
	if s.Env == nil {
		return nil
	}
	return s.Close()
}

// addOperator creates a user with exactly the permissions of config/rbac, whose
// kubeconfig connects to the API server through the relay.
func (s *env) addOperator(ctx context.Context) error {
	user, err := s.Plane.AddUser(envtest.User{Name: userName})
	if err != nil {
		return err
	}
	content, err := user.KubeConfig()
	if err != nil {
		return err
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		return err
	}
	for _, cluster := range config.Clusters {
		if s.relay, err = harness.OpenRelay(ctx, strings.TrimPrefix(cluster.Server, "https://")); err != nil {
			return err
		}
		cluster.Server = "https://" + s.relay.Address
	}
	s.kubeconfig = filepath.Join(s.Folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, s.kubeconfig); err != nil {
		return err
	}
	return s.grant(ctx)
}

func (s *env) grant(ctx context.Context) error {
	user := harness.User(userName)
	if err := s.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	return errors.Join(harness.Grant(ctx, s.Client, user, "", "role.yaml"),
		harness.Grant(ctx, s.Client, user, namespace, "leader_election_role.yaml"))
}

// watched reports whether the operator watches the objects. The API server counts watches.
func (s *env) watched(ctx context.Context) (bool, error) {
	api, err := discovery.NewDiscoveryClientForConfig(s.Plane.Config)
	if err != nil {
		return false, err
	}
	served, err := harness.ScrapeAPIServer(ctx, api.RESTClient())
	return served.Sum("apiserver_longrunning_requests", `verb="WATCH"`, `resource="loadbalancerhealths"`) > 0, err
}

// An operator is a running operator, with the address of its metrics.
type operator struct {
	*harness.Process
	metricsURL string
}

// startOperator starts a program as the operator. With the race detector, the
// program exits at its first data race.
func (s *env) startOperator(ctx context.Context, name, program string, own account) (*operator, error) {
	address, err := harness.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	environment := append(s.Environment(own.AccessKeyID, own.AccessKeySecret), "GORACE=halt_on_error=1")
	if own.SecurityToken != "" {
		environment = append(environment, "ALIBABA_CLOUD_SECURITY_TOKEN="+own.SecurityToken)
	}
	process, err := harness.Start(ctx, s.Folder, name, environment, program,
		"--kubeconfig", s.kubeconfig, "--slb-endpoint", s.Simulator.URL, "--slb-qps", "1000", "--slb-burst", "1000",
		"--slb-timeout", (2 * time.Second).String(), "--status-heartbeat", "30s",
		"--leader-elect", "--leader-election-namespace", namespace,
		"--metrics-bind-address", address, "--metrics-secure=false", "--health-probe-bind-address", "0")
	if err != nil {
		return nil, err
	}
	return &operator{Process: process, metricsURL: "http://" + address + "/metrics"}, nil
}
