// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// stampedAhead is a world whose status says that the answer comes in an hour.
func stampedAhead(t *testing.T, answer string) *testEnv {
	t.Helper()
	env := newEnv(t)
	env.answer(answer)
	env.object.Status.LastObservedTime = new(metav1.NewTime(env.now.Add(time.Hour)))
	return env
}

// The machine of the leader before may have had a clock that was ahead.
func TestAnswerOfTheFutureIsNotCurrentForEver(t *testing.T) {
	env := stampedAhead(t, "nna").restart()
	env.after(time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	if got := env.object.Status.LastObservedTime; got.After(env.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, env.now)
	}
	env.after(90 * time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
	// Nor does it come back when the time comes that was stamped.
	env.after(time.Hour - 60*time.Second).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

// A process that got the answer itself knows how old it is.
func TestAnswerFromBeforeTheClockWasSetBackAgesAsAny(t *testing.T) {
	env := stampedAhead(t, "nna")
	env.after(90*time.Second - 1).fail(alicloud.EndpointUnreachable)
	env.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	env.after(1).again()
	env.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestAnswerOfTheFutureGoesStaleWhileNobodyAsks(t *testing.T) {
	env := stampedAhead(t, "nna")
	env.after(90 * time.Second).wait()
	env.want("Healthy=Unknown(ObservationStale)" + answered)
}

// The next answer mends the time, though it says nothing else that is new.
func TestAnswerOfTheFutureIsReplacedByTheNext(t *testing.T) {
	env := stampedAhead(t, "nna").restart()
	env.after(30 * time.Second).answer("nna")
	if got := env.object.Status.LastObservedTime; !got.Time.Equal(env.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, env.now)
	}
}
