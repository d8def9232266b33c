// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var responseSpecs = []spec{
	{"the example response of the API's reference is parsed", parsesTheExample},
	{"a call has the listener of the spec, and no other parameter of a listener", sendsTheSpec},
	{"unknown fields are ignored, and absent ones stay absent", toleratesFields},
	{"a health status that the API adds later is stored as it is and counts as unavailable", keepsNewStatuses},
	{"a call about a port that TCP and UDP share is repeated without the port", repeatsWithoutPort},
	{"ten thousand rows are counted, the worst ones are stored, and many transitions are one event", omitsRows},
}

const exampleResponse = `{
	"RequestId":"196EC328-B566-4226-B435-8697723205EF",
	"BackendServers":{
		"BackendServer":[
			{
				"ServerId":"i-bp1do02x7n4nua4k72um",
				"ServerHealthStatus":"abnormal",
				"Port":80,
				"ListenerPort":443
			}
		]
	}
}`

func parsesTheExample(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-bp1qjwo61pqz3ahltv0mw"
	w.slb.on(id, always(text(http.StatusOK, exampleResponse)))
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	found := w.await(t, object, bad("BelowMinHealthy"))
	g.Expect(found.Status.LastRequestID).To(Equal("196EC328-B566-4226-B435-8697723205EF"))
	g.Expect(found.Status.Backends).To(HaveLen(1))
	g.Expect(found.Status.Backends[0]).To(Equal(v1alpha1.BackendStatus{
		ServerID: "i-bp1do02x7n4nua4k72um", Type: "ecs", ListenerPort: 443, Port: 80,
		ServerHealthStatus: "abnormal", LastTransitionTime: found.Status.Backends[0].LastTransitionTime,
	}))
	g.Expect(found.Status.Summary).To(Equal(&v1alpha1.Summary{Listeners: 1, Counts: counts(0, 1, 0), DisruptionsAllowed: new(int32(0))}))
	w.awaitEvents(t, object, map[string]int{"Warning LoadBalancerUnhealthy": 1})
}

func sendsTheSpec(t *testing.T, w *env) {
	g := NewWithT(t)
	const whole, part = "lb-whole", "lb-part"
	w.slb.on(whole, always(success(normalRow("i-1"))))
	w.slb.on(part, always(success(row{"ServerId": "i-1", "ServerHealthStatus": "normal", "ListenerPort": 443, "Protocol": "https"})))
	all := named(hostileNamespace, whole, once)
	one := named(hostileNamespace, part, once, func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.ListenerPort, o.Spec.ListenerProtocol = new(int32(443)), v1alpha1.ProtocolHTTPS
	})
	w.create(t, all)
	w.create(t, one)
	w.await(t, all, good("AllBackendsNormal"))
	w.await(t, one, good("AllBackendsNormal"))
	g.Expect(w.slb.received(whole)[0]).NotTo(HaveKey("ListenerPort"))
	g.Expect(w.slb.received(whole)[0]).NotTo(HaveKey("ListenerProtocol"))
	g.Expect(w.slb.received(part)[0].Get("ListenerPort")).To(Equal("443"))
	g.Expect(w.slb.received(part)[0].Get("ListenerProtocol")).To(Equal("https"))
}

func toleratesFields(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-fields"
	w.slb.on(id, always(document(http.StatusOK, map[string]any{
		"RequestId": "365F4154-92F6-4AE4-92F8-7FF34B540710", "TotalCount": 2, "Next": map[string]any{"Token": nil},
		"BackendServers": map[string]any{"Vendor": []int{1}, "BackendServer": []row{
			{"ServerId": "vm-233", "ServerHealthStatus": "normal"},
			{
				"ServerId": "eni-1", "ServerHealthStatus": "normal", "ServerIp": "192.168.0.2", "EniHost": "192.168.0.1", "Type": "eni",
				"ListenerPort": 80, "Port": 70, "Protocol": "tcp", "Weight": 100, "Tags": map[string]any{"a": []string{"b"}},
			},
		}},
	})))
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	found := w.await(t, object, good("AllBackendsNormal"))
	rows := found.Status.Backends
	g.Expect(rows).To(HaveLen(2))
	g.Expect(rows[0]).To(Equal(v1alpha1.BackendStatus{
		ServerID: "vm-233", Type: "ecs", ServerHealthStatus: "normal", LastTransitionTime: rows[0].LastTransitionTime,
	}))
	g.Expect(rows[1]).To(Equal(v1alpha1.BackendStatus{
		ServerID: "eni-1", ServerIP: "192.168.0.2", EniHost: "192.168.0.1", Type: "eni", ListenerPort: 80, ListenerProtocol: "tcp", Port: 70,
		ServerHealthStatus: "normal", LastTransitionTime: rows[1].LastTransitionTime,
	}))
}

func keepsNewStatuses(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-new-status"
	w.slb.on(id, always(success(row{"ServerId": "i-1", "ServerHealthStatus": "draining"})))
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	found := w.await(t, object, unknown("HealthCheckUnavailable"))
	g.Expect(rowsOf(found)).To(Equal(map[string]string{"i-1": "draining"}))
	g.Expect(found.Status.Summary.Counts).To(Equal(counts(0, 0, 1)))
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func repeatsWithoutPort(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-shared-port"
	w.slb.on(id, func(n int) fakeResponse {
		if w.slb.received(id)[n-1].Has("ListenerPort") {
			return refusal(http.StatusBadRequest, "TooManyListeners", "more than 1 listener is found")
		}
		return success(
			row{"ServerId": "i-tcp", "ServerHealthStatus": "abnormal", "ListenerPort": 53, "Protocol": "tcp"},
			row{"ServerId": "i-udp", "ServerHealthStatus": "normal", "ListenerPort": 53, "Protocol": "udp"},
			row{"ServerId": "i-other", "ServerHealthStatus": "abnormal", "ListenerPort": 54, "Protocol": "udp"})
	})
	object := named(hostileNamespace, id, once, func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.ListenerPort, o.Spec.ListenerProtocol = new(int32(53)), v1alpha1.ProtocolUDP
	})
	w.create(t, object)
	found := w.await(t, object, good("AllBackendsNormal"))
	g.Expect(rowsOf(found)).To(Equal(map[string]string{"i-udp": "normal"}))
	g.Expect(w.slb.received(id)).To(HaveLen(2))
}

const (
	manyListeners = 50
	manyServers   = 200
	manyRows      = manyListeners * manyServers
	keptRows      = 500 // --max-status-backends by default
)

// rowsOfListeners returns the rows of many servers behind many listeners.
func rowsOfListeners(status func(listener, server int) string) []row {
	rows := make([]row, 0, manyRows)
	for listener := range manyListeners {
		for server := range manyServers {
			rows = append(rows, row{
				"ServerId": fmt.Sprintf("i-%04d", server), "ServerIp": fmt.Sprintf("10.9.0.%d", server), "Type": "ecs",
				"ListenerPort": 1000 + listener, "Protocol": "tcp", "Port": 8080, "ServerHealthStatus": status(listener, server),
			})
		}
	}
	return rows
}

func omitsRows(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, changed = "lb-many-rows", 12
	w.slb.on(id, func(n int) fakeResponse {
		return success(rowsOfListeners(func(listener, server int) string {
			switch last := manyServers - 1 - server; {
			case listener == manyListeners-1 && last < 3, listener == manyListeners-3 && last < changed && n > 1:
				return "abnormal"
			case listener == manyListeners-2 && last < 5:
				return "unavailable"
			default:
				return "normal"
			}
		})...)
	})
	object := named(hostileNamespace, id, once, needing("50%"))
	w.create(t, object)
	found := w.await(t, object, good("MinHealthyMet"))
	checkManyRows(g, found, counts(manyRows-8, 3, 5))
	g.Expect(w.events(g, object)).To(BeEmpty())

	w.requestObservation(t, object, "again")
	w.eventually(t, func(g Gomega) {
		found = w.get(g, object)
		g.Expect(found.Status.LastHandledObserveRequest).To(Equal("again"))
	})
	checkManyRows(g, found, counts(manyRows-8-changed, 3+changed, 5))
	w.awaitEvents(t, object, map[string]int{"Warning BackendsChanged": 1})
	g.Expect(w.events(g, object).notes("BackendsChanged")).To(ConsistOf(ContainSubstring("12 ")))
}

func checkManyRows(g Gomega, object *v1alpha1.LoadBalancerHealth, want v1alpha1.Counts) {
	g.Expect(object.Status.Summary.Listeners).To(BeEquivalentTo(manyListeners))
	g.Expect(object.Status.Summary.Counts).To(Equal(want))
	g.Expect(object.Status.Listeners).To(HaveLen(manyListeners))
	g.Expect(object.Status.Backends).To(HaveLen(keptRows))
	g.Expect(object.Status.OmittedBackends).To(BeEquivalentTo(manyRows - keptRows))
	var kept v1alpha1.Counts
	for _, b := range object.Status.Backends {
		switch b.ServerHealthStatus {
		case "abnormal":
			kept.Abnormal++
		case "unavailable":
			kept.Unavailable++
		}
	}
	g.Expect(kept).To(Equal(v1alpha1.Counts{Abnormal: want.Abnormal, Unavailable: want.Unavailable}))
}
