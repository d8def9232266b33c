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

// conditionFor is the condition for each value of --for.
var conditionFor = map[string]string{
	"healthy":  v1alpha1.ConditionHealthy,
	"ready":    v1alpha1.ConditionReady,
	"observed": v1alpha1.ConditionObserved,
}

func runWait(ctx context.Context, o *options, name, value string, timeout time.Duration) error {
	condition, ok := conditionFor[value]
	if !ok {
		return fmt.Errorf("--for=%s: write healthy, ready or observed", value)
	}
	c, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	w := &waiter{o: o, condition: condition, fail: fail}
	done, err := w.step(object)
	if err == nil && !done {
		err = c.waitFor(ctx, name, w.step)
	}
	w.stop()
	switch notUpdated, ok := errors.AsType[notUpdatedError](context.Cause(ctx)); {
	case err == nil:
		_, err = fmt.Fprintf(o.Out, "%s is %s\n", name, value)
		return err
	case ok:
		return notUpdated
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s is not %s after %s: %s%s", name, value, timeout, w.last, c.connection.errorSuffix())
	default:
		return err
	}
}

// waiter checks each state of an object.
type waiter struct {
	o         *options
	condition string
	last      string      // the last printed progress
	fail      func(error) // cancels the wait
	deadline  *time.Timer // until the status is no longer current
}

// notUpdatedError is about a status that is not current.
type notUpdatedError string

func (e notUpdatedError) Error() string { return string(e) }

// step reports whether a state has the condition. It returns an error when that
// requires manual action, and when the status is not current.
func (w *waiter) step(object *v1alpha1.LoadBalancerHealth) (bool, error) {
	w.stop()
	if now := progress(object, w.condition); now != w.last {
		w.last = now
		if _, err := fmt.Fprintf(w.o.ErrOut, "%s: %s\n", object.Name, now); err != nil {
			return false, err
		}
	}
	if isStalled(object) {
		return false, fmt.Errorf("%s is stalled: %s", object.Name, reasonAndMessage(object, v1alpha1.ConditionStalled))
	}
	if warning := w.o.notUpdated(object); warning != "" {
		return false, w.notUpdated(object, warning)
	}
	if last, due := nextUpdate(object, w.o.heartbeat); !due.IsZero() {
		w.deadline = time.AfterFunc(due.Sub(w.o.serverNow()), func() { w.fail(w.notUpdated(object, w.o.notUpdatedSince(last))) })
	}
	return reached(object, w.condition), nil
}

func (w *waiter) notUpdated(object *v1alpha1.LoadBalancerHealth, warning string) error {
	return notUpdatedError(fmt.Sprintf("%s was %s Its stored status: %s", object.Name, warning, progress(object, w.condition)))
}

func (w *waiter) stop() {
	if w.deadline != nil {
		w.deadline.Stop()
	}
}

// reached reports whether a condition is True for the current generation, and no
// request is pending.
func reached(object *v1alpha1.LoadBalancerHealth, condition string) bool {
	_, pending := pendingRequest(object)
	return isCurrent(object) && !pending && statusOf(object, condition) == metav1.ConditionTrue
}

// progress is the state of an object, such as "3/5 backends normal (BelowMinHealthy)".
func progress(object *v1alpha1.LoadBalancerHealth, condition string) string {
	if !isCurrent(object) {
		return "not observed yet"
	}
	var parts []string
	if _, pending := pendingRequest(object); pending {
		parts = append(parts, "the requested observation is pending")
	} else if object.Status.Summary != nil {
		parts = append(parts, fmt.Sprintf("%s backends normal (%s)", counts(object), reasonOf(object, condition)))
	}
	if isAttempted(object) && statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
		parts = append(parts, "cannot be observed: "+sanitize(messageOf(object, v1alpha1.ConditionObserved)))
	}
	return cmp.Or(strings.Join(parts, "; "), reasonOf(object, condition))
}
