// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/simulator"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// testSimulator applies docs/simulator to a namespace that enforces the restricted Pod
// Security Standard, and compares its ports and labels.
func testSimulator(t *testing.T, admin client.Client, c *harness.ControlPlane) {
	manifests := c.RunKubectl(t, nil, "kustomize", "../../docs/simulator")
	c.RunKubectl(t, manifests, "apply", "--server-side", "--validate=strict", "-f", "-")
	objects := harness.ParseManifests(t, manifests)
	deployment := harness.Only[appsv1.Deployment](t, objects, "Deployment")
	harness.VerifyPods(t, admin, deployment)

	container := deployment.Spec.Template.Spec.Containers[0]
	port := container.Ports[0]
	if got := container.Args[0]; got != fmt.Sprintf("--listen=:%d", port.ContainerPort) {
		t.Errorf("it starts with %s, and its port is %d", got, port.ContainerPort)
	}
	service := harness.Only[corev1.Service](t, objects, "Service")
	if got := service.Spec.Ports[0]; got.TargetPort.String() != port.Name || got.Port != port.ContainerPort {
		t.Errorf("the Service has the port %+v", got)
	}
	policy := harness.Only[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
	if got := portsOf(policy.Spec.Ingress[0].Ports); len(got) != 1 || got[0] != fmt.Sprintf("TCP %d", port.ContainerPort) {
		t.Errorf("the NetworkPolicy lets %q in", got)
	}
	for name, labels := range map[string]map[string]string{"Service": service.Spec.Selector, "NetworkPolicy": policy.Spec.PodSelector.MatchLabels} {
		for key, value := range labels {
			if len(labels) != 1 || deployment.Spec.Template.Labels[key] != value {
				t.Errorf("the %s selects %v", name, labels)
			}
		}
	}

	testSimulatorFile(t, harness.Only[corev1.ConfigMap](t, objects, "ConfigMap").Data, &container)
}

// testSimulatorFile has the simulator serve the file that the container names.
func testSimulatorFile(t *testing.T, files map[string]string, container *corev1.Container) {
	t.Helper()
	mounted := strings.TrimPrefix(container.Args[1], "--config="+container.VolumeMounts[0].MountPath+"/")
	config, err := simulator.ParseConfig([]byte(files[mounted]))
	if err != nil {
		t.Fatalf("%s: %v", mounted, err)
	}
	server := httptest.NewServer(simulator.New(config, simulator.Options{}))
	defer server.Close()
	id := config.LoadBalancers[0].LoadBalancerID
	for path, want := range map[string]string{container.ReadinessProbe.HTTPGet.Path: "ok", "/admin/v1/loadbalancers/" + id: id} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %s, %v", path, response.Status, body, err)
		}
	}
}
