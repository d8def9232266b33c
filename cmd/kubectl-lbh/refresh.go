// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func runRefresh(ctx context.Context, o *options, name string, timeout time.Duration) error {
	c, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	if object.Spec.Suspend {
		return fmt.Errorf("%s is suspended, so nobody observes it: set spec.suspend to false", name)
	}
	value := o.now().UTC().Format(time.RFC3339Nano)
	if err := c.ask(ctx, name, value); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = c.until(ctx, name, func(state *v1alpha1.LoadBalancerHealth) (bool, error) {
		object = state
		return state.Status.LastHandledObserveRequest == value, nil
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s was not observed within %s: does slb-health-operator run, and does it serve this object?%s", name, timeout, c.link.besides())
	}
	if err != nil {
		return err
	}
	return tree(o.Out, object, o)
}
