// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// enabled are the labels of a Service that requests gates.
var enabled = map[string]string{gateLabel: "enabled"}

func newService(name string, labels, selector map[string]string, changes ...func(*corev1.Service)) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: selector,
			Ports: []corev1.ServicePort{{Port: 443}},
		},
	}
	for _, change := range changes {
		change(service)
	}
	return service
}

func (e *env) testInjection(t *testing.T) {
	e.createNamespace(t, "shop")
	e.createNamespace(t, "elsewhere")
	// The API server reads Services in the order of their creation: once it injects the
	// gates of the last ones, it knows those that must inject nothing.
	e.create(t,
		newService("inner", enabled, map[string]string{"app": "inner"}, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }),
		newService("unlabelled", nil, map[string]string{"app": "unlabelled"}),
		newService("off", map[string]string{gateLabel: "off"}, map[string]string{"app": "off"}),
		newService("all", enabled, nil),
		newService("web", enabled, map[string]string{"app": "web"}),
		newService("api", enabled, map[string]string{"app": "api", "tier": "back"}),
		newService("first", enabled, map[string]string{"shared": "yes"}),
		newService("second", enabled, map[string]string{"shared": "yes"}),
	)
	e.awaitGates(t, newPod("shop", map[string]string{"shared": "yes"}), both("first", "second"))
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), both("web"))
	t.Run("pods", e.testPods)
	t.Run("a pod keeps the gates of its creation", e.testNoLaterGates)
	t.Run("another policy replaces the gates", e.testReinvocation)
	t.Run("a second installation", e.testSecondInstallation)
	t.Run("the switch of a Service", e.testSwitch)
	t.Run("no evaluation fails", e.testNoErrors)
	t.Run("a policy that fails", e.testFailure)
	t.Run("the API server restarts", e.testRestart)
}

func (e *env) testPods(t *testing.T) {
	web := map[string]string{"app": "web"}
	other := func(values ...string) map[string]string {
		labels := map[string]string{}
		for pair := range slices.Chunk(values, 2) {
			labels[pair[0]] = pair[1]
		}
		return labels
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"selected":                    {newPod("shop", web), both("web")},
		"selected, with other labels": {newPod("shop", other("app", "web", "version", "2")), both("web")},
		"selected by two labels":      {newPod("shop", other("app", "api", "tier", "back")), both("api")},
		"selected by two Services":    {newPod("shop", other("shared", "yes")), both("first", "second")},
		"one of two labels":           {newPod("shop", other("app", "api")), nil},
		"another value":               {newPod("shop", other("app", "web-2")), nil},
		"no labels":                   {newPod("shop", nil), nil},
		"another namespace":           {newPod("elsewhere", web), nil},
		"a Service without label":     {newPod("shop", other("app", "unlabelled")), nil},
		"a Service with the label off": {
			newPod("shop", other("app", "off")), nil,
		},
		"no load balancer": {newPod("shop", other("app", "inner")), nil},
		"host network":     {newPod("shop", web, func(p *corev1.Pod) { p.Spec.HostNetwork = true }), nil},
		"mirror pod": {newPod("shop", web, func(p *corev1.Pod) {
			p.Annotations, p.Spec.NodeName = map[string]string{corev1.MirrorPodAnnotationKey: "1"}, "node-1"
		}), nil},
		"other annotations": {newPod("shop", web, func(p *corev1.Pod) {
			p.Annotations = map[string]string{"example.com/note": "1"}
		}), both("web")},
		"opted out":                     {newPod("shop", other("app", "web", gateLabel, "disabled")), nil},
		"another value of the opt-out":  {newPod("shop", other("app", "web", gateLabel, "enabled")), both("web")},
		"with a gate of its own":        {newPod("shop", web, withGates("example.com/warm")), append([]string{"example.com/warm"}, both("web")...)},
		"with the cloud's gate":         {newPod("shop", web, withGates("example.com/warm", cloudGate+"web")), []string{"example.com/warm", cloudGate + "web", ownGate + "web"}},
		"with the operator's gate":      {newPod("shop", web, withGates(ownGate+"web")), both("web")},
		"with both gates":               {newPod("shop", web, withGates(cloudGate+"web", ownGate+"web")), []string{cloudGate + "web", ownGate + "web"}},
		"with gates of another Service": {newPod("shop", web, withGates(both("api")...)), both("api", "web")},
	} {
		t.Run(name, func(t *testing.T) {
			e.create(t, test.pod)
			got := gatesOf(test.pod)
			if name == "selected by two Services" { // which have no order
				slices.Sort(got)
				slices.Sort(test.want)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("it has the gates %q, not %q", got, test.want)
			}
		})
	}
}

// testNoLaterGates labels a Service when its pod exists.
func (e *env) testNoLaterGates(t *testing.T) {
	late := map[string]string{"app": "late"}
	pod := newPod("shop", late)
	e.create(t, pod, newService("late", enabled, late))
	e.awaitGates(t, newPod("shop", late), both("late"))
	pod.Annotations = map[string]string{"example.com/changed": "yes"}
	if err := e.admin.Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := gatesOf(pod); len(got) != 0 {
		t.Errorf("an update added the gates %q", got)
	}
}

// replacer is a policy that replaces all gates of a pod.
const replacer = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: replacer}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/spec/readinessGates', value: [{'conditionType': 'example.com/ROUND'}]}]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: replacer}
spec: {policyName: replacer}
`

// testReinvocation lets another policy replace the gates. The order of policies is random,
// and another one after each change of a policy.
func (e *env) testReinvocation(t *testing.T) {
	for _, round := range []string{"1", "2", "3", "4", "5"} {
		e.plane.RunKubectl(t, []byte(strings.ReplaceAll(replacer, "ROUND", round)), "apply", "--server-side", "-f", "-")
		e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), append(both("web"), "example.com/"+round))
	}
	e.plane.RunKubectl(t, []byte(replacer), "delete", "-f", "-")
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), both("web"))
}

// testSecondInstallation applies the policy under another name, too: pods get each gate once.
func (e *env) testSecondInstallation(t *testing.T) {
	files := []string{string(harness.ReadFile(t, gatesFolder+"/injection.yaml"))}
	files = append(files, strings.ReplaceAll(files[0], "name: readiness-gates", "name: a-readiness-gates"))
	files[1] = strings.ReplaceAll(files[1], "policyName: readiness-gates", "policyName: a-readiness-gates")
	e.plane.RunKubectl(t, []byte(files[1]), "apply", "--server-side", "-f", "-")
	e.plane.RunKubectl(t, []byte(files[0]), "delete", "-f", "-")
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), both("web")) // by the second one
	e.plane.RunKubectl(t, []byte(files[0]), "apply", "--server-side", "-f", "-")
	e.consistently(t, newPod("shop", map[string]string{"shared": "yes"}), both("first", "second"))
	e.plane.RunKubectl(t, []byte(files[1]), "delete", "-f", "-")
	e.awaitGates(t, newPod("shop", map[string]string{"app": "web"}), both("web")) // by the first one
}

// consistently creates pods for a few seconds.
func (e *env) consistently(t *testing.T, pod *corev1.Pod, want []string) {
	t.Helper()
	NewWithT(t).Consistently(t.Context(), func(ctx context.Context) ([]string, error) {
		dry := pod.DeepCopy()
		err := e.admin.Create(ctx, dry, client.DryRunAll)
		return gatesOf(dry), err
	}).WithTimeout(patience / 20).Should(ConsistOf(want))
}

// testSwitch sets the label of a Service to off, and to enabled again.
func (e *env) testSwitch(t *testing.T) {
	web := newPod("shop", map[string]string{"app": "web"})
	for _, step := range []struct {
		value string
		want  []string
	}{{"off", nil}, {"enabled", both("web")}} {
		e.plane.RunKubectl(t, nil, "label", "--overwrite", "--namespace=shop", "service", "web", gateLabel+"="+step.value)
		e.awaitGates(t, web, step.want)
	}
}

// testNoErrors reads the metrics of the API server, which is silent about a policy that
// fails and is ignored.
func (e *env) testNoErrors(t *testing.T) {
	if failed := e.evaluationErrors(t); len(failed) > 0 {
		t.Errorf("evaluations failed:\n%s", strings.Join(failed, "\n"))
	}
}

func (e *env) evaluationErrors(t *testing.T) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(string(e.plane.RunKubectl(t, nil, "get", "--raw", "/metrics"))) {
		isMatch := strings.HasPrefix(line, "apiserver_admission_match_condition_evaluation_errors_total{")
		isMutation := strings.HasPrefix(line, "apiserver_mutating_admission_policy_check_total{") && !strings.Contains(line, `error_type="no_error"`)
		if (isMatch || isMutation) && strings.Contains(line, "readiness-gates.slb.lbhealth.dev") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// testFailure makes the policy fail: pods come without gates. With failurePolicy Fail,
// which shows that it fails, they do not come at all.
func (e *env) testFailure(t *testing.T) {
	web := newPod("shop", map[string]string{"app": "web"})
	e.patchPolicy(t, `[{"op": "replace", "path": "/spec/matchConditions/0/expression", "value": "params.spec.noSuchField == 'LoadBalancer'"}]`)
	e.awaitGates(t, web, nil)
	if len(e.evaluationErrors(t)) == 0 {
		t.Error("the metrics of the API server show no error")
	}
	e.patchPolicy(t, `[{"op": "replace", "path": "/spec/failurePolicy", "value": "Fail"}]`)
	NewWithT(t).Eventually(t.Context(), func(ctx context.Context) error {
		return e.admin.Create(ctx, web.DeepCopy(), client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("noSuchField")))
	// Also with Fail, pods of a namespace without such a Service come.
	e.create(t, newPod("elsewhere", map[string]string{"app": "web"}))
	e.applyAsTheyStand(t)
	e.awaitGates(t, web, both("web"))
}

// restartPods are the pods that are created while the API server restarts.
const restartPods = 60

// testRestart kills the API server, and creates pods from the moment on when it accepts
// requests again: it evaluates the policy before it creates the first one.
func (e *env) testRestart(t *testing.T) {
	server := e.plane.APIServer()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- server.Start() }()
	began := time.Now()
	var longest time.Duration
	for n := range restartPods {
		pod, tried := newPod("shop", map[string]string{"app": "web"}), time.Now()
		NewWithT(t).Eventually(t.Context(), func(ctx context.Context) error {
			tried = time.Now()
			return e.admin.Create(ctx, pod)
		}).WithTimeout(patience).WithPolling(10 * time.Millisecond).Should(Succeed())
		longest = max(longest, time.Since(tried))
		if n == 0 {
			t.Logf("the first pod was created after %s, by a request of %s", time.Since(began), time.Since(tried))
		}
		if got := gatesOf(pod); !slices.Equal(got, both("web")) {
			t.Errorf("pod %d has the gates %q", n+1, got)
		}
	}
	t.Logf("the longest request took %s", longest)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	e.testNoErrors(t)
}

func (e *env) patchPolicy(t *testing.T, patch string) {
	t.Helper()
	policy := &unstructured.Unstructured{}
	policy.SetGroupVersionKind(policyKind)
	policy.SetName("readiness-gates.slb.lbhealth.dev")
	if err := e.admin.Patch(t.Context(), policy, client.RawPatch("application/json-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// TestNoListOfObjects forbids what panics kube-apiserver 1.36 before 1.36.5: a list of
// Object values in a JSONPatch. The other tests show it only on such a version.
func TestNoListOfObjects(t *testing.T) {
	policy := harness.ParseManifests(t, harness.ReadFile(t, gatesFolder+"/injection.yaml"))[0]
	mutations, err := json.Marshal(policy.Object["spec"].(map[string]any)["mutations"])
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`Object[.{]`).Find(mutations); found != nil {
		t.Errorf("a mutation has an %s: use a plain map", found)
	}
}
