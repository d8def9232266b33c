// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var economySpecs = []spec{
	{"ten objects on one load balancer cost one call per interval, and no writes without a change", sharesCalls},
	{"a heartbeat updates an unchanged status, and the status has no more rows than allowed", beatsAndBounds},
	{"a failure that lasts is written and recorded once, although its message changes", reportsFailuresOnce},
}

// watchedIntervals is the number of intervals without a write.
const watchedIntervals = 7

func sharesCalls(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-shared"
	var rows []backend
	for port := range 5 {
		row := web("i-1", "10.1.0.1", "normal")
		row.ListenerPort = 440 + port
		rows = append(rows, row)
	}
	w.simulator.put(t, id, rows...)
	var objects []*v1alpha1.LoadBalancerHealth
	for i := range 10 {
		object := named(mainNamespace, id, func(o *v1alpha1.LoadBalancerHealth) {
			o.Name = fmt.Sprintf("shared-%d", i)
			if i < len(rows) {
				o.Spec.ListenerPort = new(int32(440 + i))
			}
		})
		objects = append(objects, object)
		w.create(t, object)
	}
	for i, object := range objects {
		found := w.await(t, object, good("AllBackendsNormal"))
		listeners := 5
		if i < len(rows) {
			listeners = 1
		}
		g.Expect(found.Status.Listeners).To(HaveLen(listeners), object.Name)
	}

	before := w.versions(t, objects...)
	first := len(w.simulator.calls(t, id))
	window := w.awaitCalls(t, id, first, watchedIntervals+1)[first:]
	g.Expect(w.versions(t, objects...)).To(Equal(before))
	took := window[len(window)-1].Time.Sub(window[0].Time)
	// A window has one call more than it has intervals, and a late first call may add another one.
	g.Expect(len(window)).To(BeNumerically("<=", int(took/interval)+2), "calls in "+took.String())
	for _, object := range objects {
		g.Expect(w.events(g, object)).To(BeEmpty(), object.Name)
	}
}

func reportsFailuresOnce(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-again-and-again"
	w.slb.on(id, func(n int) fakeResponse {
		return refusal(400, "Throttling.User", fmt.Sprintf("Request %d was denied at 2026-01-02T03:04:%02dZ, id %08d-1111-4111-8111-111111111111, quota %d of 10.", n, n, n, n))
	})
	object := named(hostileNamespace, id, in(throttledRegion+"-again"))
	w.create(t, object)
	w.await(t, object, failing("Throttled"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1})

	before := w.versions(t, object)
	first := len(w.slb.received(id))
	w.eventually(t, func(g Gomega) { g.Expect(len(w.slb.received(id))).To(BeNumerically(">", first+watchedIntervals)) })
	g.Expect(w.versions(t, object)).To(Equal(before))
	g.Expect(w.events(g, object).reasons()).To(Equal(map[string]int{"Warning ObservationFailed": 1}))
}

func beatsAndBounds(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "beat", "lb-beat"
	w.createNamespace(t, namespace)
	self := w.addAccount(t, "beat")
	w.simulator.put(t, id, web("i-1", "10.1.1.1", "normal"), web("i-2", "10.1.1.2", "normal"), web("i-3", "10.1.1.3", "abnormal"))
	object := named(namespace, id)
	w.create(t, object)
	w.startOperator(t, operatorOptions{
		name: namespace, account: self,
		args: []string{"--status-heartbeat=1s", "--max-status-backends=1"},
	})
	first := w.await(t, object, good("MinHealthyMet"))
	g.Expect(rowsOf(first)).To(Equal(map[string]string{"i-3": "abnormal"}))
	g.Expect(first.Status.OmittedBackends).To(BeEquivalentTo(2))
	g.Expect(first.Status.Summary.Counts).To(Equal(counts(2, 1, 0)))
	w.eventually(t, func(g Gomega) {
		later := w.get(g, object)
		g.Expect(later.Status.LastObservedTime.Sub(first.Status.LastObservedTime.Time)).To(BeNumerically(">=", interval))
		later.Status.LastObservedTime, later.Status.LastRequestID = first.Status.LastObservedTime, first.Status.LastRequestID
		g.Expect(later.Status).To(Equal(first.Status))
	})
	g.Expect(w.events(g, object)).To(BeEmpty())
}
