// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var startSpecs = []spec{
	{"a start with many objects makes no burst, reaches each object in time, and prefers new ones", startsWithMany},
}

func startsWithMany(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, fleet, qps, burst = "many", 120, 5, 10
	// An interval, and the time of all calls at the rate limit.
	const within = 2*interval + fleet/qps*time.Second
	w.createNamespace(t, namespace)
	self := w.addAccount(t, "many")
	var objects []*v1alpha1.LoadBalancerHealth
	for i := range fleet {
		id := fmt.Sprintf("lb-many-%d", i)
		w.simulator.put(t, id, web("i-1", "10.7.0.1", "normal"))
		objects = append(objects, named(namespace, id, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = 2 * interval }))
		w.create(t, objects[i])
	}
	run := func(name string) (*operator, time.Time) {
		began := time.Now()
		return w.startOperator(t, operatorOptions{
			name: name, account: self,
			args: []string{fmt.Sprintf("--slb-qps=%d", qps), fmt.Sprintf("--slb-burst=%d", burst)},
		}), began
	}
	first, _ := run("many.1")
	for _, object := range objects {
		w.await(t, object, good("AllBackendsNormal"))
	}
	first.stop(t)

	_, began := run("many.2")
	callsSince := func(since time.Time) (calls []call) {
		for _, object := range objects {
			calls = append(calls, slices.DeleteFunc(w.simulator.calls(t, object.Spec.LoadBalancerID), func(c call) bool { return c.Time.Before(since) })...)
		}
		return calls
	}
	// Now half of the objects are due again and queued: the rate limit is half of what they need.
	w.eventually(t, func(g Gomega) { g.Expect(len(callsSince(began))).To(BeNumerically(">", fleet/2)) })
	added := named(namespace, "lb-many-new")
	w.simulator.put(t, "lb-many-new", web("i-1", "10.7.0.2", "normal"))
	w.create(t, added)
	created := time.Now()
	w.await(t, added, good("AllBackendsNormal"))
	at := w.simulator.calls(t, "lb-many-new")[0].Time
	earlier := slices.DeleteFunc(callsSince(created), func(c call) bool { return c.Time.After(at) })
	g.Expect(len(earlier)).To(BeNumerically("<", fleet/4), "routine observations before the one of a new object")

	var calls []time.Time
	for _, object := range objects {
		id := object.Spec.LoadBalancerID
		w.eventually(t, func(g Gomega) {
			since := slices.DeleteFunc(w.simulator.calls(t, id), func(c call) bool { return c.Time.Before(began) })
			g.Expect(since).NotTo(BeEmpty(), id)
		})
		for i, c := range slices.DeleteFunc(w.simulator.calls(t, id), func(c call) bool { return c.Time.Before(began) }) {
			if i == 0 {
				g.Expect(c.Time.Sub(began)).To(BeNumerically("<", within+loadSlack), id)
			}
			calls = append(calls, c.Time)
		}
	}
	slices.SortFunc(calls, time.Time.Compare)
	for i := range calls {
		n := 0
		for _, other := range calls[i:] {
			if other.Sub(calls[i]) < time.Second {
				n++
			}
		}
		// A loaded machine delays a call by up to a second, so these may be the calls of two.
		g.Expect(n).To(BeNumerically("<=", 2*qps+burst), "calls in a second: more than the rate limit")
	}
}
