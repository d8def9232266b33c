// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// report is the result of a soak.
type report struct {
	Date    string             `json:"date"`
	Command string             `json:"command"`
	Seed    uint64             `json:"seed"`
	Took    float64            `json:"tookSeconds"`
	Objects int                `json:"objects"`
	Race    bool               `json:"raceDetector"`
	Trends  []trend            `json:"trends"`
	Growing map[string]int     `json:"growingFamilies"`
	Settled map[string]float64 `json:"settledSeconds"`
	Done    map[string]int     `json:"done"`
	Answers map[string]int     `json:"answers"`
	Events  int                `json:"events"`
	Samples []sample           `json:"samples"`
}

func (s *soak) report() *report {
	r := &report{
		Date: s.started.UTC().Format(time.RFC3339), Seed: s.seed, Took: time.Since(s.started).Seconds(), Objects: s.fleet,
		Command: commandOf(s.settings),
		Trends:  trends(s.samples, s.race), Race: s.race, Growing: growing(s.samples), Done: s.done, Answers: s.answers, Events: s.events, Samples: s.samples, Settled: map[string]float64{},
	}
	for when, took := range s.settled {
		r.Settled[when] = took.Seconds()
	}
	return r
}

// commandOf is what a person types.
func commandOf(asked settings) string {
	command := fmt.Sprintf("SOAK=%s SOAK_SEED=%d", short(asked.lasts), asked.seed)
	if !asked.race {
		command += " SOAK_RACE=0"
	}
	return command + " make soak"
}

// short is a duration without the zeros at its end.
func short(d time.Duration) string {
	text := d.String()
	if trimmed, ok := strings.CutSuffix(text, "m0s"); ok {
		text = trimmed + "m"
	}
	if trimmed, ok := strings.CutSuffix(text, "h0m"); ok {
		text = trimmed + "h"
	}
	return text
}

// verdict is an error when something grew.
func (r *report) verdict() error {
	var errs []error
	if len(r.Trends) == 0 {
		errs = append(errs, errors.New("there are too few samples to tell"))
	}
	for _, t := range r.Trends {
		if t.grows() {
			errs = append(errs, fmt.Errorf("%s grew from %.1f to %.1f, allowed are %.1f (SOAK_SEED=%d)", t.Name, t.First, t.Last, t.Allowed, r.Seed))
		}
	}
	for _, family := range slices.Sorted(maps.Keys(r.Growing)) {
		errs = append(errs, fmt.Errorf("%s gained %d series (SOAK_SEED=%d)", family, r.Growing[family], r.Seed))
	}
	return errors.Join(errs...)
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%-34s %12s %12s %12s\n", "median at quiet moments", "first third", "last third", "allowed")
	for _, t := range r.Trends {
		fmt.Fprintf(w, "%-34s %12.1f %12.1f %12.1f\n", t.Name, t.First, t.Last, t.Allowed)
	}
	fmt.Fprintf(w, "\n%d actions, %d calls of the SLB API with %d different outcomes, %d events\n", total(r.Done), total(r.Answers), len(r.Answers), r.Events)
}

// write puts the report into a folder, unless it is empty.
func (r *report) write(folder string) error {
	if folder == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return harness.WriteFiles(folder, map[string][]byte{"soak.md": []byte(r.markdown()), "soak.json": append(data, '\n')})
}

const introduction = `# Soak

` + "`%s`" + ` wrote this page on %s, in %.0f s, on %d cores with %s.

The built operator works between a real etcd and kube-apiserver, which it reaches through a relay, and slb-simulator over HTTPS:
%d objects on %d load balancers, each observed every %s, with its own key and those of %d Secrets. All that follows is
chosen from the seed, one action every %s; every so often it all stops for a few seconds, and the operator is looked at.
The run fails

- when the median of the last third of those looks is above that of the first third, after a warm-up of a quarter, by more than
  is allowed, or when a metric gains series,
- when a status is not what the simulator says within %s of the last fault, or soon after a second operator took over,
- when a metric series is there of an object that is not,
- when the operator ends before it is asked to, races or panics,
- or when a key, token or signed URL is in a log, an object or an event.

## What was flat

| median at quiet moments | first third | last third | allowed |
| --- | --- | --- | --- |
`

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, introduction, r.Command, r.Date, r.Took, runtime.NumCPU(), runtime.Version(), r.Objects, balancerSet, interval,
		secretCount, pace, quiet+settleLimit)
	for _, t := range r.Trends {
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f |\n", t.Name, t.First, t.Last, t.Allowed)
	}
	fmt.Fprintf(&b, "\nOf %d looks.", len(r.Samples))
	if r.Race {
		b.WriteString(" The program has the race detector in it, and needs several times the memory that it needs without.")
	}
	b.WriteString("\n\n## When every status was true\n\n| | seconds |\n| --- | --- |\n")
	for _, when := range slices.Sorted(maps.Keys(r.Settled)) {
		fmt.Fprintf(&b, "| %s | %.1f |\n", when, r.Settled[when])
	}
	b.WriteString("\n## What went on\n\n| | times |\n| --- | --- |\n")
	for _, a := range actions {
		fmt.Fprintf(&b, "| %s | %d |\n", a.name, r.Done[a.name])
	}
	fmt.Fprintf(&b, "| events there at the end | %d |\n", r.Events)
	b.WriteString("\n## What became of the calls\n\n| | calls |\n| --- | --- |\n")
	for _, outcome := range slices.Sorted(maps.Keys(r.Answers)) {
		fmt.Fprintf(&b, "| %s | %d |\n", outcome, r.Answers[outcome])
	}
	return b.String()
}
