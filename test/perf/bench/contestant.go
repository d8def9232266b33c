// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A productRound is what a program cost for one product in one round.
type productRound struct {
	// First is the most calls of the first observation of a load balancer, Later those of the
	// others, and Calls the calls for each load balancer and interval in the window.
	First int     `json:"first"`
	Later int     `json:"later"`
	Calls float64 `json:"callsPerLoadBalancerAndInterval"`
	// CPU and what was allocated are for one observation.
	CPU         float64 `json:"cpuMicroseconds"`
	Allocations float64 `json:"allocations"`
	Bytes       float64 `json:"allocatedBytes"`
	RSS         float64 `json:"rssBytes"`
	// Writes are requests that wrote anything, for each observation. The API server counts
	// those of all products.
	Writes float64 `json:"writesPerObservation"`
	// Shown is the mean time from a backend's transition to the status that shows it.
	Shown float64 `json:"shownSeconds"`
}

// A contestant is a program that alternates with another one, in a process of its
// own for each product.
type contestant struct {
	*env
	program  string
	start    func(ctx context.Context, f *productFleet) (*harness.Process, error)
	fleets   []*productFleet
	abnormal bool // what the last round made the backends
}

// newOperator returns a build of the operator, as a contestant.
func (s *env) newOperator(name, program string, of []string, size fleetSize) *contestant {
	start := func(ctx context.Context, f *productFleet) (*harness.Process, error) {
		return s.startOperatorOf(ctx, f.namespace(), program, "--metrics-bind-address", f.metrics, "--metrics-secure=false")
	}
	return &contestant{env: s, program: name, start: start, fleets: newProductFleets(of, name, size)}
}

// newNaive returns the naive reader, as a contestant.
func (s *env) newNaive(size fleetSize) *contestant {
	const name = "naive"
	start := func(ctx context.Context, f *productFleet) (*harness.Process, error) {
		return s.startWorkerAs(ctx, f.namespace(), name, "--namespace", f.namespace(), "--metrics", f.metrics)
	}
	return &contestant{env: s, program: name, start: start, fleets: newProductFleets(products, name, size)}
}

// alternate measures programs one after the other in each round, so that other load on the
// machine affects all of them equally.
func (b *bench) alternate(ctx context.Context, f *productsForm, all ...*contestant) error {
	for round := range f.Rounds {
		b.logf("  round %d of %d", round+1, f.Rounds)
		for _, c := range all {
			if err := c.measure(ctx, f); err != nil {
				return fmt.Errorf("the %s: %w", c.program, err)
			}
		}
	}
	for _, c := range all {
		if err := c.remove(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openAll opens programs, and logs each.
func (b *bench) openAll(ctx context.Context, all ...*contestant) error {
	for _, c := range all {
		b.logf("  the first start of the %s", c.program)
		if err := c.open(ctx); err != nil {
			return fmt.Errorf("the %s: %w", c.program, err)
		}
	}
	return nil
}

// open creates what the program observes, and has it observed, so that each round starts
// as after a restart.
func (c *contestant) open(ctx context.Context) error {
	c.watcher.reset()
	objects := map[string]bool{}
	for _, f := range c.fleets {
		if err := f.open(ctx, c.env); err != nil {
			return err
		}
		for _, id := range f.ids() {
			objects[newObject(id, 0, 0).Name] = true
		}
	}
	defer c.stop()
	if err := c.run(ctx); err != nil {
		return err
	}
	limit := time.Minute
	stored, err := c.watcher.waitFor(ctx, len(objects), limit, func(u update) bool { return objects[u.name] && u.requestID != "" })
	if err == nil && len(stored) < len(objects) {
		err = fmt.Errorf("only %d of %d objects were observed within %s", len(stored), len(objects), limit)
	}
	return err
}

// remove deletes the load balancers and the objects.
func (c *contestant) remove(ctx context.Context) error {
	for _, f := range c.fleets {
		err := parallel(setupConcurrency, f.ids(), func(_ int, id string) error {
			object := newObject(id, 0, f.size.Interval)
			object.Namespace = f.namespace()
			return errors.Join(f.remove(ctx, c.simulator, id), c.api.Delete(ctx, object))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run starts a process for each product.
func (c *contestant) run(ctx context.Context) (err error) {
	for _, f := range c.fleets {
		if f.metrics, err = harness.FreeAddress(ctx); err != nil {
			return err
		}
		if f.process, err = c.start(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// stop stops the processes at the same time.
func (c *contestant) stop() {
	var stopping sync.WaitGroup
	for _, f := range c.fleets {
		if f.process != nil {
			stopping.Go(f.process.Stop)
		}
	}
	stopping.Wait()
}

// measure runs the program for one round.
func (c *contestant) measure(ctx context.Context, form *productsForm) error {
	if err := c.simulator.Admin(ctx, http.MethodDelete, "calls", nil, nil); err != nil {
		return err
	}
	defer c.stop()
	if err := c.run(ctx); err != nil {
		return err
	}
	if err := c.awaitFirst(ctx); err != nil {
		return err
	}
	m, err := c.window(ctx, form.Window)
	if err != nil {
		return err
	}
	report, err := c.simulator.calls(ctx, keptCalls)
	if err == nil && report.Total > keptCalls {
		err = fmt.Errorf("%d calls, of which the simulator keeps %d: measure fewer load balancers", report.Total, keptCalls)
	}
	if err != nil {
		return err
	}
	shown, err := c.flip(ctx, form)
	if err != nil {
		return err
	}
	for i, f := range c.fleets {
		round := m.round(i, f, form)
		round.First, round.Later = mostCalls(observationsOf(report.Calls, f.product, form.Interval))
		round.Shown = newDelays(shown[f]).Mean
		f.rounds = append(f.rounds, round)
	}
	return nil
}

// settled is how long the first observation of a load balancer lasts at most.
const settled = time.Second

// awaitFirst waits until every load balancer was observed.
func (c *contestant) awaitFirst(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		report, err := c.simulator.calls(ctx, 1)
		if err != nil {
			return false, err
		}
		for _, f := range c.fleets {
			if fewest, _ := fewestAndMost(report.ByLoadBalancer, f.ids()); fewest == 0 {
				return false, f.process.Alive()
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the first observations: %w", err)
	}
	return harness.Wait(ctx, settled)
}

// flip makes a backend of some load balancers of each product abnormal, or normal again, at
// random times in an interval, and returns how long it took until the status showed it.
func (c *contestant) flip(ctx context.Context, form *productsForm) (map[*productFleet][]time.Duration, error) {
	c.abnormal = !c.abnormal
	c.watcher.reset()
	var mu sync.Mutex
	at, fleetOf := map[string]time.Time{}, map[string]*productFleet{}
	n := form.Flips * len(c.fleets)
	err := startAtRate(ctx, float64(n)/form.Interval.Seconds(), n, func(i int) error {
		f := c.fleets[i%len(c.fleets)]
		id := f.id(i / len(c.fleets))
		name := newObject(id, 0, 0).Name
		mu.Lock()
		at[name], fleetOf[name] = time.Now(), f
		mu.Unlock()
		return f.flip(ctx, c.simulator, id, c.abnormal)
	})
	if err != nil {
		return nil, err
	}
	limit := time.Minute
	stored, err := c.watcher.waitFor(ctx, n, limit, func(u update) bool { return fleetOf[u.name] != nil && (u.abnormal > 0) == c.abnormal })
	if err == nil && len(stored) < n {
		err = fmt.Errorf("only %d of %d transitions were shown within %s", len(stored), n, limit)
	}
	shown := map[*productFleet][]time.Duration{}
	for _, u := range stored {
		f := fleetOf[u.name]
		shown[f] = append(shown[f], u.at.Sub(at[u.name]))
	}
	return shown, err
}
