// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// newProductsResult meets every goal.
func newProductsResult() *productsResult {
	r := &productsResult{Form: *productsOnly().products}
	for _, product := range products {
		goal := productGoals[product]
		operator := productRound{First: goal.naive + 1, Later: goal.later, Calls: float64(goal.later), CPU: 900, Allocations: 2000, Bytes: 300 << 10, RSS: 60 << 20, Shown: 2.5}
		naive := productRound{First: goal.naive, Later: goal.naive, Calls: float64(goal.naive), CPU: 1800, Allocations: 5000, Bytes: 900 << 10, RSS: 60 << 20, Writes: 1, Shown: 2.6}
		r.Products = append(r.Products, productResult{
			Product: product, Operator: newProductMeasured([]productRound{operator, operator}), Naive: newProductMeasured([]productRound{naive}),
			Refreshed: refreshedCalls{Most: goal.later, Mean: float64(goal.later)},
		})
	}
	r.Products[0].Refreshed.Shared = 1
	r.Products[2].Refreshed.Most = 9
	return r
}

func TestProductsAreCounted(t *testing.T) {
	t.Parallel()

	correct := newProductsResult()
	correct.Products[0].Operator.Median.Calls = 1.06 // the listeners are listed after a start
	if err := correct.check(); err != nil {
		t.Errorf("correct counts: %v", err)
	}
	for want, change := range map[string]func(clb, nlb, alb *productResult){
		"clb: 2 calls of an observation, not at most 1":                            func(clb, _, _ *productResult) { clb.Operator.Median.Later = 2 },
		"nlb: 5 calls of an observation, not at most 4":                            func(_, nlb, _ *productResult) { nlb.Operator.Median.Later = 5 },
		"alb: 4 calls of an observation, not at most 3":                            func(_, _, alb *productResult) { alb.Operator.Median.Later = 4 },
		"alb: 3.100 calls for each load balancer and interval":                     func(_, _, alb *productResult) { alb.Operator.Median.Calls = 3.1 },
		"clb: 1.080 calls for each load balancer and interval":                     func(clb, _, _ *productResult) { clb.Operator.Median.Calls = 1.08 },
		"alb: 12 calls of the naive reader, not 13":                                func(_, _, alb *productResult) { alb.Naive.Median.Later = 12 },
		"nlb: 5 calls where lists are refreshed, not at most 4":                    func(_, nlb, _ *productResult) { nlb.Refreshed.Most = 5 },
		"clb: 2 lists of listeners in five minutes, not at most 1":                 func(clb, _, _ *productResult) { clb.Refreshed.Shared = 2 },
		"nlb: 0.010 writes for each observation while nothing changed, in round 2": func(_, nlb, _ *productResult) { nlb.Operator.Rounds[1].Writes = 0.01 },
	} {
		r := newProductsResult()
		change(&r.Products[0], &r.Products[1], &r.Products[2])
		if err := r.check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestProductsAreCompared(t *testing.T) {
	t.Parallel()

	d := newDocument()
	d.results.Products = newProductsResult()
	d.results.Products.Products[1].Operator.Median.Later = 5
	var out strings.Builder
	d.printParts(&out)
	for _, want := range []string{
		"## Products", "BENCH_BASE=path", "| | CLB operator | CLB naive | NLB operator | NLB naive | ALB operator | ALB naive |", "| calls of each later one, at most | 1 | 2 | 5 (missed) | 5 | 3 | 13 |",
		"| calls of an observation that refreshes lists, at most | 1 | – | 4 | – | 9 | – |",
		"| CPU for 1,000 load balancers and an interval, s | 0.90 | 1.80 |", "called 1 times in five minutes for 10 load balancers (goal: 1)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "%!") {
		t.Error("a format string does not fit its arguments")
	}
}

// The figures are medians, but one observation with too many calls is not hidden by the others.
func TestRoundsOfProducts(t *testing.T) {
	t.Parallel()

	m := newProductMeasured([]productRound{{Later: 4, CPU: 9}, {Later: 5, CPU: 1}, {Later: 4, CPU: 2}})
	if m.Median.CPU != 2 || m.Median.Later != 5 {
		t.Errorf("%+v", m.Median)
	}
	if naive := newNaiveMeasured([]productRound{{Later: 10}, {Later: 5}, {Later: 5}}); naive.Median.Later != 5 {
		t.Errorf("the naive reader: %+v", naive.Median)
	}
}

// logOf has calls of one load balancer at these times.
func logOf(product, id, action string, at ...time.Duration) (calls []call) {
	for _, d := range at {
		calls = append(calls, call{Time: time.Unix(1000, 0).Add(d), Product: product, Action: action, LoadBalancerID: id})
	}
	return calls
}

func TestObservationsAreSeparatedByPauses(t *testing.T) {
	t.Parallel()

	const ms = time.Millisecond
	calls := append(logOf("nlb", "nlb-1", "ListListeners", 0), logOf("nlb", "nlb-1", "GetListenerHealthStatus", 10*ms, 900*ms, 5000*ms, 5020*ms)...)
	calls = append(calls, logOf("nlb", "nlb-2", "GetListenerHealthStatus", 4000*ms)...)
	calls = append(calls, logOf("alb", "alb-1", "GetListenerHealthStatus", 0)...)
	found := observationsOf(calls, "nlb", 5*time.Second)
	want := map[string][]observed{"nlb-1": {{calls: 3, lists: true}, {calls: 2}}, "nlb-2": {{calls: 1}}}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(observed{})); diff != "" {
		t.Error(diff)
	}
	if first, later := mostCalls(found); first != 3 || later != 2 {
		t.Errorf("first %d, later %d", first, later)
	}
}

// The naive reader lists the listeners of one CLB, the operator those of several.
func TestListsOfListenersOfCLB(t *testing.T) {
	t.Parallel()

	const interval = 30 * time.Second
	list := func(at time.Duration, ids ...string) call {
		return call{Time: time.Unix(1000, 0).Add(at), Product: "clb", Action: "DescribeLoadBalancerListeners", LoadBalancerIDs: ids}
	}
	calls := []call{list(0, "lb-1", "lb-2"), list(time.Second, "lb-2", "lb-1"), list(interval, "lb-3"), list(10*interval, "lb-1", "lb-2")}
	for n := range 11 {
		calls = append(calls, logOf("clb", "lb-1", "DescribeHealthStatus", time.Duration(n)*interval)...)
	}
	want := refreshedCalls{Most: 1, Mean: 1.1, Shared: 1}
	if diff := cmp.Diff(want, newRefreshedCalls(calls, "clb", interval)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]observed{{calls: 1, lists: true}}, observationsOf(calls, "clb", interval)["lb-3"], cmp.AllowUnexported(observed{})); diff != "" {
		t.Error(diff)
	}
}

// The mean is that of the intervals until the listeners are listed again: the first
// observation, and those after five minutes, are not in it.
func TestMeanOfRefreshedCalls(t *testing.T) {
	t.Parallel()

	const interval = 30 * time.Second
	calls := logOf("alb", "alb-1", "ListListeners", 0)
	for n := range 5 {
		calls = append(calls, logOf("alb", "alb-1", "GetListenerHealthStatus", time.Duration(n)*interval+1, time.Duration(n)*interval+2)...)
	}
	calls = append(calls, logOf("alb", "alb-1", "ListListeners", 3*interval+3)...)
	slices.SortFunc(calls, func(a, b call) int { return a.Time.Compare(b.Time) }) // as the simulator returns them
	want := refreshedCalls{Most: 3, Mean: 7. / 3}
	if diff := cmp.Diff(want, newRefreshedCalls(calls, alicloud.ProductALB, interval)); diff != "" {
		t.Error(diff)
	}
}
