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
	if err := c.requestObservation(ctx, name, request.value); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = c.waitFor(ctx, name, func(state *v1alpha1.LoadBalancerHealth) (bool, error) {
		object = state
		return request.handled(state)
	})
	switch {
	case err == nil:
		return tree(o.Out, object, o)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s%s", request.timeoutMessage(object, timeout), c.connection.errorSuffix())
	default:
		return err
	}
}

func errSuspended(name string) error {
	return fmt.Errorf("%s is suspended, so it is not observed: set spec.suspend to false", name)
}

// observeRequest is a value of the request annotation.
type observeRequest struct {
	value string
	seen  bool // in a state of the object; the watch may begin before the request
}

// handled reports whether an observation handled the request. It returns an error
// when that requires manual action. The operator retries after other failures.
func (r *observeRequest) handled(object *v1alpha1.LoadBalancerHealth) (bool, error) {
	seenBefore := r.seen
	r.seen = object.Annotations[v1alpha1.ObserveRequestedAtAnnotation] == r.value
	switch {
	case object.Status.LastHandledObserveRequest == r.value:
		return true, nil
	case object.Spec.Suspend:
		return false, errSuspended(object.Name)
	case seenBefore && !r.seen:
		return false, fmt.Errorf("another request replaced this one before %s was observed: run it again", object.Name)
	case r.failed(object) && isStalled(object):
		return false, fmt.Errorf("%s cannot be observed: %s", object.Name, reasonAndMessage(object, v1alpha1.ConditionStalled))
	default:
		return false, nil
	}
}

// failed reports whether an attempt for this request failed.
func (r *observeRequest) failed(object *v1alpha1.LoadBalancerHealth) bool {
	return object.Status.LastAttemptedObserveRequest == r.value
}

// timeoutMessage is why the request was not handled in time, and what to do.
func (r *observeRequest) timeoutMessage(object *v1alpha1.LoadBalancerHealth, timeout time.Duration) string {
	if r.failed(object) && statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
		return fmt.Sprintf("%s could not be observed within %s: %s; the operator retries: kubectl lbh wait %s waits for it",
			object.Name, timeout, reasonAndMessage(object, v1alpha1.ConditionObserved), object.Name)
	}
	return fmt.Sprintf("%s was not observed within %s: does slb-health-operator run, and does it serve this object?", object.Name, timeout)
}

// reasonAndMessage is "reason: message" of a condition.
func reasonAndMessage(object *v1alpha1.LoadBalancerHealth, kind string) string {
	return sanitize(reasonOf(object, kind) + ": " + messageOf(object, kind))
}
