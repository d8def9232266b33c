// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
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

The costs of the operator, compared in one run on one machine with

- the **limit**: a bare client that sends the same status writes to the same objects (prepared in advance, in the cheapest
  form, responses not decoded), a bare loop of calls of alibaba-cloud-sdk-go (a new client per call with one shared transport, the cheapest way
  without data races), and a bare typed informer of the same objects;
- the **textbook** reconciler (test/perf/bench/textbook): one call per object and interval, a Status().Update after each
  call, RequeueAfter. It has the operator's concurrency, %d.

etcd and kube-apiserver are real, the SLB API is slb-simulator over HTTPS, and every measured program is a separate process:
CPU is its user and system time in /proc/PID/stat, memory its VmRSS at the same age. All processes compete for the CPU of
this machine.

## Figures

`

const textbookTooSlow = `
The textbook reconciler is too slow for %d load balancers: it makes %.2f calls per load balancer and interval instead of 1.
Its two figures of growth are therefore too favorable: it does only a part of its work.
`

func (d *document) markdown(out io.Writer) {
	fmt.Fprintf(out, introduction, operatorConcurrency)
	printFigures(out, figures(d.results))
	if calls := d.results.Large.Textbook.Steady.CallsPerInterval; calls < 0.9 {
		fmt.Fprintf(out, textbookTooSlow, d.results.Large.Size.Balancers, calls)
	}
	d.printParts(out)
	fmt.Fprint(out, "\n## Sizes\n\n")
	printSizes(out, d.results)
	fmt.Fprint(out, "\n## Storms\n\n")
	printRounds(out, &d.results.Storms)
	fmt.Fprint(out, "\n## Behind the figures\n\n")
	printBehind(out, d.results)
	fmt.Fprint(out, "\n## CPU during the storm\n\n")
	printStorm(out, &d.results.Storms)
	fmt.Fprint(out, "\n## Forms of a status write\n\n")
	printWrites(out, d.results.Writes)
	fmt.Fprintf(out, "\n## How it was run\n\n| | |\n| --- | --- |\n| machine | %s |\n| date | %s, duration %s |\n| command | `%s` (the %s form) |\n",
		d.machine, d.date.UTC().Format("2006-01-02 15:04 MST"), d.took.Round(time.Second), d.command, d.form.name)
}

// printParts prints what can be measured alone.
func (d *document) printParts(out io.Writer) {
	if d.results.Fast != nil {
		fmt.Fprint(out, "\n## Fast observation\n\n")
		printFast(out, d.results.Fast)
	}
	if d.results.Gates != nil {
		fmt.Fprint(out, "\n## Readiness gates\n\n")
		printGates(out, d.results.Gates)
	}
	if d.results.Products != nil {
		fmt.Fprint(out, "\n## Products\n\n")
		printProducts(out, d.results.Products)
		fmt.Fprint(out, "\n`make bench BENCH=builds BENCH_BASE=path` compares the operator with another build of it, such as that of\nanother commit.\n")
	}
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

// stormText returns the rate of a storm, and how many writes are missing.
func stormText(s *storm, size fleetSize) string {
	text := fmt.Sprintf("%.0f/s", s.Throughput)
	if all := size.Balancers * size.Objects; s.Writes < all {
		text += fmt.Sprintf(" (only %d of %d arrived)", s.Writes, all)
	}
	return text
}

// printSizes prints a row for each subject at each size.
func printSizes(out io.Writer, r *results) {
	fmt.Fprintln(out, "| load balancers | rows | objects on each | interval | | calls per interval | writes per observation | CPU per observation | cores | memory (peak) | storm |")
	fmt.Fprintln(out, "| ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	all := append([]pair{r.Large, r.Small, r.Shared}, r.Sizes...)
	for i := range all {
		p := &all[i]
		for _, t := range p.trials() {
			s, rate := t.trial.Steady, "–"
			if t.trial.Storm != nil {
				rate = stormText(t.trial.Storm, p.Size)
			}
			fmt.Fprintf(out, "| %d | %d | %d | %s | %s | %.2f | %.2f | %.0f µs | %.2f | %s (%s) | %s |\n",
				p.Size.Balancers, p.Size.Rows, p.Size.Objects, p.Size.Interval, t.subject.name,
				s.CallsPerInterval, s.WritesPerObservation, s.CPUPerObservation, s.Cores, mebibytes(s.RSS), mebibytes(s.PeakRSS), rate)
		}
	}
}

const limitHeader = "| | limit | operator | textbook |\n| --- | ---: | ---: | ---: |\n"

// printBehind prints the measurements that the ratios come from.
func printBehind(out io.Writer, r *results) {
	s := r.Storms.Delays
	fmt.Fprintf(out, "Delays at a moderate rate: %s.\n\n", r.Storms.Size)
	fmt.Fprint(out, limitHeader)
	fmt.Fprintf(out, "| to the stored status, p50 | %.1f ms | %.1f ms | %.1f ms |\n", s.Limit.P50, s.Operator.P50, s.Textbook.P50)
	fmt.Fprintf(out, "| to the stored status, p99 | %.1f ms | %.1f ms | %.1f ms |\n", s.Limit.P99, s.Operator.P99, s.Textbook.P99)
	fmt.Fprintf(out, "| measured delays | %d | %d | %d |\n", s.Limit.Count, s.Operator.Count, s.Textbook.Count)
	o, t := r.Large.Operator.Steady, r.Large.Textbook.Steady
	fmt.Fprintf(out, "\nCosts while nothing changes: %s.\n\n", r.Large.Size)
	fmt.Fprint(out, limitHeader)
	fmt.Fprintf(out, "| CPU per call or observation | %.0f µs | %.0f µs | %.0f µs |\n", r.Call.CPUPerObservation, o.CPUPerObservation, t.CPUPerObservation)
	fmt.Fprintf(out, "| memory (peak) | %s (%s) | %s (%s) | %s (%s) |\n", mebibytes(r.Informer.RSS), mebibytes(r.Informer.Peak),
		mebibytes(o.RSS), mebibytes(o.PeakRSS), mebibytes(t.RSS), mebibytes(t.PeakRSS))
}

const stormProfile = `All processes compete for the CPU of this machine, and the API server uses what is free. So a program reaches the limit
only if it needs no more CPU, with its calls of the SLB API, than the bare client, which calls no API, watches nothing and
sends prepared writes. Cores that each process kept busy in the median round, without the first and the last twentieth of
the writes:

`

const stormExplanation = `
The last row shows the cost of a write for the API server, independent of the other processes. The rest of the difference
is the CPU in the rows above: the operator observes while it writes, and decodes each of its writes once more from its own
watch. These measures reduce the difference:

- a PUT of the status alone: the last section compares it with other forms;
- responses contain only metadata: the watch delivers the object anyway;
- a separate writer creates Events one after the other, and statuses overtake them: with client-go's recorder, each change
  needed two writes, one status and one Event;
- rows are compared as typed values instead of by reflection.
`

// printRounds prints every storm, and the medians.
func printRounds(out io.Writer, s *storms) {
	fmt.Fprintf(out, "Everything changes at once: %s, which needs %.0f writes/s. In each round, all three write\n"+
		"one after the other, so that the machine's drift affects all of them. The CPU of a write includes API server, etcd,\n"+
		"simulator and program: it varies less than the rate where the machine has other work.\n\n", s.Size, s.Size.rate())
	printContestants(out, s, "Status writes per second:", func(c *storm) float64 { return c.Throughput })
	printContestants(out, s, "Writes of statuses and Events per second:", func(c *storm) float64 { return c.Throughput * (1 + eventsPerWrite(*c)) })
	printContestants(out, s, "CPU of a write, milliseconds:", (*storm).cpuPerWrite)
	limit, operator, textbook := s.median(limitOf), s.median(operatorOf), s.median(textbookOf)
	fmt.Fprintf(out, "Events written during the storm, per status write: operator %.2f, textbook %.2f.\n", eventsPerWrite(operator), eventsPerWrite(textbook))
	if s.Size.rate() < limit.Throughput {
		fmt.Fprintln(out, "\nThe storm needed fewer writes than the limit: ignore its figures.")
	}
}

// printContestants prints a value of all storms. Its last row has the medians of the
// columns: that of a ratio is the median of the ratios.
func printContestants(out io.Writer, s *storms, title string, value func(*storm) float64) {
	columns := []func(*stormRound) float64{
		func(r *stormRound) float64 { return value(&r.Limit) },
		func(r *stormRound) float64 { return value(&r.Operator) },
		func(r *stormRound) float64 { return value(&r.Textbook) },
		func(r *stormRound) float64 { return value(&r.Operator) / value(&r.Limit) },
		func(r *stormRound) float64 { return value(&r.Textbook) / value(&r.Limit) },
		func(r *stormRound) float64 { return value(&r.Operator) / value(&r.Textbook) },
	}
	row := func(name string, cell func(column func(*stormRound) float64) float64) {
		fmt.Fprintf(out, "| %s |", name)
		for i, column := range columns {
			decimals := 1
			if i > 2 {
				decimals = 2
			}
			fmt.Fprintf(out, " %.*f |", decimals, cell(column))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%s\n\n| round | limit | operator | textbook | operator / limit | textbook / limit | operator / textbook |\n", title)
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for i := range s.Rounds {
		row(strconv.Itoa(i+1), func(column func(*stormRound) float64) float64 { return column(&s.Rounds[i]) })
	}
	row("**median**", s.medianOf)
	fmt.Fprintln(out)
}

// printStorm explains why a storm is slower than the limit.
func printStorm(out io.Writer, s *storms) {
	fmt.Fprint(out, stormProfile)
	printCores(out, s)
	fmt.Fprint(out, stormExplanation)
}

// printCores prints which process used the CPU.
func printCores(out io.Writer, s *storms) {
	fmt.Fprintln(out, "| | bare writes | operator | textbook |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: |")
	columns := []storm{s.median(limitOf), s.median(operatorOf), s.median(textbookOf)}
	row := func(name string, value func(storm) string) {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", name, value(columns[0]), value(columns[1]), value(columns[2]))
	}
	for _, process := range []string{apiServer, "etcd", "slb-simulator", bencher, writer} {
		name := map[string]string{bencher: "the benchmark's own watch", writer: "**the measured program**"}[process]
		row(cmp.Or(name, process), func(s storm) string { return fmt.Sprintf("%.2f", s.Cores[process]) })
	}
	row("writes per CPU second of "+apiServer, func(s storm) string { return fmt.Sprintf("%.0f", s.Throughput/s.Cores[apiServer]) })
}

func eventsPerWrite(s storm) float64 { return float64(s.Events) / float64(s.Writes) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// number formats a factor with one decimal at most.
func number(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// printWrites prints the comparison as a Markdown table.
func printWrites(out io.Writer, results []writeResult) {
	fmt.Fprintf(out, "One backend changed, and a bare client with %d writes at once writes the status. The forms alternate; the rate is the median of the rounds.\n\n", writers)
	fmt.Fprintln(out, "| rows | form | writes/s | p50 ms | p99 ms | body KiB | sent KiB | received KiB | client CPU µs | API server CPU µs |")
	fmt.Fprintln(out, "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range results {
		fmt.Fprintf(out, "| %d | %s | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f |\n", r.Rows, r.Form,
			r.WritesPerSecond, r.P50, r.P99, r.BodyBytes/1024, r.SentBytes/1024, r.ReceivedBytes/1024, r.ClientCPU, r.ServerCPU)
	}
}
