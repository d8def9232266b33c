// SPDX-License-Identifier: Apache-2.0

// Command soak injects faults for a while around the built operator, between a
// real API server and the simulator. Then it checks that no resource of the
// operator grew, and that every status is correct after the last fault.
// `make soak` builds and runs it.
//
//	SOAK       the duration, such as 90s, 10m (the default) or 1h
//	SOAK_SEED  the seed of every random choice; a run prints its seed
//	SOAK_OUT   a folder for the report: soak.md and soak.json
//	SOAK_RACE  0 for the released operator, with its real RSS; otherwise the operator
//	           has the race detector
//
//	soak.go        the sequence
//	env.go         control plane, relay, simulator, operators
//	fleet.go       load balancers and objects; accounts.go access keys
//	actions.go     actions of users, controllers and the cloud; faults.go of the SLB API
//	measurement.go resources of the operator; flat.go whether they grow
//	statuses.go    whether a status agrees with the simulator
//	search.go      what no output may contain
//	report.go      the results
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

// grace is for the start, and for the checks after SOAK.
const grace = 3 * time.Minute

// settings come from the environment variables.
type settings struct {
	duration time.Duration
	seed     uint64
	race     bool
	reportTo string
}

func main() { harness.Main("soak", run) }

func run(ctx context.Context) (err error) {
	cfg, err := readSettings(os.Getenv, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.duration+grace, fmt.Errorf("the soak is not done %s after SOAK", grace))
	defer cancel()
	s := newSoak(cfg, os.Stdout)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("%w (SOAK_SEED=%d)", err, cfg.seed)
	}
	s.logf("done\n")
	r := s.report()
	r.print(os.Stdout)
	return errors.Join(r.verdict(), r.write(cfg.reportTo))
}

func readSettings(getenv func(string) string, now time.Time) (settings, error) {
	duration, err := time.ParseDuration(cmp.Or(getenv("SOAK"), "10m"))
	if err != nil || duration < time.Minute {
		return settings{}, fmt.Errorf("SOAK=%s: write a duration of 1m or more, such as 10m", getenv("SOAK"))
	}
	seed, err := strconv.ParseUint(cmp.Or(getenv("SOAK_SEED"), strconv.FormatInt(now.UnixMilli()%1_000_000, 10)), 10, 64)
	if err != nil {
		return settings{}, fmt.Errorf("SOAK_SEED=%s: write a number", getenv("SOAK_SEED"))
	}
	return settings{duration: duration, seed: seed, race: getenv("SOAK_RACE") != "0", reportTo: getenv("SOAK_OUT")}, nil
}
