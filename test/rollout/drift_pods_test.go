// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// Every backend of a listener is removed while the pods are Ready.
func testEmptied(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{replicas: 3})
	d.lb.Pause(true)
	since := time.Now()
	if err := d.lb.Deregister(d.Ctx, d.lb.Addresses()...); err != nil {
		t.Fatal(err)
	}
	want := findings{listeners: []string{"80/tcp 3 of 3"}}
	for _, pod := range d.pods(t, "") {
		want.missing = append(want.missing, podRow(80, 8080, &pod, ""))
	}
	d.isMissing(t, since, want)
	if c := registeredOf(&d.object(t, name).Status); !strings.Contains(c.Message, "check the events of the Service, and the log of the cloud controller manager") {
		t.Errorf("the message does not say where to look: %s", c.Message)
	}
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 3")
}

// Two of five pods are not registered: one of them is on a node that is not Ready. A
// restart of the operator changes nothing. An object for the same load balancer that
// names no Service reports nothing of that.
func testNotRegistered(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{nodes: []string{"a"}, delays: []time.Duration{checkDelay, checkDelay}})
	d.createByID(t)
	if err := d.cluster.AddNode(d.Ctx, d.node("broken"), nil); err != nil {
		t.Fatal(err)
	}
	onBroken := d.newPod("on-broken")
	onBroken.Spec.NodeName, onBroken.Spec.NodeSelector = d.node("broken"), nil
	d.create(t, onBroken)
	d.awaitChange(t, onBroken, "a Ready pod", isReady)
	d.awaitBackends(t, replicas+1)
	if err := d.cluster.SetNodeReady(d.Ctx, d.node("broken"), false); err != nil {
		t.Fatal(err)
	}
	pod := d.pods(t, "")[0]
	d.lb.Skip(pod.Status.PodIP, onBroken.Status.PodIP)
	since := time.Now()
	d.reconcileService(t)
	d.isMissing(t, since, findings{
		missing: []string{
			podRow(80, 8080, &pod, ""), podRow(80, 8080, onBroken, v1alpha1.DiagnosisNodeNotReady),
			podRow(81, 8081, &pod, ""), podRow(81, 8081, onBroken, v1alpha1.DiagnosisNodeNotReady),
		},
		listeners: []string{"80/tcp 2 of 5", "81/tcp 2 of 5"},
	})
	d.restartChangesNothing(t)
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 5", "81/tcp 0 of 5")
	d.byIDIsUntouched(t)
}

const byID = "by-id"

// createByID creates an object for the load balancer that names no Service.
func (d *driftApp) createByID(t *testing.T) {
	t.Helper()
	d.create(t, &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: byID},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: d.lb.ID, RegionID: harness.Region, Interval: metav1.Duration{Duration: observed}},
	})
}

func (d *driftApp) byIDIsUntouched(t *testing.T) {
	t.Helper()
	status := &d.object(t, byID).Status
	if c := registeredOf(status); c.Status != "" {
		t.Errorf("the object without a Service has Registered %+v", c)
	}
	if status.Summary == nil || status.Summary.Backends == 0 || status.Summary.Missing != nil || len(status.MissingBackends) > 0 {
		t.Errorf("its summary is %+v, and its missing backends are %v", status.Summary, status.MissingBackends)
	}
	for i := range status.Listeners {
		if l := &status.Listeners[i]; l.Expected != nil || l.Missing != 0 {
			t.Errorf("its listener is %+v", l)
		}
	}
}

// restartChangesNothing restarts the operator, and fails if that changes what it reports
// of missing backends.
func (d *driftApp) restartChangesNothing(t *testing.T) {
	t.Helper()
	before := d.object(t, name).Status
	d.operator.Stop()
	d.startOperator(t)
	d.observeNow(t)
	d.observeNow(t)
	after := d.object(t, name).Status
	if was, is := registeredOf(&before), registeredOf(&after); was != is {
		t.Errorf("Registered was %+v and is %+v", was, is)
	}
	if !slices.Equal(before.MissingBackends, after.MissingBackends) {
		t.Errorf("the missing backends were %v and are %v", before.MissingBackends, after.MissingBackends)
	}
	d.awaitEvents(t, v1alpha1.EventBackendsMissing, 1)
	d.awaitEvents(t, v1alpha1.EventBackendsRegistered, 0)
}

// The cloud controller is down while a rollout replaces every pod.
func testCloudControllerDown(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{})
	d.lb.Pause(true)
	since := time.Now()
	d.update(t, "v2")
	d.rolloutSucceeds(t)
	want := findings{listeners: []string{"80/tcp 4 of 4"}}
	for _, pod := range d.pods(t, "v2") {
		want.missing = append(want.missing, podRow(80, 8080, &pod, ""))
	}
	d.isMissing(t, since, want)
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 4")
}

// With gates, the rollout waits for the first pod of the new version, which is missing.
func testCloudControllerDownGated(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{gates: []string{cloudGate, healthGate}})
	d.lb.Pause(true)
	since := time.Now()
	d.update(t, "v2")
	pod := d.awaitPod(t, "v2", "whose containers are ready", isOpen(string(corev1.ContainersReady)))
	d.isMissing(t, since, findings{missing: []string{podRow(80, 8080, pod, "")}, listeners: []string{"80/tcp 1 of 5"}})
	d.repair(t)
	d.rolloutSucceeds(t)
	d.isRegistered(t, "80/tcp 0 of 4")
}

// The target ports of the Service change, one by number and one by name, while the cloud
// controller is down.
func testTargetPorts(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{
		replicas: 2, delays: []time.Duration{checkDelay, checkDelay},
		targetPorts: []intstr.IntOrString{intstr.FromInt32(8080), intstr.FromString("http")},
	})
	d.lb.Pause(true)
	pods := d.pods(t, "")
	d.setCheck(t, func(key string) string {
		return map[bool]string{true: standin.Abnormal, false: standin.Normal}[key == pods[0].Status.PodIP]
	})
	since := time.Now()
	d.patchService(t, types.JSONPatchType, `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9090},
		{"op":"replace","path":"/spec/ports/1/targetPort","value":"alt"}]`)
	want := findings{listeners: []string{"80/tcp 2 of 2", "81/tcp 2 of 2"}}
	for _, pod := range pods {
		want.missing = append(want.missing, podRow(80, 9090, &pod, v1alpha1.DiagnosisPortMismatch), podRow(81, 9091, &pod, v1alpha1.DiagnosisPortMismatch))
	}
	d.isMissing(t, since, want)
	if c := registeredOf(&d.object(t, name).Status); !strings.Contains(c.Message, "port 8080 is registered, but the targetPort of the Service is 9090") {
		t.Errorf("the message is %s", c.Message)
	}
	for _, b := range d.object(t, name).Status.Backends {
		want := map[bool]v1alpha1.Diagnosis{true: v1alpha1.DiagnosisPortMismatch}[b.ServerIP == pods[0].Status.PodIP]
		if b.Diagnosis != want {
			t.Errorf("%s %s has the diagnosis %q, not %q", b.Address(), b.ServerHealthStatus, b.Diagnosis, want)
		}
	}
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 2", "81/tcp 0 of 2")
}

// A NetworkPolicy keeps the health checks from the pods, until another one admits them.
// No backend is missing.
func testNetworkPolicy(t *testing.T, s *suite) {
	requireGates(t)
	a := s.newApp(t, appOptions{replicas: 2}, func(a *app) { a.startOperator(t) })
	a.admit(t, "internal", "10.0.0.0/8")
	a.setCheck(t, standin.Always(standin.Abnormal))
	a.areBlocked(t, true)
	a.admit(t, "health-checks", "100.64.0.0/10")
	a.areBlocked(t, false)
	if c := registeredOf(&a.object(t, name).Status); c.Status != metav1.ConditionTrue {
		t.Errorf("Registered is %+v", c)
	}
}

// admit creates a NetworkPolicy that admits connections to the pods from a network.
func (a *app) admit(t *testing.T, policy, cidr string) {
	t.Helper()
	a.create(t, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: policy},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}},
			}},
		},
	})
}

// areBlocked waits until every backend is abnormal, because of a NetworkPolicy or not.
func (a *app) areBlocked(t *testing.T, want bool) {
	t.Helper()
	a.awaitStatus(t, fmt.Sprintf("backends that are blocked: %v", want), func(s *v1alpha1.LoadBalancerHealthStatus) bool {
		differs := func(b v1alpha1.BackendStatus) bool {
			return b.ServerHealthStatus != standin.Abnormal || (b.Diagnosis == v1alpha1.DiagnosisNetworkPolicyBlocks) != want
		}
		return len(s.Backends) > 0 && !slices.ContainsFunc(s.Backends, differs)
	})
}

// A new operator does not know how long a backend has been absent: it grants the whole
// grace period again.
func testRestartInGrace(t *testing.T, s *suite) {
	d := s.newDeployedDrift(t, appOptions{replicas: 2})
	pod := d.pods(t, "")[0]
	d.lb.Skip(pod.Status.PodIP)
	d.reconcileService(t)
	d.awaitStatus(t, "one backend", func(s *v1alpha1.LoadBalancerHealthStatus) bool { return s.Summary != nil && s.Summary.Backends == 1 })
	if err := harness.Wait(t.Context(), missingAfter/2); err != nil {
		t.Fatal(err)
	}
	d.operator.Kill()
	if c := registeredOf(&d.object(t, name).Status); c.Status != metav1.ConditionTrue {
		t.Errorf("Registered is %+v within the grace period", c)
	}
	since := time.Now()
	d.startOperator(t)
	d.isMissing(t, since, findings{missing: []string{podRow(80, 8080, &pod, "")}, listeners: []string{"80/tcp 1 of 2"}})
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 2")
}
