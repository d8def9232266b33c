// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// stampedAhead is a world whose status says that the answer comes in an hour.
func stampedAhead(t *testing.T, answer string) *world {
	t.Helper()
	w := newWorld(t)
	w.answer(answer)
	w.object.Status.LastObservedTime = new(metav1.NewTime(w.now.Add(time.Hour)))
	return w
}

// The machine of the leader before may have had a clock that was ahead.
func TestAnswerOfTheFutureIsNotCurrentForEver(t *testing.T) {
	w := stampedAhead(t, "nna").restart()
	w.after(time.Second).fail(alicloud.EndpointUnreachable)
	w.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	if got := w.object.Status.LastObservedTime; got.After(w.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, w.now)
	}
	w.after(90 * time.Second).fail(alicloud.EndpointUnreachable)
	w.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
	// Nor does it come back when the time comes that was stamped.
	w.after(time.Hour - 60*time.Second).fail(alicloud.EndpointUnreachable)
	w.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

// A process that got the answer itself knows how old it is.
func TestAnswerFromBeforeTheClockWasSetBackAgesAsAny(t *testing.T) {
	w := stampedAhead(t, "nna")
	w.after(90*time.Second - 1).fail(alicloud.EndpointUnreachable)
	w.want("Healthy=True(MinHealthyMet) Observed=False(EndpointUnreachable)")
	w.after(1).again()
	w.want("Healthy=Unknown(ObservationStale) Observed=False(EndpointUnreachable)")
}

func TestAnswerOfTheFutureGoesStaleWhileNobodyAsks(t *testing.T) {
	w := stampedAhead(t, "nna")
	w.after(90 * time.Second).wait()
	w.want("Healthy=Unknown(ObservationStale)" + answered)
}

// The next answer mends the time, though it says nothing else that is new.
func TestAnswerOfTheFutureIsReplacedByTheNext(t *testing.T) {
	w := stampedAhead(t, "nna").restart()
	w.after(30 * time.Second).answer("nna")
	if got := w.object.Status.LastObservedTime; !got.Time.Equal(w.now) {
		t.Errorf("lastObservedTime is %s, it is %s", got, w.now)
	}
}
