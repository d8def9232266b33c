// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A writeResult contains the costs of one form of a status write when one row changed.
type writeResult struct {
	Form            string  `json:"form"`
	Rows            int     `json:"rows"`
	WritesPerSecond float64 `json:"writesPerSecond"` // the median of the rounds
	BodyBytes       float64 `json:"bodyBytes"`
	SentBytes       float64 `json:"sentBytes"`     // on the wire, with headers and TLS
	ReceivedBytes   float64 `json:"receivedBytes"` // as above
	ClientCPU       float64 `json:"clientCpuMicroseconds"`
	ServerCPU       float64 `json:"apiServerCpuMicroseconds"`
	P50             float64 `json:"p50Milliseconds"`
	P99             float64 `json:"p99Milliseconds"`
}

// compareWrites measures every form on the same objects.
func compareWrites(ctx context.Context, a *api, plan writesForm) ([]writeResult, error) {
	if err := warmUp(ctx, a, plan); err != nil {
		return nil, err
	}
	var results []writeResult
	for _, rows := range plan.rows {
		objects, err := createWithStatus(ctx, a, plan.objects, rows)
		if err != nil {
			return nil, err
		}
		cells := make([]writeCell, 0, len(writeForms()))
		for order, form := range writeForms() {
			cells = append(cells, writeCell{api: a, order: order, form: form, objects: objects, concurrency: plan.concurrency})
		}
		// The forms alternate, every other round in reverse order, so that other
		// load, and the garbage of another form, affect all of them equally.
		for range plan.rounds {
			slices.Reverse(cells)
			for i := range cells {
				if err := cells[i].measure(ctx, plan.slice); err != nil {
					return nil, fmt.Errorf("%s of %d rows: %w", cells[i].form.name, rows, err)
				}
			}
		}
		slices.SortFunc(cells, func(a, b writeCell) int { return a.order - b.order })
		for i := range cells {
			results = append(results, cells[i].result(rows))
		}
		if err := a.clear(ctx); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// warmUp writes until the heap of a new API server has grown: before that, it
// collects garbage most of the time.
func warmUp(ctx context.Context, a *api, plan writesForm) error {
	objects, err := createWithStatus(ctx, a, plan.objects, usualRows)
	if err != nil {
		return err
	}
	cell := writeCell{api: a, form: operatorForm, objects: objects, concurrency: plan.concurrency}
	if err := cell.measure(ctx, plan.warmUp); err != nil {
		return err
	}
	return a.clear(ctx)
}

// createWithStatus creates objects that already have a status.
func createWithStatus(ctx context.Context, a *api, n, rows int) ([]v1alpha1.LoadBalancerHealth, error) {
	objects := make([]*v1alpha1.LoadBalancerHealth, n)
	for i := range objects {
		objects[i] = newObject(balancerID(i), 0, time.Hour)
	}
	if err := a.create(ctx, objects); err != nil {
		return nil, err
	}
	err := parallel(setupConcurrency, objects, func(i int, object *v1alpha1.LoadBalancerHealth) error {
		object.Status = newStatus(balancerID(i), rows)
		return a.Status().Update(ctx, object)
	})
	if err != nil {
		return nil, err
	}
	return a.list(ctx)
}

// A writeCell contains one form at one concurrency, and its measurements so far.
type writeCell struct {
	api         *api
	order       int
	form        writeForm
	objects     []v1alpha1.LoadBalancerHealth
	concurrency int

	rates     []float64 // of the rounds
	latencies []time.Duration
	body      int
	used      writeMeter
}

func (c *writeCell) measure(ctx context.Context, d time.Duration) error {
	before, err := c.meter()
	if err != nil {
		return err
	}
	started := time.Now()
	latencies, body, err := c.run(ctx, started.Add(d))
	if err != nil {
		return err
	}
	c.rates = append(c.rates, float64(len(latencies))/time.Since(started).Seconds())
	after, err := c.meter()
	if err != nil {
		return err
	}
	c.latencies, c.body = append(c.latencies, latencies...), c.body+body
	c.used.client += after.client - before.client
	c.used.server += after.server - before.server
	c.used.sent += after.sent - before.sent
	c.used.received += after.received - before.received
	return nil
}

func (c *writeCell) result(rows int) writeResult {
	n := float64(len(c.latencies))
	return writeResult{
		Form: c.form.name, Rows: rows, WritesPerSecond: median(c.rates),
		BodyBytes: float64(c.body) / n, SentBytes: float64(c.used.sent) / n, ReceivedBytes: float64(c.used.received) / n,
		ClientCPU: microseconds(c.used.client) / n, ServerCPU: microseconds(c.used.server) / n,
		P50: milliseconds(percentile(c.latencies, 50)), P99: milliseconds(percentile(c.latencies, 99)),
	}
}

type writeMeter struct {
	client, server time.Duration
	sent, received int64
}

func (c *writeCell) meter() (writeMeter, error) {
	pid, err := harness.ChildNamed(apiServer)
	if err != nil {
		return writeMeter{}, err
	}
	client, err := harness.UsageOf(os.Getpid())
	if err != nil {
		return writeMeter{}, err
	}
	server, err := harness.UsageOf(pid)
	if err != nil {
		return writeMeter{}, err
	}
	return writeMeter{client: client.CPU, server: server.CPU, sent: c.api.sent.Load(), received: c.api.received.Load()}, nil
}

// run writes until the deadline. Each worker writes its own objects, so that there
// are no conflicts. It returns the latencies, and the size of all bodies.
func (c *writeCell) run(ctx context.Context, deadline time.Time) ([]time.Duration, int, error) {
	var group errgroup.Group
	var bytes atomic.Int64
	latencies := make([][]time.Duration, c.concurrency)
	for worker := range c.concurrency {
		group.Go(func() error {
			for i := worker; time.Now().Before(deadline); i += c.concurrency {
				if i >= len(c.objects) {
					i = worker
				}
				started := time.Now()
				n, err := c.writeOne(ctx, &c.objects[i])
				if err != nil {
					return err
				}
				latencies[worker] = append(latencies[worker], time.Since(started))
				bytes.Add(int64(n))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	return slices.Concat(latencies...), int(bytes.Load()), nil
}

func (c *writeCell) writeOne(ctx context.Context, object *v1alpha1.LoadBalancerHealth) (int, error) {
	next := *object
	next.Status = flip(&object.Status, newRequestID())
	body, err := c.form.body(object, &next)
	if err != nil {
		return 0, err
	}
	response, err := c.api.write(ctx, c.form, object.Name, body)
	if err != nil {
		return 0, err
	}
	var stored versioned
	if err := json.Unmarshal(response, &stored); err != nil {
		return 0, fmt.Errorf("the response to a write: %w", err)
	}
	next.ResourceVersion = stored.Metadata.ResourceVersion
	*object = next
	return len(body), nil
}
