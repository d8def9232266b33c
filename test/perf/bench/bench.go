// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A trial contains the measurements of one subject at one size.
type trial struct {
	Steady steady `json:"steady"`
	Storm  *storm `json:"storm,omitempty"`
}

// A pair contains the trials of both subjects at the same size.
type pair struct {
	Size     fleetSize `json:"size"`
	Operator trial     `json:"operator"`
	Textbook trial     `json:"textbook"`
}

// A subjectTrial is a subject, and where its measurements are stored.
type subjectTrial struct {
	subject testSubject
	trial   *trial
}

func (p *pair) trials() []subjectTrial {
	return []subjectTrial{{operatorSubject, &p.Operator}, {textbookSubject, &p.Textbook}}
}

// results are all measurements.
type results struct {
	Writes []writeResult `json:"writes"`
	Storms storms        `json:"storms"`
	// Call and Informer are the limits for the operator at Large.
	Call     steady          `json:"call"`
	Informer harness.Usage   `json:"informer"`
	Large    pair            `json:"large"`
	Small    pair            `json:"small"`
	Shared   pair            `json:"shared"`
	Sizes    []pair          `json:"sizes"`
	Fast     *fastResult     `json:"fast,omitempty"`
	Gates    *gatesResult    `json:"gates,omitempty"`
	Products *productsResult `json:"products,omitempty"`
	// Services is printed only.
	Services *servicesResult `json:"-"`
	// Expected is printed only.
	Expected *expectedResult `json:"-"`
	// Builds is printed only.
	Builds *buildsResult `json:"-"`
}

// A bench measures what a form requires, one measurement after the other.
type bench struct {
	*env
	form    form
	out     io.Writer
	started time.Time
	limit   float64 // the possible writes per second, roughly
	results results
}

func (b *bench) run(ctx context.Context) error {
	if part, alone := alone[b.form.name]; alone {
		return part.measure(b, ctx)
	}
	parts := []func(context.Context) error{b.measureFast, b.measureGates, b.measureProducts, b.compareForms, b.measureCosts, b.measureStorms, b.measureShared, b.measureSizes}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// onlyStorms measures the storms, of a size that fits this machine.
func (b *bench) onlyStorms(ctx context.Context) error {
	if err := b.compareForms(ctx); err != nil {
		return err
	}
	return b.measureStorms(ctx)
}

// compareForms compares the forms of a status write, and sizes the storms.
func (b *bench) compareForms(ctx context.Context) error {
	b.watcher.reset()
	b.logf("comparing the forms of a status write")
	var err error
	if b.results.Writes, err = compareWrites(ctx, b.api, b.form.writes); err != nil {
		return err
	}
	b.limit = estimatedLimit(b.results.Writes)
	b.results.Storms.Size = stormSize(b.limit, b.form.demand)
	b.logf("  about %.0f a second of the operator's form", b.limit)
	return nil
}

// estimatedLimit is the rate of the operator's form in the comparison of forms.
func estimatedLimit(writes []writeResult) float64 {
	for _, r := range writes {
		if r.Form == operatorForm.name && r.Rows == usualRows {
			return r.WritesPerSecond
		}
	}
	return 0
}

// measureCosts measures the subjects while nothing changes, at two sizes.
func (b *bench) measureCosts(ctx context.Context) error {
	large, small := b.form.large, b.form.small
	if large.Balancers == 0 {
		large, small = b.results.Storms.Size, b.results.Storms.Size
		small.Balancers /= 10
	}
	b.results.Large.Size, b.results.Small.Size = large, small
	if err := b.provide(ctx, large); err != nil {
		return err
	}
	if err := b.measureWithLimits(ctx, &b.results.Large); err != nil {
		return err
	}
	if large == b.results.Storms.Size { // the operator's storm needs statuses that the operator wrote
		if err := b.measureStorms(ctx); err != nil {
			return err
		}
	}
	if err := b.measureTrial(ctx, textbookSubject, large, &b.results.Large.Textbook); err != nil {
		return err
	}
	return b.compare(ctx, &b.results.Small)
}

// measureWithLimits measures the operator, a bare loop of calls and a bare informer
// at the same time, so that other load on the machine affects all of them equally.
func (b *bench) measureWithLimits(ctx context.Context, p *pair) error {
	informer, err := b.startWorker(ctx, "informer")
	if err != nil {
		return err
	}
	defer informer.Stop()
	caller, err := b.startCaller(ctx, p.Size, b.form.uptime+time.Minute)
	if err != nil {
		return err
	}
	defer caller.Stop()
	return b.with(ctx, operatorSubject, func(process *harness.Process) error {
		measured, err := b.steady(ctx, p.Size, process, caller)
		if err != nil {
			return err
		}
		p.Operator.Steady, b.results.Call = measured[0], measured[1]
		b.results.Informer, err = informer.Usage()
		return err
	})
}

// measureShared measures the calls where several objects name the same load balancer.
func (b *bench) measureShared(ctx context.Context) error {
	b.results.Shared.Size = b.form.shared
	return b.compare(ctx, &b.results.Shared)
}

// measureSizes measures further sizes, with a storm at each.
func (b *bench) measureSizes(ctx context.Context) error {
	b.results.Sizes = make([]pair, len(b.form.sizes))
	for i, size := range b.form.sizes {
		p := &b.results.Sizes[i]
		p.Size = size
		if err := b.compare(ctx, p); err != nil {
			return err
		}
		for _, t := range p.trials() {
			measured, err := b.underStorm(ctx, t.subject, size)
			if err != nil {
				return err
			}
			t.trial.Storm = &measured
		}
	}
	return nil
}

// compare measures both subjects at a size.
func (b *bench) compare(ctx context.Context, p *pair) error {
	if err := b.provide(ctx, p.Size); err != nil {
		return err
	}
	for _, t := range p.trials() {
		if err := b.measureTrial(ctx, t.subject, p.Size, t.trial); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureTrial(ctx context.Context, subject testSubject, size fleetSize, t *trial) error {
	return b.with(ctx, subject, func(process *harness.Process) error {
		measured, err := b.steady(ctx, size, process)
		if err != nil {
			return err
		}
		t.Steady = measured[0]
		if size.Objects > 1 { // this size is there for the number of calls: count them exactly
			t.Steady.CallsPerInterval, err = b.exactCallsPerInterval(ctx, size)
		}
		return err
	})
}

// provide creates exactly the load balancers and objects of a size, and has them
// observed, so that a program that starts next starts as after a restart.
func (b *bench) provide(ctx context.Context, size fleetSize) error {
	b.logf("%s", size)
	if b.size == size {
		return nil
	}
	if err := b.resize(ctx, size); err != nil {
		return err
	}
	b.watcher.reset()
	return b.with(ctx, operatorSubject, func(*harness.Process) error {
		return b.waitUntilObserved(ctx, size, b.timeout(size))
	})
}

// with runs a subject while do runs.
func (b *bench) with(ctx context.Context, subject testSubject, do func(*harness.Process) error) error {
	b.logf("  %s", subject.name)
	if err := b.revertFlips(ctx); err != nil {
		return err
	}
	p, err := subject.start(ctx, b.env)
	if err != nil {
		return err
	}
	defer p.Stop()
	return errors.Join(do(p), p.Alive())
}

// timeout limits the time until every status is stored: ten times what the limit
// needs, and some intervals.
func (b *bench) timeout(size fleetSize) time.Duration {
	return 5*size.Interval + time.Duration(10*float64(size.Balancers*size.Objects)/b.limit*float64(time.Second))
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.out, "%4.0fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
