// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	interval = 5 * time.Second
	// patience is for what needs seconds on an idle machine.
	patience = 2 * time.Minute
	pause    = 500 * time.Millisecond
)

// env is harness.Env and a Prometheus.
type env struct {
	*harness.Env
	server *server
}

func newEnv(t *testing.T, m monitor, replicas ...replica) *env {
	t.Helper()
	s := &env{Env: harness.NewEnv(t, "loadBalancers: []\n")}
	s.server = startServer(t, s.Folder, m, replicas)
	return s
}

// startOperator serves metrics at an address, to every client.
func (s *env) startOperator(t *testing.T, name, metrics string, args ...string) *harness.Process {
	t.Helper()
	return s.StartOperator(t, name, "prometheus-test-key", "prometheus-test-secret",
		append([]string{"--metrics-bind-address", metrics, "--metrics-secure=false"}, args...)...)
}

// observe creates an object for the load balancer of the same name.
func (s *env) observe(t *testing.T, namespace, name string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	return s.observeAs(t, namespace, name, name, intstr.FromInt32(1))
}

// observeAs creates an object for a load balancer, with a minimum.
func (s *env) observeAs(t *testing.T, namespace, name, id string, minHealthy intstr.IntOrString) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: id, RegionID: harness.Region, Interval: metav1.Duration{Duration: interval},
			HealthPolicy: &v1alpha1.HealthPolicy{MinHealthy: &minHealthy},
		},
	}
	s.create(t, object)
	return object
}

// put puts a load balancer of two backends, in this state, into the simulator.
func (s *env) put(t *testing.T, id, state string) {
	t.Helper()
	s.Put(t, id, harness.Backends(443, "https", state, state)...)
}

// setHealth sets the state of backends by their names.
func (s *env) setHealth(t *testing.T, id, state string, servers ...string) {
	t.Helper()
	for _, server := range servers {
		s.Admin(t, http.MethodPatch, "loadbalancers/"+id+"/backends", map[string]any{"serverId": server, "serverHealthStatus": state})
	}
}

// addListener adds a listener without backends.
func (s *env) addListener(t *testing.T, id string, port int) {
	t.Helper()
	s.Admin(t, http.MethodPost, "loadbalancers/"+id+"/listeners", map[string]any{"listenerPort": port, "listenerProtocol": "http"})
}

func (s *env) clearFaults(t *testing.T) {
	t.Helper()
	s.Admin(t, http.MethodDelete, "faults", nil)
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}
