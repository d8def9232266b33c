// SPDX-License-Identifier: Apache-2.0

// Package rollouts runs docs/gitops/rollouts with the real controller of Argo Rollouts,
// and its Flagger files with Flagger's code: with a real API server, controller manager
// and Prometheus, the built operator, simulator and plugin, and the stand-ins of
// test/rollout/standin for nodes and cloud.
package rollouts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rolloutsv1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	root = "../.."
	docs = root + "/docs/gitops/rollouts"
	// patience is the timeout of what needs a minute on an idle machine.
	patience = 5 * time.Minute
	// startDelay, checkDelay and requeue are shorter than in most clusters.
	startDelay = time.Second
	checkDelay = 2 * time.Second
	requeue    = 2 * time.Second
	// callTimeout makes a call that hangs fail soon.
	callTimeout = "--slb-timeout=2s"
)

func TestMain(m *testing.M) { harness.RunParallel(m, "24") }

// suite is shared by the tests.
type suite struct {
	*harness.Env
	client     client.Client // with the types of Argo Rollouts
	cluster    *standin.Cluster
	controller *harness.Process
	prometheus *harness.Prometheus
	apps       atomic.Int32
	held       sync.Map // paths of backends that do not change yet
	relays     sync.Map // from an app's namespace to its harness.Relay to the API server
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{Env: harness.NewEnv(t, "loadBalancers: []\n")}
	scheme, err := harness.NewScheme()
	if err == nil {
		err = rolloutsv1.AddToScheme(scheme)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.client, err = client.New(s.Plane.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	s.installCRDs(t)
	manager, err := s.Plane.StartControllerManager(s.Ctx, s.Folder, "replicaset-controller", "endpointslice-controller", "job-controller")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Stop)
	s.cluster, err = standin.Start(s.Ctx, s.Plane.Config, standin.Options{
		Scheme: scheme, StartDelay: startDelay, Requeue: requeue, RunContainer: s.runContainer,
		Admin: s.admin,
		Watch: []client.Object{&rolloutsv1.Rollout{}, &rolloutsv1.AnalysisRun{}, &v1alpha1.LoadBalancerHealth{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.startRollouts(t)
	s.startMonitoring(t)
	return s
}

// admin calls the simulator, as the cloud controller and the health checks do.
func (s *suite) admin(ctx context.Context, method, resource string, body any) error {
	backends, _, _ := strings.Cut(resource, "?")
	if _, held := s.held.Load(backends); held {
		return fmt.Errorf("%s do not change yet", backends)
	}
	return s.Simulator.Admin(ctx, method, resource, body, nil)
}

// installCRDs takes the CRDs of Argo Rollouts and of Flagger from their modules.
func (s *suite) installCRDs(t *testing.T) {
	t.Helper()
	var files []string
	for module, pattern := range map[string]string{
		"github.com/argoproj/argo-rollouts": "manifests/crds/*-crd.yaml",
		"github.com/fluxcd/flagger":         "artifacts/flagger/crd.yaml",
	} {
		folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no CRDs of %s: %v", module, err)
		}
		files = append(files, found...)
	}
	if _, err := envtest.InstallCRDs(s.Plane.Config, envtest.CRDInstallOptions{Paths: files, ErrorIfPathMissing: true, MaxTime: patience}); err != nil {
		t.Fatal(err)
	}
}

// startRollouts runs the controller that `make test-rollouts` builds.
func (s *suite) startRollouts(t *testing.T) {
	t.Helper()
	port := func() string {
		address := harness.FreeAddressFor(t)
		return address[strings.LastIndexByte(address, ':')+1:]
	}
	var err error
	s.controller, err = harness.Start(s.Ctx, s.Folder, "rollouts-controller", []string{"HOME=" + s.Folder}, filepath.Join(s.Bin, "rollouts", "rollouts-controller"),
		"--kubeconfig", s.Plane.Kubeconfig(), "--leader-elect=false", "--metricsPort", port(), "--healthzPort", port(), "--qps=200", "--burst=400")
	if err != nil {
		t.Fatalf("%v: run `make test-rollouts`", err)
	}
	t.Cleanup(s.controller.Stop)
}

// startMonitoring runs the operator, and a Prometheus that scrapes it.
func (s *suite) startMonitoring(t *testing.T) {
	t.Helper()
	metrics := harness.FreeAddressFor(t)
	s.StartOperator(t, "operator", "rollouts-key", "rollouts-secret", callTimeout,
		"--service-discovery", "--backend-names", "--readiness-gates", "--metrics-bind-address", metrics, "--metrics-secure=false")
	s.prometheus = harness.StartPrometheus(t, s.Folder, map[string]any{
		"global": map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s"},
		"scrape_configs": []any{map[string]any{
			"job_name": "slb-health-operator", "honor_labels": true,
			"static_configs": []any{map[string]any{"targets": []string{metrics}}},
		}},
	})
}

// runContainer runs the program of the same name as the image, with the permissions of
// the pod's ServiceAccount.
func (s *suite) runContainer(ctx context.Context, pod *corev1.Pod, container *corev1.Container) error {
	kubeconfig, err := s.kubeconfigOf(ctx, pod)
	if err != nil {
		return err
	}
	image, _, _ := strings.Cut(path.Base(container.Image), ":")
	command := exec.CommandContext(ctx, filepath.Join(s.Bin, image), container.Args...)
	command.Env = []string{"HOME=" + s.Folder, "KUBECONFIG=" + kubeconfig}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// kubeconfigOf writes what a pod reads from its volume: a token, and its namespace.
func (s *suite) kubeconfigOf(ctx context.Context, pod *corev1.Pod) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	request := &authenticationv1.TokenRequest{}
	if err := s.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", err
	}
	relay, ok := s.relays.Load(pod.Namespace)
	if !ok {
		return "", fmt.Errorf("no app is in namespace %s", pod.Namespace)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{
		Server: "https://" + relay.(*harness.Relay).Address, CertificateAuthorityData: s.Plane.Config.CAData,
	}
	config.AuthInfos["pod"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	config.Contexts["pod"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "pod", Namespace: pod.Namespace}
	config.CurrentContext = "pod"
	file := filepath.Join(s.Folder, "kubeconfig-"+string(pod.UID))
	return file, clientcmd.WriteToFile(*config, file)
}

// injectGates applies the policies that inject readiness gates.
func (s *suite) injectGates(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "config", "readiness-gates", "injection.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range harness.ParseManifests(t, content) {
		if err := s.client.Create(s.Ctx, &object); err != nil {
			t.Fatal(err)
		}
	}
}
