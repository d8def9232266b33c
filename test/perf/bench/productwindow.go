// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A productWindow has the counters at the beginning and the end of a window.
type productWindow struct {
	before, after contestantMeter
	// allocated is what each process allocated.
	allocated []allocation
}

// contestantMeter is a reading of all counters of a contestant.
type contestantMeter struct {
	at        time.Time
	byProduct map[string]map[string]int
	writes    int
	usage     []harness.Usage
}

// allocation is what a process has allocated so far, as it says in its metrics.
type allocation struct{ objects, bytes float64 }

func (a allocation) minus(b allocation) allocation {
	return allocation{a.objects - b.objects, a.bytes - b.bytes}
}

// window reads all counters before and after a while. Reading the metrics allocates, too:
// a second reading shows how much.
func (c *contestant) window(ctx context.Context, length time.Duration) (*productWindow, error) {
	m := &productWindow{}
	var allocated [3][]allocation
	read := func(into *[]allocation) (err error) {
		*into, err = c.readAllocated(ctx)
		return err
	}
	meter := func(into *contestantMeter) (err error) {
		*into, err = c.readMeter(ctx)
		return err
	}
	for _, step := range []func() error{
		func() error { return read(&allocated[0]) },
		func() error { return read(&allocated[1]) },
		func() error { return meter(&m.before) },
		func() error { return harness.Wait(ctx, length) },
		func() error { return meter(&m.after) },
		func() error { return read(&allocated[2]) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for i := range c.fleets {
		reading := allocated[1][i].minus(allocated[0][i])
		m.allocated = append(m.allocated, allocated[2][i].minus(allocated[1][i]).minus(reading))
	}
	return m, nil
}

func (c *contestant) readMeter(ctx context.Context) (contestantMeter, error) {
	report, err := c.simulator.calls(ctx, 1)
	if err != nil {
		return contestantMeter{}, err
	}
	served, err := c.api.requested(ctx)
	if err != nil {
		return contestantMeter{}, err
	}
	m := contestantMeter{at: time.Now(), byProduct: report.ByProduct, writes: served.writes}
	for _, f := range c.fleets {
		usage, err := f.process.Usage()
		if err != nil {
			return contestantMeter{}, err
		}
		m.usage = append(m.usage, usage)
	}
	return m, nil
}

func (c *contestant) readAllocated(ctx context.Context) ([]allocation, error) {
	var all []allocation
	for _, f := range c.fleets {
		series, err := harness.Scrape(ctx, f.metrics)
		if err != nil {
			return nil, err
		}
		objects, bytes := series.Sum("go_memstats_mallocs_total"), series.Sum("go_memstats_alloc_bytes_total")
		if objects == 0 || bytes == 0 {
			return nil, fmt.Errorf("the metrics of %s do not say what it allocated", f.namespace())
		}
		all = append(all, allocation{objects, bytes})
	}
	return all, nil
}

// round computes what the program of a fleet cost.
func (m *productWindow) round(i int, f *productFleet, form *productsForm) productRound {
	before, after := m.before.byProduct[f.product], m.after.byProduct[f.product]
	observations := observationsIn(f.product, after) - observationsIn(f.product, before)
	ofAll := 0.0
	for product, actions := range m.after.byProduct {
		ofAll += observationsIn(product, actions) - observationsIn(product, m.before.byProduct[product])
	}
	// Both readings take time on a busy machine, so the window is longer than planned.
	intervals := float64(m.after.at.Sub(m.before.at)) / float64(form.Interval)
	return productRound{
		Calls:       float64(callsIn(after)-callsIn(before)) / float64(f.size.Balancers) / intervals,
		CPU:         microseconds(m.after.usage[i].CPU-m.before.usage[i].CPU) / observations,
		Allocations: m.allocated[i].objects / observations, Bytes: m.allocated[i].bytes / observations,
		RSS:    float64(m.after.usage[i].RSS),
		Writes: float64(m.after.writes-m.before.writes) / ofAll,
	}
}
