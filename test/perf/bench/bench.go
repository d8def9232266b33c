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

// A trial is what was measured of one subject at one size.
type trial struct {
	Steady steady `json:"steady"`
	Storm  *storm `json:"storm,omitempty"`
}

// A pair is two trials at the same size.
type pair struct {
	Size     size  `json:"size"`
	Operator trial `json:"operator"`
	Textbook trial `json:"textbook"`
}

// trials are both subjects with where their measurements go.
func (p *pair) trials() []subjectTrial {
	return []subjectTrial{{operatorSubject, &p.Operator}, {textbookSubject, &p.Textbook}}
}

type subjectTrial struct {
	who  subject
	into *trial
}

// results are all measurements.
type results struct {
	Writes []writeResult `json:"writes"`
	Storms storms        `json:"storms"`
	// Call and Informer are the limits that the operator at Large is held against.
	Call     steady        `json:"call"`
	Informer harness.Usage `json:"informer"`
	Large    pair          `json:"large"`
	Small    pair          `json:"small"`
	Shared   pair          `json:"shared"`
	Sizes    []pair        `json:"sizes"`
}

// A bench makes the measurements of a form, one after the other.
type bench struct {
	*env
	form    form
	out     io.Writer
	started time.Time
	limit   float64 // about how many writes a second are possible
	results results
}

func (b *bench) run(ctx context.Context) error {
	b.say("comparing the forms of a status write")
	var err error
	if b.results.Writes, err = compareWrites(ctx, b.api, b.form.writes); err != nil {
		return err
	}
	b.limit = roughLimit(b.results.Writes)
	b.results.Storms.Size = stormSize(b.limit, b.form.demand)
	b.say("  about %.0f a second of the operator's form", b.limit)
	for _, part := range []func(context.Context) error{b.costs, b.storms, b.shares, b.table} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// roughLimit is what the comparison of forms says of the one that counts.
func roughLimit(writes []writeResult) float64 {
	for _, r := range writes {
		if r.Form == operatorForm.name && r.Rows == usualRows && r.Concurrency == operatorConcurrency {
			return r.WritesPerSecond
		}
	}
	return 0
}

// costs measures what the subjects cost while nothing changes, at two sizes.
func (b *bench) costs(ctx context.Context) error {
	large, small := b.form.large, b.form.small
	if large.Balancers == 0 {
		large, small = b.results.Storms.Size, b.results.Storms.Size
		small.Balancers /= 10
	}
	b.results.Large.Size, b.results.Small.Size = large, small
	if err := b.stand(ctx, large); err != nil {
		return err
	}
	if err := b.besideLimits(ctx, &b.results.Large); err != nil {
		return err
	}
	if large == b.results.Storms.Size { // the textbook's statuses are no good for the operator's storm
		if err := b.storms(ctx); err != nil {
			return err
		}
	}
	if err := b.trial(ctx, textbookSubject, large, &b.results.Large.Textbook); err != nil {
		return err
	}
	return b.compare(ctx, &b.results.Small)
}

// besideLimits measures the operator, a bare loop of calls and a bare informer
// at the same time: what else goes on in the machine hits all alike.
func (b *bench) besideLimits(ctx context.Context, p *pair) error {
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

// shares measures the calls where several objects name the same load balancer.
func (b *bench) shares(ctx context.Context) error {
	b.results.Shared.Size = b.form.shared
	return b.compare(ctx, &b.results.Shared)
}

// table measures further sizes, with a storm at each.
func (b *bench) table(ctx context.Context) error {
	b.results.Sizes = make([]pair, len(b.form.sizes))
	for i, size := range b.form.sizes {
		p := &b.results.Sizes[i]
		p.Size = size
		if err := b.compare(ctx, p); err != nil {
			return err
		}
		if err := b.stormPair(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// compare measures both subjects at a size.
func (b *bench) compare(ctx context.Context, p *pair) error {
	if err := b.stand(ctx, p.Size); err != nil {
		return err
	}
	for _, one := range p.trials() {
		if err := b.trial(ctx, one.who, p.Size, one.into); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) trial(ctx context.Context, who subject, size size, into *trial) error {
	return b.with(ctx, who, func(process *harness.Process) error {
		measured, err := b.steady(ctx, size, process)
		if err != nil {
			return err
		}
		into.Steady = measured[0]
		if size.Objects > 1 { // a number of calls is what this size is for: count them exactly
			into.Steady.CallsPerInterval, err = b.pace(ctx, size)
		}
		return err
	})
}

// stand sees to it that the load balancers and objects of a size, and no
// others, are there, and observed: what starts then starts as after a restart.
func (b *bench) stand(ctx context.Context, size size) error {
	b.say("%s", size)
	if b.size == size {
		return nil
	}
	if err := b.change(ctx, size); err != nil {
		return err
	}
	b.watcher.forget()
	return b.with(ctx, operatorSubject, func(*harness.Process) error {
		return b.observedAll(ctx, size, b.patience(size))
	})
}

// with runs a subject for as long as do takes.
func (b *bench) with(ctx context.Context, who subject, do func(*harness.Process) error) error {
	b.say("  %s", who.name)
	if err := b.agree(ctx); err != nil {
		return err
	}
	p, err := who.start(ctx, b.env)
	if err != nil {
		return err
	}
	defer p.Stop()
	return errors.Join(do(p), p.Alive())
}

// patience is how long everything may take to be stored: ten times what the
// limit would need, and some intervals.
func (b *bench) patience(size size) time.Duration {
	return 5*size.Interval + time.Duration(10*float64(size.Balancers*size.Objects)/b.limit*float64(time.Second))
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%4.0fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
