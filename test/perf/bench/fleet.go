// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// change replaces the load balancers and the objects that are there by those of a size.
func (s *env) change(ctx context.Context, size size) error {
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

// turn turns the first backend of load balancers.
func (s *env) turn(ctx context.Context, ids []string) error {
	err := parallel(setupConcurrency, ids, func(_ int, id string) error { return s.simulator.set(ctx, id, !s.abnormal[id]) })
	return s.turned(ids, err)
}

// turnWithin is turn, spread over some time.
func (s *env) turnWithin(ctx context.Context, duration time.Duration, ids []string) error {
	rate := float64(len(ids)) / duration.Seconds()
	return s.turned(ids, paced(ctx, rate, len(ids), func(i int) error { return s.simulator.set(ctx, ids[i], !s.abnormal[ids[i]]) }))
}

func (s *env) turned(ids []string, err error) error {
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.abnormal[id] = !s.abnormal[id]
	}
	return nil
}

// agree makes the load balancers what the statuses say, so that a program that
// starts finds nothing new.
func (s *env) agree(ctx context.Context) error {
	objects, err := s.api.list(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	for i := range objects {
		id, summary := objects[i].Spec.LoadBalancerID, objects[i].Status.Summary
		if s.size.Objects == 1 && summary != nil && summary.Abnormal > 0 != s.abnormal[id] {
			wrong = append(wrong, id)
		}
	}
	return s.turn(ctx, wrong)
}

// agrees reports whether a status says what its load balancer is.
func (s *env) agrees(c change) bool { return c.abnormal > 0 == s.abnormal[balancerOf(c.name)] }
