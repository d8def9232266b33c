// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lbhealth/slb-health-operator/test/internal/rig"
)

// parallel does the work of every item, each worker its own share, and returns
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

// paced starts n pieces of work at a constant rate, whether or not those before
// have ended, and returns the first error once all have.
func paced(ctx context.Context, rate float64, n int, do func(i int) error) error {
	var group errgroup.Group
	started := time.Now()
	for i := range n {
		due := started.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if err := rig.Wait(ctx, time.Until(due)); err != nil {
			break
		}
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}
