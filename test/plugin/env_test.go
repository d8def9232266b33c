// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	programs = "../../bin"
	// unserved is the label of objects that the operator does not serve.
	unserved = "unserved"
	// patience is the timeout of what needs seconds on an idle machine.
	patience = 90 * time.Second
	pause    = 100 * time.Millisecond
)

// suite is shared by the specs: a cluster, the operator, and the folder of a
// user's PATH.
type suite struct {
	*harness.Env
	path     string
	fixtures atomic.Int32
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{Env: harness.NewEnv(t, "loadBalancers: []\n")}
	s.path = userPath(t, s.Plane.Kubectl())
	s.StartOperator(t, "operator", "plugin-test-key", "plugin-test-secret", "--watch-selector", "!"+unserved,
		"--slb-qps=100", "--slb-burst=100", "--backend-names", "--metrics-bind-address=0")
	return s
}

// userPath is a folder with kubectl, the plugin, and its completion script.
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

// fixture is the namespace of one spec.
type fixture struct {
	*suite
	namespace string
}

func (s *suite) newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{suite: s, namespace: fmt.Sprintf("ns-%02d", s.fixtures.Add(1))}
	f.CreateNamespace(t, f.namespace)
	return f
}

// lb is the id of a load balancer of this fixture.
func (s *fixture) lb(name string) string { return "lb-" + s.namespace + "-" + name }

// put creates a load balancer with a backend in each state.
func (s *fixture) put(t *testing.T, name string, states ...string) {
	t.Helper()
	s.Put(t, s.lb(name), harness.Backends(443, "https", states...)...)
}

// observe creates an object for the load balancer of its name.
func (s *fixture) observe(t *testing.T, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: s.lb(name), RegionID: harness.Region, Interval: metav1.Duration{Duration: 5 * time.Second}},
	}
	for _, edit := range edits {
		edit(object)
	}
	if err := s.Client.Create(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// until waits until an object's condition Ready has this reason.
func (s *fixture) until(t *testing.T, name, reason string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		object := &v1alpha1.LoadBalancerHealth{}
		g.Expect(s.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object)).To(Succeed())
		reasons := map[string]string{}
		for _, c := range object.Status.Conditions {
			reasons[c.Type] = c.Reason
		}
		g.Expect(reasons).To(HaveKeyWithValue(v1alpha1.ConditionReady, reason))
	})
}

// Conditions for store, as type, status and reason.
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

// store writes the status of an object that the operator does not serve, as if it
// was observed so long ago.
func (s *fixture) store(t *testing.T, name string, conditions [][3]string, age time.Duration, edits ...func(*v1alpha1.LoadBalancerHealth)) {
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
	if err := s.Client.Status().Update(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

func (s *fixture) read(t *testing.T, name string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{}
	if err := s.Client.Get(s.Ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// request requests an observation by annotation.
func (s *fixture) request(t *testing.T, name, value string) {
	t.Helper()
	object := s.read(t, name)
	object.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: value}
	if err := s.Client.Update(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// requested waits for another request than this one, and returns it.
func (s *fixture) requested(t *testing.T, name, other string) (value string) {
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

func attempted(value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastAttemptedObserveRequest = value }
}

func eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}
