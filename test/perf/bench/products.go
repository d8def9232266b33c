// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A productsForm configures a comparison of programs that alternate.
type productsForm struct {
	Balancers int           `json:"loadBalancers"` // of each product
	Interval  time.Duration `json:"intervalNanoseconds"`
	Window    time.Duration `json:"windowNanoseconds"`
	Rounds    int           `json:"rounds"`
	// Flips is how many load balancers of each product get an abnormal backend in a round.
	Flips int `json:"flips"`
	// Refreshed is how many load balancers of each product another operator observes with the
	// default interval until it has listed their listeners again, after five minutes.
	Refreshed int `json:"refreshed"`
}

func (f *productsForm) size() fleetSize {
	return fleetSize{Balancers: f.Balancers, Objects: 1, Rows: len(listenerPorts) * listenerBackends, Interval: f.Interval}
}

const (
	// defaultInterval is that of objects without one.
	defaultInterval = 30 * time.Second
	// refreshTimeout is for the lists of listeners of five minutes, and an interval.
	refreshTimeout = 7 * time.Minute
)

func productsOnly() form {
	return form{name: "products", timeout: 20 * time.Minute, products: &productsForm{
		Balancers: 80, Interval: minInterval, Window: 2 * minInterval, Rounds: 5, Flips: 20, Refreshed: 10,
	}}
}

// A productsResult compares the operator with the naive reader.
type productsResult struct {
	Form     productsForm    `json:"form"`
	Products []productResult `json:"products"`
}

// A productResult contains the measurements of one product.
type productResult struct {
	Product   string          `json:"product"`
	Operator  productMeasured `json:"operator"`
	Naive     productMeasured `json:"naive"`
	Refreshed refreshedCalls  `json:"refreshed"`
}

// A productMeasured has the rounds of one program.
type productMeasured struct {
	Median productRound   `json:"median"`
	Rounds []productRound `json:"rounds"`
}

// newProductMeasured computes the medians. Of the calls of an observation, it has the most.
func newProductMeasured(rounds []productRound) productMeasured {
	medianOf := func(value func(*productRound) float64) float64 {
		values := make([]float64, len(rounds))
		for i := range rounds {
			values[i] = value(&rounds[i])
		}
		return median(values)
	}
	m := productMeasured{Rounds: rounds, Median: productRound{
		Calls:       medianOf(func(r *productRound) float64 { return r.Calls }),
		CPU:         medianOf(func(r *productRound) float64 { return r.CPU }),
		Allocations: medianOf(func(r *productRound) float64 { return r.Allocations }),
		Bytes:       medianOf(func(r *productRound) float64 { return r.Bytes }),
		RSS:         medianOf(func(r *productRound) float64 { return r.RSS }),
		Writes:      medianOf(func(r *productRound) float64 { return r.Writes }),
		Shown:       medianOf(func(r *productRound) float64 { return r.Shown }),
	}}
	for i := range rounds {
		m.Median.First, m.Median.Later = max(m.Median.First, rounds[i].First), max(m.Median.Later, rounds[i].Later)
	}
	return m
}

// newNaiveMeasured computes the medians, also of the calls of an observation: where the API
// server is slow, the update of a status conflicts, and the naive reader reads everything twice.
func newNaiveMeasured(rounds []productRound) productMeasured {
	m := newProductMeasured(rounds)
	later := make([]float64, len(rounds))
	for i := range rounds {
		later[i] = float64(rounds[i].Later)
	}
	m.Median.Later = int(median(later))
	return m
}

// measureProducts compares the operator with the naive reader, for all products. Another
// operator runs meanwhile, until the lists that it keeps have been refreshed.
func (b *bench) measureProducts(ctx context.Context) (err error) {
	if b.form.products == nil {
		return nil
	}
	f := b.form.products
	b.logf("products: %d load balancers of each, every %s", f.Balancers, f.Interval)
	refreshed, err := b.startRefreshing(ctx, f.Refreshed)
	if err != nil {
		return err
	}
	defer refreshed.close()
	operator, naive := b.newOperator("operator", b.builtOperator(), products, f.size()), b.newNaive(f.size())
	if err := b.openAll(ctx, operator, naive); err != nil {
		return err
	}
	if err := refreshed.awaitFirst(ctx); err != nil { // its first statuses are no writes of the others
		return err
	}
	if err := b.alternate(ctx, f, operator, naive); err != nil {
		return err
	}
	b.logf("  until the listeners of five minutes ago are listed again")
	calls, err := refreshed.await(ctx)
	if err != nil {
		return err
	}
	if err := refreshed.remove(ctx); err != nil {
		return err
	}
	r := &productsResult{Form: *f}
	for i, product := range products {
		r.Products = append(r.Products, productResult{
			Product: product, Operator: newProductMeasured(operator.fleets[i].rounds), Naive: newNaiveMeasured(naive.fleets[i].rounds),
			Refreshed: newRefreshedCalls(calls, product, defaultInterval),
		})
	}
	b.results.Products = r
	return nil
}

// A refreshing is an operator with a few load balancers of each product, and a simulator of
// its own, which keeps the calls while others are measured.
type refreshing struct {
	*contestant
}

func (b *bench) startRefreshing(ctx context.Context, balancers int) (*refreshing, error) {
	const name = "refreshed"
	own, err := b.withSimulator(ctx, name)
	if err != nil {
		return nil, err
	}
	c := own.newOperator(name, own.builtOperator(), products, fleetSize{Balancers: balancers, Objects: 1, Interval: defaultInterval})
	r := &refreshing{c}
	for _, f := range c.fleets {
		err = errors.Join(err, f.open(ctx, c.env))
	}
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *refreshing) close() {
	r.stop()
	r.simulator.Stop()
}

// await waits until the listeners of every load balancer were listed twice, and returns all
// calls.
func (r *refreshing) await(ctx context.Context) ([]call, error) {
	err := wait.PollUntilContextTimeout(ctx, time.Second, refreshTimeout, true, func(ctx context.Context) (bool, error) {
		report, err := r.simulator.calls(ctx, 1)
		if err != nil {
			return false, err
		}
		n := r.fleets[0].size.Balancers
		shared := (n + alicloud.MaxLoadBalancersPerCall - 1) / alicloud.MaxLoadBalancersPerCall
		return report.ByProduct[alicloud.ProductCLB]["DescribeLoadBalancerListeners"] >= 2*shared &&
			report.ByProduct[alicloud.ProductNLB]["ListListeners"] >= 2*n && report.ByProduct[alicloud.ProductALB]["ListListeners"] >= 2*n, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the listeners are not listed again: %w", err)
	}
	if err := harness.Wait(ctx, settled); err != nil { // until the last observation is complete
		return nil, err
	}
	report, err := r.simulator.calls(ctx, keptCalls)
	return report.Calls, err
}
