// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var refusalSpecs = []spec{
	{"a throttled account is reported, and does not delay another account", throttlesByAccount},
	{"a load balancer that is missing three times in a row requires manual action, and recovers when it exists", missesAndFinds},
}

func throttlesByAccount(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, size = "lb-throttled", 5
	slow, other := w.newAccount("slow"), w.newAccount("other")
	slow.QPS, slow.Burst = 0.001, 1
	w.simulator.setAccount(t, slow, other)
	w.create(t, slow.secret(mainNamespace, "slow"))
	w.create(t, other.secret(mainNamespace, "other"))
	var objects []*v1alpha1.LoadBalancerHealth
	for i := range size {
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
	g.Expect(served).To(BeNumerically("<=", 1), "more than the one call that was allowed")

	fast := slow
	fast.QPS, fast.Burst = 0, 0
	w.simulator.setAccount(t, fast)
	for _, object := range objects {
		w.await(t, object, good("AllBackendsNormal"))
	}
	g.Expect(w.events(g, neighbour)).To(BeEmpty())
	w.eventually(t, func(g Gomega) {
		series := w.main.metrics(g)
		g.Expect(series).To(HaveKeyWithValue(`slb_api_requests_total{action="DescribeHealthStatus",code="Throttling.User",product="clb",region="cn-hangzhou"}`, BeNumerically(">=", size-1)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_rate_limit{account="main/slow",product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
		g.Expect(series).To(HaveKeyWithValue(`slb_api_rate_limit{account="main/other",product="clb",region="cn-hangzhou"}`, BeNumerically(">", 0)))
	})
}

func missesAndFinds(t *testing.T, w *env) {
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
