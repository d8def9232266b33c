// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/controlplane"
	"github.com/lbhealth/slb-health-operator/test/internal/kube"
	"github.com/lbhealth/slb-health-operator/test/internal/rig"
)

const (
	programs = "../../bin"
	region   = "cn-hangzhou"
	// unserved is the label of objects that the operator leaves alone.
	unserved = "unserved"
	// patience is for what takes seconds on an idle machine.
	patience = 90 * time.Second
	pause    = 100 * time.Millisecond
)

// world is what the specs share: a cluster, the operator, and a folder that is
// a user's PATH.
type world struct {
	ctx         context.Context
	folder, bin string
	certificate string
	plane       *controlplane.ControlPlane
	client      client.Client
	simulator   *rig.Simulator
	stages      atomic.Int32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ctx: t.Context(), folder: t.TempDir()}
	w.certificate = filepath.Join(w.folder, "certificate.pem")
	w.plane = kube.Start(t.Context(), t, controlplane.Options{})
	w.bin = userPath(t, w.plane.Kubectl())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if w.client, err = client.New(w.plane.Config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if w.simulator, err = rig.StartSimulator(w.ctx, w.folder, filepath.Join(programs, "slb-simulator"), w.certificate, "loadBalancers: []\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.simulator.Stop)
	w.startOperator(t)
	return w
}

func (w *world) startOperator(t *testing.T) {
	t.Helper()
	p, err := rig.Start(w.ctx, w.folder, "operator", func(c *exec.Cmd) {
		c.Env = []string{"HOME=" + w.folder, "SSL_CERT_FILE=" + w.certificate, "ALIBABA_CLOUD_ACCESS_KEY_ID=plugin-test-key", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=plugin-test-secret"}
	}, filepath.Join(programs, "slb-health-operator"),
		"--kubeconfig", w.plane.Kubeconfig(), "--slb-endpoint", w.simulator.URL, "--watch-selector", "!"+unserved,
		"--slb-qps=100", "--slb-burst=100", "--backend-names", "--metrics-bind-address=0", "--health-probe-bind-address=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
}

// userPath is a folder with kubectl, the plugin, and what completes it.
func userPath(t *testing.T, kubectl string) string {
	t.Helper()
	folder := t.TempDir()
	for name, path := range map[string]string{
		"kubectl":              kubectl,
		"kubectl-lbh":          filepath.Join(programs, "plugin", "kubectl-lbh"),
		"kubectl_complete-lbh": filepath.Join("..", "..", "cmd", "kubectl-lbh", "kubectl_complete-lbh"),
	} {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run make test-plugin", err)
		}
		if err := os.Symlink(path, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// stage is a namespace of a spec's own.
type stage struct {
	*world
	namespace string
}

func (w *world) newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{world: w, namespace: fmt.Sprintf("ns-%02d", w.stages.Add(1))}
	if err := w.client.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// lb is the id of this stage's load balancer of a name.
func (s *stage) lb(name string) string { return "lb-" + s.namespace + "-" + name }

// put makes a load balancer whose backends are in these states.
func (s *stage) put(t *testing.T, name string, states ...string) {
	t.Helper()
	backends := []map[string]any{}
	for i, state := range states {
		backends = append(backends, map[string]any{
			"serverId": fmt.Sprintf("i-%d", i+1), "serverIp": fmt.Sprintf("10.0.0.%d", i+1), "type": "ecs",
			"listenerPort": 443, "listenerProtocol": "https", "port": 8443, "serverHealthStatus": state,
		})
	}
	s.putBackends(t, name, backends...)
}

// putBackends makes a load balancer of these backends.
func (s *stage) putBackends(t *testing.T, name string, backends ...map[string]any) {
	t.Helper()
	s.admin(t, http.MethodPut, "loadbalancers/"+s.lb(name), map[string]any{"regionId": region, "backends": append([]map[string]any{}, backends...)})
}

// fail lets every call about a load balancer be answered with a code.
func (s *stage) fail(t *testing.T, name, code string, status int) {
	t.Helper()
	s.failTimes(t, name, code, status, 0)
}

// failTimes lets as many calls be answered so; 0: all.
func (s *stage) failTimes(t *testing.T, name, code string, status, times int) {
	t.Helper()
	fault := map[string]any{"kind": "status", "loadBalancerId": s.lb(name), "code": code, "httpStatus": status}
	if times > 0 {
		fault["times"] = times
	}
	s.admin(t, http.MethodPost, "faults", fault)
}

func (s *stage) admin(t *testing.T, method, path string, body any) {
	t.Helper()
	if err := s.simulator.Admin(s.ctx, method, path, body, nil); err != nil {
		t.Fatal(err)
	}
}

// observe makes an object for the load balancer of its name.
func (s *stage) observe(t *testing.T, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: s.lb(name), RegionID: region, Interval: metav1.Duration{Duration: 5 * time.Second}},
	}
	for _, edit := range edits {
		edit(object)
	}
	if err := s.client.Create(s.ctx, object); err != nil {
		t.Fatal(err)
	}
}

// until waits for an object whose condition Ready has this reason.
func (s *stage) until(t *testing.T, name, reason string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		object := &v1alpha1.LoadBalancerHealth{}
		g.Expect(s.client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object)).To(Succeed())
		reasons := map[string]string{}
		for _, c := range object.Status.Conditions {
			reasons[c.Type] = c.Reason
		}
		g.Expect(reasons).To(HaveKeyWithValue(v1alpha1.ConditionReady, reason))
	})
}

// stored are conditions that a test writes in the operator's place, as type,
// status and reason.
var (
	storedHealthy = [][3]string{
		{v1alpha1.ConditionReady, "True", v1alpha1.ReasonAllBackendsNormal},
		{v1alpha1.ConditionHealthy, "True", v1alpha1.ReasonAllBackendsNormal},
		{v1alpha1.ConditionObserved, "True", v1alpha1.ReasonObservationSucceeded},
	}
	storedThrottled = [][3]string{
		{v1alpha1.ConditionReady, "True", v1alpha1.ReasonAllBackendsNormal},
		{v1alpha1.ConditionHealthy, "True", v1alpha1.ReasonAllBackendsNormal},
		{v1alpha1.ConditionObserved, "False", v1alpha1.ReasonThrottled},
	}
	storedStalled = [][3]string{
		{v1alpha1.ConditionReady, "False", v1alpha1.ReasonForbidden},
		{v1alpha1.ConditionHealthy, "True", v1alpha1.ReasonAllBackendsNormal},
		{v1alpha1.ConditionObserved, "False", v1alpha1.ReasonForbidden},
		{v1alpha1.ConditionStalled, "True", v1alpha1.ReasonForbidden},
	}
)

// store writes the status of an object that the operator leaves alone: it was
// observed so long ago.
func (s *stage) store(t *testing.T, name string, conditions [][3]string, age time.Duration, edits ...func(*v1alpha1.LoadBalancerHealth)) {
	t.Helper()
	object := s.read(t, name)
	at := metav1.NewTime(time.Now().Add(-age))
	object.Status = v1alpha1.LoadBalancerHealthStatus{
		ObservedGeneration: object.Generation, LastObservedTime: &at,
		LastHandledObserveRequest: object.Status.LastHandledObserveRequest, LastAttemptedObserveRequest: object.Status.LastAttemptedObserveRequest,
		Summary: &v1alpha1.Summary{Listeners: 1, Counts: v1alpha1.Counts{Backends: 2, Normal: 2}},
	}
	for _, c := range conditions {
		object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{
			Type: c[0], Status: metav1.ConditionStatus(c[1]), Reason: c[2], Message: "about " + c[2], ObservedGeneration: object.Generation, LastTransitionTime: at,
		})
	}
	for _, edit := range edits {
		edit(object)
	}
	if err := s.client.Status().Update(s.ctx, object); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) read(t *testing.T, name string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{}
	if err := s.client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// request asks for an observation by annotation.
func (s *stage) request(t *testing.T, name, value string) {
	t.Helper()
	object := s.read(t, name)
	object.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: value}
	if err := s.client.Update(s.ctx, object); err != nil {
		t.Fatal(err)
	}
}

// requested waits for a request other than that, and returns it.
func (s *stage) requested(t *testing.T, name, other string) (value string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		value = s.read(t, name).Annotations[v1alpha1.ObserveRequestedAtAnnotation]
		g.Expect(value).NotTo(BeElementOf("", other))
	})
	return value
}

func handled(value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastHandledObserveRequest = value }
}

func tried(value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastAttemptedObserveRequest = value }
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}
