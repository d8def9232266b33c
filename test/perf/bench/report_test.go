// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// newResults has a value wherever a figure divides.
func newResults() *results {
	r := &results{Informer: harness.Usage{RSS: 100 << 20}, Call: steady{CPUPerObservation: 200}}
	for _, drift := range []float64{1, 3, 2} {
		r.Storms.Rounds = append(r.Storms.Rounds, stormRound{
			Limit:    storm{Writes: 10, Throughput: 100 * drift, Cores: map[string]float64{apiServer: drift, bencher: 1}},
			Operator: storm{Writes: 10, Throughput: 95 * drift, Cores: map[string]float64{apiServer: drift / 2, writer: drift / 2, bencher: 1}},
			Textbook: storm{Writes: 10, Throughput: 50 * drift, Cores: map[string]float64{apiServer: drift, bencher: 1}},
		})
	}
	r.Storms.Delays = stormDelays{Limit: delay{P99: 10}, Operator: delay{P99: 12}, Textbook: delay{P99: 600}}
	r.Storms.Size = fleetSize{Balancers: 900, Objects: 1, Rows: 20, Interval: minInterval}
	for _, p := range []*pair{&r.Large, &r.Small, &r.Shared} {
		p.Operator.Steady = steady{CallsPerInterval: 1, CPUPerObservation: 220, Cores: 0.1, RSS: 120 << 20}
		p.Textbook.Steady = steady{CallsPerInterval: 10, WritesPerObservation: 1, CPUPerObservation: 900, Cores: 0.4, RSS: 90 << 20}
	}
	r.Large.Operator.Steady.Cores = 1.2
	return r
}

func newDocument() *document {
	return &document{form: quick(), date: time.Unix(0, 0), took: time.Minute, command: "make bench", machine: thisMachine(), results: newResults()}
}

func TestJSONKeys(t *testing.T) {
	t.Parallel()

	data, err := newDocument().json()
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]json.RawMessage
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatal(err)
	}
	keys := []string{
		"callsPerInterval", "steadyWrites", "stormVsLimit", "statusDelayP99VsPatch", "cpuVsSdkCall", "rssVsInformer", "cpuGrowth", "rssGrowth",
	}
	var textbook map[string]float64
	if err := json.Unmarshal(decoded["textbook"], &textbook); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		var value float64
		if err := json.Unmarshal(decoded[key], &value); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if _, ok := textbook[key]; !ok {
			t.Errorf("the textbook has no %s", key)
		}
	}
	for _, key := range []string{"measurements", "machine", "date", "command", "form"} {
		if decoded[key] == nil {
			t.Errorf("there is no %s", key)
		}
	}
}

func TestOneRowPerLine(t *testing.T) {
	t.Parallel()

	r := newResults()
	r.Writes, r.Sizes = []writeResult{{Form: "a"}, {Form: "b"}}, []pair{r.Small}
	data, err := json.MarshalIndent(map[string]any{"measurements": r}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var before, after any
	rows := oneRowPerLine(data)
	if err := errors.Join(json.Unmarshal(data, &before), json.Unmarshal(rows, &after)); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v: the content changed:\n%s", err, rows)
	}
	for _, row := range []string{`      { "form": "a", .* },`, `      { "form": "b", .* }`, `      { "size": .* "textbook": .* }`} {
		if !regexp.MustCompile("(?m)^" + row + "$").Match(rows) {
			t.Errorf("no row %q in\n%s", row, rows)
		}
	}
}

func TestTableOfFigures(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	printFigures(&out, figures(newResults()))
	for _, want := range []string{
		"| 1.00 | 1.00 | 10.00 | 10× |",         // a reached goal
		"| 0.00 | 0.00 | 1.00 | ∞ |",            // zero is infinitely better
		"| ≥ 0.90 | 0.95 | 0.50 | 1.9× |",       // more is better
		"| ≤ 10.50 | 12.00 (missed) | 1.00 | ",  // a missed goal
		"| ≤ 1.50 | 1.20 | 0.90 | 0.8× |",       // the textbook is better
		"| figure | goal | operator | textbook", // the header
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestMarkdownIsComplete(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	newDocument().markdown(&out)
	for _, want := range []string{"# Benchmarks", "make bench", "1970-01-01", "## Sizes", "## Storms", "## CPU during the storm", "## Forms of a status write"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(out.String(), "%!") {
		t.Error("a format string does not fit its arguments")
	}
}

func TestStormsExceedTheLimit(t *testing.T) {
	t.Parallel()

	for _, limit := range []float64{80, 300, 1200} {
		s := stormSize(limit, full().demand)
		if rate := s.rate(); rate < 1.4*limit || s.Balancers%60 != 0 {
			t.Errorf("%d load balancers need %.0f writes per second, of a limit of %.0f", s.Balancers, rate, limit)
		}
	}
}

func TestRoundsOfStorms(t *testing.T) {
	t.Parallel()

	r := newResults()
	if got := r.Storms.median(operatorOf).Throughput; got != 190 {
		t.Errorf("the median is %v", got)
	}
	r.Storms.Rounds[0].Operator.Throughput = 30
	var out bytes.Buffer
	printRounds(&out, &r.Storms)
	for _, want := range []string{
		"| 1 | 100.0 | 30.0 | 50.0 | 0.30 | 0.50 | 0.60 |",
		"| **median** | 200.0 | 190.0 | 100.0 | 0.95 | 0.50 | 1.90 |", // of the ratios, without the drift
		"| 3 | 10.0 | 10.5 | 20.0 | 1.05 | 2.00 | 0.53 |",             // CPU, without the benchmark's own
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestFormNamed(t *testing.T) {
	t.Parallel()

	for name := range alone {
		if f, err := formNamed(name); err != nil || f.name != name {
			t.Errorf("%s: %v, %v", name, f.name, err)
		}
	}
	if f, err := formNamed(""); err != nil || f.name != "full" {
		t.Errorf("%v, %v", f.name, err)
	}
	if _, err := formNamed("strom"); err == nil || !strings.Contains(err.Error(), `"storm"`) {
		t.Errorf("%v", err)
	}
}

func TestMissingWritesOfAStormAreShown(t *testing.T) {
	all := fleetSize{Balancers: 100, Objects: 1}
	for writes, want := range map[int]string{100: "20/s", 28: "20/s (only 28 of 100 arrived)"} {
		if got := stormText(&storm{Writes: writes, Throughput: 20}, all); got != want {
			t.Errorf("%d writes: %s, want %s", writes, got, want)
		}
	}
}

func TestMissedGoalsOfGatesAreShown(t *testing.T) {
	form := *gatesOnly().gates
	r := &gatesResult{
		Form: form, Closed: gateWrites{Patches: form.Pods}, Opened: gateWrites{Patches: form.Pods + 1},
		Before: gateWindow{CallsPerMinute: 2, Lag: 0.01}, Waiting: gateWindow{CallsPerMinute: 15, OtherCalls: 1, Lag: 0.2},
	}
	var out bytes.Buffer
	d := newDocument()
	d.results.Gates = r
	d.printParts(&out)
	for _, want := range []string{"## Readiness gates", "| 1.000 | 1.001 (missed) |", "| ≤ 14 | 2 | 15 (missed) |", "| ≤ 0.060 | 0.010 | 0.200 (missed) |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Fast observation") {
		t.Error("a part contains another one")
	}
}
