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
	Date    string         `json:"date"`
	Command string         `json:"command"`
	Seed    uint64         `json:"seed"`
	Took    float64        `json:"tookSeconds"`
	Objects int            `json:"objects"`
	Race    bool           `json:"raceDetector"`
	Trends  []trend        `json:"trends"`
	Growing map[string]int `json:"growingFamilies"`
	// Correct is when every status was correct, by the situation.
	Correct      map[string]float64 `json:"correctAfterSeconds"`
	Actions      map[string]int     `json:"actions"`
	Outcomes     map[string]int     `json:"outcomes"`
	Events       int                `json:"events"`
	Measurements []measurement      `json:"measurements"`
}

func (s *soak) report() *report {
	return &report{
		Date: s.started.UTC().Format(time.RFC3339), Seed: s.seed, Took: time.Since(s.started).Seconds(), Objects: objectCount,
		Command: commandOf(s.settings), Race: s.race, Trends: trends(s.measurements, s.race), Growing: growing(s.measurements),
		Correct: s.correct, Actions: s.done, Outcomes: s.outcomes, Events: s.events, Measurements: s.measurements,
	}
}

// commandOf returns the make command of a soak.
func commandOf(cfg settings) string {
	command := fmt.Sprintf("SOAK=%s SOAK_SEED=%d", short(cfg.duration), cfg.seed)
	if !cfg.race {
		command += " SOAK_RACE=0"
	}
	return command + " make soak"
}

// short formats a duration without zero minutes and seconds: 1h.
func short(d time.Duration) string {
	return strings.Replace(strings.Replace(d.String(), "m0s", "m", 1), "h0m", "h", 1)
}

// verdict returns an error if anything grew.
func (r *report) verdict() error {
	var errs []error
	if len(r.Trends) == 0 {
		errs = append(errs, errors.New("there are too few measurements"))
	}
	for _, t := range r.Trends {
		if t.grows() {
			errs = append(errs, fmt.Errorf("%s grew from %.1f to %.1f, allowed is %.1f (SOAK_SEED=%d)", t.Name, t.First, t.Last, t.Allowed, r.Seed))
		}
	}
	for _, family := range slices.Sorted(maps.Keys(r.Growing)) {
		errs = append(errs, fmt.Errorf("%s gained %d series (SOAK_SEED=%d)", family, r.Growing[family], r.Seed))
	}
	return errors.Join(errs...)
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%-40s %12s %12s %12s\n", "median", "first third", "last third", "allowed")
	for _, t := range r.Trends {
		fmt.Fprintf(w, "%-40s %12.1f %12.1f %12.1f\n", t.Name, t.First, t.Last, t.Allowed)
	}
	fmt.Fprintf(w, "\n%d actions, %d calls of the SLB API with %d different outcomes, %d events\n", total(r.Actions), total(r.Outcomes), len(r.Outcomes), r.Events)
}

// write writes the report into a folder, if there is one.
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

The built operator runs with a real etcd and kube-apiserver, which it reaches through a relay, and with slb-simulator over
HTTPS: %d objects for %d load balancers, each observed every %s, with the operator's own key and those of %d Secrets. The
seed determines all actions, one every %s. At regular intervals all faults stop for a few seconds, and the soak measures the
operator. The run fails if

- the median of a resource in the last third of the measurements exceeds the median of the first third (after a warm-up of a
  quarter) by more than is allowed, or a metric gains series,
- the operator does not watch the objects %s after the last fault: client-go doubles its delay with each outage of the API
  server,
- a status differs from the simulator %s after that, or after a failover to a second operator,
- there are metric series of a deleted object,
- the operator exits early, has a data race or panics,
- or a key, token or signed URL is in a log, an object or an event.

## Resources

| median | first third | last third | allowed |
| --- | --- | --- | --- |
`

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, introduction, r.Command, r.Date, r.Took, runtime.NumCPU(), runtime.Version(), r.Objects, balancerCount, interval,
		secretCount, actionInterval, quiet+watchLimit, recoveryLimit)
	for _, t := range r.Trends {
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f |\n", t.Name, t.First, t.Last, t.Allowed)
	}
	fmt.Fprintf(&b, "\n%d measurements.", len(r.Measurements))
	if r.Race {
		b.WriteString(" The race detector in this program multiplies its RSS.")
	}
	b.WriteString("\n\n## Time until every status was correct\n\n| | seconds |\n| --- | --- |\n")
	for _, when := range slices.Sorted(maps.Keys(r.Correct)) {
		fmt.Fprintf(&b, "| %s | %.1f |\n", when, r.Correct[when])
	}
	b.WriteString("\n## Actions\n\n| | count |\n| --- | --- |\n")
	for _, a := range actions {
		fmt.Fprintf(&b, "| %s | %d |\n", a.name, r.Actions[a.name])
	}
	fmt.Fprintf(&b, "\nAfter the run there were %d Events.\n", r.Events)
	b.WriteString("\n## Outcomes of the API calls\n\n| error code, fault or OK | calls |\n| --- | --- |\n")
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		fmt.Fprintf(&b, "| %s | %d |\n", outcome, r.Outcomes[outcome])
	}
	return b.String()
}
