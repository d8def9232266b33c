// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// A document is the report.
type document struct {
	form    form
	date    time.Time
	took    time.Duration
	command string
	machine machine
	results *results
}

const introduction = `# Benchmarks

What the operator costs, measured in one run on one machine against

- the **limit**: a bare client that sends the same status patches to the same objects (prepared beforehand, answers not
  decoded), a bare loop of calls of alibaba-cloud-sdk-go (a throw-away client per call around one shared transport, the
  cheapest way that does not race), and a bare typed informer over the same objects;
- the **textbook** reconciler (test/perf/bench/textbook): one call for each object at each interval, a Status().Update after
  each call, RequeueAfter. It has the operator's concurrency, %d.

etcd and kube-apiserver are real, the SLB API is slb-simulator over HTTPS, and everything that is measured is a process of
its own: CPU is user and system time of /proc/PID/stat, memory is VmRSS after the same time. All share the machine, so
what one takes another lacks.

## Figures

`

const textbookFallsBehind = `
The textbook reconciler does not keep up at %d load balancers: it makes %.2f of the one call an interval that it is asked
for. Its two figures of growth are those of a program that does less and less of its work, and flatter it.
`

func (d *document) markdown(out io.Writer) {
	fmt.Fprintf(out, introduction, operatorConcurrency)
	printFigures(out, figures(d.results))
	if pace := d.results.Large.Textbook.Steady.CallsPerInterval; pace < 0.9 {
		fmt.Fprintf(out, textbookFallsBehind, d.results.Large.Size.Balancers, pace)
	}
	fmt.Fprint(out, "\n## Sizes\n\n")
	printSizes(out, d.results)
	fmt.Fprint(out, "\n## Behind the figures\n\n")
	printBehind(out, d.results)
	fmt.Fprint(out, "\n## The storm in profile\n\n")
	printStorm(out, &d.results.Storms)
	fmt.Fprint(out, "\n## Forms of a status write\n\nOne backend of so many changed, and the status is written by a bare client: how many a second, and what each costs.\n\n")
	printWrites(out, d.results.Writes)
	fmt.Fprintf(out, "\n## How it was run\n\n| | |\n| --- | --- |\n| machine | %s |\n| date | %s, %s long |\n| command | `%s` (the %s form) |\n",
		d.machine, d.date.UTC().Format("2006-01-02 15:04 MST"), d.took.Round(time.Second), d.command, d.form.name)
}

// printFigures prints the table of figures and goals.
func printFigures(out io.Writer, rows []figure) {
	fmt.Fprintln(out, "| figure | goal | operator | textbook | factor |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		missed := ""
		if !r.met(r.operator) {
			missed = " (missed)"
		}
		factor := "–"
		if f := r.factor(); f > 0 {
			factor = number(f) + "×"
		} else if r.textbook > 0 {
			factor = "∞"
		}
		fmt.Fprintf(out, "| %s | %s | %.2f%s | %.2f | %s |\n", r.name, r.goalText(), r.operator, missed, r.textbook, factor)
	}
}

// stormWords is the rate of a storm, and how much of it is missing.
func stormWords(s *storm, size size) string {
	words := fmt.Sprintf("%.0f/s", s.Throughput)
	if all := size.Balancers * size.Objects; s.Writes < all {
		words += fmt.Sprintf(" (only %d of %d came)", s.Writes, all)
	}
	return words
}

// printSizes prints a row for each subject at each size.
func printSizes(out io.Writer, r *results) {
	fmt.Fprintln(out, "| load balancers | rows | objects on each | interval | | calls per interval | writes per observation | CPU per observation | cores | memory (peak) | storm |")
	fmt.Fprintln(out, "| ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	all := append([]pair{r.Large, r.Small, r.Shared}, r.Sizes...)
	for i := range all {
		p := &all[i]
		for _, one := range []struct {
			name string
			trial
		}{{"operator", p.Operator}, {"textbook", p.Textbook}} {
			s, stormed := one.Steady, "–"
			if one.Storm != nil {
				stormed = stormWords(one.Storm, p.Size)
			}
			fmt.Fprintf(out, "| %d | %d | %d | %s | %s | %.2f | %.2f | %.0f µs | %.2f | %s (%s) | %s |\n",
				p.Size.Balancers, p.Size.Rows, p.Size.Objects, p.Size.Interval, one.name,
				s.CallsPerInterval, s.WritesPerObservation, s.CPUPerObservation, s.Cores, mebibytes(s.RSS), mebibytes(s.PeakRSS), stormed)
		}
	}
}

// printBehind prints the measurements that the ratios come from.
func printBehind(out io.Writer, r *results) {
	s, asked := r.Storms, float64(r.Storms.Size.Balancers)/r.Storms.Size.Interval.Seconds()
	fmt.Fprintf(out, "Storms and delays: %s, which asks for %.0f writes/s when everything changes. The limit is from before\nand after the operator (%.0f and %.0f writes/s).\n\n",
		s.Size, asked, s.Before.Storm.Throughput, s.After.Storm.Throughput)
	fmt.Fprintln(out, "| | limit | operator | textbook |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: |")
	fmt.Fprintf(out, "| storm, writes/s | %.0f | %.0f | %.0f |\n", s.Limit.Storm.Throughput, s.Operator.Storm.Throughput, s.Textbook.Storm.Throughput)
	fmt.Fprintf(out, "| Events written meanwhile, for each status | 0 | %.2f | %.2f |\n", perWrite(s.Operator.Storm), perWrite(s.Textbook.Storm))
	fmt.Fprintf(out, "| to the stored status, p50 | %.1f ms | %.1f ms | %.1f ms |\n", s.Limit.Delay.P50, s.Operator.Delay.P50, s.Textbook.Delay.P50)
	fmt.Fprintf(out, "| to the stored status, p99 | %.1f ms | %.1f ms | %.1f ms |\n", s.Limit.Delay.P99, s.Operator.Delay.P99, s.Textbook.Delay.P99)
	fmt.Fprintf(out, "| delays measured | %d | %d | %d |\n", s.Limit.Delay.Samples, s.Operator.Delay.Samples, s.Textbook.Delay.Samples)
	if asked < s.Limit.Storm.Throughput {
		fmt.Fprintln(out, "\nThe storm asked for less than the limit gives: its figure says nothing here.")
	}
	o, t := r.Large.Operator.Steady, r.Large.Textbook.Steady
	fmt.Fprintf(out, "\nCosts while nothing changes: %s.\n\n", r.Large.Size)
	fmt.Fprintln(out, "| | limit | operator | textbook |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: |")
	fmt.Fprintf(out, "| CPU per call or observation | %.0f µs | %.0f µs | %.0f µs |\n", r.Call.CPUPerObservation, o.CPUPerObservation, t.CPUPerObservation)
	fmt.Fprintf(out, "| memory (peak) | %s (%s) | %s (%s) | %s (%s) |\n", mebibytes(r.Informer.RSS), mebibytes(r.Informer.Peak),
		mebibytes(o.RSS), mebibytes(o.PeakRSS), mebibytes(t.RSS), mebibytes(t.PeakRSS))
}

const stormProfile = `Everything shares the machine, and the API server takes what it can get: a program reaches the limit only if it, and the
SLB API that it asks, take no more CPU than the bare client, which asks nobody, watches nothing and sends what was made
beforehand. Cores that each process kept busy between the first and the last twentieth of the writes:

`

const stormTried = `
The last line is what the operator asks of the API server, whatever else shares its cores: how it writes. The rest of the
distance is the CPU of the lines above it: the operator observes while it writes, and decodes every write once more as its
own watch brings it back. What was tried against it, and kept:

- the smallest JSON patch, on top of the status that it was decided from, against six other forms (below);
- answers to patches with metadata only: the watch brings the object anyway;
- Events from a writer of their own, one after the other, which statuses overtake: client-go's recorder made an Event for
  each status meanwhile, and so asked two writes of the API server for each change;
- rows compared as typed values instead of by reflection.
`

// printStorm explains the storm's share of the limit.
func printStorm(out io.Writer, s *storms) {
	fmt.Fprint(out, stormProfile)
	fmt.Fprintln(out, "| | bare patches | operator | textbook |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: |")
	columns := []storm{s.Limit.Storm, s.Operator.Storm, s.Textbook.Storm}
	row := func(name string, value func(storm) string) {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", name, value(columns[0]), value(columns[1]), value(columns[2]))
	}
	for _, process := range []string{apiServer, "etcd", "slb-simulator", bencher, writer} {
		name := map[string]string{bencher: "the benchmark's own watch", writer: "**the program that writes**"}[process]
		row(cmp.Or(name, process), func(s storm) string { return fmt.Sprintf("%.2f", s.Cores[process]) })
	}
	row("writes for a second of "+apiServer, func(s storm) string { return fmt.Sprintf("%.0f", s.Throughput/s.Cores[apiServer]) })
	fmt.Fprint(out, stormTried)
}

func perWrite(s storm) float64 { return float64(s.Events) / float64(s.Writes) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// number has no more digits than it is worth.
func number(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// printWrites prints the comparison as a Markdown table.
func printWrites(out io.Writer, results []writeResult) {
	fmt.Fprintln(out, "| rows | at once | form | writes/s | p50 ms | p99 ms | body KiB | sent KiB | received KiB | client CPU µs | API server CPU µs |")
	fmt.Fprintln(out, "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range results {
		fmt.Fprintf(out, "| %d | %d | %s | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f |\n", r.Rows, r.Concurrency, r.Form,
			r.WritesPerSecond, r.P50, r.P99, r.BodyBytes/1024, r.SentBytes/1024, r.ReceivedBytes/1024, r.ClientCPU, r.ServerCPU)
	}
}
