// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var restartSpecs = []spec{
	{"a restarted operator repeats no event and no write, and reports once what has changed", restarts},
	{"an operator that restarts while all calls fail sets an old verdict to Unknown, and keeps the rows", expiresOldVerdicts},
	{"on SIGTERM the operator exits with code 0 while a call hangs, and reports no failure", exitsWhileACallHangs},
}

func restarts(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace = "restart"
	w.createNamespace(t, namespace)
	self := w.addAccount(t, "restart")
	run := func(number string) *operator {
		return w.startOperator(t, operatorOptions{name: namespace + "." + number, account: self})
	}

	w.simulator.put(t, "lb-steady", web("i-1", "10.2.0.1", "normal"), web("i-2", "10.2.0.2", "normal"))
	w.simulator.put(t, "lb-sick", web("i-1", "10.2.1.1", "normal"), web("i-2", "10.2.1.2", "normal"))
	w.simulator.put(t, "lb-failing")
	w.simulator.addFault(t, fault{Kind: "status", LoadBalancerID: "lb-failing", HTTPStatus: 500, Code: "InternalError"})
	steady, sick := named(namespace, "lb-steady"), named(namespace, "lb-sick", needing("2"))
	failed, missing := named(namespace, "lb-failing"), named(namespace, "lb-missing")
	all := []*v1alpha1.LoadBalancerHealth{steady, sick, failed, missing}
	for _, object := range all {
		w.create(t, object)
	}
	first := run("1")
	w.await(t, steady, good("AllBackendsNormal"))
	w.await(t, sick, good("AllBackendsNormal"))
	w.simulator.set(t, "lb-sick", "i-2", "abnormal")
	w.await(t, sick, bad("BelowMinHealthy"))
	w.await(t, failed, failing("ServiceError"))
	w.await(t, missing, stalled("LoadBalancerNotFound"))
	w.awaitEvents(t, steady, map[string]int{})
	w.awaitEvents(t, sick, map[string]int{"Warning BackendAbnormal": 1, "Warning LoadBalancerUnhealthy": 1})
	w.awaitEvents(t, failed, map[string]int{"Warning ObservationFailed": 1})
	w.awaitEvents(t, missing, map[string]int{"Warning ObservationFailed": 1})
	before := w.versions(t, all...)
	eventsBefore := map[string]recorded{}
	for _, object := range all {
		eventsBefore[object.Name] = w.events(g, object)
	}

	first.keepMetrics(t)
	first.terminate(t, 10*time.Second)
	seen := map[string]int{}
	for _, object := range all {
		seen[object.Name] = len(w.simulator.calls(t, object.Name))
	}
	second := run("2")
	w.awaitCalls(t, "lb-missing", seen["lb-missing"], 1)
	for _, id := range []string{"lb-steady", "lb-sick", "lb-failing"} {
		w.awaitCalls(t, id, seen[id], 3)
	}
	g.Expect(w.versions(t, all...)).To(Equal(before))
	for _, object := range all {
		g.Expect(w.events(g, object)).To(Equal(eventsBefore[object.Name]), object.Name)
	}

	second.keepMetrics(t)
	second.Kill()
	w.simulator.set(t, "lb-steady", "i-1", "abnormal")
	w.simulator.set(t, "lb-sick", "i-2", "normal")
	w.simulator.clearFaults(t, "lb-failing")
	run("3")
	w.await(t, steady, good("MinHealthyMet"))
	w.await(t, sick, good("AllBackendsNormal"))
	w.await(t, failed, bad("NoBackends"))
	w.awaitMoreCalls(t, "lb-sick", 1)
	w.awaitEvents(t, steady, map[string]int{"Warning BackendAbnormal": 1})
	w.awaitEvents(t, sick, map[string]int{
		"Warning BackendAbnormal": 1, "Warning LoadBalancerUnhealthy": 1, "Normal BackendNormal": 1, "Normal LoadBalancerHealthy": 1,
	})
	w.awaitEvents(t, failed, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1, "Warning LoadBalancerUnhealthy": 1})
}

func exitsWhileACallHangs(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "interrupt", "lb-interrupted"
	w.createNamespace(t, namespace)
	self := w.addAccount(t, "interrupt")
	w.simulator.put(t, id, web("i-1", "10.2.2.1", "normal"))
	w.simulator.addFault(t, fault{Kind: "hang", LoadBalancerID: id})
	object := named(namespace, id)
	w.create(t, object)
	op := w.startOperator(t, operatorOptions{name: namespace, account: self, args: []string{"--slb-timeout=60s"}})
	w.awaitCalls(t, id, 0, 1)
	op.keepMetrics(t)
	op.terminate(t, 10*time.Second)
	g.Expect(conditionOf(w.get(g, object), "Observed").Status).NotTo(BeEquivalentTo("False"))
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func expiresOldVerdicts(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "stale", "lb-stale"
	w.createNamespace(t, namespace)
	self := w.addAccount(t, "stale")
	w.simulator.put(t, id, web("i-1", "10.2.3.1", "normal"))
	object := named(namespace, id)
	w.create(t, object)
	options := operatorOptions{name: "stale.1", account: self}
	first := w.startOperator(t, options)
	w.await(t, object, good("AllBackendsNormal"))
	first.keepMetrics(t)
	first.Kill()

	long := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	w.kubectl(t, "patch", "-n", namespace, "lbh", id, "--subresource=status", "--type=merge", `-p={"status":{"lastObservedTime":"`+long+`"}}`)
	w.simulator.addFault(t, fault{Kind: "reset", LoadBalancerID: id})
	options.name = "stale.2"
	w.startOperator(t, options)
	found := w.await(t, object, with(unknown("ObservationStale"), states{"Observed": "False EndpointUnreachable"}))
	g.Expect(rowsOf(found)).To(Equal(map[string]string{"i-1": "normal"}))
	g.Expect(found.Status.Listeners[0].Health).To(Equal(v1alpha1.Unknown))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Warning LoadBalancerHealthUnknown": 1})

	w.simulator.clearFaults(t, id)
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{
		"Warning ObservationFailed": 1, "Warning LoadBalancerHealthUnknown": 1,
		"Normal ObservationRecovered": 1, "Normal LoadBalancerHealthy": 1,
	})
}
