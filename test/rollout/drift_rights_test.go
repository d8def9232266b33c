// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// An operator whose roles are older than expected backends starts, says once what it may
// not read, and reports nothing as missing that it cannot know. With the new roles it does.
func testMayNotReadSlices(t *testing.T, s *suite) {
	const slices, policies = "endpointslices", "networkpolicies"
	d := s.newDeployedDrift(t, appOptions{replicas: 2})
	d.operator.Stop()
	d.lb.Pause(true)
	pod := d.pods(t, "")[0]
	if err := d.lb.Deregister(d.Ctx, pod.Status.PodIP); err != nil {
		t.Fatal(err)
	}
	d.admit(t, "internal", "10.0.0.0/8")
	d.setCheck(t, standin.Always(standin.Abnormal))

	d.startAs(t, "old", slices, policies)
	c := registeredOf(&d.awaitRegistered(t, metav1.ConditionUnknown).Status)
	if c.Reason != v1alpha1.ReasonNotDetermined || !strings.Contains(c.Message, "the operator may not read EndpointSlices: apply config/service-discovery") {
		t.Errorf("Registered is %+v", c)
	}
	d.logsOnce(t, "Registered is not determined: apply config/service-discovery")
	d.judgesNothing(t)

	d.operator.Stop()
	d.startAs(t, "without-policies", policies)
	d.logsOnce(t, "no diagnosis names a NetworkPolicy: apply config/backend-names")
	d.awaitRegistered(t, metav1.ConditionFalse)
	d.awaitEvents(t, v1alpha1.EventBackendsMissing, 1)
	d.noPolicyIsNamed(t)
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 2")
}

// startAs starts an operator as a user that may not read some resources.
func (d *driftApp) startAs(t *testing.T, userName string, without ...string) {
	t.Helper()
	u := d.addUser(t, userName+"-"+d.namespace)
	for _, folder := range []string{"rbac", "service-discovery", "backend-names", "readiness-gates"} {
		d.grant(t, u, folder, without...)
	}
	d.startOperator(t, "--kubeconfig="+u.kubeconfig)
}

// logsOnce waits for an observation, and fails unless the operator has logged a text once.
func (d *driftApp) logsOnce(t *testing.T, text string) {
	t.Helper()
	d.observeNow(t)
	d.observeNow(t)
	log := string(harness.ReadFile(t, d.operator.Stderr))
	if n := strings.Count(log, text); n != 1 {
		t.Errorf("the operator logged %d times, not once: %s", n, text)
	}
}

// judgesNothing verifies that the status has nothing about expected backends, and all the rest.
func (d *driftApp) judgesNothing(t *testing.T) {
	t.Helper()
	status := &d.object(t, name).Status
	if s := status.Summary; s.Missing != nil || s.Backends != 1 || len(status.MissingBackends) > 0 {
		t.Errorf("the summary is %+v, and the missing backends are %v", s, status.MissingBackends)
	}
	if got := countOf(&status.Listeners[0]); got != "80/tcp 0 of -1" {
		t.Errorf("the listener has %s", got)
	}
	if b := &status.Backends[0]; b.Pod == "" || b.Node == "" || b.Diagnosis == v1alpha1.DiagnosisNetworkPolicyBlocks {
		t.Errorf("the backend is %+v", b)
	}
}

// noPolicyIsNamed verifies that no diagnosis is about a NetworkPolicy, though one blocks.
func (d *driftApp) noPolicyIsNamed(t *testing.T) {
	t.Helper()
	for _, b := range d.object(t, name).Status.Backends {
		if b.ServerHealthStatus != standin.Abnormal || b.Diagnosis == v1alpha1.DiagnosisNetworkPolicyBlocks {
			t.Errorf("%s %s has the diagnosis %q", b.Address(), b.ServerHealthStatus, b.Diagnosis)
		}
	}
}
