// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var faultSpecs = []spec{
	{"an endpoint that does not answer is unreachable within the timeout, and a blip turns no verdict", seesHangs},
	{"a connection that is reset is an endpoint out of reach", seesFault(fault{Kind: "reset"}, "EndpointUnreachable")},
	{"an answer of a server that failed is a service error", seesFault(fault{Kind: "status", HTTPStatus: 503}, "ServiceError")},
	{"an account that is throttled is told so, and delays no other", throttlesByAccount},
	{"a load balancer that is missed three times in a row needs a person, and heals when it appears", missesAndFinds},
}

// faultSlack is what a loaded machine may add to a timeout.
const faultSlack = 15 * time.Second

func seesHangs(t *testing.T, w *world) {
	g := NewWithT(t)
	const id = "lb-hang"
	w.simulator.put(t, id, web("i-1", "10.4.0.1", "normal"))
	object := named(mainNamespace, id)
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))

	w.simulator.addFault(t, fault{Kind: "hang", LoadBalancerID: id})
	w.await(t, object, with(good("AllBackendsNormal"), states{"Observed": "False EndpointUnreachable"}))
	seen := time.Now()
	calls := w.simulator.calls(t, id)
	var hung time.Time
	for _, c := range calls {
		if c.Outcome == "hang" && hung.IsZero() {
			hung = c.Time
		}
	}
	g.Expect(seen.Sub(hung)).To(BeNumerically("<", mainTimeout+faultSlack))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1})

	w.simulator.clearFaults(t, id)
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}

func seesFault(f fault, reason string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		id := "lb-fault-" + f.Kind
		w.simulator.put(t, id, web("i-1", "10.4.1.1", "normal"))
		object := named(mainNamespace, id)
		w.create(t, object)
		w.await(t, object, good("AllBackendsNormal"))

		f.LoadBalancerID = id
		w.simulator.addFault(t, f)
		w.await(t, object, with(good("AllBackendsNormal"), states{"Observed": "False " + reason}))
		w.simulator.clearFaults(t, id)
		w.await(t, object, good("AllBackendsNormal"))
		w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
	}
}

func throttlesByAccount(t *testing.T, w *world) {
	g := NewWithT(t)
	const id, members = "lb-throttled", 5
	slow, other := w.newAccount("slow"), w.newAccount("other")
	slow.QPS, slow.Burst = 0.001, 1
	w.simulator.setAccount(t, slow)
	w.simulator.setAccount(t, other)
	w.create(t, slow.secret(mainNamespace, "slow"))
	w.create(t, other.secret(mainNamespace, "other"))
	var objects []*v1alpha1.LoadBalancerHealth
	for i := range members {
		name := fmt.Sprintf("%s-%d", id, i)
		w.simulator.put(t, name, web("i-1", "10.4.2.1", "normal"))
		objects = append(objects, named(mainNamespace, name, withSecret("slow")))
	}
	neighbour := named(mainNamespace, id+"-0", withSecret("other"), func(o *v1alpha1.LoadBalancerHealth) { o.Name = "lb-not-throttled" })
	w.create(t, neighbour)
	for _, object := range objects {
		w.create(t, object)
	}
	w.await(t, neighbour, good("AllBackendsNormal"))
	var served int
	w.eventually(t, func(g Gomega) {
		served = 0
		for _, object := range objects {
			switch observed := statesOf(w.get(g, object))["Observed"]; observed {
			case "True ObservationSucceeded":
				served++
			default:
				g.Expect(observed).To(Equal("False Throttled"))
			}
		}
	})
	g.Expect(served).To(BeNumerically("<=", 1), "one call was allowed")

	fast := slow
	fast.QPS, fast.Burst = 0, 0
	w.simulator.setAccount(t, fast)
	for _, object := range objects {
		w.await(t, object, good("AllBackendsNormal"))
	}
	g.Expect(w.events(g, neighbour)).To(BeEmpty())
	w.eventually(t, func(g Gomega) {
		series := w.main.metrics(g)
		g.Expect(series).To(HaveKeyWithValue(`slb_api_requests_total{code="Throttling.User",region="cn-hangzhou"}`, BeNumerically(">=", members-1)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_rate_limit{account="main/slow",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_rate_limit{account="main/other",region="cn-hangzhou"}`, BeNumerically(">", 0)))
	})
}

func missesAndFinds(t *testing.T, w *world) {
	g := NewWithT(t)
	const id = "lb-late"
	object := named(mainNamespace, id)
	w.create(t, object)
	w.await(t, object, failing("LoadBalancerNotFound"))
	w.await(t, object, stalled("LoadBalancerNotFound"))
	g.Expect(len(w.simulator.calls(t, id))).To(BeNumerically(">=", 3))

	w.simulator.put(t, id, web("i-1", "10.4.3.1", "normal"))
	w.requestObservation(t, object, "it is there")
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}
