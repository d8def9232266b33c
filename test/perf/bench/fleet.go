// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// resize replaces all load balancers and objects by those of a size.
func (s *env) resize(ctx context.Context, size fleetSize) error {
	if err := s.api.clear(ctx); err != nil {
		return err
	}
	old := s.size.balancerIDs()
	if err := parallel(setupConcurrency, old, func(_ int, id string) error { return s.simulator.remove(ctx, id) }); err != nil {
		return err
	}
	s.size, s.abnormal = size, map[string]bool{}
	ids := size.balancerIDs()
	err := parallel(setupConcurrency, ids, func(_ int, id string) error { return s.simulator.put(ctx, id, size.Rows) })
	if err != nil {
		return err
	}
	return s.api.create(ctx, size.objects())
}

// flipBackends makes the first backend of load balancers abnormal, or normal again:
// at once, or spread over a duration.
func (s *env) flipBackends(ctx context.Context, ids []string, spread time.Duration) error {
	flip := func(i int) error { return s.simulator.set(ctx, ids[i], !s.abnormal[ids[i]]) }
	var err error
	if spread > 0 {
		err = startAtRate(ctx, float64(len(ids))/spread.Seconds(), len(ids), flip)
	} else {
		err = parallel(setupConcurrency, ids, func(i int, _ string) error { return flip(i) })
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.abnormal[id] = !s.abnormal[id]
	}
	return nil
}

// revertFlips makes the load balancers equal to the stored statuses, so that a
// program that starts finds no change.
func (s *env) revertFlips(ctx context.Context) error {
	objects, err := s.api.list(ctx)
	if err != nil {
		return err
	}
	var flipped []string
	for i := range objects {
		id, summary := objects[i].Spec.LoadBalancerID, objects[i].Status.Summary
		if s.size.Objects == 1 && summary != nil && summary.Abnormal > 0 != s.abnormal[id] {
			flipped = append(flipped, id)
		}
	}
	return s.flipBackends(ctx, flipped, 0)
}

// isCurrent reports whether a stored status agrees with its load balancer.
func (s *env) isCurrent(u update) bool { return u.abnormal > 0 == s.abnormal[balancerOf(u.name)] }
