// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// conditionFor is what can be waited for.
var conditionFor = map[string]string{
	"healthy":  v1alpha1.ConditionHealthy,
	"ready":    v1alpha1.ConditionReady,
	"observed": v1alpha1.ConditionObserved,
}

func runWait(ctx context.Context, o *options, name, what string, timeout time.Duration) error {
	condition, ok := conditionFor[what]
	if !ok {
		return fmt.Errorf("--for=%s: write healthy, ready or observed", what)
	}
	c, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := ""
	step := func(object *v1alpha1.LoadBalancerHealth) (bool, error) {
		if now := progress(object, condition); now != last {
			last = now
			if _, err := fmt.Fprintf(o.ErrOut, "%s: %s\n", name, now); err != nil {
				return false, err
			}
		}
		return reached(object, condition), nil
	}
	done, err := step(object)
	if err == nil && !done {
		err = c.until(ctx, name, step)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s is not %s after %s: %s%s", name, what, timeout, last, c.link.besides())
	}
	if err == nil {
		_, err = fmt.Fprintf(o.Out, "%s is %s\n", name, what)
	}
	return err
}

// reached tells whether a condition is True, and of the generation that is there.
func reached(object *v1alpha1.LoadBalancerHealth, condition string) bool {
	return object.Status.ObservedGeneration == object.Generation && statusOf(object, condition) == metav1.ConditionTrue
}

// progress says how far an object is: "3/5 backends normal (BelowMinHealthy)".
func progress(object *v1alpha1.LoadBalancerHealth, condition string) string {
	if object.Status.ObservedGeneration != object.Generation {
		return "not observed yet"
	}
	var parts []string
	if object.Status.Summary != nil {
		parts = append(parts, fmt.Sprintf("%s backends normal (%s)", counts(object), reasonOf(object, condition)))
	}
	if statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
		parts = append(parts, "cannot be observed: "+tame(messageOf(object, v1alpha1.ConditionObserved)))
	}
	return cmp.Or(strings.Join(parts, "; "), reasonOf(object, condition))
}
