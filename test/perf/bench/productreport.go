// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// productGoal has the most calls of an observation while nothing changes: of the operator
// after the first one, and of the naive reader.
type productGoal struct {
	later, naive int
	// refreshed is the most calls of the operator where it refreshes what it keeps; 0: any.
	refreshed int
}

// The operator lists the members of an ALB again at different times in five minutes.
var productGoals = map[string]productGoal{
	alicloud.ProductCLB: {later: 1, naive: 2, refreshed: 1},
	alicloud.ProductNLB: {later: 4, naive: 5, refreshed: 4},
	alicloud.ProductALB: {later: 3, naive: 13},
}

// sharedGoal is the most calls of five minutes that list the listeners of load balancers of a
// product.
func (r *productsResult) sharedGoal() int {
	return (r.Form.Refreshed + alicloud.MaxLoadBalancersPerCall - 1) / alicloud.MaxLoadBalancersPerCall
}

// callsGoal is the most calls for each load balancer and interval in a window. After a start,
// the listeners of all CLB instances are listed once, and some of these calls are in the window.
func (r *productsResult) callsGoal(product string) float64 {
	goal := float64(productGoals[product].later) * (1 + windowTolerance)
	if product == alicloud.ProductCLB {
		goal += float64(r.Form.Interval) / float64(r.Form.Window) / alicloud.MaxLoadBalancersPerCall
	}
	return goal
}

// check reports the counts that differ from what the documentation promises.
func (r *productsResult) check() error {
	var wrong []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	for i := range r.Products {
		p := &r.Products[i]
		goal := productGoals[p.Product]
		operator, naive := p.Operator.Median, p.Naive.Median
		expect(operator.Later <= goal.later, "%s: %d calls of an observation, not at most %d", p.Product, operator.Later, goal.later)
		expect(operator.Calls <= r.callsGoal(p.Product), "%s: %.3f calls for each load balancer and interval", p.Product, operator.Calls)
		expect(naive.Later == goal.naive, "%s: %d calls of the naive reader, not %d", p.Product, naive.Later, goal.naive)
		expect(goal.refreshed == 0 || p.Refreshed.Most <= goal.refreshed, "%s: %d calls where lists are refreshed, not at most %d", p.Product, p.Refreshed.Most, goal.refreshed)
		expect(p.Refreshed.Shared <= r.sharedGoal(), "%s: %d lists of listeners in five minutes, not at most %d", p.Product, p.Refreshed.Shared, r.sharedGoal())
		for round := range p.Operator.Rounds {
			writes := p.Operator.Rounds[round].Writes
			expect(writes == 0, "%s: %.3f writes for each observation while nothing changed, in round %d", p.Product, writes, round+1)
		}
	}
	return errors.Join(wrong...)
}

// productRow is one row of the table: a value of each program and product.
type productRow struct {
	name     string
	operator func(*productResult) string
	naive    func(*productResult) string
}

// bothOf is a row of the same value of both programs.
func bothOf(name, format string, value func(*productRound) float64) productRow {
	return productRow{name,
		func(p *productResult) string { return fmt.Sprintf(format, value(&p.Operator.Median)) },
		func(p *productResult) string { return fmt.Sprintf(format, value(&p.Naive.Median)) }}
}

// missed marks a count that is more than the goal.
func missed(n, goal int) string { return fmt.Sprintf("%d%s", n, missedIf(goal > 0 && n > goal)) }

func (r *productsResult) rows() []productRow {
	none := func(*productResult) string { return "–" }
	return []productRow{
		bothOf("calls of the first observation", "%.0f", func(m *productRound) float64 { return float64(m.First) }),
		{"calls of each later one, at most",
			func(p *productResult) string { return missed(p.Operator.Median.Later, productGoals[p.Product].later) },
			func(p *productResult) string { return strconv.Itoa(p.Naive.Median.Later) }},
		bothOf("calls for each load balancer and interval", "%.2f", func(m *productRound) float64 { return m.Calls }),
		{"calls of an observation that refreshes lists, at most", func(p *productResult) string { return missed(p.Refreshed.Most, productGoals[p.Product].refreshed) }, none},
		{"calls for each interval of 30 s, mean of five minutes", func(p *productResult) string { return fmt.Sprintf("%.2f", p.Refreshed.Mean) }, none},
		bothOf("CPU for 1,000 load balancers and an interval, s", "%.2f", func(m *productRound) float64 { return m.CPU / 1000 }),
		bothOf("allocations for each observation", "%.0f", func(m *productRound) float64 { return m.Allocations }),
		bothOf("allocated for each observation, KiB", "%.0f", func(m *productRound) float64 { return m.Bytes / 1024 }),
		bothOf("memory, MiB", "%.0f", func(m *productRound) float64 { return m.RSS / (1 << 20) }),
		{"writes for each observation while nothing changes",
			func(p *productResult) string {
				return fmt.Sprintf("%.2f%s", p.Operator.Median.Writes, missedIf(p.Operator.Median.Writes > 0))
			},
			func(p *productResult) string { return fmt.Sprintf("%.2f", p.Naive.Median.Writes) }},
		bothOf("until a status shows an abnormal or a normal backend, mean, s", "%.2f", func(m *productRound) float64 { return m.Shown }),
	}
}

func printProducts(out io.Writer, r *productsResult) {
	f := r.Form
	fmt.Fprintf(out, "%d load balancers of each product with two listeners and %d backends: those of an NLB in 2 server groups, those of an ALB in\n"+
		"%d server groups, which both listeners forward to. The interval is %s. The naive reader keeps nothing: it lists the listeners,\n"+
		"the health of each, and the members of every server group for each status, and writes it. In each of %d rounds, both programs ran\n"+
		"one after the other, in a process for each product; the table has the medians. %d backends of each product became abnormal, or\n"+
		"normal again, in each round. The lists are refreshed after five minutes, which another operator with %d load balancers of each\n"+
		"product and an interval of %s shows.\n\n",
		f.Balancers, f.size().Rows, albGroups, f.Interval, f.Rounds, f.Flips, f.Refreshed, defaultInterval)
	fmt.Fprint(out, "|")
	for i := range r.Products {
		name := strings.ToUpper(r.Products[i].Product)
		fmt.Fprintf(out, " | %s operator | %s naive", name, name)
	}
	fmt.Fprintf(out, " |\n| ---%s |\n", strings.Repeat(" | ---: | ---:", len(r.Products)))
	for _, row := range r.rows() {
		fmt.Fprintf(out, "| %s", row.name)
		for i := range r.Products {
			fmt.Fprintf(out, " | %s | %s", row.operator(&r.Products[i]), row.naive(&r.Products[i]))
		}
		fmt.Fprintln(out, " |")
	}
	r.printGoals(out)
}

// printGoals prints the goals of the table, and the calls that are for several load balancers.
func (r *productsResult) printGoals(out io.Writer) {
	fmt.Fprint(out, "\nGoals of later observations:")
	for i := range r.Products {
		fmt.Fprintf(out, " at most %d calls for %s,", productGoals[r.Products[i].Product].later, strings.ToUpper(r.Products[i].Product))
	}
	fmt.Fprintln(out, " and no writes.")
	for i := range r.Products {
		if p := &r.Products[i]; p.Product == alicloud.ProductCLB {
			fmt.Fprintf(out, "`DescribeLoadBalancerListeners` was called %d times in five minutes for %d load balancers (goal: %d%s).\n",
				p.Refreshed.Shared, r.Form.Refreshed, r.sharedGoal(), missedIf(p.Refreshed.Shared > r.sharedGoal()))
		}
	}
}

// writeProducts writes the measurements beside the report.
func writeProducts(folder string, date time.Time, r *productsResult) error {
	data, err := json.MarshalIndent(map[string]any{
		"products": r, "machine": thisMachine(), "date": date.UTC().Format(time.RFC3339), "command": "make bench BENCH=products",
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return harness.WriteFiles(folder, map[string][]byte{"benchmarks-products.json": append(oneRowPerLine(data), '\n')})
}
