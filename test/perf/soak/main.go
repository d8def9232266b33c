// SPDX-License-Identifier: Apache-2.0

// Command soak lets everything go wrong for a while around the built operator,
// between a real API server and the simulator, and then looks whether anything
// of it grew, and whether every status is true once it goes well again.
// `make soak` builds and runs it.
//
//	SOAK       how long it lasts, as in 90s, 10m (the default) or 1h
//	SOAK_SEED  the number that every choice follows from; the one of a run is printed
//	SOAK_OUT   a folder for the report: soak.md and soak.json
//	SOAK_RACE  0 for the operator as it is shipped, whose memory is more telling, in
//	           place of the one with the race detector
//
//	soak.go     the order of things
//	env.go      control plane, relay, simulator, operators
//	fleet.go    what there is to observe; accounts.go whose keys sign
//	actions.go  what people, controllers and the cloud do; faults.go what the SLB API does
//	sample.go   what the operator holds at a time; flat.go whether that grows
//	statuses.go whether a status is what the simulator says
//	search.go   what no output may hold
//	report.go   the results
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// grace is for what comes before and after the time that is asked for.
const grace = 3 * time.Minute

// settings are what the environment asks for.
type settings struct {
	lasts    time.Duration
	seed     uint64
	race     bool
	reportTo string
}

func main() { harness.Main("soak", run) }

func run(ctx context.Context) (err error) {
	asked, err := readSettings(os.Getenv, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, asked.lasts+grace, fmt.Errorf("it takes %s longer than it should", grace))
	defer cancel()
	s := newSoak(asked, os.Stdout)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("%w (SOAK_SEED=%d)", err, asked.seed)
	}
	s.say("done\n")
	r := s.report()
	r.print(os.Stdout)
	return errors.Join(r.verdict(), r.write(asked.reportTo))
}

func readSettings(getenv func(string) string, now time.Time) (settings, error) {
	lasts, err := time.ParseDuration(cmp.Or(getenv("SOAK"), "10m"))
	if err != nil || lasts < time.Minute {
		return settings{}, fmt.Errorf("SOAK=%s: write a duration of 1m or more, such as 10m", getenv("SOAK"))
	}
	seed, err := strconv.ParseUint(cmp.Or(getenv("SOAK_SEED"), strconv.FormatInt(now.UnixMilli()%1_000_000, 10)), 10, 64)
	if err != nil {
		return settings{}, fmt.Errorf("SOAK_SEED=%s: write a number", getenv("SOAK_SEED"))
	}
	return settings{lasts: lasts, seed: seed, race: getenv("SOAK_RACE") != "0", reportTo: getenv("SOAK_OUT")}, nil
}
