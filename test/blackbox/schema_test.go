// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const crdName = "loadbalancerhealths.slb.lbhealth.dev"

var currentCRD = filepath.Join("..", "..", "config", "crd", "bases", "slb.lbhealth.dev_loadbalancerhealths.yaml")

// TestOlderCRD runs the operator as after an upgrade without its CRD.
func TestOlderCRD(t *testing.T) {
	w := newEnv(t, envOptions{quick: true, plane: harness.ControlPlaneOptions{CRDs: []string{olderCRD(t)}}})
	w.addSimulator(t)
	w.bind(t, w.operator, "", "../service-discovery/role.yaml")
	w.createNamespace(t, mainNamespace)
	run := func(t *testing.T, name string) *operator {
		t.Helper()
		return w.startOperator(t, operatorOptions{
			name: name, namespaces: []string{mainNamespace}, account: w.mainAccount,
			args: []string{"--service-discovery", "--region-id=" + region, "--listener-details=off"},
		})
	}
	plain, byService := named(mainNamespace, "lb-plain"), named(mainNamespace, "lb-of-web", func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.LoadBalancerID, o.Spec.RegionID, o.Spec.ServiceRef = "", "", &v1alpha1.ServiceReference{Name: "web"}
	})
	other := web("i-1", "10.0.0.1", "normal")
	other.ListenerPort = 444
	w.simulator.put(t, "lb-plain", web("i-1", "10.0.0.1", "normal"), other)
	w.simulator.put(t, "lb-of-web", web("i-1", "10.0.0.1", "normal"))
	w.create(t, aService("web", map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-of-web"}, nil))

	t.Run("without the states of listeners", func(t *testing.T) {
		op := run(t, "older")
		w.create(t, plain)
		w.create(t, byService)
		w.await(t, plain, good("AllBackendsNormal"))
		w.await(t, byService, good("AllBackendsNormal"))
		w.simulator.put(t, "lb-plain", web("i-1", "10.0.0.1", "normal"))
		w.await(t, plain, unknown("ListenerMissing")) // the CRD has no missingSince
		w.unwritten(t, plain, byService)
		reportsOutdated(t, op, `"status.listeners[].lastTransitionTime"`, "kubectl apply")

		w.kubectl(t, "replace", "-f", currentCRD)
		w.eventually(t, func(g Gomega) {
			g.Expect(op.metrics(g)).To(HaveKeyWithValue("slb_health_crd_outdated", 0.0))
		})
		w.eventually(t, func(g Gomega) {
			g.Expect(w.get(g, plain).Status.Listeners).To(ContainElement(HaveField("MissingSince", Not(BeNil()))))
		})
		w.simulator.put(t, "lb-plain", web("i-1", "10.0.0.1", "normal"), other)
		w.await(t, plain, good("AllBackendsNormal"))
		w.awaitEvents(t, plain, map[string]int{
			"Warning ListenerMissing": 1, "Normal ListenerReturned": 1, "Normal BackendRemoved": 1, "Normal BackendAdded": 1,
			"Warning LoadBalancerHealthUnknown": 1, "Normal LoadBalancerHealthy": 1,
		})
		op.stop(t)
	})

	t.Run("without the load balancers of Services", func(t *testing.T) {
		w.replaceCRD(t, "status.serviceLoadBalancer")
		op := run(t, "older-still")
		found := w.await(t, byService, states{
			"Observed": "False InvalidRequest", "Ready": "False InvalidRequest", "Stalled": "True InvalidRequest", "Healthy": "True AllBackendsNormal",
		})
		NewWithT(t).Expect(conditionOf(found, "Ready").Message).To(And(
			ContainSubstring("is older than the operator and has no status.serviceLoadBalancer"), ContainSubstring("kubectl apply")))
		w.unwritten(t, plain, byService)
		reportsOutdated(t, op, `"status.serviceLoadBalancer"`)
		op.stop(t)
	})

	t.Run("without Services", func(t *testing.T) {
		w.replaceCRD(t, "status.serviceLoadBalancer", "spec.serviceRef")
		op := run(t, "oldest")
		w.create(t, aService("shop", nil, map[string]string{v1alpha1.MonitorAnnotation: "true"}))
		w.eventually(t, func(g Gomega) {
			g.Expect(w.kubectl(t, "events", "-n", mainNamespace, "--for", "service/shop")).To(And(
				ContainSubstring("MonitorRefused"), ContainSubstring("is older than the operator and has no spec.serviceRef")))
		})
		w.await(t, plain, good("AllBackendsNormal"))
		w.eventually(t, func(g Gomega) { // the API server drops its serviceRef on reading, too
			g.Expect(conditionOf(w.get(g, byService), "Ready").Message).To(ContainSubstring("spec names no load balancer"))
		})
		w.unwritten(t, plain, byService)
		reportsOutdated(t, op, `"spec.serviceRef"`, `"status.serviceLoadBalancer"`)
		op.stop(t)
	})
	noRaceOrPanic(t, w)
}

func aService(name string, labels, annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: mainNamespace, Name: name, Labels: labels, Annotations: annotations},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}
}

// unwritten requires that observations do not write the objects.
func (w *env) unwritten(t *testing.T, objects ...*v1alpha1.LoadBalancerHealth) {
	t.Helper()
	before := w.versions(t, objects...)
	w.awaitMoreCalls(t, "lb-plain", 4)
	NewWithT(t).Expect(w.versions(t, objects...)).To(Equal(before))
}

// reportsOutdated requires one error in the log with these words, and the metric.
func reportsOutdated(t *testing.T, op *operator, words ...string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(op.metrics(g)).To(HaveKeyWithValue("slb_health_crd_outdated", 1.0))
	_, stderr := op.output(t)
	var logged []string
	for entry := range strings.Lines(stderr) {
		if strings.Contains(entry, `"level":"error"`) {
			logged = append(logged, entry)
		}
	}
	g.Expect(logged).To(HaveLen(1))
	for _, word := range words {
		g.Expect(logged[0]).To(ContainSubstring(word))
	}
}

// olderCRD writes the CRD of the version before listeners had a state, also without these fields of spec and status,
// and returns its file.
func olderCRD(t *testing.T, without ...string) string {
	t.Helper()
	var crd map[string]any
	if err := yaml.Unmarshal([]byte(readFile(t, currentCRD)), &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	schema := []string{"schema", "openAPIV3Schema", "properties"}
	version := versions[0].(map[string]any)
	remove := func(path ...string) { unstructured.RemoveNestedField(version, slices.Concat(schema, path)...) }
	for _, field := range []string{"lastTransitionTime", "state", "healthCheck", "missingSince"} {
		remove("status", "properties", "listeners", "items", "properties", field)
	}
	remove("status", "properties", "lastAttemptedObserveRequest")
	for _, field := range without {
		of, name, _ := strings.Cut(field, ".")
		remove(of, "properties", name)
		remove("spec", "x-kubernetes-validations") // they use the field
	}
	crd["spec"].(map[string]any)["versions"] = versions
	delete(version, "selectableFields")
	content, err := yaml.Marshal(crd)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// replaceCRD installs the older CRD without these fields, and waits until the API server serves it: until its OpenAPI
// document no longer has the last field.
func (w *env) replaceCRD(t *testing.T, without ...string) {
	t.Helper()
	w.kubectl(t, "replace", "-f", olderCRD(t, without...))
	_, last, _ := strings.Cut(without[len(without)-1], ".")
	w.eventually(t, func(g Gomega) {
		g.Expect(w.kubectl(t, "get", "--raw", "/openapi/v3/apis/slb.lbhealth.dev/v1alpha1")).NotTo(ContainSubstring(`"` + last + `"`))
	})
}
