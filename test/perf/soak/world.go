// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const userName = "operator"

// A world is everything around the operator.
type world struct {
	folder       string
	controlPlane *harness.ControlPlane
	api          client.Client
	relay        *harness.Relay
	simulator    *harness.Simulator
	certificate  *harness.Certificate
	kubeconfig   string // leads through the relay
}

func (w *world) open(ctx context.Context, own account) (err error) {
	if w.folder, err = os.MkdirTemp("", "slb-soak-"); err != nil {
		return fmt.Errorf("a folder: %w", err)
	}
	if w.certificate, err = harness.NewCertificate(w.folder, 0); err != nil {
		return err
	}
	if w.controlPlane, err = harness.StartControlPlane(ctx, harness.ControlPlaneOptions{}); err != nil {
		return err
	}
	if w.api, err = harness.NewClient(w.controlPlane.Config); err != nil {
		return fmt.Errorf("a client: %w", err)
	}
	if err := w.addOperator(ctx); err != nil {
		return err
	}
	config, err := configOf([]account{own})
	if err != nil {
		return err
	}
	w.simulator, err = harness.StartSimulator(ctx, w.folder, filepath.Join("bin", "slb-simulator"), w.certificate, config)
	return err
}

func (w *world) close() error {
	if w.relay != nil {
		w.relay.Shut()
	}
	if w.simulator != nil {
		w.simulator.Stop()
	}
	var err error
	if w.controlPlane != nil {
		err = w.controlPlane.Stop()
	}
	return errors.Join(err, os.RemoveAll(w.folder))
}

// addOperator makes a user with the rights of config/rbac and no others, who
// reaches the API server through the relay.
func (w *world) addOperator(ctx context.Context) error {
	user, err := w.controlPlane.AddUser(envtest.User{Name: userName})
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
		if w.relay, err = harness.OpenRelay(ctx, strings.TrimPrefix(cluster.Server, "https://")); err != nil {
			return err
		}
		cluster.Server = "https://" + w.relay.Address
	}
	w.kubeconfig = filepath.Join(w.folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, w.kubeconfig); err != nil {
		return err
	}
	return w.grant(ctx)
}

func (w *world) grant(ctx context.Context) error {
	var everywhere rbacv1.ClusterRole
	var here rbacv1.Role
	if err := errors.Join(readManifest("role.yaml", &everywhere), readManifest("leader_election_role.yaml", &here)); err != nil {
		return err
	}
	here.Namespace = namespace
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: userName}}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&everywhere, &here,
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: userName}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: everywhere.Name},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: userName, Namespace: namespace}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: here.Name},
		},
	} {
		if err := w.api.Create(ctx, object); err != nil {
			return fmt.Errorf("the operator's rights: %w", err)
		}
	}
	return nil
}

func readManifest(file string, into any) error {
	content, err := os.ReadFile(filepath.Join("config", "rbac", file))
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(content, into)
}

// An operator is a running operator and where its metrics are.
type operator struct {
	*harness.Process
	metricsURL string
}

// startOperator runs a program as the operator. One with the race detector
// ends at its first race.
func (w *world) startOperator(ctx context.Context, name, program string, own account) (*operator, error) {
	address, err := harness.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	environment := []string{
		"HOME=" + w.folder, "TMPDIR=" + w.folder, "SSL_CERT_FILE=" + w.certificate.CertFile, "GORACE=halt_on_error=1",
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + own.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + own.AccessKeySecret,
	}
	if own.SecurityToken != "" {
		environment = append(environment, "ALIBABA_CLOUD_SECURITY_TOKEN="+own.SecurityToken)
	}
	process, err := harness.Start(ctx, w.folder, name, environment, program,
		"--kubeconfig", w.kubeconfig, "--slb-endpoint", w.simulator.URL, "--slb-qps", "1000", "--slb-burst", "1000",
		"--slb-timeout", (2 * time.Second).String(), "--status-heartbeat", "30s",
		"--leader-elect", "--leader-election-namespace", namespace,
		"--metrics-bind-address", address, "--metrics-secure=false", "--health-probe-bind-address", "0")
	if err != nil {
		return nil, err
	}
	return &operator{Process: process, metricsURL: "http://" + address + "/metrics"}, nil
}
