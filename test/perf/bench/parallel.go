// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// parallel calls do for every item, with a fixed share for each worker, and returns
// the first error.
func parallel[T any](workers int, items []T, do func(i int, item T) error) error {
	var group errgroup.Group
	for worker := range workers {
		group.Go(func() error {
			for i := worker; i < len(items); i += workers {
				if err := do(i, items[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// startAtRate starts n calls of do at a mean rate, without waiting for earlier ones,
// and returns the first error when all have returned. They start at random times, as
// load balancers become due: at equal distances they would never overlap.
func startAtRate(ctx context.Context, rate float64, n int, do func(i int) error) error {
	var group errgroup.Group
	started := time.Now()
	for i, due := range startTimes(time.Duration(float64(n)/rate*float64(time.Second)), n) {
		if err := harness.Wait(ctx, time.Until(started.Add(due))); err != nil {
			break
		}
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// startTimes returns n random times within a duration, the same in every run.
func startTimes(within time.Duration, n int) []time.Duration {
	random := rand.New(rand.NewPCG(1, 2))
	due := make([]time.Duration, n)
	for i := range due {
		due[i] = time.Duration(random.Int64N(int64(within)))
	}
	slices.Sort(due)
	return due
}
