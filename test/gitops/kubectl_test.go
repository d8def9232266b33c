// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const examples = "config/samples"

// TestKubectl applies config/samples, as people and tools do.
func TestKubectl(t *testing.T) {
	t.Parallel()
	s := newEnv(t, string(harness.ReadFile(t, filepath.Join(root, "hack", "demo", "simulator.yaml"))))
	s.startOperator(t, "operator")
	t.Run("apply again", func(t *testing.T) { s.applyAgain(t) })
	t.Run("two managers", func(t *testing.T) { s.twoManagers(t) })
	t.Run("wait", func(t *testing.T) { s.waits(t) })
	t.Run("wait for an observation after a rollout", func(t *testing.T) { s.waitsForObservation(t) })
}

// applyAgain demands that applying the same again changes nothing.
func (s *env) applyAgain(t *testing.T) {
	s.kubectl(t, "apply", "-k", examples)
	before := s.awaitReady(t)
	s.expectNoDiff(t)
	for result := range strings.Lines(s.kubectl(t, "apply", "-k", examples)) {
		if !strings.HasSuffix(result, " unchanged\n") {
			t.Error(result)
		}
	}
	s.expectSame(t, before)
}

// twoManagers lets two tools own the same fields, while the operator writes
// statuses.
func (s *env) twoManagers(t *testing.T) {
	managers := []string{"argocd-controller", "kustomize-controller"}
	for round, state := range []string{"abnormal", "normal"} {
		s.Admin(t, http.MethodPatch, "loadbalancers/lb-demo-web/backends", map[string]any{"serverId": "i-web-1", "serverHealthStatus": state})
		ready := []string{"True MinHealthyMet", "True AllBackendsNormal"}[round]
		eventually(t, func(g Gomega) {
			for _, manager := range managers {
				output, code := s.try(t, "apply", "--server-side", "--field-manager="+manager, "-k", examples)
				g.Expect(code).To(BeZero(), output)
			}
			g.Expect(condition(s.get(t, "default", "web"), "Ready")).To(Equal(ready))
		})
	}
	before := s.awaitReady(t)
	for _, manager := range managers {
		s.expectNoDiff(t, "--server-side", "--field-manager="+manager)
		s.kubectl(t, "apply", "--server-side", "--field-manager="+manager, "-k", examples)
	}
	s.expectSame(t, before)
	s.expectOwners(t, managers)
}

// expectOwners demands that each manager owns the spec, and the operator
// nothing but the status.
func (s *env) expectOwners(t *testing.T, managers []string) {
	t.Helper()
	owned := map[string]string{}
	for _, entry := range s.get(t, "default", "web").GetManagedFields() {
		owned[entry.Manager] += string(entry.FieldsV1.Raw)
	}
	for _, manager := range managers {
		if !strings.Contains(owned[manager], `"f:loadBalancerId"`) {
			t.Errorf("%s does not own the spec: %s", manager, owned[manager])
		}
	}
	if fields, found := owned["slb-health-operator"]; !found || strings.Contains(fields, `"f:spec"`) || strings.Contains(fields, `"f:metadata"`) {
		t.Errorf("the operator owns %q, of %q", fields, owned)
	}
}

// awaitReady waits until all objects are healthy, and returns their versions.
func (s *env) awaitReady(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, name := range []string{"api", "partner", "web"} {
		object := s.await(t, "default", name, "True AllBackendsNormal")
		versions[name] = fmt.Sprintf("generation %d, resourceVersion %s", object.GetGeneration(), object.GetResourceVersion())
	}
	return versions
}

// expectSame verifies that nothing wrote the objects, also not after another
// observation.
func (s *env) expectSame(t *testing.T, before map[string]string) {
	t.Helper()
	for name, id := range map[string]string{"api": "lb-demo-api", "web": "lb-demo-web"} {
		if name == "web" { // its interval is short enough to wait for
			s.awaitCall(t, id)
		}
		object := s.get(t, "default", name)
		if got := fmt.Sprintf("generation %d, resourceVersion %s", object.GetGeneration(), object.GetResourceVersion()); got != before[name] {
			t.Errorf("%s: %s, was %s", name, got, before[name])
		}
	}
}

// awaitCall waits for two more calls of the operator, so that it has processed the first.
func (s *env) awaitCall(t *testing.T, id string) {
	t.Helper()
	count := func() int {
		var calls struct {
			ByLoadBalancer map[string]int `json:"byLoadBalancer"`
		}
		if err := s.Simulator.Admin(s.Ctx, http.MethodGet, "calls?limit=1", nil, &calls); err != nil {
			t.Fatal(err)
		}
		return calls.ByLoadBalancer[id]
	}
	before := count()
	eventually(t, func(g Gomega) { g.Expect(count()).To(BeNumerically(">=", before+2)) })
}

func (s *env) expectNoDiff(t *testing.T, args ...string) {
	t.Helper()
	if output, code := s.try(t, append([]string{"diff", "-k", examples}, args...)...); code != 0 {
		t.Errorf("kubectl diff %s: exit code %d\n%s", strings.Join(args, " "), code, output)
	}
}

// waits verifies that `kubectl wait` ends when the load balancer becomes healthy, and no sooner.
func (s *env) waits(t *testing.T) {
	wait := documented(t, "wait --for=condition=Ready lbh/web --timeout=5m")
	s.Admin(t, http.MethodPatch, "loadbalancers/lb-demo-web/backends", map[string]any{"serverHealthStatus": "abnormal"})
	s.await(t, "default", "web", "False BelowMinHealthy")
	if output, code := s.try(t, append(wait[:len(wait)-1:len(wait)-1], "--timeout=1s")...); code != 1 {
		t.Errorf("exit code %d: %s", code, output)
	}
	ended := make(chan string, 1)
	go func() {
		output, code := s.try(t, wait...)
		ended <- fmt.Sprintf("exit code %d: %s", code, output)
	}()
	// An edit in between: the status of the old spec must not end it.
	s.patch(t, "default", "web", `{"spec": {"healthPolicy": {"minHealthy": "75%"}}}`)
	healthy := time.Now().Truncate(time.Second)
	s.Admin(t, http.MethodPatch, "loadbalancers/lb-demo-web/backends", map[string]any{"serverHealthStatus": "normal"})
	if got := <-ended; !strings.Contains(got, "exit code 0") {
		t.Fatal(got)
	}
	object := s.get(t, "default", "web")
	changed, err := time.Parse(time.RFC3339, fmt.Sprint(findCondition(object, "Ready")["lastTransitionTime"]))
	if err != nil || changed.Before(healthy) || condition(object, "Ready") != "True AllBackendsNormal" {
		t.Errorf("it ended at %s, with backends normal since %s: %v", changed, healthy, err)
	}
}

// waitsForObservation runs the commands of the document.
func (s *env) waitsForObservation(t *testing.T) {
	const now = "1700000000"
	fill := func(command string) []string {
		words := documented(t, command)
		for i := range words {
			words[i] = strings.ReplaceAll(strings.ReplaceAll(words[i], `"$now"`, now), `"`, "")
		}
		return words
	}
	s.kubectl(t, fill(`annotate lbh web --overwrite slb.lbhealth.dev/observe-requested-at="$now"`)...)
	s.kubectl(t, fill(`wait --for=jsonpath='{.status.lastHandledObserveRequest}'="$now" lbh/web --timeout=1m`)...)
	s.kubectl(t, fill(`wait --for=condition=Ready lbh/web --timeout=5m`)...)

	stalled := documented(t, `wait --for=jsonpath='{.status.conditions[?(@.type=="Stalled")].status}'=True lbh/web --timeout=0`)
	if output, code := s.try(t, stalled...); code != 1 {
		t.Errorf("exit code %d on an object that is not stalled: %s", code, output)
	}
	s.Admin(t, http.MethodPost, "faults", map[string]any{"kind": "status", "loadBalancerId": "lb-demo-web", "code": "Forbidden.RAM", "httpStatus": http.StatusForbidden})
	s.await(t, "default", "web", "False Forbidden")
	s.kubectl(t, stalled...)
}
