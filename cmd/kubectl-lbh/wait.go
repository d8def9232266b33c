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
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	w := &waiter{o: o, condition: condition, fail: fail}
	done, err := w.step(object)
	if err == nil && !done {
		err = c.until(ctx, name, w.step)
	}
	w.stop()
	switch outdated, ok := errors.AsType[outdatedError](context.Cause(ctx)); {
	case err == nil:
		_, err = fmt.Fprintf(o.Out, "%s is %s\n", name, what)
		return err
	case ok:
		return outdated
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s is not %s after %s: %s%s", name, what, timeout, w.last, c.link.besides())
	default:
		return err
	}
}

// A waiter looks at the states of an object.
type waiter struct {
	o         *options
	condition string
	last      string      // the progress that was printed last
	fail      func(error) // ends the wait
	silence   *time.Timer // until the object is outdated
}

// outdatedError is about an object that has not been updated for too long.
type outdatedError string

func (e outdatedError) Error() string { return string(e) }

// step looks at a state: whether it is what is waited for, or will not be
// without manual action, or is not to be trusted.
func (w *waiter) step(object *v1alpha1.LoadBalancerHealth) (bool, error) {
	w.stop()
	if now := progress(object, w.condition); now != w.last {
		w.last = now
		if _, err := fmt.Fprintf(w.o.ErrOut, "%s: %s\n", object.Name, now); err != nil {
			return false, err
		}
	}
	if isStalled(object) {
		return false, fmt.Errorf("%s is stalled: %s", object.Name, because(object, v1alpha1.ConditionStalled))
	}
	if silence := w.o.silence(object); silence != "" {
		return false, w.outdated(object, silence)
	}
	if last, due := nextUpdate(object, w.o.heartbeat); !due.IsZero() {
		w.silence = time.AfterFunc(due.Sub(w.o.serverNow()), func() { w.fail(w.outdated(object, w.o.notUpdatedSince(last))) })
	}
	return reached(object, w.condition), nil
}

func (w *waiter) outdated(object *v1alpha1.LoadBalancerHealth, silence string) error {
	return outdatedError(fmt.Sprintf("%s was %s Stored is: %s", object.Name, silence, progress(object, w.condition)))
}

func (w *waiter) stop() {
	if w.silence != nil {
		w.silence.Stop()
	}
}

// reached tells whether a condition is True, of the generation that is there,
// and not from before a request that no answer has served.
func reached(object *v1alpha1.LoadBalancerHealth, condition string) bool {
	_, pending := pendingRequest(object)
	return current(object) && !pending && statusOf(object, condition) == metav1.ConditionTrue
}

// progress says how far an object is: "3/5 backends normal (BelowMinHealthy)".
func progress(object *v1alpha1.LoadBalancerHealth, condition string) string {
	if !current(object) {
		return "not observed yet"
	}
	var parts []string
	if _, pending := pendingRequest(object); pending {
		parts = append(parts, "the requested observation is not answered yet")
	} else if object.Status.Summary != nil {
		parts = append(parts, fmt.Sprintf("%s backends normal (%s)", counts(object), reasonOf(object, condition)))
	}
	if attempted(object) && statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse {
		parts = append(parts, "cannot be observed: "+tame(messageOf(object, v1alpha1.ConditionObserved)))
	}
	return cmp.Or(strings.Join(parts, "; "), reasonOf(object, condition))
}
