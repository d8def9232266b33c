// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// observedInTheFuture has a status whose lastObservedTime is an hour in the future.
func observedInTheFuture(t *testing.T, backends string) *testEnv {
	t.Helper()
	env := newEnv(t)
	env.observe(backends)
	env.object.Status.LastObservedTime = new(metav1.NewTime(env.now.Add(time.Hour)))
	return env
}

// The machine of the previous leader may have had a fast clock.
func TestObservationInTheFutureGoesStale(t *testing.T) {
	env := observedInTheFuture(t, "nna").restart()
	env.after(time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	if got := env.object.Status.LastObservedTime; got.After(env.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, env.now)
	}
	env.after(90 * time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
	// The verdict stays stale at the time that the status had.
	env.after(time.Hour - 60*time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

// The process that observed the load balancer knows the age of its observation.
func TestObservationBeforeTheClockWasSetBackGoesStaleOnTime(t *testing.T) {
	env := observedInTheFuture(t, "nna")
	env.after(90*time.Second - 1).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	env.after(1).repeatFailure()
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestObservationInTheFutureGoesStaleWithoutAFailure(t *testing.T) {
	env := observedInTheFuture(t, "nna")
	env.after(90 * time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + observedOK)
}

// The next observation corrects the time, even without another difference.
func TestObservationInTheFutureIsReplacedByTheNext(t *testing.T) {
	env := observedInTheFuture(t, "nna").restart()
	env.after(30 * time.Second).observe("nna")
	if got := env.object.Status.LastObservedTime; !got.Time.Equal(env.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, env.now)
	}
}
