// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func runRefresh(ctx context.Context, o *options, name string, timeout time.Duration) error {
	c, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	if object.Spec.Suspend {
		return errSuspended(name)
	}
	request := &observeRequest{value: o.now().UTC().Format(time.RFC3339Nano)}
	if err := c.ask(ctx, name, request.value); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = c.until(ctx, name, func(state *v1alpha1.LoadBalancerHealth) (bool, error) {
		object = state
		return request.answered(state)
	})
	switch {
	case err == nil:
		return tree(o.Out, object, o)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s%s", request.unanswered(object, timeout), c.link.besides())
	default:
		return err
	}
}

func errSuspended(name string) error {
	return fmt.Errorf("%s is suspended, so it is not observed: set spec.suspend to false", name)
}

// An observeRequest is a value of the request annotation.
type observeRequest struct {
	value string
	seen  bool // in an object; a watch may begin before the request
}

// answered tells whether an answer came, and fails once none will come without
// manual action. A failure that passes is tried again by the operator.
func (r *observeRequest) answered(object *v1alpha1.LoadBalancerHealth) (bool, error) {
	was := r.seen
	r.seen = object.Annotations[v1alpha1.ObserveRequestedAtAnnotation] == r.value
	switch {
	case object.Status.LastHandledObserveRequest == r.value:
		return true, nil
	case object.Spec.Suspend:
		return false, errSuspended(object.Name)
	case was && !r.seen:
		return false, fmt.Errorf("another request replaced this one before %s was observed: run it again", object.Name)
	case r.failed(object) && isStalled(object):
		return false, fmt.Errorf("%s cannot be observed: %s", object.Name, because(object, v1alpha1.ConditionStalled))
	default:
		return false, nil
	}
}

// failed tells whether an attempt for this request ended without an answer.
func (r *observeRequest) failed(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.LastAttemptedObserveRequest == r.value
}

// unanswered says why there is no answer yet, and what to do.
func (r *observeRequest) unanswered(object *v1alpha1.LoadBalancerHealth, timeout time.Duration) string {
	if r.failed(object) && statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
		return fmt.Sprintf("%s was not answered within %s: %s; the operator tries again: kubectl lbh wait %s waits for the answer",
			object.Name, timeout, because(object, v1alpha1.ConditionObserved), object.Name)
	}
	return fmt.Sprintf("%s was not observed within %s: does slb-health-operator run, and does it serve this object?", object.Name, timeout)
}

// because is the reason and message of a condition.
func because(object *v1alpha1.LoadBalancerHealth, kind string) string {
	return tame(reasonOf(object, kind) + ": " + messageOf(object, kind))
}
