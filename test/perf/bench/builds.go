// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// buildsOnly compares two builds of the operator with load balancers of CLB.
func buildsOnly() form {
	return form{name: "builds", timeout: 20 * time.Minute, builds: &productsForm{
		Balancers: 300, Interval: minInterval, Window: 2 * minInterval, Rounds: 5, Flips: 60,
	}}
}

// A buildsResult compares the operator with another build, such as that of another commit.
type buildsResult struct {
	Form           productsForm
	Operator, Base productMeasured
}

// measureBuilds runs the operator of `make build`, and that of BENCH_BASE, one after the other.
func (b *bench) measureBuilds(ctx context.Context) error {
	base := os.Getenv("BENCH_BASE")
	if base == "" {
		return errors.New("BENCH_BASE is not set: it is the path of another build of the operator")
	}
	f := b.form.builds
	b.logf("builds: %d load balancers, every %s", f.Balancers, f.Interval)
	of := []string{alicloud.ProductCLB}
	operator, other := b.newOperator("operator", b.builtOperator(), of, f.size()), b.newOperator("base", base, of, f.size())
	if err := b.openAll(ctx, other, operator); err != nil {
		return err
	}
	if err := b.alternate(ctx, f, other, operator); err != nil {
		return err
	}
	b.results.Builds = &buildsResult{
		Form: *f, Operator: newProductMeasured(operator.fleets[0].rounds), Base: newProductMeasured(other.fleets[0].rounds),
	}
	return nil
}

func printBuilds(out io.Writer, r *buildsResult) {
	f := r.Form
	fmt.Fprintf(out, "%d load balancers of CLB with two listeners and %d backends; interval %s. In each of %d rounds, both ran one after the\n"+
		"other, for %s while nothing changed; then %d backends changed.\n\n", f.Balancers, f.size().Rows, f.Interval, f.Rounds, f.Window, f.Flips)
	fmt.Fprint(out, "| median | operator | base | ratio, by round |\n| --- | ---: | ---: | --- |\n")
	row := func(name, format string, value func(*productRound) float64) {
		fmt.Fprintf(out, "| %s | "+format+" | "+format+" |", name, value(&r.Operator.Median), value(&r.Base.Median))
		for i := range r.Operator.Rounds {
			a, b := value(&r.Operator.Rounds[i]), value(&r.Base.Rounds[i])
			if b > 0 {
				fmt.Fprintf(out, " %.2f", a/b)
			} else {
				fmt.Fprint(out, " –")
			}
		}
		fmt.Fprintln(out, " |")
	}
	row("calls for each load balancer and interval", "%.3f", func(m *productRound) float64 { return m.Calls })
	row("CPU for each observation, µs", "%.0f", func(m *productRound) float64 { return m.CPU })
	row("allocations for each observation", "%.0f", func(m *productRound) float64 { return m.Allocations })
	row("allocated for each observation, KiB", "%.1f", func(m *productRound) float64 { return m.Bytes / 1024 })
	row("memory, MiB", "%.1f", func(m *productRound) float64 { return m.RSS / (1 << 20) })
	row("writes for each observation while nothing changes", "%.3f", func(m *productRound) float64 { return m.Writes })
	row("until a status shows a transition, mean, s", "%.2f", func(m *productRound) float64 { return m.Shown })
}
